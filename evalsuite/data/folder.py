"""A folder of photos: one folder a class, as ImageNet is kept."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import final

import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from torchvision.datasets.folder import IMG_EXTENSIONS, make_dataset
from torchvision.transforms import functional
from typing_extensions import override

from evalsuite.data._base import Dataset, Examples, Source
from evalsuite.data._choose import choose
from evalsuite.data._statistics import IMAGENET, channel_statistics, neutral_statistics
from evalsuite.errors import RefusedInputError, UsageError

HELD_OUT = ("test", "val")


@final
@dataclass(frozen=True, kw_only=True)
class Folder(Source):
    """PATH/train and PATH/test (or PATH/val), or PATH itself as held-out examples; in each, one folder a class.

    Classes are numbered in the order of their names, as torchvision's ImageFolder does. Images are read when asked
    for: the shorter side is resized to 256/224 of `size` and the centre cut out (Krizhevsky et al. 2012).

    Attributes:
        path: The folder.
        size: Height and width of an image after cropping, in pixels.
        channels: 3 (RGB) or 1 (luminance).
    """

    path: Path
    size: int = 224
    channels: int = 3

    def __post_init__(self) -> None:
        if self.size < 1:
            raise UsageError(f"expected size to be at least 1, got {self.size}")
        if self.channels not in {1, 3}:
            raise UsageError(f"expected channels to be 1 or 3, got {self.channels}")

    @override
    def load(self) -> Dataset:
        root = self.path.expanduser()
        if not root.is_dir():
            raise UsageError(f"expected folder:PATH with the path of a folder, got {str(self.path)!r}")
        trained, held_out = _parts(root)
        classes = _classes(trained or held_out)
        unknown = sorted(set(_classes(held_out)) - set(classes))
        if unknown:
            raise UsageError(f"expected the classes of {held_out} to be those of {trained}, got also {unknown}")
        train = self._examples(trained, classes) if trained else None
        mean, std = self._statistics(train)
        return Dataset(
            name=f"folder:{self.path}",
            classes=classes,
            shape=(self.channels, self.size, self.size),
            train=train,
            test=self._examples(held_out, classes),
            mean=mean,
            std=std,
        )

    def _examples(self, tree: Path, classes: tuple[str, ...]) -> Examples:
        numbers = {name: number for number, name in enumerate(classes)}
        found = make_dataset(str(tree), numbers, extensions=IMG_EXTENSIONS, allow_empty=True)
        if not found:
            raise UsageError(f"expected images ({' '.join(IMG_EXTENSIONS)}) in the class folders of {tree}, got none")
        images = Photos(paths=tuple(path for path, _ in found), size=self.size, channels=self.channels)
        return Examples.of(images, torch.tensor([label for _, label in found]))

    def _statistics(self, train: Examples | None) -> tuple[tuple[float, ...], tuple[float, ...]]:
        if self.channels == 3:
            return IMAGENET
        if train is None:
            return neutral_statistics(self.channels)
        return channel_statistics(choose(train, min(len(train), 2000), seed=0))


@final
@dataclass(frozen=True, kw_only=True)
class Photos:
    """Images that are decoded when asked for.

    Attributes:
        paths: One file per image.
        size: Height and width after resizing and cropping.
        channels: 3 or 1.
        border: Pixels that are cut off at each side first.
        context: The shorter side is resized to so many times `size` before the centre is cut out; None: the photo keeps
            its size, which has to be `size` at least.
        as_they_are: Whether a photo that has that size already is neither resized nor cropped.
    """

    paths: tuple[str, ...]
    size: int
    channels: int
    border: int = 0
    context: float | None = 256 / 224
    as_they_are: bool = False

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: Tensor) -> Tensor:
        """Images (k, c, size, size), uint8, at `index` (k,).

        Raises:
            RefusedInputError: A file cannot be decoded.
        """
        found = torch.empty(len(index), self.channels, self.size, self.size, dtype=torch.uint8)
        with ThreadPoolExecutor() as pool:
            for place, image in enumerate(pool.map(self._decoded, index.tolist())):
                found[place] = image
        return found

    def _decoded(self, position: int) -> Tensor:
        path = self.paths[position]
        try:
            with Image.open(path) as file:
                image = file.convert("RGB" if self.channels == 3 else "L")
        except (OSError, UnidentifiedImageError, Image.DecompressionBombError, SyntaxError, ValueError) as error:
            raise RefusedInputError(f"expected {path} to be an image, got an error: {error}") from error
        if self.border:
            width, height = image.size
            if min(width, height) <= 2 * self.border:
                raise RefusedInputError(
                    f"expected {path} to be larger than its border of {self.border} pixels, got {width} x {height}"
                )
            image = image.crop((self.border, self.border, width - self.border, height - self.border))
        if not (self.as_they_are and image.size == (self.size, self.size)):
            image = functional.center_crop(self._resized(image, path), [self.size] * 2)
        pixels: Tensor = functional.pil_to_tensor(image)
        return pixels

    def _resized(self, image: Image.Image, path: str) -> Image.Image:
        if self.context is not None:
            larger: Image.Image = functional.resize(image, round(self.size * self.context))
            return larger
        if min(image.size) < self.size:
            width, height = image.size
            raise RefusedInputError(
                f"expected {path} to have {self.size} pixels a side at least, got {width} x {height}"
            )
        return image


def _parts(root: Path) -> tuple[Path | None, Path]:
    held_out = [root / name for name in HELD_OUT if (root / name).is_dir()]
    if held_out:
        return (root / "train" if (root / "train").is_dir() else None), held_out[0]
    if (root / "train").is_dir():
        raise UsageError(f"expected {' or '.join(HELD_OUT)} beside train in {root}, got train alone")
    return None, root


def _classes(tree: Path) -> tuple[str, ...]:
    # hidden folders are what notebooks and version control leave behind, no classes
    names = sorted(entry.name for entry in tree.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if not names:
        raise UsageError(f"expected one folder a class in {tree}, got none")
    return tuple(names)
