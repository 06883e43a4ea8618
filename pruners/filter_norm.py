"""Filter pruning by norm: the filters with the smallest weights go, physically."""

from bisect import bisect_left
from copy import deepcopy
from dataclasses import dataclass
from typing import ClassVar, Literal, final

import torch
from torch import Tensor, nn
from typing_extensions import override

from pruners._base import Context, Pruner
from pruners._channels import ChannelGroup, counter, filters, remove_channels
from pruners._coupling import coupled_channels
from pruners._masks import even_priorities
from pruners._weights import check_keep, remaining


@final
@dataclass(frozen=True, kw_only=True)
class FilterNorm(Pruner):
    """Removes the channels whose filters have the smallest norm; needs no data.

    Li et al. 2017 (arXiv:1608.08710) with p = 1. With `allocation="uniform"` this is filter thresholding, FT, of Lost
    in Pruning (Liebenwein et al. 2021, arXiv:2103.03014). Where layers share channels (residual sums), the norm is that
    of all filters that produce the channel. Every layer keeps at least one channel; the number of parameters left is
    the one nearest to `keep` among cuts that differ by single channels.

    Attributes:
        p: Order of the norm, at least 1.
        allocation: "uniform" removes the same fraction of the channels of every layer; "global" compares norms over all
            layers, each divided by the mean of its layer, since norms of different layers have no common scale.
    """

    structure: ClassVar[str] = "channels"
    p: float = 1.0
    allocation: Literal["uniform", "global"] = "uniform"

    def __post_init__(self) -> None:
        """Raise ValueError if `p` is not the order of a norm."""
        if not self.p >= 1:
            raise ValueError(f"expected p >= 1, got {self.p}")

    @override
    def __call__(self, network: nn.Module, *, keep: int, context: Context) -> nn.Module:
        check_keep(network, keep)
        groups = coupled_channels(network, context.example)
        if keep == remaining(network):
            return deepcopy(network)
        if not groups:
            raise ValueError("expected a network with channels that can be removed, got one where all have to stay")
        prioritise = even_priorities if self.allocation == "uniform" else _relative
        priorities = torch.cat([prioritise(_norms(network, group, self.p)) for group in groups])
        place = priorities.argsort(descending=True, stable=True).argsort()
        count = counter(network, groups)
        # fewer channels never leave more parameters; the first places are the best channel of each group
        fewest = len(groups)
        above = fewest + bisect_left(range(fewest, len(place)), keep, key=lambda number: count(place < number))
        number = min((above, max(above - 1, fewest)), key=lambda number: abs(count(place < number) - keep))
        stays = (place < number).split([group.size for group in groups])
        return remove_channels(network, dict(zip(groups, stays, strict=True)))


def _norms(network: nn.Module, group: ChannelGroup, p: float) -> Tensor:
    """Norm of each channel of `group`, (size,), float64, on the CPU."""
    total = torch.zeros(group.size, dtype=torch.float64)
    for weights, channels in filters(network, group):
        powers = weights.double().abs().pow(p).sum(1).cpu()
        total.index_add_(0, channels[channels >= 0], powers[channels >= 0])
    if bool(total.isnan().any()):
        raise ValueError(f"expected filters without NaN, got NaN in {group}")
    return total.pow(1 / p)


def _relative(norms: Tensor) -> Tensor:
    relative = norms / norms.mean().clamp_min(torch.finfo(norms.dtype).tiny)
    relative[norms.argmax()] = torch.inf
    return relative
