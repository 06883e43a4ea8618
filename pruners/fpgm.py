"""Filter pruning via geometric median: channels whose filters the others can replace best go."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor, nn
from typing_extensions import override

from pruners._base import Context
from pruners._channel_pruner import ChannelPruner
from pruners._channels import ChannelGroup, filters


@final
@dataclass(frozen=True, kw_only=True)
class FPGM(ChannelPruner):
    """Removes the channels whose filters are nearest to the geometric median of all filters; needs no data.

    He et al. 2019 (arXiv:1811.00250), section 3.3: the score of a filter is the sum of its Euclidean distances to all
    others of its layer. Where several layers produce the same channels (residual sums), their filters are taken as one
    long one, with zeros for layers that do not produce a channel. A channel whose filters are zero already scores 0.
    This is the paper's setting on ImageNet, without the share that goes by norm; the paper zeroes filters again and
    again while it trains, here a network is pruned as it is. Distances of different layers have no common scale.

    Example:
        >>> from pruners import FPGM, prune
        >>> smaller = prune(network, FPGM(), 0.5, example=images[:1])
        >>> smaller[0].out_channels, smaller[3].out_channels
        (6, 5)
    """

    criterion: ClassVar[str] = "distance to the other filters"
    paper: ClassVar[str] = "He et al. 2019, arXiv:1811.00250"
    nested: ClassVar[bool] = True

    @override
    def score(self, network: nn.Module, groups: Sequence[ChannelGroup], context: Context) -> Sequence[Tensor]:
        return [_distances(_rows(network, group)).cpu() for group in groups]


def _distances(rows: Tensor) -> Tensor:
    sums = torch.cdist(rows, rows).sum(1)
    return torch.where((rows != 0).any(1), sums, 0.0)


def _rows(network: nn.Module, group: ChannelGroup) -> Tensor:
    """Everything that produces each channel, in one row: (size, weights), float64."""
    rows = []
    for weights, channels in filters(network, group):
        inside = (channels >= 0).nonzero().squeeze(1)
        order = inside[channels[inside].argsort(stable=True)]
        counts = torch.bincount(channels[inside], minlength=group.size)
        # of the filters of one channel the first, second, ...: a grouped convolution has several
        number = torch.arange(len(order)) - (counts.cumsum(0) - counts).repeat_interleave(counts)
        row = weights.new_zeros(group.size, int(counts.max()), weights.shape[1], dtype=torch.float64)
        row[channels[order].to(row.device), number.to(row.device)] = weights[order.to(row.device)].double()
        rows.append(row.flatten(1))
    return torch.cat(rows, dim=1)
