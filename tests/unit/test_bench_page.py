"""bench.html says what each model takes before it is loaded; here the engine is asked."""

from __future__ import annotations

import re

import pytest

from leadout_build import ROOT
from leadout_build.bench import measures
from leadout_build.cli import bench as command

PAGE = (ROOT / "static/bench.js").read_text("utf-8")
MEASURES = (ROOT / "static/bench_measures.js").read_text("utf-8")
CHOICES = {
    name: float(size)
    for name, size in re.findall(r'name: "([^"]+)", label: "[^"]+", bytes: ([\d.e]+)', PAGE)
}

#: What the page says may be off by.
TOLERANCE = 0.05


@pytest.mark.parametrize("name", CHOICES)
def test_the_page_says_what_a_model_takes(name: str) -> None:
    shape = None if name == "nano" else name
    target, drafter = command.open_subject(command.find_subject(name, shape))
    planned = command.plan_of(target, drafter, "mtp").total_bytes
    assert CHOICES[name] == pytest.approx(planned, rel=TOLERANCE)


def test_the_page_offers_nano_and_every_shape() -> None:
    assert {"nano", "tiny", "e2b", "e4b", "12b", "26b-a4b", "31b"} == set(CHOICES)


def test_page_and_command_sample_alike() -> None:
    for name, settings in measures.SAMPLINGS.items():
        found = re.search(rf"{name}: \{{ ([^}}]+) \}}", MEASURES)
        assert found is not None
        said = {key: float(value) for key, value in re.findall(r"(\w+): ([\d.]+)", found[1])}
        assert said == dict(settings)
