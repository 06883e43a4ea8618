"""Defocus blur: the disc that a point becomes when a lens is out of focus."""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Final, final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.fft import next_fast_len
from torch import Tensor
from torch.nn import functional as F
from typing_extensions import override

from evalsuite.corruptions._base import Corruption
from evalsuite.corruptions._blocks import in_blocks
from evalsuite.corruptions._constants import NEXT_LEVEL, Table, check_severity, constants, length_scale
from evalsuite.corruptions._levels import levels, raise_refusal, size, truncated

_RADIUS_AND_ALIAS: Final[Table[tuple[float, float]]] = {
    32: ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1.0, 0.2), (1.5, 0.1)),
    64: ((0.5, 0.6), (1.0, 0.1), (1.5, 0.1), (2.5, 0.01), (3.0, 0.1)),
    224: ((3.0, 0.1), (4.0, 0.5), (6.0, 0.5), (8.0, 0.5), (10.0, 0.5)),
    299: ((4.0, 0.1), (5.0, 0.5), (7.0, 0.5), (10.0, 0.5), (12.0, 0.5)),
}
_SETTLE: Final = 1e-13
"""Added before truncation: rounding errors of the transform (1e-15) must not take a level off a flat area.

Much less than what single precision takes off the kernel's sum (4e-9), which does decide levels, here as there.
"""


@final
@dataclass(frozen=True, kw_only=True)
class DefocusBlur(Corruption):
    """Correlation with a digital disc that was smoothed by a small Gaussian; edges mirrored (section 3).

    At other sizes than the published ones the published kernel itself, a picture made of square pixels, is scaled
    and sampled by area: a disc of radius 0.9 drawn anew would be a single pixel.

    Attributes:
        severity: 1 to 5; the radius is 0.3 to 1.5 px at 32 px and 3 to 10 px at 224 px.
    """

    group: ClassVar[str] = "blur"
    severity: int

    def __post_init__(self) -> None:
        check_severity(self.severity)

    @override
    @in_blocks
    def __call__(self, images: Tensor, keys: Tensor) -> Tensor:
        raise_refusal(self.unsupported_reason((images.shape[1], images.shape[2], images.shape[3])))
        kernel = torch.from_numpy(self._kernel(images.shape)).to(images.device)
        return truncated(_correlate(levels(images) / 255, kernel).add_(_SETTLE))

    @override
    def unsupported_reason(self, shape: tuple[int, int, int]) -> str | None:
        kernel = self._kernel(shape)
        middle = len(kernel) // 2
        if kernel.sum() - kernel[middle, middle] >= NEXT_LEVEL:
            return None
        return f"expected images on which the scaled disc reaches the next pixel, got {size(shape)}"

    def _kernel(self, shape: tuple[int, ...]) -> NDArray[np.float64]:
        radius, alias = constants(_RADIUS_AND_ALIAS, self.severity, shape)
        return _disc(radius, alias, length_scale(shape))


@lru_cache(maxsize=32)
def _disc(radius: float, alias: float, scale: float) -> NDArray[np.float64]:
    """The published kernel, enlarged by `scale`, without empty margins; odd square.

    OpenCV smooths the disc on its own small grid and mirrors at the grid's edge, so a disc that touches the edge
    (radius 8 and 10) ends up with a sum of 1.01; the published sets have it, so it stays.
    """
    half, aperture = (8, 3) if radius <= 8 else (math.ceil(radius), 5)
    axis = np.arange(-half, half + 1, dtype=np.float32)
    disc = (axis[:, None] ** 2 + axis**2 <= radius**2).astype(np.float32)
    kernel = cv2.GaussianBlur(disc / disc.sum(), (aperture, aperture), sigmaX=alias).astype(np.float64)
    if scale != 1:
        overlap = _area_overlap(half, scale)
        kernel = overlap @ kernel @ overlap.T
    # weights below half a rounding error of 1 (the tails of the small Gaussian) count as empty
    reach = int(np.abs(np.argwhere(kernel > 1e-17) - len(kernel) // 2).max())
    middle = len(kernel) // 2
    return np.ascontiguousarray(kernel[middle - reach : middle + reach + 1, middle - reach : middle + reach + 1])


def _area_overlap(half: int, scale: float) -> NDArray[np.float64]:
    """Share of each old pixel (column), enlarged by `scale` about the centre, that falls into each new one (row)."""
    old = np.arange(-half, half + 1)[None]
    reach = math.ceil((half + 0.5) * scale - 0.5)
    new = np.arange(-reach, reach + 1)[:, None]
    upper = np.minimum(new + 0.5, (old + 0.5) * scale)
    lower = np.maximum(new - 0.5, (old - 0.5) * scale)
    overlap: NDArray[np.float64] = np.maximum(upper - lower, 0) / scale
    return overlap


def _correlate(values: Tensor, kernel: Tensor) -> Tensor:
    """Correlation over the last two axes, edges mirrored (dcb|abcd|cba), by Fourier transform as in OpenCV."""
    height, width = values.shape[-2:]
    reach = len(kernel) // 2
    padded = F.pad(values, (reach, reach, reach, reach), mode="reflect")
    # rounded up to a length that transforms fast; nothing wraps round into what is kept
    shape = [next_fast_len(height + 2 * reach, real=True), next_fast_len(width + 2 * reach, real=True)]
    product = torch.fft.rfft2(padded, s=shape) * torch.fft.rfft2(kernel, s=shape).conj()
    result: Tensor = torch.fft.irfft2(product, s=shape)
    return result[..., :height, :width]
