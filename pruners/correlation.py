"""Correlation pruning: of channels that correlate, one stays and takes over the others' weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.cluster.hierarchy import linkage
from torch import Tensor, nn
from typing_extensions import override

from neuralnets.copies import copied
from neuralnets.layers import TRANSPOSED
from pruners._activations import first_reader
from pruners._base import Context, Need
from pruners._channel_allocation import ChannelAllocation
from pruners._channel_pruner import ChannelPruner
from pruners._channels import ChannelGroup, Keep, Side
from pruners._checks import check_at_least
from pruners._data import examples, scoring
from pruners._folding import norms_behind
from pruners._moments import Moments, moments
from pruners._readers import input_dim, input_slots, readers

_LAST = 2.0
"""Above every distance."""


@final
@dataclass(frozen=True, kw_only=True)
class Correlation(ChannelPruner):
    """Merges the channels of each group that correlate most; one of each cluster stays and takes over the others' part.

    The distance of two channels is 1 - |correlation| of what they send to the layer behind, over training examples and
    positions. Clusters are those of single linkage, whose merges are the edges of the minimum spanning tree, the deaths
    of zeroth persistence: Ballester et al. 2024 (arXiv:2308.04870, section 3) take the latter's sum as a penalty that
    decorrelates neurons while training. That it also prunes is ours: when two clusters merge, of their two
    representatives the one goes that contributes less to the layers behind (variance times squared weights that read
    it), and its score is the distance. A channel that is constant goes before all others. "global" is one distance for
    all layers.

    What goes is replaced, in every layer that reads it, by the least-squares prediction from the channel that stays and
    correlates most with it there: slope times its weights are added to those that read that channel, and the constant
    to the layer's bias or, where it has none, to the running mean of the normalisation directly behind. Where there is
    neither, and in transposed convolutions, the prediction goes through the origin. The constant is exact but for zeros
    that pad the border.

    Attributes:
        images: How many training examples are looked at, at least 1; ours.

    Example:
        >>> from pruners import Correlation, prune
        >>> smaller = prune(network, Correlation(allocation="uniform"), 0.5, example=images[:1], batches=batches)
        >>> smaller[0].out_channels, smaller[3].out_channels
        (6, 5)
    """

    criterion: ClassVar[str] = "correlation with a channel that stays"
    needs: ClassVar[frozenset[Need]] = frozenset({"data"})
    paper: ClassVar[str] = "after Ballester et al. 2024, arXiv:2308.04870"
    nested: ClassVar[bool] = True
    adjusts: ClassVar[bool] = True
    comparable: ClassVar[bool] = True
    allocation: ChannelAllocation = "global"
    images: int = 256

    @override
    def __post_init__(self) -> None:
        """Raise ValueError if a hyperparameter is out of range."""
        ChannelPruner.__post_init__(self)
        check_at_least(1, images=self.images)

    @override
    def score(self, network: nn.Module, groups: Sequence[ChannelGroup], context: Context) -> Sequence[Tensor]:
        sides = [(first_reader(group), group.size) for group in groups]
        moments_read = self._moments(network, sides, context)
        return [
            merges(statistics.covariance, statistics.covariance.diagonal() * _reading_power(network, group))
            for group, statistics in zip(groups, moments_read, strict=True)
        ]

    @override
    def refit(self, network: nn.Module, keep: Keep, context: Context) -> nn.Module:
        sides = [(group, side) for group, stays in keep.items() if not bool(stays.all()) for side in readers(group)]
        moments_read = self._moments(network, [(side, group.size) for group, side in sides], context)
        behind = norms_behind(network, context.example)
        refitted = copied(network)
        for (group, side), statistics in zip(sides, moments_read, strict=True):
            _take_over(refitted, side, behind.get(side.layer), statistics, keep[group])
        return refitted

    def _moments(self, network: nn.Module, sides: Sequence[tuple[Side, int]], context: Context) -> tuple[Moments, ...]:
        for side, size in sides:
            input_slots(network.get_submodule(side.layer), side, size)
        with scoring(network) as model:
            return moments(model, sides, (images for images, _ in examples(context, self.images)))


def merges(covariance: Tensor, power: Tensor) -> Tensor:
    """Single linkage on 1 - |correlation|.

    Args:
        covariance: (n, n), float64; zero in the rows of constant channels.
        power: (n,): of two representatives the one with less goes; of equals the one that stands later.

    Returns:
        (n,), float64: the distance at which each channel goes; 0 for constants, 2 for the last, NaN all over if there
        was one.
    """
    gone_at = torch.zeros(len(covariance), dtype=torch.float64)
    if bool(covariance.isnan().any()):
        return gone_at.fill_(torch.nan)
    varying = (covariance.diagonal() > 0).nonzero().squeeze(1)
    heads = varying.tolist() or [0]
    if len(varying) > 1:
        for one, other, distance, _ in linkage(_condensed(covariance[varying][:, varying]), "single"):
            first, second = sorted((heads[int(one)], heads[int(other)]))
            stays, goes = (second, first) if float(power[second]) > float(power[first]) else (first, second)
            gone_at[goes] = float(distance)
            heads.append(stays)
    gone_at[heads[-1]] = _LAST
    return gone_at


def _condensed(covariance: Tensor) -> NDArray[np.float64]:
    deviation = covariance.diagonal().sqrt()
    distance = (1 - (covariance / deviation.outer(deviation)).abs()).clamp_min(0)
    rows, columns = torch.triu_indices(len(distance), len(distance), 1)
    return np.asarray(distance[rows, columns].numpy(), dtype=np.float64)


def _reading_power(network: nn.Module, group: ChannelGroup) -> Tensor:
    """(size,), float64, on the CPU: the sum of the squares of all weights that read each channel."""
    total = torch.zeros(group.size, dtype=torch.float64)
    for side in readers(group):
        layer = network.get_submodule(side.layer)
        squares = (
            layer.get_parameter("weight").detach().double().square().movedim(input_dim(layer), 0).flatten(1).sum(1)
        )
        total += squares.cpu()[input_slots(layer, side, group.size)].sum(1)
    return total


@torch.no_grad()
def _take_over(network: nn.Module, side: Side, norm: str | None, statistics: Moments, stays: Tensor) -> None:
    """In the layer of `side`, in place: what channels that go contribute is predicted from those that stay.

    Args:
        network: Changed.
        side: Where the layer reads the channels.
        norm: Name of the normalisation directly behind the layer.
        statistics: What the layer reads.
        stays: (size,), bool, at least one.
    """
    layer = network.get_submodule(side.layer)
    weight, dim = layer.get_parameter("weight"), input_dim(layer)
    gone, left = (~stays).nonzero().squeeze(1), stays.nonzero().squeeze(1)
    # the largest correlation of a channel is where this is: its own deviation divides all of them
    deviation = statistics.covariance.diagonal().sqrt()
    fits = torch.where(deviation > 0, statistics.covariance.abs() / deviation, 0.0)
    speakers = left[fits[gone][:, left].argmax(1)]
    target = None if isinstance(layer, TRANSPOSED) else _bias_and_sign(network, layer, norm)
    products = statistics.square if target is None else statistics.covariance
    size = products[speakers, speakers]
    slopes = torch.where(size > 0, products[gone, speakers] / size, 0.0)
    slots = input_slots(layer, side, len(statistics.mean)).to(weight.device)
    lost = weight.index_select(dim, slots[gone].flatten()).double()
    if target is not None:
        tensor, sign = target
        constants = (
            (statistics.mean[gone] - slopes * statistics.mean[speakers]).to(lost).repeat_interleave(slots.shape[1])
        )
        # the constant, times all weights that read it
        tensor += sign * (lost.flatten(2).sum(2) if lost.dim() > 2 else lost).mv(constants).to(tensor)
    factors = slopes.to(lost).repeat_interleave(slots.shape[1])
    shape = [-1 if axis == dim else 1 for axis in range(weight.dim())]
    weight.index_add_(dim, slots[speakers].flatten(), (lost * factors.view(shape)).to(weight))


def _bias_and_sign(network: nn.Module, layer: nn.Module, norm: str | None) -> tuple[Tensor, float] | None:
    """What a constant in a layer's output can be added to, and with which sign."""
    if isinstance(layer.bias, Tensor):
        return layer.bias, 1.0
    mean = None if norm is None else getattr(network.get_submodule(norm), "running_mean", None)
    return (mean, -1.0) if isinstance(mean, Tensor) else None
