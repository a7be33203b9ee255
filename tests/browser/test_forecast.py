"""A forecast against what loading then takes, in a real Chromium: worker, Pyodide, WebGPU."""

from __future__ import annotations

from pathlib import Path

import pytest

from leadout_build.serving.headless import BLANK, headless_page, serving

#: Readback buffers, made as they are needed, are no part of a forecast. Seen: 0.6 % (32 kB).
TOLERANCE = 0.01

_BOTH = """async ({ model, options }) => {
  const { Leadout } = await import(new URL("./leadout.js", location.href).href);
  const forecast = await Leadout.models.estimate(model, { ...options, probe: true });
  const engine = await Leadout.load({ model, ...options });
  engine.dispose();
  return { forecast, info: engine.info };
}"""


def test_memory_is_what_was_forecast_and_the_probe_ran_on_this_device(site: Path) -> None:
    model = {"name": "tiny", "shape": "tiny"}
    options = {"drafter": "none", "contextLength": 400, "kvDtype": "f16"}
    with serving(site) as url, headless_page(url + BLANK) as page:
        found = page.evaluate(_BOTH, {"model": model, "options": options})
    forecast, info = found["forecast"], found["info"]
    memory = forecast["memory"]
    assert memory["total_bytes"] == pytest.approx(info["allocated_bytes"], rel=TOLERANCE)
    assert memory["weights_bytes"] == info["weights_bytes"]
    assert (forecast["context_length"], forecast["kv_dtype"]) == (400, "f16")
    assert forecast["fits"]
    probe = forecast["probe"]
    assert set(probe["cycle_ms"]) == {"0"}
    assert probe["decode_tokens_per_s"] > 0
