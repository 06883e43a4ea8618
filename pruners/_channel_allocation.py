"""Rules by which groups of channels share a budget of parameters.

- "uniform": the same fraction of the channels of every group.
- "global": scores are compared over all groups.
- "flops": scores are compared over all groups per multiplication that goes with the channel.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from neuralnets.layers import TRANSPOSED
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
            and for "flops", and finite.
        keep: Number of prunable parameters to be left.
        groups: All groups of channels.
        network: What is pruned.
        example: (1, c, h, w), only its shape and device matter.
        comparable: Whether scores of different groups have a common scale; if not, each is divided by the mean of its
            group before groups are compared.
        at_least: Every group keeps so many, or all if it has fewer.

    Raises:
        ValueError: A score is NaN, or negative or infinite where the rule cannot have it.
    """
    for group, score in zip(groups, scores, strict=True):
        if bool(score.isnan().any()):
            raise ValueError(f"expected scores without NaN, got NaN in {group}")
    exact = [score.detach().double().cpu() for score in scores]
    if allocation == "uniform":
        priorities = [even_priorities(score) for score in exact]
    else:
        if allocation == "flops" or not comparable:
            _check_shareable(exact, groups)
        priorities = exact if comparable else [_relative(score) for score in exact]
        if allocation == "flops":
            costs = channel_costs(network, groups, example)
            priorities = [score / cost for score, cost in zip(priorities, costs, strict=True)]
    place = _places(priorities, at_least)
    count = counter(network, groups)
    # fewer channels never leave more parameters; the first places are those that every group keeps
    fewest = sum(min(at_least, group.size) for group in groups)
    above = fewest + bisect_left(range(fewest, len(place)), keep, key=lambda number: count(place < number))
    number = min((above, max(above - 1, fewest)), key=lambda number: abs(count(place < number) - keep))
    stays = (place < number).split([group.size for group in groups])
    return dict(zip(groups, stays, strict=True))


def _relative(scores: Tensor) -> Tensor:
    return scores / scores.mean().clamp_min(torch.finfo(scores.dtype).tiny)


def _check_shareable(scores: Sequence[Tensor], groups: Sequence[ChannelGroup]) -> None:
    for group, score in zip(groups, scores, strict=True):
        if not bool(((score >= 0) & score.isfinite()).all()):
            raise ValueError(f"expected finite scores >= 0 to share a budget out by, got others in {group}")


def _places(priorities: Sequence[Tensor], at_least: int) -> Tensor:
    """Of each channel of all groups its place, the best first; what every group keeps comes before all else."""
    order = torch.cat(list(priorities)).argsort(descending=True, stable=True)
    # even infinite priorities must not push another group below its floor
    floor = torch.cat([p.argsort(descending=True, stable=True).argsort() < at_least for p in priorities])[order]
    return torch.cat([order[floor], order[~floor]]).argsort()


def channel_costs(network: nn.Module, groups: Sequence[ChannelGroup], example: Tensor) -> list[Tensor]:
    """Per group (size,): multiplications per image that go with each channel when all others stay; at least 1.

    Weights that are zero count too: a dense layer multiplies by them.
    """
    uses = positions(network, example)
    return [_costs(network, group, uses).clamp_min(1) for group in groups]


def _costs(network: nn.Module, group: ChannelGroup, uses: Mapping[str, int]) -> Tensor:
    total = torch.zeros(group.size, dtype=torch.float64)
    # of every weight: in each of its first two dimensions, how many places each channel has
    places: dict[str, list[Tensor]] = {}
    for side in group.sides:
        layer = network.get_submodule(side.layer)
        name = f"{side.layer}.weight".removeprefix(".")
        if name not in uses:
            continue
        shape = network.get_parameter(name).shape
        dim = int((side.direction == "in") != isinstance(layer, TRANSPOSED))
        if len(side.channels) == shape[0] == getattr(layer, "groups", 1) > 1:  # depthwise
            dim = 0
        channels = side.channels[: shape[dim]]
        counts = places.setdefault(name, [torch.zeros_like(total), torch.zeros_like(total)])
        counts[dim] += torch.bincount(channels[channels >= 0], minlength=group.size)
    for name, (rows, columns) in places.items():
        weight = network.get_parameter(name)
        height, width = weight.shape[:2]
        # where a layer puts out what it reads, the row and the column of a channel cross
        crossed = rows * width + columns * height - rows * columns
        total += crossed * uses[name] * (weight.numel() / (height * width))
    return total
