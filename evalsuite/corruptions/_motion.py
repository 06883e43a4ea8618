"""Motion blur of ImageMagick (`MotionBlurImage`), as motion blur and snow use it."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def weights(radius: float, sigma: float) -> Tensor:
    """Weights of the taps 0, ..., 2 ceil(radius): half a Gaussian, summing to 1; float64."""
    taps = torch.arange(2 * math.ceil(radius) + 1, dtype=torch.float64)
    values = torch.exp(-taps.square() / (2 * sigma * sigma))
    return values / values.sum()


def motion(levels: Tensor, angles: Tensor, radius: float, sigma: float) -> Tensor:
    """Each image smeared along its own angle; edges repeated.

    Args:
        levels: (n, c, h, w), float64 in 0, ..., 255.
        angles: (n,), float64, degrees from the positive x axis towards the positive y axis (downwards).
        radius: Pixels; the trail reaches twice as far, to one side only.
        sigma: Pixels.

    Returns:
        (n, c, h, w), float64 whole levels: rounded, not truncated, since ImageMagick rounds.
    """
    kernel = weights(radius, sigma)
    reach = len(kernel) - 1
    taps = torch.arange(reach + 1, dtype=torch.float64, device=angles.device)
    radians = torch.deg2rad(angles)[:, None]
    down = torch.ceil(taps * radians.sin() - 0.5).long() + reach
    right = torch.ceil(taps * radians.cos() - 0.5).long() + reach
    height, width = levels.shape[-2:]
    padded = F.pad(levels, (reach, reach, reach, reach), mode="replicate")
    windows = padded.unfold(2, height, 1).unfold(3, width, 1)
    row = torch.arange(len(levels), device=levels.device)
    total = torch.zeros_like(levels)
    for tap, weight in enumerate(kernel.tolist()):
        total.add_(windows[row, :, down[:, tap], right[:, tap]], alpha=weight)
    return total.add_(0.5).floor_()
