"""Conventions for input images: the size, channels and normalisation that a library's networks expect."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import final

Arguments = Mapping[str, int | float | str | bool]
NO_ARGUMENTS: Arguments = MappingProxyType({})

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@final
@dataclass(frozen=True, kw_only=True)
class Convention:
    """What networks of one library expect of their images; None: the user's data decide.

    Attributes:
        mean: Per-channel mean of images in [0, 1] by which the networks normalise.
        std: Per-channel standard deviation, likewise.
        shape: (channels, height, width) of the images.
        crop: The share of the resized shorter side of a photo that the centre keeps, in (0, 1].
        interpolation: How photos are resized, in torchvision's words.
        classes: Number of classes, where it cannot be chosen.
        reason: Whose custom it is, in a few words.
        published: Whether the library says it of this very file, not only of the architecture.
    """

    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    shape: tuple[int, int, int] | None = None
    crop: float | None = None
    interpolation: str | None = None
    classes: int | None = None
    reason: str = ""
    published: bool = False
