"""The study of Lost in Pruning in its small mode, and its figures against numbers worked out by hand."""

import csv
import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.slow

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def runs():
    sys.path.insert(0, str(BENCHMARKS))
    yield import_module("lost_in_pruning_runs")
    sys.path.remove(str(BENCHMARKS))


def small(folder, *more):
    command = [sys.executable, BENCHMARKS / "lost_in_pruning.py", "--small", "--seeds", "1", "--threads", "1"]
    return subprocess.run([*command, "--folder", folder, *more], capture_output=True, text=True, check=True)


def test_the_small_study_runs_and_goes_on_where_it_stopped(tmp_path):
    output = small(tmp_path).stdout
    assert output.splitlines()[-1] == str(tmp_path / "page.md")
    results = sorted(str(p.relative_to(tmp_path).parent) for p in tmp_path.glob("*/*/results.json"))
    assert results == ["augmented/filters-0", "augmented/weights-0", "standard/filters-0", "standard/weights-0"]
    text = (tmp_path / "page.md").read_text(encoding="utf-8")
    for part in ("| standard | magnitude | train (1) | 1 |", "| augmented | filter_norm | test (8) | 1 |", "one seed"):
        assert part in text
    for figure in ("potential", "errors", "noise", "excess"):
        assert (tmp_path / f"{figure}.svg").stat().st_size > 5000
    with (tmp_path / "points.csv").open(encoding="utf-8") as file:
        points = list(csv.DictReader(file))
    # clean, two noises and what 8 x 8 pixels leave of 19 corruptions; three networks for each kind of training
    tasks = {p["task"] for p in points}
    assert len(points) == 2 * 3 * len(tasks)
    assert {"clean", "noise/uniform/0.1", "corruption/fog/3"} <= tasks
    before = {p: p.read_bytes() for p in (tmp_path / "page.md", tmp_path / "potential.svg", tmp_path / "points.csv")}
    lost = tmp_path / "augmented" / "filters-0" / "report.html"
    lost.unlink()
    again = small(tmp_path).stdout.splitlines()
    assert again == [f"{tmp_path}/augmented/filters-0: filter_norm", str(tmp_path / "page.md")]
    assert {p: p.read_bytes() for p in before} == before
    networks = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.safetensors")}
    more = small(tmp_path, "--held-out", "90").stdout.splitlines()
    assert len(more) == 5
    assert "90 held-out examples" in (tmp_path / "page.md").read_text(encoding="utf-8")
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.safetensors")} == networks


def written(folder, training, seed, potentials, errors, bounds=(-1.0, 1.0)):
    """A results.json with one family of one network at prune ratio 0.8, and the bounds of every difference."""
    cells = [
        {"measure": "error", "network": name, "task": task, "n": 50, "loss": loss, "low": 0.0, "high": 1.0,
         "parent_loss": parent, "difference_low": bounds[0], "difference_high": bounds[1]}
        for task, (loss, parent) in errors.items()
        for name in ("m-0-0.8", "parent")
    ]  # fmt: skip
    reached = [
        {
            "family": "m-0",
            "measure": "error",
            "task": task,
            "prune_potential": value,
            "commensurate": 0.0,
            "margin": 0.01,
        }
        for task, value in potentials.items()
    ]
    networks = [
        {"id": "parent", "role": "parent", "pruner": None, "prune_ratio": 0.0},
        {"id": "m-0-0.8", "role": "pruned", "pruner": "m", "prune_ratio": 0.8},
    ]
    path = folder / training / f"weights-{seed}" / "results.json"
    path.parent.mkdir(parents=True)
    families = [{"id": "m-0", "pruner": "m"}]
    path.write_text(json.dumps({"cells": cells, "potential": reached, "networks": networks, "families": families}))


def test_averages_and_excess_by_hand(runs, tmp_path):
    fog, snow = "corruption/fog/3", "corruption/snow/3"  # of mix2 and of mix1
    for seed, (clean, on_snow, on_fog) in enumerate(((0.8, 0.6, 0.2), (0.8, 0.4, 0.0))):
        errors = {"clean": (0.1, 0.1), snow: (0.2, 0.1), fog: (0.5 + 0.1 * seed, 0.3)}
        written(tmp_path, "augmented", seed, {"clean": clean, snow: on_snow, fog: on_fog}, errors)
    result = runs.read_runs(tmp_path)
    rows = {title: (seeds, tasks, over) for _, _, title, seeds, tasks, over in runs.summary(result)}
    seeds, tasks, over = rows["train"]
    assert (seeds, tasks) == (2, 2)  # the two seeds' averages are 70 and 60, their minima 60 and 40
    assert (over.average.mean, over.average.std) == pytest.approx((65, 5))
    assert (over.minimum.mean, over.minimum.std) == pytest.approx((50, 10))
    assert rows["test"][2].average.mean == pytest.approx(10)
    ratios, values, seeds = runs.excess(result, "augmented", "m")
    np.testing.assert_allclose(ratios, [0.8, 0.8])
    # test less train: network 0.5 - 0.15 (0.6 - 0.15), parent 0.3 - 0.1
    np.testing.assert_allclose(values, [0.15, 0.25])
    assert seeds.tolist() == [0, 1]
    # the parent, and the network at 0.8, on snow and fog together
    at, subject = runs.errors(result, "augmented", "m", (snow, fog))
    np.testing.assert_allclose(at, [0, 80])
    np.testing.assert_allclose(subject, [[20, 35], [20, 40]])
    ((training, pruner, networks, line),) = runs.lines(result)
    assert (training, pruner, networks) == ("augmented", "m", 2)
    assert line.slope == pytest.approx(0.2 / 0.8)


def test_what_clean_data_alone_would_ship(runs, tmp_path):
    fog, snow = "corruption/fog/3", "corruption/snow/3"
    same = dict.fromkeys(("clean", fog, snow), (0.1, 0.1))
    # the margin is 0.01; the third seed ships its parent, which is no pruned network to be worse
    for seed, (clean, bounds) in enumerate(((0.8, (0.02, 0.04)), (0.8, (-0.01, 0.01)), (0.0, (0.5, 0.6)))):
        written(tmp_path, "augmented", seed, {"clean": clean, fog: 0.0, snow: 0.0}, same, bounds)
    observed = runs.by_clean(runs.read_runs(tmp_path), "augmented", "m")
    assert observed == runs.ByClean(ratios=(0.8, 0.8, 0.0), worse=1, within=1, pairs=2)
