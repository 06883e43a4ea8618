"""Pixelate: shrunk by averaging boxes of pixels and enlarged again."""

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Final, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import override

from evalsuite.corruptions._base import Corruption
from evalsuite.corruptions._constants import Table, check_severity, constants
from evalsuite.corruptions._levels import from_levels, levels, raise_refusal, size

_RATIO: Final[Table[float]] = {
    32: (0.95, 0.9, 0.85, 0.75, 0.65),
    64: (0.9, 0.8, 0.7, 0.6, 0.5),
    224: (0.6, 0.5, 0.4, 0.3, 0.25),
    299: (0.5, 0.4, 0.3, 0.25, 0.2),
}
_ONE: Final = 1 << 22
"""Pillow weighs pixels in fixed point with 22 binary digits."""


@final
@dataclass(frozen=True, kw_only=True)
class Pixelate(Corruption):
    """Pillow's box filter down and up again, with its fixed-point weights (section 3).

    Attributes:
        severity: 1 to 5; the side shrinks to 0.95 to 0.65 of itself at 32 px and 0.6 to 0.25 at 224 px.
    """

    group: ClassVar[str] = "digital"
    severity: int

    def __post_init__(self) -> None:
        check_severity(self.severity)

    @override
    def __call__(self, images: Tensor, keys: Tensor) -> Tensor:
        raise_refusal(self.refuses((images.shape[1], images.shape[2], images.shape[3])))
        ratio, (height, width) = constants(_RATIO, self.severity, images.shape), images.shape[-2:]
        low, narrow = int(height * ratio), int(width * ratio)
        values = _resize(levels(images), narrow)
        values = _resize(values.mT, low).mT
        values = _resize(values, width)
        return from_levels(_resize(values.mT, height).mT)

    @override
    def refuses(self, shape: tuple[int, int, int]) -> str | None:
        ratio = constants(_RATIO, self.severity, shape)
        fits = int(min(shape[1:]) * ratio) >= 1
        return None if fits else f"expected images with a pixel left after shrinking to {ratio}, got {size(shape)}"


def _resize(values: Tensor, width: int) -> Tensor:
    """Whole levels resized along the last axis and rounded to whole levels.

    Products and sums of the fixed-point weights are integers far below 2^53, so float64 holds them exactly and the
    result does not depend on the order in which a device adds.
    """
    matrix = torch.from_numpy(_box(values.shape[-1], width)).to(values.device)
    return (values @ matrix).add_(_ONE // 2).div_(_ONE).floor_()


@lru_cache(maxsize=64)
def _box(old: int, new: int) -> NDArray[np.float64]:
    """Weights of the box filter, (old, new), times 2^22: a pixel counts if its centre lies in the box, half open."""
    step = old / new
    support = max(step, 1.0)
    centre = (np.arange(new) + 0.5) * step
    offset = (np.arange(old)[:, None] + 0.5 - centre) / support
    inside = (offset > -0.5) & (offset <= 0.5)
    weights: NDArray[np.float64] = np.floor(inside / inside.sum(0) * _ONE + 0.5)
    return weights
