"""What is read of a task: only figures that have a meaning there, and never numbers that are none."""

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import nn

from evalsuite.api import sweep
from evalsuite.config.settings import EvaluationSettings
from evalsuite.data import choose, load
from evalsuite.tasks.clean import Clean
from evalsuite.tasks.ood import Ood

pytestmark = pytest.mark.slow


class Linear(nn.Module):
    """Ten classes from 64 pixels; `factor` times the logits."""

    def __init__(self, factor):
        super().__init__()
        self.linear = nn.Linear(64, 10)
        self.factor = factor
        with torch.no_grad():
            self.linear.weight.copy_(torch.randn(10, 64, generator=torch.Generator().manual_seed(0)))
            self.linear.bias.zero_()

    def forward(self, images):
        return self.linear(images.flatten(1)) * self.factor


@pytest.fixture(scope="module")
def digits():
    return load("digits")


def fitted(digits):
    """Least squares of the classes on the pixels: right on nine of ten."""
    network = Linear(1.0)
    pixels = digits.train.pixels(range(len(digits.train))).flatten(1)
    network.linear.weight.data = torch.linalg.lstsq(
        pixels, torch.eye(10)[digits.train.labels], driver="gelsd"
    ).solution.T.contiguous()
    return network.eval()


def test_a_task_without_predictions_binds_nothing_and_keeps_no_claim_back(digits, tmp_path):
    tasks = (Clean(), Ood(outliers="noise"))
    judging = EvaluationSettings(tasks=tasks, examples=100, margin=0.9)
    summary = sweep(fitted(digits), digits, out=tmp_path, ratios=(0.1,), evaluation_settings=judging).summary
    assert {t["name"]: t["required"] for t in summary["tasks"]} == {"clean": True, "ood/noise": False}
    assert summary["deployable"]["ratio"] == pytest.approx(0.1, abs=0.01)
    assert summary["complete"]
    read = {task: [c["measure"] for c in summary["cells"] if c["task"] == task and c["network"] == "parent"]
            for task in ("clean", "ood/noise")}  # fmt: skip
    assert read == {"clean": ["error", "disagreement", "worst_class"], "ood/noise": ["ood_auroc", "ood_fpr95"]}


def test_outlier_figures_are_those_of_the_network_itself(digits, tmp_path):
    network = Linear(1.0).eval()
    judging = EvaluationSettings(
        tasks=(Ood(outliers="shuffled"),), measures=("ood_auroc?score=energy",), examples=80, margin=0.1
    )
    summary = sweep(
        network, digits, out=tmp_path, ratios=(0.5,), evaluation_settings=judging, accept_parent=True
    ).summary
    (cell,) = [c for c in summary["cells"] if c["network"] == "parent"]
    whole = choose(digits.test, 80, 0).batch(0, 80)
    (columns,) = Ood(outliers="shuffled").observe([network], whole, seed=0).networks
    scores = np.concatenate([columns["energy"], columns["out_energy"]])
    assert cell["loss"] == pytest.approx(1 - roc_auc_score(np.repeat([1, 0], 80), scores), abs=1e-9)
    assert cell["low"] < cell["loss"] < cell["high"]
    assert cell["verdict"] is None
    assert summary["deployable"] is None  # nothing binds


def test_numbers_that_are_not_finite_are_no_figures(digits, tmp_path):
    judging = EvaluationSettings(tasks=(Clean(),), measures=("error", "brier", "calibration"), examples=50, margin=0.1)
    network = Linear(float("nan")).eval()
    summary = sweep(
        network, digits, out=tmp_path, ratios=(0.5,), evaluation_settings=judging, accept_parent=True
    ).summary
    for cell in summary["cells"]:
        if cell["measure"] == "error":
            assert cell["loss"] == 1  # NaN's largest entry is the first: the images of class 0 would count as right
            assert "50 outputs that are not finite" in cell["reason"]
            assert cell["verdict"] in {None, "inconclusive"}
        else:
            assert cell["loss"] is None
            assert cell["reason"] == "the network puts out numbers that are not finite"
    assert not summary["complete"]
