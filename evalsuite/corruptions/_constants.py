"""Selects the published constants for an image's size, and scales their lengths to others.

The corruptions were published for four sizes: 32 px (CIFAR-10-C), 64 px (Tiny-ImageNet-C), 224 px (ImageNet-C) and
299 px (ImageNet-C for Inception). Other sizes take the nearest of them and scale what is a length.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Final, TypeVar

from evalsuite.errors import UsageError

SIDES: Final = (32, 64, 224, 299)
"""Sides in pixels of the square images that constants were published for."""

NEXT_LEVEL: Final = 1 / 255
"""A kernel with less weight than this off its centre moves no pixel by a whole 8-bit level."""

Value = TypeVar("Value")
Table = Mapping[int, Sequence[Value]]
"""Published side in pixels → one entry per severity, 1 first."""


def table_side(shape: Sequence[int]) -> int:
    """The published side nearest, in log ratio, to the shorter side of an image of `shape` (..., height, width).

    The shorter side, because that is the one that "resize to 256, crop 224" sets.
    """
    side = min(shape[-2:])
    return min(SIDES, key=lambda published: abs(math.log(max(side, 1) / published)))


def length_scale(shape: Sequence[int]) -> float:
    """What lengths in pixels (sigma, radius, displacement, texture size) are multiplied with; 1 at published sides."""
    return min(shape[-2:]) / table_side(shape)


def constants(table: Table[Value], severity: int, shape: Sequence[int]) -> Value:
    """The entry of `table` for an image of `shape` (..., height, width), lengths not scaled yet."""
    return table[table_side(shape)][severity - 1]


def label(shape: Sequence[int]) -> str:
    """How constants were chosen, for reports: "32 px table", or "32 px table, lengths scaled by 0.875"."""
    name, scale = f"{table_side(shape)} px table", length_scale(shape)
    return name if scale == 1 else f"{name}, lengths scaled by {scale:.3g}"


def check_severity(severity: int) -> None:
    """Raise unless `severity` is one of the five published ones.

    Raises:
        UsageError: It is not.
    """
    if isinstance(severity, bool) or severity not in range(1, 6):
        raise UsageError(f"expected a severity of 1, 2, 3, 4 or 5, got {severity!r}")
