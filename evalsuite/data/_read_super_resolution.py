"""Reads photos that are made smaller and are the right answers."""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor

from evalsuite.data._base import Dataset, Examples, Images
from evalsuite.data._photo_files import is_photo, suffixes
from evalsuite.data._photos import Photos
from evalsuite.data._splits import plain_splits
from evalsuite.data._survey import photo_readings, survey
from evalsuite.data.super_resolution import FACTOR, SIZE, SuperResolutionPhotos
from evalsuite.errors import UsageError
from evalsuite.files.given_paths import expanded
from evalsuite.files.trees import is_litter
from evalsuite.interpretation import Interpretation
from evalsuite.problems.super_resolution import SuperResolution

CHANNELS = ("red", "green", "blue")


def read(source: SuperResolutionPhotos) -> Dataset:
    """Training and held-out examples, as the source says."""
    root = expanded(source.path)
    if not root.is_dir():
        raise UsageError(f"expected super-resolution:PATH with the path of a folder, got {str(source.path)!r}")
    splits = plain_splits(root)
    train = None if splits.train is None else _photos(source, splits.train)
    test = _photos(source, splits.test)
    headers = survey(() if train is None else train.paths, test.paths)
    factor, size = source.scale
    dataset = pairs(f"super-resolution:{source.path}", train=train, test=test, factor=factor, size=size)
    readings = (
        splits.reading,
        *enlargement_readings(source.factor, source.size, factor=FACTOR, size=SIZE),
        *photo_readings(headers, test.preparation, frozenset()),
    )
    return replace(dataset, interpretations=readings)


def _photos(source: SuperResolutionPhotos, folder: Path) -> Photos:
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_file() and not is_litter(entry.name))
    paths = tuple(str(folder / name) for name in names if is_photo(folder / name))
    if not paths:
        raise UsageError(f"expected images ({' '.join(suffixes())}) in {folder}, got none")
    return Photos(paths=paths, size=math.prod(source.scale), channels=3, fit="centre")


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
