"""From a table of attributes to the error of the worst slice, through a whole run."""

import json

import pytest
import torch
from torch import nn

from evalsuite.api import sweep
from evalsuite.config.settings import EvaluationSettings
from evalsuite.data import choose, load
from evalsuite.data._slices import read
from evalsuite.errors import UsageError
from evalsuite.networks.checkpoints.checkpoint import restore
from evalsuite.tasks.clean import Clean
from evalsuite.tasks.corruption import Corruption

pytestmark = pytest.mark.slow

MEASURES = ("error", "worst_class", "worst_slice", "calibration")


@pytest.fixture(scope="module")
def digits():
    return load("digits")


def network():
    weights = torch.randn(64, 10, generator=torch.Generator().manual_seed(0))
    result = nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).eval()
    with torch.no_grad():
        result[1].weight.copy_(weights.T)
        result[1].bias.zero_()
    return result


def table(digits, path, *, by_id):
    """Parity of the class, and whether the example stands in the first half; the class 0 is of unknown parity."""
    labels = digits.test.labels.tolist()
    rows = [
        f"{'' if label == 0 else ('even', 'odd')[label % 2]},{'first' if k < len(labels) / 2 else 'second'}"
        for k, label in enumerate(labels)
    ]
    if by_id:
        lines = [f"{key},{row}" for key, row in zip(digits.test.ids, rows, strict=True)]
        path.write_text("\n".join(["id,parity,half", *reversed(lines)]) + "\n")
    else:
        path.write_text("\n".join(["parity,half", *rows]) + "\n")
    return read(path)


def run(digits, slices, out):
    tasks = (Clean(), Corruption(corruption="contrast", severity=3))
    judging = EvaluationSettings(
        tasks=tasks, measures=MEASURES, examples=200, examples_for={"corruption": 150}, margin=0.1, slices=slices
    )
    return sweep(network(), digits, out=out, ratios=(0.9,), evaluation_settings=judging, accept_parent=True).summary


def cell(summary, task, measure):
    (outcome,) = [
        c for c in summary["cells"] if (c["task"], c["measure"], c["network"]) == (task, measure, "magnitude-0-0.9")
    ]
    return outcome


@pytest.mark.parametrize("by_id", [False, True])
def test_the_worst_slice_is_that_of_the_networks_themselves(digits, tmp_path, by_id):
    summary = run(digits, table(digits, tmp_path / "slices.csv", by_id=by_id), tmp_path / "run")
    actual = cell(summary, "clean", "worst_slice")

    chosen = choose(digits.test, 200, 0)
    parent = network()
    images, labels = chosen.pixels(range(200)), chosen.labels
    pruned = restore(tmp_path / "run" / "networks" / "magnitude-0-0.9.safetensors", network())
    with torch.inference_mode():
        rise = (pruned(images).argmax(1) != labels).double() - (parent(images).argmax(1) != labels).double()
    truth = labels != 0
    position = {p: k for k, p in enumerate(digits.test.positions.tolist())}
    first = torch.tensor([position[p] < len(digits.test) / 2 for p in chosen.positions.tolist()])
    expected = {
        "parity = even": rise[truth & (labels % 2 == 0)].mean(),
        "parity = odd": rise[truth & (labels % 2 == 1)].mean(),
        "half = first": rise[first].mean(),
        "half = second": rise[~first].mean(),
    }
    worst = max(expected, key=lambda name: expected[name])
    assert actual["group"] == worst
    assert actual["difference"] == pytest.approx(float(expected[worst]))
    assert actual["n"] == 200
    assert cell(summary, "corruption/contrast/3", "worst_slice")["n"] == 150
    by_class = [float(rise[labels == c].mean()) for c in range(10)]
    assert cell(summary, "clean", "worst_class")["group"] == digits.classes[by_class.index(max(by_class))]
    assert cell(summary, "clean", "error")["group"] is None
    assert "most in" in (tmp_path / "run" / "report.html").read_text()
    assert json.loads((tmp_path / "run" / "results.json").read_text())["measures"][2] == {
        "name": "worst_slice",
        "title": "worst-slice error",
        "unit": "share",
        "required": False,
    }


def test_without_a_table_there_are_no_slices(digits, tmp_path):
    summary = run(digits, None, tmp_path)
    assert {c["measure"] for c in summary["cells"]} == set(MEASURES) - {"worst_slice"}


def test_another_table_is_another_run(digits, tmp_path):
    run(digits, table(digits, tmp_path / "one.csv", by_id=False), tmp_path / "run")
    with pytest.raises(UsageError, match="differs in slices"):
        run(digits, None, tmp_path / "run")


def test_a_table_of_another_data_set_is_refused_before_any_work(digits, tmp_path):
    (tmp_path / "short.csv").write_text("site\nA\nB\n")
    with pytest.raises(UsageError, match=rf"line 3: expected {len(digits.test)} rows.*of digits, got 2"):
        run(digits, read(tmp_path / "short.csv"), tmp_path / "run")
    assert not (tmp_path / "run" / "networks").exists()
