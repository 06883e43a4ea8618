"""Images and networks for the tests of this folder."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from evalsuite.networks.architectures.by_name import build
from evalsuite.networks.normalized import Normalized

Images = Callable[..., Tensor]


@pytest.fixture
def images() -> Images:
    """Uniform images of a given size, always the same."""

    def draw(count: int = 2, channels: int = 3, side: int = 32) -> Tensor:
        return torch.rand(count, channels, side, side, generator=torch.Generator().manual_seed(0))

    return draw


@pytest.fixture
def trained() -> Callable[..., nn.Module]:
    """A network whose batch norms hold statistics that are not the initial ones, in evaluation mode."""

    def make(arch: str, *, classes: int = 10, channels: int = 3, image_size: int = 32, seed: int = 0) -> nn.Module:
        network = build(arch, classes=classes, channels=channels, image_size=image_size, seed=seed)
        generator = torch.Generator().manual_seed(seed)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d | nn.LayerNorm):
                module.weight.data.uniform_(0.5, 1.5, generator=generator)
                module.bias.data.normal_(0, 0.2, generator=generator)
            if isinstance(module, nn.BatchNorm2d):
                assert module.running_mean is not None
                assert module.running_var is not None
                module.running_mean.normal_(0, 0.2, generator=generator)
                module.running_var.uniform_(0.5, 1.5, generator=generator)
        return network.eval()

    return make


@pytest.fixture(scope="session")
def network() -> nn.Module:
    """A LeNet for digits of 8 × 8 pixels that normalises its images, a third of its weights pruned."""
    network = Normalized(build("lenet5", classes=10, channels=1, image_size=8, seed=3), (0.3,), (0.4,)).eval()
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                module.weight[module.weight.abs() < module.weight.abs().quantile(1 / 3)] = 0
    return network
