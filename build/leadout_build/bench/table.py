"""Prints the report of `leadout bench` as a table."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from leadout_build.bench.constrained import constrained_parts
from leadout_build.bench.measures import RUN_AHEADS, Spread
from leadout_build.bench.parallel import parallel_parts
from leadout_build.bench.profiles import profile_lines
from leadout_build.store.sizes import format_bytes

#: Parts of the names of adapters that compute on the CPU.
SOFTWARE_ADAPTERS = ("swiftshader", "llvmpipe", "lavapipe")


def is_software(adapter: str) -> bool:
    """Tell whether an adapter computes on the CPU."""
    return any(name in adapter.lower() for name in SOFTWARE_ADAPTERS)


class _Lines:
    """Lines with labels. A label is printed only on the first of consecutive lines that have it."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._label = ""

    def add(self, label: str, *parts: str) -> None:
        """Add a line of parts."""
        self.lines.append(f"{'' if label == self._label else label:<9}{', '.join(parts)}")
        self._label = label


def table(report: Mapping[str, Any]) -> list[str]:
    """Return the report, line by line."""
    lines = _Lines()
    machine = report["machine"]
    versions = [f"{name} {version}" for name, version in report["versions"].items()]
    kind = "weights of the shape" if report["is_shape"] else ""
    lines.add(
        "model", f"{kind} {report['model']} in {report['runtime']} on {report['adapter']}".strip()
    )
    lines.add("machine", machine["system"], f"{machine['cpus']} CPUs", *versions)
    if is_software(report["adapter"]):
        lines.add("machine", "software rendering on the CPU: fewer tokens and runs")
    _add_load(lines, report["load"])
    for entry in report["prefill"]:
        spread = Spread(**entry["tokens_per_s"])
        lines.add("prefill", f"{entry['tokens']:>3} tokens: {spread.shown()} tokens/s")
    for entry in report["decode"]:
        spread, ratio = Spread(**entry["tokens_per_s"]), Spread(**entry["ratio"])
        in_flight = entry["run_ahead"] or "as many as pay"
        parts = [f"{in_flight} in flight: {spread.shown()} tokens/s"]
        if entry["run_ahead"] != RUN_AHEADS[0]:
            parts.append(_times(ratio))
        lines.add("decode", *parts)
    lines.add("decode", f"each over {report['effort']['decode_tokens']} tokens after the first")
    _add_step(lines, report)
    for drafter in report["drafters"]:
        _add_drafter(lines, drafter)
    if report["is_shape"]:
        lines.add("drafts", "weights are made up: times are valid, acceptance is not")
    _add_memory(lines, report["memory"])
    for profile in report.get("profiles", ()):
        lines.lines += ["", *profile_lines(profile)]
    return lines.lines


def _add_load(lines: _Lines, load: Mapping[str, Any]) -> None:
    weights = f"weights made on the device in {_s(load['loading_weights_ms'])}"
    if load["bytes"] is not None:
        size = format_bytes(load["bytes"])
        weights = f"{load['mb_per_s']:.4g} MB/s ({size}, {_s(load['weights_ms'])})"
    lines.add(
        "load",
        weights,
        f"kernels {_s(load['compiling_kernels_ms'])}",
        f"warm-up {_s(load['warming_up_ms'])}",
        f"in all {_s(load['load_ms'])}",
    )


def _add_step(lines: _Lines, report: Mapping[str, Any]) -> None:
    step = report["step"]
    lines.add(
        "step",
        f"{step['ms']:.4g} ms, as many in flight as pay",
        f"reads {format_bytes(step['read_bytes'])} of weights "
        f"({format_bytes(step['head_read_bytes'])} the head): {step['read_gb_per_s']:.4g} GB/s",
    )
    each = f"{report['dispatches_per_layer']:g} for each of {report['num_layers']} layers"
    lines.add(
        "step",
        f"{report['dispatches_per_step']} dispatches ({each})",
        f"{report['submits_per_step']:g} submits",
    )


def _add_drafter(lines: _Lines, drafter: Mapping[str, Any]) -> None:
    label = drafter["kind"]
    if label != "none":
        facts = [f"self-test {drafter['self_test']}"]
        if drafter["weights_bytes"]:
            facts.append(f"weights {format_bytes(drafter['weights_bytes'])}")
        one_draft_ms = drafter["runs"][0]["draft_ms"]
        if one_draft_ms is not None and one_draft_ms > 0:  # otherwise the noise is larger
            facts.append(f"a draft {one_draft_ms:.4g} ms")
        if drafter["draft_reads"]:
            reads = drafter["draft_reads"]
            facts.append(
                f"reads {format_bytes(reads['total_bytes'])} "
                f"({format_bytes(reads['head_bytes'])} the head)"
            )
        lines.add(label, *facts)
    first_plain = Spread(**drafter["runs"][0]["cycles"][0]["tokens_per_s"]).median
    for run in drafter["runs"]:
        plain = Spread(**run["cycles"][0]["tokens_per_s"])
        lines.add(
            "cycles" if label == "none" else label,
            f"{run['sampling']} behind {run['context_tokens']} tokens: "
            f"{plain.shown()} tokens/s plain",
            *([] if run is drafter["runs"][0] else [f"× {plain.median / first_plain:.3f}"]),
        )
        for cycle in run["cycles"]:
            lines.add("cycles" if label == "none" else label, *_cycle_parts(cycle))
        for entry in run.get("parallel", ()):
            lines.add("parallel", *parallel_parts(entry))
        for entry in run.get("constrained", ()):
            lines.add("constrained", *constrained_parts(entry))
    for written in drafter.get("drafting", ()):
        _add_drafting(lines, written)


def _cycle_parts(cycle: Mapping[str, Any]) -> list[str]:
    k, ms, ratio = cycle["draft_tokens"], Spread(**cycle["ms"]), Spread(**cycle["ratio"])
    parts = [f"  {k} drafted, rows {cycle['rows']}: {ms.shown()} ms a cycle"]
    if k:
        parts.append(_times(ratio))
        parts.append(
            f"pays from {cycle['break_even_tokens']:.3g} tokens a cycle"
            if cycle["can_pay"]
            else f"never pays: {1 + k} tokens at most"
        )
        parts.append(f"{cycle['accepted_per_cycle']:.3g} accepted")
    parts.append(f"{cycle['tokens_per_s']['median']:.4g} tokens/s")
    if cycle["gpu_idle_share"] is not None:
        parts.append(f"GPU idle {100 * cycle['gpu_idle_share']['median']:.1f} %")
    return parts


def _add_drafting(lines: _Lines, written: Mapping[str, Any]) -> None:
    for entry in written["counts"]:
        k = entry["draft_tokens"]
        rate = Spread(**entry["tokens_per_s"]).shown()
        parts = [f"{written['sampling']}, {k} drafted: {rate} tokens/s"]
        if k != 0:
            parts.append(_times(Spread(**entry["ratio"])))
            parts.append(f"{entry['tokens_per_cycle']:.3g} tokens a cycle")
        if entry["acceptance"] is not None:
            parts.append(f"{100 * entry['acceptance']:.0f} % accepted")
        parts.append(f"{entry['cycle_ms']:.4g} ms a cycle")
        if k != 0:
            same = "the same" if entry["has_plain_ids"] else "NOT THE SAME"
            parts.append(f"{same} ids ({entry['tokens']} tokens)")
        lines.add("text", *parts)
        if costs := _believed_costs(entry):
            lines.add("text", f"  ms a cycle, believed at the end / taken: {'; '.join(costs)}")


def _believed_costs(entry: Mapping[str, Any]) -> list[str]:
    """Return what each number of drafts was believed to cost, what it took, and how often it ran.

    It is empty where nothing was timed, or the report does not say how often.
    """
    believed, taken = entry["believed_cycle_ms"] or {}, entry["run_cycle_ms"] or {}
    return [
        f"{k} drafted: {believed[k]:.3g} / {taken[k]:.3g} "
        f"({100 * (believed[k] / taken[k] - 1):+.0f} %, {count} cycles)"
        for k, count in (entry.get("cycle_runs") or {}).items()
        if believed.get(k) and taken.get(k)
    ]


def _add_memory(lines: _Lines, memory: Mapping[str, Any]) -> None:
    lines.add(
        "memory",
        f"GPU peak {_bytes(memory['gpu_peak_bytes'])}",
        f"held {_bytes(memory['gpu_bytes'])}",
        f"of it weights {_bytes(memory['gpu_weights_bytes'])}",
    )
    if "planned" in memory:
        planned = memory["planned"]
        lines.add(
            "memory",
            f"planned {_bytes(planned['total_bytes'])}",
            f"drafter {_bytes(planned['drafter_bytes'])}",
            f"KV cache {_bytes(planned['kv_cache_bytes'])}",
            f"activations and tables {_bytes(planned['other_bytes'])}",
            f"largest buffer {planned['largest_buffer']} {_bytes(planned['largest_buffer_bytes'])}",
        )
    lines.add(
        "memory",
        f"JavaScript heap peak {_bytes(memory['js_heap_peak_bytes'])}",
        f"growth while loading {_bytes(memory['js_heap_growth_bytes'])}",
    )


def _times(ratio: Spread) -> str:
    text = f"× {ratio.median:.3f}"
    return text if ratio.runs == 1 else f"{text} ({ratio.low:.3f} to {ratio.high:.3f})"


def _bytes(count: int | None) -> str:
    return "not seen" if count is None else format_bytes(count)


def _s(ms: float) -> str:
    return f"{ms / 1000:.3g} s"


if __name__ == "__main__":  # the table of a report that `--json` printed
    print("\n".join(table(json.loads(Path(sys.argv[1]).read_text("utf-8")))))
