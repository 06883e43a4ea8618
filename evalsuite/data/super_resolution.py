"""Photos that are made smaller, to be made larger again."""

from dataclasses import dataclass
from pathlib import Path
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.datasets.folder import IMG_EXTENSIONS
from typing_extensions import override

from evalsuite.data._base import Dataset, Examples, Images, Source
from evalsuite.data.folder import HELD_OUT, Photos
from evalsuite.errors import UsageError
from evalsuite.problems.super_resolution import SuperResolution

CHANNELS = ("red", "green", "blue")


@final
@dataclass(frozen=True, kw_only=True)
class SuperResolutionPhotos(Source):
    """PATH/train and PATH/test (or PATH/val), or PATH itself as held-out examples; photos lie in them directly.

    The centre of each photo is the right answer; the image that a network sees is made from it by bicubic
    interpolation with antialiasing, as DIV2K's small images are (Agustsson and Timofte 2017), in steps of 1/255.

    Attributes:
        path: The folder.
        factor: How many times as many pixels a side of the answer has, at least 2.
        size: Height and width of the small image, in pixels.
    """

    path: Path
    factor: int = 2
    size: int = 48

    def __post_init__(self) -> None:
        if self.factor < 2 or self.size < 1:
            raise UsageError(f"expected factor >= 2 and size >= 1, got {self.factor} and {self.size}")

    @override
    def load(self) -> Dataset:
        root = self.path.expanduser()
        if not root.is_dir():
            raise UsageError(f"expected super-resolution:PATH with the path of a folder, got {str(self.path)!r}")
        held_out = next((root / name for name in HELD_OUT if (root / name).is_dir()), root)
        train = root / "train"
        return pairs(
            f"super-resolution:{self.path}",
            train=self._photos(train) if train.is_dir() and held_out != root else None,
            test=self._photos(held_out),
            factor=self.factor,
            size=self.size,
        )

    def _photos(self, folder: Path) -> Photos:
        paths = sorted(str(path) for path in folder.iterdir() if path.suffix.lower() in IMG_EXTENSIONS)
        if not paths:
            raise UsageError(f"expected images ({' '.join(IMG_EXTENSIONS)}) in {folder}, got none")
        return Photos(paths=tuple(paths), size=self.size * self.factor, channels=3, context=None)


def pairs(name: str, *, train: Images | None, test: Images, factor: int, size: int) -> Dataset:
    """A data set of small images and the large ones that they were made from.

    Args:
        name: Of the data set.
        train: Large images (k, 3, factor size, factor size), or None.
        test: Likewise.
        factor: At least 2.
        size: Of the small images, in pixels.
    """
    return Dataset(
        name=name,
        classes=CHANNELS,
        shape=(len(CHANNELS), size, size),
        train=None if train is None else _examples(train, factor),
        test=_examples(test, factor),
        # images come back as they are: nothing is normalised
        mean=(0.0,) * len(CHANNELS),
        std=(1.0,) * len(CHANNELS),
    )


def _examples(large: Images, factor: int) -> Examples:
    return Examples.asking(SuperResolution(factor=factor), Smaller(large=large, factor=factor), Large(images=large))


@final
@dataclass(frozen=True, kw_only=True)
class Smaller:
    """Large images, made smaller when asked for."""

    large: Images
    factor: int

    def __len__(self) -> int:
        return len(self.large)

    def __getitem__(self, index: Tensor) -> Tensor:
        """(k, c, h, w), uint8."""
        images = self.large[index].float()
        small = F.interpolate(images, scale_factor=1 / self.factor, mode="bicubic", antialias=True, align_corners=False)
        return small.round().clamp(0, 255).to(torch.uint8)


@final
@dataclass(frozen=True, kw_only=True)
class Large:
    """Large images as right answers."""

    images: Images

    def __getitem__(self, index: Tensor) -> Tensor:
        """(k, c, factor h, factor w), float32 in [0, 1]."""
        return self.images[index].float() / 255
