"""Reads the folders of Pascal VOC's segmentation challenge."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
import torch
from torch import Tensor
from torchvision.datasets import VOCSegmentation
from torchvision.transforms import InterpolationMode, functional

from evalsuite.data._base import Dataset, Examples
from evalsuite.data._class_order import some
from evalsuite.data._decode import opened
from evalsuite.data._photos import Photos
from evalsuite.data._preparation import Preparation
from evalsuite.data._statistics import IMAGENET
from evalsuite.data._survey import photo_readings, survey
from evalsuite.data.voc import NO_CLASS, Voc
from evalsuite.errors import RefusedInputError, UsageError
from evalsuite.files.given_paths import expanded
from evalsuite.interpretation import Interpretation
from evalsuite.problems.segmentation import VOID, Segmentation

_USUAL_SIZE = 256
CLASSES = (
    *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)


def read(source: Voc) -> Dataset:
    """Training and held-out examples, as the source says."""
    custom = source.classes != len(CLASSES)
    mean, std = IMAGENET
    classes = tuple(f"class {number}" for number in range(source.classes)) if custom else CLASSES
    train, test = _read(source, "train"), _read(source, "val")
    headers = survey(train.images.paths, test.images.paths)
    return Dataset(
        name=f"voc:{source.path}",
        classes=classes,
        shape=(3, _size(source), _size(source)),
        train=train.examples(),
        test=test.examples(),
        mean=mean,
        std=std,
        interpretations=(
            Interpretation(
                topic="held-out photos", value="val", basis="recorded", reason=f"of ImageSets, VOC{source.year}"
            ),
            Interpretation(topic="class names", value=some(classes), basis="assumed" if custom else "recorded"),
            _size_reading(source),
            *photo_readings(headers, test.images.preparation, frozenset()),
        ),
    )


def _size(source: Voc) -> int:
    return _USUAL_SIZE if source.size is None else source.size


def _size_reading(source: Voc) -> Interpretation:
    return Interpretation(
        topic="image size",
        value=f"the shorter side to {_size(source)} pixels, of which the centre is kept",
        basis="assumed" if source.size is None else "given",
        reason="the usual one" if source.size is None else "?size=",
        option="?size=PIXELS",
    )


def _read(source: Voc, part: str) -> "_Half":
    root = expanded(source.path)
    try:
        listed = VOCSegmentation(str(root), year=source.year, image_set=part)
    except (OSError, RuntimeError, ValueError) as error:
        expected = f"JPEGImages, SegmentationClass and ImageSets/Segmentation/{part}.txt"
        raise UsageError(f"expected {expected} in {root}/VOCdevkit/VOC{source.year}, got: {error}") from error
    if outside := [image for image in listed.images if not _is_inside(Path(image), root)]:
        raise RefusedInputError(
            f"expected names of photos in JPEGImages, one a line of ImageSets/Segmentation/{part}.txt in {root}, "
            f"got one that leads elsewhere: {outside[0]!r}"
        )
    return _Half(
        images=Photos(paths=tuple(listed.images), size=_size(source), channels=3, preparation=Preparation(crop=1.0)),
        masks=Masks(paths=tuple(listed.masks), size=_size(source), classes=source.classes),
    )


def _is_inside(image: Path, root: Path) -> bool:
    """Whether a photo that a list names is one of the set's custom: the list is a file like any other."""
    if image.parent.name != "JPEGImages" or not image.is_relative_to(root):
        return False
    return ".." not in image.relative_to(root).parts


@final
@dataclass(frozen=True, kw_only=True)
class _Half:
    """Photos of one split and their masks."""

    images: Photos
    masks: "Masks"

    def examples(self) -> Examples:
        return Examples.from_targets(Segmentation(), self.images, self.masks)


@final
@dataclass(frozen=True, kw_only=True)
class Masks:
    """Class numbers of pixels, decoded when needed.

    Attributes:
        paths: One palette image a mask; the palette's index is the class, 255 is void.
        size: Height and width after resizing and cropping.
        classes: As many as there are.
    """

    paths: tuple[str, ...]
    size: int
    classes: int

    def __getitem__(self, index: Tensor) -> Tensor:
        """Masks (k, size, size), int64, at `index` (k,); void pixels are `VOID`.

        Raises:
            RefusedInputError: A file cannot be decoded, or has other classes.
        """
        with ThreadPoolExecutor() as pool:
            return torch.stack(list(pool.map(self._decoded, index.tolist())))

    def _decoded(self, position: int) -> Tensor:
        path = self.paths[position]
        with opened(path) as file:
            # a gray image holds class numbers as well as a palette's indices do; colours would have lost them
            mask = file.copy() if file.mode in {"P", "L"} else None
            mode = file.mode
        if mask is None:
            raise RefusedInputError(f"expected {path} to hold class numbers (a palette or gray image), got mode {mode}")
        resized = functional.resize(mask, [self.size], interpolation=InterpolationMode.NEAREST)
        numbers = torch.from_numpy(np.array(functional.center_crop(resized, [self.size] * 2))).long()
        classes = numbers.where(numbers != NO_CLASS, VOID)
        if int(classes.max()) >= self.classes:
            raise RefusedInputError(f"expected classes below {self.classes} in {path}, got {int(classes.max())}")
        return classes
