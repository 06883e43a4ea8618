import pytest
import torch
from torch import nn

from pruners.regularisers.slimming import Slimming

IMAGES, LABELS = torch.rand(2, 1, 4, 4, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1])


def network() -> nn.Module:
    result = nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(12, 2), nn.BatchNorm1d(2), nn.LayerNorm(2)
    )
    with torch.no_grad():
        result[1].weight.copy_(torch.tensor([0.5, -2.0, 0.0]))
        result[4].weight.copy_(torch.tensor([1.0, -0.25]))
    return result


def test_by_hand() -> None:
    # 0.1 * (0.5 + 2 + 0 + 1 + 0.25); the layer normalisation does not count
    model = network()
    penalty = Slimming(weight=0.1)(model, IMAGES, LABELS)
    assert penalty.item() == pytest.approx(0.375)
    penalty.backward()
    # the gradient is that of the authors' code: s * sign(gamma), 0 at 0
    torch.testing.assert_close(model[1].weight.grad, 0.1 * torch.tensor([1.0, -1.0, 0.0]))
    torch.testing.assert_close(model[4].weight.grad, 0.1 * torch.tensor([1.0, -1.0]))
    assert [name for name, p in model.named_parameters() if p.grad is not None] == ["1.weight", "4.weight"]


@pytest.mark.parametrize("norm", [nn.Identity(), nn.BatchNorm2d(3, affine=False)])
def test_nothing_to_penalise(norm: nn.Module) -> None:
    with pytest.raises(ValueError, match="expected a network with scales of batch normalisation"):
        Slimming()(nn.Sequential(nn.Conv2d(1, 3, 3), norm), IMAGES, LABELS)
