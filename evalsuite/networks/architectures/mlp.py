"""Linear layers with ReLU in between, on flattened images or on the numbers of a table."""

from dataclasses import dataclass
from itertools import pairwise
from typing import final

from torch import nn
from typing_extensions import override

from evalsuite.networks.architectures._base import Architecture


@final
@dataclass(frozen=True, kw_only=True)
class Mlp(Architecture):
    """A multilayer perceptron; a table of d columns is d channels of 1 x 1 pixel.

    Attributes:
        depth: Hidden layers, at least 0.
        width: Units of each, at least 1.
    """

    depth: int = 2
    width: int = 64

    def __post_init__(self) -> None:
        if self.depth < 0 or self.width < 1:
            raise ValueError(f"expected depth >= 0 and width >= 1, got {self.depth} and {self.width}")

    @override
    def __call__(self, *, classes: int, channels: int, image_size: int) -> nn.Module:
        sizes = [channels * image_size**2, *[self.width] * self.depth]
        hidden = [layer for inputs, units in pairwise(sizes) for layer in (nn.Linear(inputs, units), nn.ReLU())]
        return nn.Sequential(nn.Flatten(), *hidden, nn.Linear(sizes[-1], classes))
