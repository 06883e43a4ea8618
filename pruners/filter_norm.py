"""Filter pruning by norm: the filters with the smallest weights go, physically."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor, nn
from typing_extensions import override

from pruners._base import Context
from pruners._channel_pruner import ChannelPruner
from pruners._channels import ChannelGroup, filters
from pruners._checks import check_at_least


@final
@dataclass(frozen=True, kw_only=True)
class FilterNorm(ChannelPruner):
    """Removes the channels whose filters have the smallest norm; needs no data.

    Li et al. 2017 (arXiv:1608.08710) with p = 1. With `allocation="uniform"` this is filter thresholding, FT, of Lost
    in Pruning (Liebenwein et al. 2021, arXiv:2103.03014). Where layers share channels (residual sums), the norm is that
    of all filters that produce the channel. Norms of different layers have no common scale.

    Attributes:
        p: Order of the norm, at least 1.

    Example:
        >>> from pruners import FilterNorm, prune
        >>> smaller = prune(network, FilterNorm(p=2), 0.5, example=images[:1])
        >>> smaller[0].out_channels, smaller[3].out_channels
        (6, 5)
    """

    criterion: ClassVar[str] = "norm of the filter"
    paper: ClassVar[str] = "Li et al. 2017, arXiv:1608.08710"
    nested: ClassVar[bool] = True
    p: float = 1.0

    @override
    def __post_init__(self) -> None:
        """Raise ValueError if `p` is not the order of a norm."""
        ChannelPruner.__post_init__(self)
        check_at_least(1, p=self.p)

    @override
    def score(self, network: nn.Module, groups: Sequence[ChannelGroup], context: Context) -> Sequence[Tensor]:
        return [_norms(network, group, self.p) for group in groups]


def _norms(network: nn.Module, group: ChannelGroup, p: float) -> Tensor:
    """Norm of each channel of `group`, (size,), float64, on the CPU."""
    total = torch.zeros(group.size, dtype=torch.float64)
    for weights, channels in filters(network, group):
        powers = weights.double().abs().pow(p).sum(1).cpu()
        total.index_add_(0, channels[channels >= 0], powers[channels >= 0])
    return total.pow(1 / p)
