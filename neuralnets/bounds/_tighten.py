"""Tightens the regions before ReLUs by backward linear bounds (Zhang et al. 2018, arXiv:1811.00866)."""

from dataclasses import replace
from typing import Final

import torch
from torch import Tensor

from neuralnets.bounds._affine import Reshape, Scaling, Weighted
from neuralnets.bounds._lines import entries
from neuralnets.bounds._lowest import lowest
from neuralnets.bounds._operation import Regions
from neuralnets.bounds._region import Box, Region
from neuralnets.bounds._relu import Relu
from neuralnets.bounds._tape import Step, Tape

_NUMBERS: Final = 2**21
"""In the largest tensor of lines: 8 MB in float32, about what stays in a cache."""


def tightened(passed: Tape) -> Tape:
    """The same steps with regions that lie inside those of `passed`."""
    bent = [step for step in passed.steps if not step.operation.affine]
    bends = {place for step in bent for place in step.inputs}
    pooled = {place for step in bent if not isinstance(step.operation, Relu) for place in step.inputs}
    exact = _exact(passed.steps)
    regions: list[Region] = [passed.regions[0]]
    for place, step in enumerate(passed.steps, 1):
        regions.append(step.operation.image(tuple(regions[source] for source in step.inputs)))
        # behind a ReLU its image is narrow once what goes in is
        if place in bends and step.operation.affine and not exact[place]:
            regions[place] = _narrowed(passed.steps[:place], tuple(regions), every=place in pooled)
    return replace(passed, regions=tuple(regions))


def _exact(steps: tuple[Step, ...]) -> list[bool]:
    """For each place, whether its region is exact: at most one layer with weights lies before it."""
    free, exact = [True], [True]
    for step in steps:
        source = step.inputs[0]
        moves = isinstance(step.operation, Scaling | Reshape)
        free.append(moves and free[source])
        exact.append((moves and exact[source]) or (isinstance(step.operation, Weighted) and free[source]))
    return exact


def _narrowed(steps: tuple[Step, ...], regions: Regions, *, every: bool) -> Box:
    """The last of `regions`, narrowed where its sign is open, or everywhere."""
    box = regions[-1].box
    low, high = box.low.flatten(1), box.high.flatten(1)
    wanted = torch.ones_like(low, dtype=torch.bool) if every else (low < 0) & (high > 0)
    examples, numbers = wanted.nonzero(as_tuple=True)
    if not len(examples):
        return box
    largest = max(region.box.low.shape[1:].numel() for region in regions)
    at_once = max(_NUMBERS // (2 * largest), 1)
    sides = [
        _sides(steps, regions, some, those)
        for some, those in zip(examples.split(at_once), numbers.split(at_once), strict=True)
    ]
    lowest, highest = (torch.cat(side) for side in zip(*sides, strict=True))
    place = (examples, numbers)
    return Box(
        low=low.index_put(place, low[place].maximum(lowest)).view_as(box.low),
        high=high.index_put(place, high[place].minimum(highest)).view_as(box.high),
    )


def _sides(steps: tuple[Step, ...], regions: Regions, examples: Tensor, numbers: Tensor) -> tuple[Tensor, Tensor]:
    """Bounds below and above of single entries (p,), by number, of the last region of examples (p,)."""
    entry = entries(regions[-1].box.low, examples.repeat(2), numbers.repeat(2))
    sign = torch.ones_like(entry.coefficients[:, :1])
    sign[len(examples) :] = -1
    low = lowest(steps, regions, entry.scaled(sign))
    return low[: len(examples)], -low[len(examples) :]
