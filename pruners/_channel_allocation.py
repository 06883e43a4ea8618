"""How many channels each group keeps of a common budget of parameters.

- "uniform": the same fraction of the channels of every group.
- "global": scores are compared over all groups.
- "flops": scores are compared over all groups per multiplication that goes with the channel.
"""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from pruners._channels import ChannelGroup, Keep, counter
from pruners._masks import even_priorities
from pruners._positions import positions

ChannelAllocation = Literal["uniform", "global", "flops"]


def allocate_channels(
    allocation: ChannelAllocation,
    scores: Sequence[Tensor],
    keep: int,
    groups: Sequence[ChannelGroup],
    network: nn.Module,
    example: Tensor,
    *,
    comparable: bool,
    at_least: int = 1,
) -> Keep:
    """Which channels stay, so that the number of parameters left is the nearest to `keep` one channel can tell.

    Args:
        allocation: The rule.
        scores: Per group (size,), larger stays longer; not negative for "global" of scores that are not comparable,
            and for "flops".
        keep: Number of prunable parameters to be left.
        groups: All groups of channels.
        network: What is pruned.
        example: (1, c, h, w), only its shape and device matter.
        comparable: Whether scores of different groups have a common scale; if not, each is divided by the mean of its
            group before groups are compared.
        at_least: Every group keeps so many, or all if it has fewer.

    Raises:
        ValueError: A score is NaN.
    """
    for group, score in zip(groups, scores, strict=True):
        if bool(score.isnan().any()):
            raise ValueError(f"expected scores without NaN, got NaN in {group}")
    exact = [score.detach().double().cpu() for score in scores]
    if allocation == "uniform":
        priorities = [even_priorities(score) for score in exact]
    else:
        priorities = exact if comparable else [_relative(score) for score in exact]
        if allocation == "flops":
            costs = _costs(network, groups, example)
            priorities = [score / cost for score, cost in zip(priorities, costs, strict=True)]
    safe = [_with_floor(priority, at_least) for priority in priorities]
    place = torch.cat(safe).argsort(descending=True, stable=True).argsort()
    count = counter(network, groups)
    # fewer channels never leave more parameters; the first places are those that every group keeps
    fewest = sum(min(at_least, group.size) for group in groups)
    above = fewest + bisect_left(range(fewest, len(place)), keep, key=lambda number: count(place < number))
    number = min((above, max(above - 1, fewest)), key=lambda number: abs(count(place < number) - keep))
    stays = (place < number).split([group.size for group in groups])
    return dict(zip(groups, stays, strict=True))


def _relative(scores: Tensor) -> Tensor:
    return scores / scores.mean().clamp_min(torch.finfo(scores.dtype).tiny)


def _with_floor(priorities: Tensor, at_least: int) -> Tensor:
    first = priorities.argsort(descending=True, stable=True)[:at_least]
    return priorities.index_fill(0, first, torch.inf)


def _costs(network: nn.Module, groups: Sequence[ChannelGroup], example: Tensor) -> list[Tensor]:
    """Per group (size,): multiplications per image that go with each channel when all others stay; at least 1."""
    uses = positions(network, example)
    found = []
    for group in groups:
        total = torch.zeros(group.size, dtype=torch.float64)
        for side in group.sides:
            name = f"{side.layer}.weight".removeprefix(".")
            if name not in uses:
                continue
            weight = network.get_parameter(name)
            width = len(side.channels)
            in_group = side.channels >= 0
            per_position = uses[name] * weight.numel() / width
            total.index_add_(0, side.channels[in_group], torch.full((int(in_group.sum()),), per_position).double())
        found.append(total.clamp_min(1))
    return found
