"""Against auto_LiRPA 0.7.1: `tests/data/linear_bounds.safetensors`, computed in float32 on three small networks."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from neuralnets import bounds

pytestmark = pytest.mark.slow

METHODS = {
    "IBP": (bounds.interval, bounds.interval_margins),
    "CROWN-IBP": (bounds.crown_ibp, bounds.crown_ibp_margins),
    "CROWN": (bounds.crown, bounds.crown_margins),
}


class Block(nn.Module):
    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)
        self.short = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))) + self.short(x))


def mlp() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 10))


def cnn_bn() -> nn.Module:
    first = (nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
    second = (nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.BatchNorm2d(16), nn.ReLU())
    return nn.Sequential(*first, *second, nn.Flatten(), nn.Linear(256, 10))


def residual() -> nn.Module:
    stem = (nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
    head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10))
    return nn.Sequential(*stem, Block(8, 8, 1), Block(8, 16, 2), *head)


@pytest.fixture(scope="module")
def golden() -> dict[str, Tensor]:
    return load_file(Path(__file__).parents[2] / "data" / "linear_bounds.safetensors")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("eps", ["0.01", "0.05"])
@pytest.mark.parametrize("build", [mlp, cnn_bn, residual], ids=lambda build: build.__name__)
def test_auto_lirpa(golden: dict[str, Tensor], build: Callable[[], nn.Module], eps: str, method: str) -> None:
    name = build.__name__
    network = build().eval()
    prefix = f"{name}/state/"
    network.load_state_dict({key.removeprefix(prefix): golden[key] for key in golden if key.startswith(prefix)})
    images, labels = golden[f"{name}/x"], golden[f"{name}/y"]
    torch.testing.assert_close(network(images), golden[f"{name}/logits"], rtol=1e-6, atol=1e-6)
    outputs, margins = METHODS[method]
    with torch.no_grad():
        graph = bounds.trace(network, images[:1])
        box = outputs(graph, bounds.linf_ball(images, float(eps)))
        low = margins(graph, bounds.linf_ball(images, float(eps)), labels)
    ours = {"logits_low": box.low, "logits_high": box.high, "margins_low": low}
    for key, value in ours.items():
        theirs = golden[f"{name}/{eps}/{method}/{key}"]
        # float32 on both sides: what matters is the size of the numbers that were added up, up to 700 here
        torch.testing.assert_close(value, theirs, rtol=1e-5, atol=1e-6 * float(theirs.abs().max()))
