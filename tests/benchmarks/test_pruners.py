"""The study of pruners in its small mode, and its tables against numbers worked out by hand."""

import csv
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

pytestmark = pytest.mark.slow

FOLDER = Path(__file__).parents[2] / "benchmarks" / "pruners"


@pytest.fixture(scope="module")
def modules():
    """`points` and `figures`, which import each other by their bare names."""
    result = {}
    for name in ("points", "figures"):
        spec = spec_from_file_location(name, FOLDER / f"{name}.py")
        result[name] = sys.modules[name] = module_from_spec(spec)
        spec.loader.exec_module(result[name])
    yield result
    for name in result:
        del sys.modules[name]


def output(*command):
    return subprocess.run([sys.executable, *command], capture_output=True, text=True, check=True).stdout


def test_the_small_study_runs_goes_on_and_is_drawn(tmp_path):
    runs, out = tmp_path / "runs", tmp_path / "out"
    study = (FOLDER / "study.py", "--small", "--seeds", "1", "--threads", "1", "--folder", runs)
    assert output(*study).count("\n") == 9  # a line a run
    assert output(*study) == ""
    output(FOLDER / "figures.py", "--folder", runs, "--out", out)
    drawn = {f"{one}_{by}.svg" for one in ("weights", "channels") for by in ("prune_ratio", "flop_reduction")}
    assert {path.name for path in out.iterdir()} == drawn | {"points.csv", "tables.md"}
    with (out / "points.csv").open() as file:
        rows = list(csv.DictReader(file))
    methods = {row["method"] for row in rows if row["setting"] == "weights"}
    assert methods >= {"parent", "magnitude", "magnitude, cascade", "magnitude, lottery ticket", "iss_p"}
    assert methods >= {"control: dense", "control: random"}
    for row in rows:
        if row["target"] != "0.0" and not row["method"].startswith("control: "):
            assert abs(float(row["prune_ratio"]) - float(row["target"])) < 0.15
    text = (out / "tables.md").read_text()
    assert "| magnitude, cascade | magnitude |" in text


def test_a_difference_is_bold_where_seeds_and_interval_agree(modules):
    ahead = (np.ones(200, dtype=bool), np.arange(200) < 150)
    behind = (np.arange(200) < 140, np.arange(200) < 150)
    assert modules["figures"].difference([ahead, ahead]).startswith("**+25.0 (")
    assert modules["figures"].difference([ahead[::-1], ahead[::-1]]).startswith("**-25.0 (")
    # 50 ahead and 10 behind of 400: the interval leaves out 0, the seeds disagree
    assert modules["figures"].difference([ahead, behind]).startswith("+10.0 (")


def test_the_narrowest_layer_is_the_one_with_fewest_filters_that_do_something(modules, tmp_path):
    first, second = torch.ones(5, 3, 3, 3), torch.ones(6, 5, 3, 3)
    second[2:] = 0
    save_file({"a.weight": first, "b.weight": second, "fc.weight": torch.ones(1, 6)}, tmp_path / "a.safetensors")
    assert modules["points"].narrowest(tmp_path / "a.safetensors") == 2
