"""Network slimming: channels whose batch normalisation scales them down the most go."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor, nn
from typing_extensions import override

from neuralnets.layers import NORMS
from pruners._base import Context
from pruners._channel_allocation import ChannelAllocation
from pruners._channel_pruner import ChannelPruner
from pruners._channels import ChannelGroup, filters


@final
@dataclass(frozen=True, kw_only=True)
class Slimming(ChannelPruner):
    """Removes the channels with the smallest |gamma| over all layers; needs no data.

    Liu et al. 2017 (arXiv:1708.06519), section 3: the factors gamma of batch normalisation are the importance of their
    channels, and one threshold holds for the whole network. The paper trains with an L1 penalty on gamma beforehand;
    here the network is taken as it comes. As the paper's threshold can empty a layer, `at_least` channels stay.

    Where several normalisations scale the same channel (residual sums, depthwise convolutions, dense concatenation),
    its score is the mean of their |gamma|, so that groups with many and with few layers have one scale. A group
    without any gamma is ranked by the L2 norm of its filters instead, which stand for gamma up to a factor: they are
    scaled to have the mean of all |gamma| of the network. The paper knows no such groups.

    Example:
        >>> from pruners import Slimming, prune
        >>> smaller = prune(network, Slimming(allocation="uniform"), 0.5, example=images[:1])
        >>> smaller[0].out_channels, smaller[3].out_channels
        (6, 5)
    """

    criterion: ClassVar[str] = "scale of the batch normalisation"
    paper: ClassVar[str] = "Liu et al. 2017, arXiv:1708.06519"
    nested: ClassVar[bool] = True
    comparable: ClassVar[bool] = True
    allocation: ChannelAllocation = "global"

    @override
    def score(self, network: nn.Module, groups: Sequence[ChannelGroup], context: Context) -> Sequence[Tensor]:
        scales = [_scales(network, group) for group in groups]
        scaled = [scale for scale in scales if scale is not None]
        if not scaled:
            raise ValueError("expected batch normalisation with learnt scales, got a network without: use filter_norm")
        typical = torch.cat(scaled).mean()
        return [
            _stand_ins(network, group, typical) if scale is None else scale
            for group, scale in zip(groups, scales, strict=True)
        ]


def _scales(network: nn.Module, group: ChannelGroup) -> Tensor | None:
    """Mean |gamma| of each channel, (size,), float64, on the CPU; None unless every channel has one."""
    total = torch.zeros(group.size, dtype=torch.float64)
    count = torch.zeros_like(total)
    for side in group.sides:
        layer = network.get_submodule(side.layer)
        if isinstance(layer, NORMS) and layer.weight is not None:
            inside = side.channels >= 0
            total.index_add_(0, side.channels[inside], layer.weight.detach().double().abs().cpu()[inside])
            count += torch.bincount(side.channels[inside], minlength=group.size)
    return total / count if bool((count > 0).all()) else None


def _stand_ins(network: nn.Module, group: ChannelGroup, typical: Tensor) -> Tensor:
    squares = torch.zeros(group.size, dtype=torch.float64)
    for weights, channels in filters(network, group):
        inside = channels >= 0
        squares.index_add_(0, channels[inside], weights.double().square().sum(1).cpu()[inside])
    norms = squares.sqrt()
    return norms / norms.mean().clamp_min(torch.finfo(norms.dtype).tiny) * typical
