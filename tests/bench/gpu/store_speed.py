"""How fast is a model kept, and loaded from what is kept, in a Chromium that runs on this machine?

    PYTHONPATH=pyapp:build LEADOUT_CHROMIUM_PORT=9301 python store_speed.py [--sha256] MODEL.gguf

The file is served by this machine to a page of the built site, which pulls it into its store, loads
it from there a few times, each time up to the first token behind a prompt of 512, and deletes it
again. The first load is cold: no kernel was ever compiled. With --sha256 the pull is told the hash
of the file, as by a hub, and ends once all of it was hashed: compare both to see what that costs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
from pathlib import Path

from leadout_build.bench.node import open_running_chromium
from leadout_build.bench.runtime import Subject

LOADS = 3

PULL_AND_LOAD = """async (model) => {
  const { Leadout } = await import("/leadout.js");
  const [{ name, url }] = model.files;
  const facts = FACTS;
  const listed = { name: model.name, files: [{ name, url, ...facts }] };
  let begun = performance.now();
  let fetched_ms = 0;
  const onProgress = ({ stored_bytes, total_bytes }) => {
    if (total_bytes > 0 && stored_bytes === total_bytes) fetched_ms ||= performance.now() - begun;
  };
  await Leadout.models.pull(facts ? listed : url, { onProgress });
  const pull_ms = performance.now() - begun;
  const loads = [];
  for (let i = 0; i < LOADS; i++) {
    const phases = {};
    begun = performance.now();
    const onPhase = (phase) => { phases[phase] = Math.round(performance.now() - begun); };
    const engine = await Leadout.load({ model: url, drafter: "none", onPhase });
    const ms = performance.now() - begun;
    const prompt_ids = Array.from({ length: 512 }, (_, i) => 3 + ((i * 7919) % 250));
    let first_ms = 0;
    const onDelta = () => { first_ms ||= performance.now() - begun; };
    await engine.generate({ prompt_ids, max_tokens: 8, ignore_eos: true }, { onDelta });
    loads.push({ ms, load_ms: engine.info.load_ms, first_ms, phases });
    await engine.dispose();
  }
  await Leadout.models.remove(url);
  return { pull_ms, fetched_ms, loads };
}""".replace("LOADS", str(LOADS))


def main() -> None:
    """Print MB/s of each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sha256", action="store_true", help="have the whole file hashed")
    parser.add_argument("path", type=Path)
    asked = parser.parse_args()
    path: Path = asked.path
    facts = None
    if asked.sha256:
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        facts = {"size": path.stat().st_size, "sha256": sha256}
    size = path.stat().st_size / 1e6
    subject = Subject(path.stem, {path.name: path})
    with open_running_chromium(subject, int(os.environ["LEADOUT_CHROMIUM_PORT"])) as runtime:
        found = runtime.run(PULL_AND_LOAD.replace("FACTS", json.dumps(facts)))
    fetched, kept = (1000 * size / found[f"{what}_ms"] for what in ("fetched", "pull"))
    print(f"{path.name}: {size:,.0f} MB, fetched at {fetched:,.0f} MB/s, kept at {kept:,.0f} MB/s")
    for one in found["loads"]:
        rate, whole = 1000 * size / one["load_ms"], one["ms"] / 1000
        print(f"loaded at {rate:,.0f} MB/s; ready after {whole:.2f} s, boot included", end="; ")
        print(f"first token after {one['first_ms'] / 1000:.2f} s; phases from {one['phases']}")


if __name__ == "__main__":
    main()
