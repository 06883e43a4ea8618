"""Zoom into the centre of an image, as zoom blur and the flakes of snow use it."""

import math

import torch
from torch import Tensor


def clipped_zoom(values: Tensor, factor: float) -> Tensor:
    """Crop the centre of (n, c, h, w) to 1/factor, enlarge it linearly, trim to the old size; float64.

    The first and last pixel of the crop land on the first and last pixel of the enlargement (SciPy's grid), which is
    at least as large as the image, and its centre is kept.
    """
    # whole rows are picked much faster than columns
    return _along_height(_along_height(values.double(), factor).mT.contiguous(), factor).mT


def _along_height(values: Tensor, factor: float) -> Tensor:
    side = values.shape[-2]
    crop = math.ceil(side / factor)
    first = (side - crop) // 2
    enlarged = round(crop * factor)
    trim = (enlarged - side) // 2
    step = (crop - 1) / (enlarged - 1) if enlarged > 1 else 1.0
    position = torch.arange(trim, trim + side, device=values.device, dtype=torch.float64) * step
    low = position.floor().clamp_(0, crop - 1)
    share = (position - low)[:, None]
    left = first + low.long()
    right = first + (low.long() + 1).clamp_(max=crop - 1)
    # two products and a sum, each rounded on its own as in SciPy: `lerp` may fuse them, and not in every position
    near = values.index_select(-2, left).mul_(1 - share)
    return near.add_(values.index_select(-2, right).mul_(share))
