"""Settings by which photos become images of one size: the user's, those of a network's library, and defaults."""

from dataclasses import dataclass
from typing import Literal, final

from evalsuite.errors import UsageError
from evalsuite.interpretation import Basis

Interpolation = Literal["nearest", "bilinear", "bicubic", "box", "hamming", "lanczos"]
Alpha = Literal["drop", "black", "white"]
Orientation = Literal["ignore", "exif"]

CROP = 224 / 256
"""Krizhevsky et al. (2012): the shorter side is resized to 256 pixels and the centre of 224 is cut out."""


@final
@dataclass(frozen=True, kw_only=True)
class Preparation:
    """From a decoded file to an image; the defaults are torchvision's.

    Attributes:
        crop: The share of the resized shorter side that the centre keeps, in (0, 1]: it is resized to the rounded
            quotient of the image's size and `crop`.
        interpolation: How it is resized, with antialiasing.
        scale: The value that is white in files of more than 8 bits a channel; None: what their type says.
        alpha: What becomes of a transparency channel: it is dropped, and colours below it are shown; or the photo is
            laid on black or white.
        orientation: Whether photos are turned as the camera's EXIF entry says.
    """

    crop: float = CROP
    interpolation: Interpolation = "bilinear"
    scale: float | None = None
    alpha: Alpha = "drop"
    orientation: Orientation = "ignore"

    def __post_init__(self) -> None:
        if not 0 < self.crop <= 1:
            raise UsageError(f"expected crop to be a share above 0 and at most 1, got {self.crop:g}")
        if self.scale is not None and not self.scale > 0:
            raise UsageError(f"expected scale to be the value that is white, above 0, got {self.scale:g}")

    def resized(self, size: int) -> int:
        """To how many pixels the shorter side of a photo is resized for images of `size` pixels."""
        return round(size / self.crop)


TORCHVISION = Preparation()


@final
@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What somebody wants of the images of photos: a user by options, or a network; None: it is left open.

    Attributes:
        size: Height and width of an image, in pixels.
        crop: As of `Preparation`. Where a library tells the size before cropping, the quotient of the two.
        interpolation: As of `Preparation`.
        basis: "given" by an option; of a network "recorded" in its file, or "assumed" by the custom of its library.
    """

    size: int | None = None
    crop: float | None = None
    interpolation: str | None = None
    basis: Basis = "assumed"


NOTHING_WANTED = Wanted()
