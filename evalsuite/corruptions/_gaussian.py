"""Separable Gaussian filters as scikit-image's `gaussian` defines them: the operator of four corruptions."""

from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F


def weights(sigma: float, truncate: float = 4.0) -> NDArray[np.float64]:
    """The sampled, normalised Gaussian of radius floor(truncate * sigma + 1/2), float64; [1.] where sigma is 0."""
    radius = int(truncate * sigma + 0.5)
    if radius == 0:
        return np.ones(1)
    taps = np.arange(-radius, radius + 1)
    values = np.exp(-0.5 / (sigma * sigma) * taps**2)
    normalised: NDArray[np.float64] = values / values.sum()
    return normalised


def off_centre(sigma: float) -> float:
    """Share of the two-dimensional kernel's weight that does not lie on its centre pixel."""
    kernel = weights(sigma)
    return float(1 - kernel[len(kernel) // 2] ** 2)


def blur(values: Tensor, sigma: float) -> Tensor:
    """Gaussian filter over the last two axes of (n, c, h, w), edges repeated, cut off at 4 sigma.

    Taps are added in SciPy's order, pairs from the outermost inwards, and never fused into one rounding. In flat areas
    the exact result is a whole level, and only the same roundings are truncated to the same level.
    """
    kernel = weights(sigma)
    if len(kernel) == 1:
        return values
    return _along(_along(values, -2, kernel), -1, kernel)


def _along(values: Tensor, axis: int, kernel: NDArray[np.float64]) -> Tensor:
    radius, side = len(kernel) // 2, values.shape[axis]
    margins = (0, 0, radius, radius) if axis == -2 else (radius, radius, 0, 0)
    padded = F.pad(values.double(), margins, mode="replicate")
    total = padded.narrow(axis, radius, side) * float(kernel[radius])
    pair = torch.empty_like(total)
    for tap in range(radius):
        torch.add(padded.narrow(axis, tap, side), padded.narrow(axis, 2 * radius - tap, side), out=pair)
        total.add_(pair.mul_(float(kernel[tap])))
    return total.to(values.dtype)


def smooth(values: Tensor, sigma: float, truncate: float) -> Tensor:
    """Gaussian filter over the last two axes of float64 fields, edges mirrored ("reflect": the edge pixel twice).

    For kernels wider than the image: each axis is one product with a matrix in which the mirrored taps are folded.
    """
    if sigma == 0:
        return values
    rows = torch.from_numpy(_folded(values.shape[-2], sigma, truncate)).to(values.device)
    columns = torch.from_numpy(_folded(values.shape[-1], sigma, truncate)).to(values.device)
    return rows @ values @ columns.mT


@lru_cache(maxsize=16)
def _folded(side: int, sigma: float, truncate: float) -> NDArray[np.float64]:
    kernel = weights(sigma, truncate)
    radius = len(kernel) // 2
    here = np.arange(side)[:, None]
    there = mirrored(torch.from_numpy(here + np.arange(-radius, radius + 1)), side, "reflect").numpy()
    matrix = np.zeros((side, side))
    np.add.at(matrix, (here, there), np.broadcast_to(kernel, there.shape))
    return matrix


def mirrored(index: Tensor, side: int, border: Literal["reflect", "reflect101"]) -> Tensor:
    """Pixel indices beyond the image folded back: dcba|abcd|dcba ("reflect") or dcb|abcd|cba ("reflect101")."""
    edge = 0 if border == "reflect" else 1
    period = max(2 * (side - edge), 1)
    folded = index % period
    return torch.where(folded < side, folded, 2 * side - 1 - edge - folded)
