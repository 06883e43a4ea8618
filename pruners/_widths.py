"""Reads off its shapes how many channels of each group a pruned network has left."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from neuralnets.widths import width
from pruners._channels import ChannelGroup

_NO_CUT = "expected a network cut from the same architecture, got widths that no cut gives"


def kept_widths(parent: nn.Module, pruned: nn.Module, groups: Sequence[ChannelGroup]) -> dict[ChannelGroup, int]:
    """Group → number of its channels that `pruned` has.

    A side of a layer may carry channels of several groups (concatenation), and several positions of each (flattening):
    the widths of all sides are equations that the numbers solve.

    Args:
        parent: The network that `groups` are of.
        pruned: Cut out of it.
        groups: All its groups.

    Raises:
        ValueError: No numbers of channels give these widths.
    """
    if not groups:
        raise ValueError(_NO_CUT)
    number = {group: place for place, group in enumerate(groups)}
    rows: dict[tuple[str, str], Tensor] = {}
    fewer: dict[tuple[str, str], int] = {}
    for group in groups:
        for side in group.sides:
            before, after = (width(each.get_submodule(side.layer), side.direction) for each in (parent, pruned))
            row = rows.setdefault((side.layer, side.direction), torch.zeros(len(groups), dtype=torch.float64))
            row[number[group]] = int((side.channels >= 0).sum()) / group.size
            fewer[side.layer, side.direction] = before - after
    equations = torch.stack(list(rows.values()))
    gone = torch.tensor(list(fewer.values()), dtype=torch.float64)
    solution = torch.linalg.lstsq(equations, gone.unsqueeze(1), driver="gelsd").solution.squeeze(1).round()
    sizes = torch.tensor([group.size for group in groups], dtype=torch.float64)
    if not torch.equal(equations @ solution, gone) or bool((solution < 0).any() or (solution >= sizes).any()):
        raise ValueError(_NO_CUT)
    return {group: group.size - int(count) for group, count in zip(groups, solution, strict=True)}
