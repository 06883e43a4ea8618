"""Images and networks for the tests of this folder."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from evalsuite.networks.architectures import build

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
