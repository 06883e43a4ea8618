"""Columns of regression, against scikit-learn, and by hand."""

import pytest
import torch
from sklearn.metrics import mean_absolute_error

from evalsuite.problems.regression import Regression


def test_the_loss_is_the_mean_absolute_error_in_units_of_the_scale() -> None:
    generator = torch.Generator().manual_seed(0)
    truths = torch.rand(50, 2, generator=generator) * torch.tensor([10.0, 1000.0])
    outputs = truths + torch.randn(50, 2, generator=generator) * torch.tensor([1.0, 100.0])
    observed = Regression(scale=(10.0, 1000.0)).observe(outputs, truths)
    scaled = [(subject / torch.tensor([10.0, 1000.0])).numpy() for subject in (truths, outputs)]
    assert observed["scaled_error"].mean() == pytest.approx(mean_absolute_error(*scaled), abs=1e-6)


def test_by_hand() -> None:
    # errors 1 and 4 at scale 4; an error beyond the scale counts 1
    problem = Regression(scale=(4.0, 4.0))
    losses = problem.losses(torch.tensor([[1.0, 4.0], [9.0, 0.0]]), torch.zeros(2, 2))
    assert losses.tolist() == [0.625, 0.5]


@pytest.mark.parametrize("scale", [(), (0.0,), (1.0, -1.0)])
def test_scales_are_above_0(scale: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="expected scales above 0"):
        Regression(scale=scale)
