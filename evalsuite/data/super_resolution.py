"""Super-resolution of a folder of photos, which are made smaller and are the right answers."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor
from typing_extensions import override

from evalsuite.data._base import Dataset, Examples, Images, Source
from evalsuite.data._photo_files import is_photo, suffixes
from evalsuite.data._photos import Photos
from evalsuite.data._splits import plain_splits
from evalsuite.data._survey import photo_readings, survey
from evalsuite.errors import UsageError
from evalsuite.files.given_paths import expanded
from evalsuite.interpretation import Interpretation
from evalsuite.parts.data_files import is_litter, tree
from evalsuite.problems.super_resolution import SuperResolution

CHANNELS = ("red", "green", "blue")
FACTOR = 2
SIZE = 48


@final
@dataclass(frozen=True, kw_only=True)
class SuperResolutionPhotos(Source):
    """PATH/train and PATH/test (or PATH/val), or PATH itself as held-out examples; photos lie in them directly.

    The centre of each photo is the right answer; the image that a network sees is made from it by bicubic
    interpolation with antialiasing, as DIV2K's small images are (Agustsson and Timofte 2017), in steps of 1/255.

    Attributes:
        path: The folder.
        factor: How many times as many pixels a side of the answer has, at least 2; 2 unless it is said.
        size: Height and width of the small image, in pixels; 48 unless it is said.
    """

    path: Path
    factor: int | None = None
    size: int | None = None

    def __post_init__(self) -> None:
        check_enlargement(self._factor, self._size)

    @property
    def _factor(self) -> int:
        return FACTOR if self.factor is None else self.factor

    @property
    def _size(self) -> int:
        return SIZE if self.size is None else self.size

    @override
    def load(self) -> Dataset:
        root = expanded(self.path)
        if not root.is_dir():
            raise UsageError(f"expected super-resolution:PATH with the path of a folder, got {str(self.path)!r}")
        splits = plain_splits(root)
        train = None if splits.train is None else self._photos(splits.train)
        test = self._photos(splits.test)
        headers = survey(() if train is None else train.paths, test.paths)
        dataset = pairs(f"super-resolution:{self.path}", train=train, test=test, factor=self._factor, size=self._size)
        readings = (
            splits.reading,
            *enlargement_readings(self.factor, self.size, factor=FACTOR, size=SIZE),
            *photo_readings(headers, test.preparation, frozenset()),
        )
        return replace(dataset, interpretations=readings)

    @override
    def files(self) -> tuple[Path, ...]:
        return tree(expanded(self.path))

    def _photos(self, folder: Path) -> Photos:
        names = sorted(entry.name for entry in folder.iterdir() if entry.is_file() and not is_litter(entry.name))
        paths = tuple(str(folder / name) for name in names if is_photo(folder / name))
        if not paths:
            raise UsageError(f"expected images ({' '.join(suffixes())}) in {folder}, got none")
        return Photos(paths=paths, size=self._size * self._factor, channels=3, fit="centre")


def check_enlargement(factor: int, size: int) -> None:
    """Make sure that an image can be made larger.

    Raises:
        UsageError: It cannot.
    """
    if factor < 2 or size < 1:
        raise UsageError(f"expected factor >= 2 and size >= 1, got {factor} and {size}")


def enlargement_readings(
    given_factor: int | None, given_size: int | None, *, factor: int, size: int
) -> list[Interpretation]:
    """Which factor and size were taken: those that were given, or these defaults."""
    return [
        Interpretation(
            topic=topic,
            value=spelled.format(default if given is None else given),
            basis="assumed" if given is None else "given",
            reason="the usual one" if given is None else f"?{key}=",
            option=f"?{key}={key.upper()}",
        )
        for topic, key, spelled, given, default in (
            ("factor", "factor", "{} times as many pixels a side", given_factor, factor),
            ("image size", "size", "{0} x {0} pixels before", given_size, size),
        )
    ]


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
    return Examples.from_targets(
        SuperResolution(factor=factor), Smaller(large=large, factor=factor), Large(images=large)
    )


@final
@dataclass(frozen=True, kw_only=True)
class Smaller:
    """Large images, made smaller when needed."""

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
