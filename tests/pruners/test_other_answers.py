"""Every method on networks whose answers are maps of classes or numbers: it prunes, or says why it cannot."""

from functools import cache

import pytest
import torch
from torch import Tensor, nn

from evalsuite.parts.names import parse_part
from evalsuite.parts.registry import names
from neuralnets.losses import criterion
from pruners import Context, Pruner, prunable, remaining, sgd

pytestmark = pytest.mark.slow

OTHERS = ("segmentation", "regression")
REFUSED = {
    **{("constrained_rl", kind): "expected one class an image" for kind in OTHERS},
    **{("greedy_allocation", kind): "expected one class an image" for kind in OTHERS},
    # the network of the regression has no batch normalisation
    ("rni", "regression"): "expected channels with batch normalisation",
    ("slimming", "regression"): "expected batch normalisation",
}
SHORTER = {"constrained_rl": "?episodes=20", "singe": "?steps=2", "synflow": "?iterations=5"}
Batches = list[tuple[Tensor, Tensor]]


def segmenter() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, 3, 1),
    )


def regressor() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(72, 12), nn.ReLU(), nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 2))


def made(kind: str) -> nn.Module:
    """Drawn from a generator of its own."""
    network = segmenter() if kind == "segmentation" else regressor()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / parameter[0].numel() ** 0.5)
    return network.eval()


@cache
def batches(kind: str) -> Batches:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(4, 16, 2, 6, 6, generator=generator)
    if kind == "segmentation":
        truths = (images.sum(2) * 1.5).long().clamp(max=2)
        truths[:, :, 0, 0] = -100
    else:
        truths = torch.stack([images.mean((2, 3, 4)), images.amax((2, 3, 4))], -1)
    return list(zip(images, truths, strict=True))


def context(kind: str) -> Context:
    data = batches(kind)
    return Context(example=data[0][0][:1], batches=lambda: data, train=sgd(lambda: data, steps=4, learning_rate=0.01))


@pytest.mark.parametrize("kind", OTHERS)
@pytest.mark.parametrize("name", names("pruners"))
def test_it_prunes_or_says_why_not(name: str, kind: str) -> None:
    network = made(kind)
    total = sum(weight.numel() for weight in prunable(network).values())
    part = parse_part("pruners", name + SHORTER.get(name, ""), Pruner)
    if (name, kind) in REFUSED:
        with pytest.raises(ValueError, match=REFUSED[name, kind]):
            part(network, keep=total // 2, context=context(kind))
        return
    pruned = part(network, keep=total // 2, context=context(kind))
    images = batches(kind)[0][0]
    assert pruned(images).shape == network(images).shape
    unit = 0 if part.structure == "weights" else total // 4
    assert abs(remaining(pruned) - total // 2) <= unit


def test_a_saliency_is_that_of_the_squared_error() -> None:
    # one linear weight w = 3 on x = 2 with the answer 1: d/dw (w x - 1)² = 2 (6 - 1) 2 = 20, SNIP's |w g| = 60
    outputs = torch.tensor([[6.0]], requires_grad=True)
    criterion(outputs, torch.tensor([[1.0]]), reduction="sum").backward()
    assert outputs.grad is not None
    assert outputs.grad.item() * 2 == 20
