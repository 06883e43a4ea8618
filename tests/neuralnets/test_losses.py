import pytest
import torch

from neuralnets.losses import criterion

VOID = -100


def test_the_type_of_the_answers_decides() -> None:
    # squared errors 1 and 9; cross-entropy of a coin is log 2, void pixels left out
    assert criterion(torch.tensor([[1.0, 3.0]]), torch.zeros(1, 2)).item() == 5
    assert criterion(torch.tensor([[1.0, 3.0]]), torch.zeros(1, 2), reduction="sum").item() == 10
    masks = torch.tensor([[[0, VOID]]])
    assert criterion(torch.zeros(1, 2, 1, 2), masks, reduction="sum").item() == pytest.approx(0.6931472)
    assert criterion(torch.zeros(1, 2, 1, 2), masks).item() == pytest.approx(0.6931472)
