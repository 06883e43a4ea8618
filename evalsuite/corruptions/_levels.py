"""8-bit levels in and out: the published sets were made from 8-bit images and stored as such.

Steps are taken in float64 wherever the published generator took them in NumPy's float64, one IEEE operation after the
other in the same order. Truncation turns 254.99999999999997 into 254, so only the same roundings give the same levels.
"""

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from evalsuite.errors import UsageError

LUMA: Final = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in the gray image (ITU-R BT.601)."""


def levels(images: Tensor) -> Tensor:
    """The 8-bit levels 0, ..., 255 nearest to images in [0, 1]; a new float64 tensor."""
    # contiguous, whatever layout the network likes: the searches and gathers that follow want it
    return (images.contiguous() * 255).round_().clamp_(0, 255).double()


def truncated(values: Tensor) -> Tensor:
    """Values clipped to [0, 1] and truncated to 8 bit: `np.uint8(np.clip(values, 0, 1) * 255)`; float32 in [0, 1]."""
    return from_levels(values.clamp(0, 1).mul_(255))


def from_levels(values: Tensor) -> Tensor:
    """Values on the scale 0, ..., 255, clipped and truncated to 8 bit; float32 in [0, 1]."""
    # the cast to bytes truncates
    return values.clamp(0, 255).to(torch.uint8).contiguous().float().div_(255)


def gray(images: Tensor) -> Tensor:
    """The luminance of (n, 3, h, w), or (n, 1, h, w) as it is; shape (n, 1, h, w)."""
    if images.shape[1] == 1:
        return images
    red, green, blue = images.unbind(1)
    return (red * LUMA[0] + green * LUMA[1] + blue * LUMA[2])[:, None]


def raise_refusal(reason: str | None) -> None:
    """Turn what `Corruption.unsupported_reason` says into an error.

    Raises:
        UsageError: There is a reason.
    """
    if reason is not None:
        raise UsageError(reason)


def size(shape: Sequence[int]) -> str:
    """Height x width, for messages."""
    return f"{shape[-2]}x{shape[-1]}"
