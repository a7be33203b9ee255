"""A forecast against what loading then takes, in a real Chromium: worker, Pyodide, WebGPU."""

from __future__ import annotations

from pathlib import Path

import pytest

from leadout_build.headless import BLANK, headless_page, serving

#: Readback buffers, which requests add as they need them, are no part of a forecast.
TOLERANCE = 0.01

_BOTH = """async ({ model, options }) => {
  const { Leadout } = await import(new URL("./leadout.js", location.href).href);
  const forecast = await Leadout.models.estimate(model, { ...options, probe: true });
  const engine = await Leadout.load({ model, ...options });
  const request = { prompt_ids: [2, 5, 9], max_tokens: 12, ignore_eos: true, draft_tokens: 0 };
  await engine.generate(request);
  const { stats } = await engine.generate(request);
  engine.dispose();
  return { forecast, info: engine.info, stats };
}"""


def test_memory_is_what_was_forecast_and_the_probe_ran_on_this_device(site: Path) -> None:
    model = {"name": "tiny", "shape": "tiny"}
    options = {"drafter": model, "contextLength": 400, "kvDtype": "f16", "maxDraftTokens": 3}
    with serving(site) as url, headless_page(url + BLANK) as page:
        found = page.evaluate(_BOTH, {"model": model, "options": options})
    forecast, info = found["forecast"], found["info"]
    memory = forecast["memory"]
    assert memory["total_bytes"] == pytest.approx(info["allocated_bytes"], rel=TOLERANCE)
    assert memory["weights_bytes"] == info["weights_bytes"]
    assert (forecast["context_length"], forecast["kv_dtype"]) == (400, "f16")
    assert forecast["fits"]
    assert forecast["drafter"] == "tiny-assistant"
    probe = forecast["probe"]
    assert set(probe["cycle_ms"]) == {"0", "3"}
    assert probe["decode_tokens_per_s"] > 0
    print(probe, found["stats"]["decode_tokens_per_s"])
