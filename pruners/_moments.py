"""Means and covariances of channels, as the layers behind read them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from neuralnets.forward_hooks import attached
from pruners._activations import by_channel
from pruners._channels import Side

_CONSTANT = 1e-12
"""Variance over mean square, up to which a channel is constant: what float32 leaves of a difference that is none."""


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class Moments:
    """First and second moments of channels over examples and positions; on the CPU.

    Attributes:
        mean: (size,), float64.
        square: (size, size), float64: means of the products of two channels.
    """

    mean: Tensor
    square: Tensor

    @property
    def covariance(self) -> Tensor:
        """(size, size), float64; exactly zero in rows and columns of constant channels."""
        difference = self.square - self.mean.outer(self.mean)
        varies = difference.diagonal() > _CONSTANT * self.square.diagonal()
        # NaN is neither: it is kept, to be seen
        fixed = ~varies & ~difference.diagonal().isnan()
        return difference.masked_fill(fixed.unsqueeze(0) | fixed.unsqueeze(1), 0)


@torch.no_grad()
def moments(network: nn.Module, sides: Sequence[tuple[Side, int]], batches: Iterable[Tensor]) -> tuple[Moments, ...]:
    """Moments of the channels that are read on each of `sides`.

    Args:
        network: In eval mode; not changed. One forward pass per batch.
        sides: Each with the size of its group; every channel is read equally often.
        batches: Images (examples, c, h, w), at least one.
    """
    totals = [_Total(side, size) for side, size in sides]
    handles = [
        network.get_submodule(side.layer).register_forward_pre_hook(total.look)
        for (side, _), total in zip(sides, totals, strict=True)
    ]
    with attached(handles):
        for images in batches:
            network(images)
    return tuple(total.moments() for total in totals)


@final
class _Total:
    """Sums over batches, from which moments are computed."""

    def __init__(self, side: Side, size: int) -> None:
        self._side, self._size = side, size
        self._count = 0
        self._sum = torch.zeros(size, dtype=torch.float64)
        self._products = torch.zeros(size, size, dtype=torch.float64)

    def look(self, layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        channels = by_channel(inputs[0], self._side, self._size, last=isinstance(layer, nn.Linear))
        values = channels.transpose(0, 1).flatten(1).double()
        self._count += values.shape[1]
        self._sum += values.sum(1).cpu()
        self._products += (values @ values.T).cpu()

    def moments(self) -> Moments:
        return Moments(mean=self._sum / self._count, square=self._products / self._count)
