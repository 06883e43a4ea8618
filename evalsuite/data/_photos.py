"""Images that are decoded from photos' files when they are needed."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal, final

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import InterpolationMode, functional

from evalsuite.data._decode import MOST_PIXELS, decoding
from evalsuite.data._preparation import TORCHVISION, Preparation
from evalsuite.errors import RefusedInputError

Fit = Literal["resize", "resize others", "keep", "centre"]


@final
@dataclass(frozen=True, kw_only=True)
class Photos:
    """Photos, decoded when needed.

    Attributes:
        paths: One file per image.
        size: Height and width of an image.
        channels: 3 or 1.
        border: Pixels that are cut off at each side first.
        preparation: How photos become images.
        fit: "resize": each is resized and its centre cut out, as `preparation` says. "resize others": likewise, but
            photos of the size are taken as they are. "keep": all have the size, another is refused. "centre": none is
            resized, the centre is cut out.
    """

    paths: tuple[str, ...]
    size: int
    channels: int
    border: int = 0
    preparation: Preparation = TORCHVISION
    fit: Fit = "resize"

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: Tensor) -> Tensor:
        """Images (k, c, size, size), uint8, at `index` (k,).

        Raises:
            RefusedInputError: A file cannot be decoded.
        """
        images = torch.empty(len(index), self.channels, self.size, self.size, dtype=torch.uint8)
        with ThreadPoolExecutor() as pool:
            for place, image in enumerate(pool.map(self._decoded, index.tolist())):
                images[place] = image
        return images

    def _decoded(self, position: int) -> Tensor:
        path = self.paths[position]
        with decoding(path, self.channels, self.preparation) as photo:
            image = self._fitted(self._within_border(photo, path), path)
        pixels: Tensor = functional.pil_to_tensor(image)
        return pixels

    def _within_border(self, image: Image.Image, path: str) -> Image.Image:
        if not self.border:
            return image
        width, height = image.size
        if min(width, height) <= 2 * self.border:
            raise RefusedInputError(
                f"expected {path} to be larger than its border of {self.border} pixels, got {width} x {height}"
            )
        return image.crop((self.border, self.border, width - self.border, height - self.border))

    def _fitted(self, image: Image.Image, path: str) -> Image.Image:
        width, height = image.size
        if image.size == (self.size, self.size) and self.fit in {"keep", "resize others"}:
            return image
        if self.fit == "keep":
            raise RefusedInputError(
                f"expected {path} to have {self.size} x {self.size} pixels, as all photos that were looked at, "
                f"got {width} x {height}: ?crop=SHARE resizes all of them alike"
            )
        if self.fit == "centre" and min(image.size) < self.size:
            raise RefusedInputError(
                f"expected {path} to have {self.size} pixels a side at least, got {width} x {height}"
            )
        if self.fit != "centre":
            interpolation = InterpolationMode(self.preparation.interpolation)
            shorter = self.preparation.resized(self.size)
            if shorter**2 * max(image.size) > MOST_PIXELS * min(image.size):  # of a photo that is no wider than others
                raise RefusedInputError(
                    f"expected {path} to have at most {MOST_PIXELS:,} pixels once its shorter side has {shorter}, got "
                    f"{width} x {height}: crop it"
                )
            image = functional.resize(image, shorter, interpolation=interpolation)
        centre: Image.Image = functional.center_crop(image, [self.size] * 2)
        return centre
