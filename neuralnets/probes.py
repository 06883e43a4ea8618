"""Images that are no photographs, for passes whose outputs nobody looks at."""

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

_IMAGES: Final = 8


def ramp(shape: Sequence[int], device: torch.device) -> Tensor:
    """One image (1, *shape), float32, that rises evenly from 0 to 1.

    No two pixels are alike: what is zero for a blank image may be no zero for another.
    """
    return torch.linspace(0, 1, torch.Size(shape).numel()).reshape(1, *shape).to(device)


def noise(shape: Sequence[int], device: torch.device) -> Tensor:
    """The same eight images (8, *shape) of uniform noise in [0, 1) at each call, float32."""
    return torch.rand(_IMAGES, *shape, generator=torch.Generator().manual_seed(0)).to(device)
