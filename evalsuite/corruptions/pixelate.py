"""Pixelate: shrunk by averaging boxes of pixels and enlarged again."""

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Final, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F
from typing_extensions import override

from evalsuite.corruptions._base import Corruption
from evalsuite.corruptions._blocks import in_blocks
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
    @in_blocks
    def __call__(self, images: Tensor, keys: Tensor) -> Tensor:
        raise_refusal(self.unsupported_reason((images.shape[1], images.shape[2], images.shape[3])))
        ratio, (height, width) = constants(_RATIO, self.severity, images.shape), images.shape[-2:]
        low, narrow = int(height * ratio), int(width * ratio)
        # rows are picked much faster than columns, so the image is turned for its width
        values = _shrink(levels(images).float().mT.contiguous(), narrow).mT.contiguous()
        values = _enlarge(_shrink(values, low), height)
        return from_levels(_enlarge(values.mT.contiguous(), width).mT)

    @override
    def unsupported_reason(self, shape: tuple[int, int, int]) -> str | None:
        ratio = constants(_RATIO, self.severity, shape)
        fits = int(min(shape[1:]) * ratio) >= 1
        return None if fits else f"expected images with a pixel left after shrinking to {ratio}, got {size(shape)}"


def _shrink(values: Tensor, height: int) -> Tensor:
    """Whole levels averaged along the axis before the last and rounded to whole levels, float32.

    Differences of running sums are sums over boxes: whole numbers below 2^24, which float32 holds exactly.
    """
    first, count = (torch.from_numpy(a).to(values.device) for a in _boxes(values.shape[-2], height))
    running = F.pad(values, (0, 0, 1, 0)).cumsum(-2)
    boxes = running.index_select(-2, first + count).sub_(running.index_select(-2, first)).double()
    weight = torch.floor(_ONE / count.double() + 0.5)[:, None]
    return boxes.mul_(weight).add_(_ONE // 2).div_(_ONE).floor_().float()


def _enlarge(values: Tensor, height: int) -> Tensor:
    """Rows repeated; an enlarging box holds one pixel."""
    first, _ = _boxes(values.shape[-2], height)
    return values.index_select(-2, torch.from_numpy(first).to(values.device))


@lru_cache(maxsize=64)
def _boxes(old: int, new: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First pixel and number of pixels in each new one: those whose centre lies in the box, half open."""
    step = old / new
    support = max(step, 1.0)
    centre = (np.arange(new) + 0.5) * step
    offset = (np.arange(old)[:, None] + 0.5 - centre) / support
    inside = (offset > -0.5) & (offset <= 0.5)
    return inside.argmax(0), inside.sum(0)
