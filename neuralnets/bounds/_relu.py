"""ReLU, bounded by two lines (Zhang et al. 2018, arXiv:1811.00866, section 3.2)."""

from dataclasses import dataclass, replace
from typing import final

import torch
from torch.nn import functional as F
from typing_extensions import override

from neuralnets.bounds._lines import Lines
from neuralnets.bounds._operation import Lower, Operation, Regions
from neuralnets.bounds._region import Box


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class Relu(Operation):
    """max(x, 0). Where the sign of x in [l, u] is open: slope x <= relu(x) <= u (x - l) / (u - l).

    The upper line is the chord; the lower slope is 1 if u > -l and 0 otherwise, whichever leaves the smaller area
    (the adaptive choice of section 3.3).
    """

    @property
    @override
    def affine(self) -> bool:
        return False

    @override
    def image(self, inputs: Regions) -> Box:
        box = inputs[0].box
        return Box(low=F.relu(box.low), high=F.relu(box.high))

    @override
    def lower(self, lines: Lines, inputs: Regions) -> Lower:
        low, high = inputs[0].box.low, inputs[0].box.high
        settled = (low >= 0).to(low)
        is_open = (low < 0) & (high > 0)
        # the denominator is replaced before the division: a gradient of 0 / 0 would survive the outer `where`
        chord = torch.where(is_open, high / torch.where(is_open, high - low, 1), settled)
        floor = torch.where(is_open, (high > -low).to(low), settled)
        offset = torch.where(is_open, -chord * low, 0)
        rising = lines.coefficients >= 0
        slopes = torch.where(rising, lines.per_coefficient(floor), lines.per_coefficient(chord))
        falling = replace(lines, coefficients=lines.coefficients.clamp(max=0))
        return (lines.scaled(slopes),), falling.dot(offset)
