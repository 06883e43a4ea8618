"""A folder of photos: one folder a class, as ImageNet is kept."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal, final

import torch
from typing_extensions import override

from evalsuite.data._base import Dataset, Examples, Source
from evalsuite.data._choose import choose
from evalsuite.data._class_order import ClassOrder, Order, class_names, class_order, listed_classes, some
from evalsuite.data._fitting import Fitting, fitting
from evalsuite.data._photo_files import listed, read_class_folders
from evalsuite.data._photos import Photos
from evalsuite.data._preparation import CROP, NOTHING_WANTED, Alpha, Interpolation, Orientation, Preparation, Wanted
from evalsuite.data._splits import Splits, check_same_classes, labelled_splits, subfolders
from evalsuite.data._statistics import IMAGENET, channel_statistics, neutral_statistics
from evalsuite.data._survey import photo_readings, survey
from evalsuite.errors import UsageError
from evalsuite.files.given_paths import expanded
from evalsuite.interpretation import Interpretation
from evalsuite.parts.data_files import folder_files, is_litter


@final
@dataclass(frozen=True, kw_only=True)
class Folder(Source):
    """PATH/train and PATH/test (or PATH/val), or PATH itself as held-out examples; in each, one folder a class.

    Folders whose names are whole numbers are numbered by them, others in the order of their names, as torchvision's
    ImageFolder does. Images are read when asked for. Photos that all have the size are taken as they are; of others
    the shorter side is resized to `size` divided by `crop` and the centre cut out.

    Attributes:
        path: The folder.
        size: Height and width of an image, in pixels; else the network's, else that of the photos if they share one.
        channels: 3 (RGB) or 1 (luminance).
        crop: The share of the resized shorter side that the centre keeps; else what the network is used to, else 7/8
            (224 of 256 pixels: Krizhevsky et al. 2012).
        interpolation: How photos are resized, with antialiasing; else what the network is used to, else bilinear.
        order: Of classes: by the text of their folders' names, or by the numbers in them.
        classes: A text file that names the classes in the order of their numbers, one a line.
        scale: The value that is white in photos of more than 8 bits a channel, where their type does not say it.
        alpha: What becomes of a transparency channel: drop shows the colours below it.
        orientation: Whether photos are turned as the camera's EXIF entry says.
        frames: Of files that hold several frames the first is taken.
    """

    path: Path
    size: int | None = None
    channels: int = 3
    crop: float | None = None
    interpolation: Interpolation | None = None
    order: Order | None = None
    classes: str | None = None
    scale: float | None = None
    alpha: Alpha | None = None
    orientation: Orientation | None = None
    frames: Literal["first"] | None = None

    def __post_init__(self) -> None:
        if self.size is not None and self.size < 1:
            raise UsageError(f"expected size to be at least 1, got {self.size}")
        if self.channels not in {1, 3}:
            raise UsageError(f"expected channels to be 1 or 3, got {self.channels}")
        if self.order is not None and self.classes is not None:
            raise UsageError("expected one of ?order= and ?classes=, got both")
        Preparation(crop=CROP if self.crop is None else self.crop, scale=self.scale)  # which checks their ranges

    @override
    def load(self) -> Dataset:
        return self.load_for(NOTHING_WANTED)

    @override
    def load_for(self, network: Wanted) -> Dataset:
        root = expanded(self.path)
        if not root.is_dir():
            raise UsageError(f"expected folder:PATH with the path of a folder, got {str(self.path)!r}")
        splits = labelled_splits(root)
        order = self._order(splits)
        train = None if splits.train is None else _Half.read(splits.train, order.names)
        test = _Half.read(splits.test, order.names)
        headers = survey(() if train is None else train.paths, test.paths)
        user = Wanted(size=self.size, crop=self.crop, interpolation=self.interpolation, basis="given")
        fit = fitting(headers, self.path, user=user, network=network, preparation=self._preparation())
        trained = None if train is None else self._examples(train, fit)
        mean, std = self._statistics(trained)
        return Dataset(
            name=f"folder:{self.path}",
            classes=order.names,
            shape=(self.channels, fit.size, fit.size),
            train=trained,
            test=self._examples(test, fit),
            mean=mean,
            std=std,
            preparation=fit.preparation,
            interpretations=(
                splits.reading,
                class_names(order.names, "the names of the folders"),
                order.reading,
                *_completeness(train, test, order.names, self.classes),
                *fit.readings,
                *photo_readings(headers, fit.preparation, self._given()),
            ),
        )

    @override
    def files(self) -> tuple[Path, ...]:
        return folder_files(expanded(self.path), self.classes)

    def _order(self, splits: Splits) -> ClassOrder:
        named = splits.train or splits.test
        names = subfolders(named)
        if not names:
            raise UsageError(f"expected one folder a class in {named}, got none")
        if splits.train is not None:
            check_same_classes(splits.test, splits.train, names)
        if self.classes is not None:
            return listed_classes(expanded(self.classes), names, str(named))
        return class_order(names, self.order, str(named))

    def _preparation(self) -> Preparation:
        return Preparation(scale=self.scale, alpha=self.alpha or "drop", orientation=self.orientation or "ignore")

    def _examples(self, half: "_Half", fit: Fitting) -> Examples:
        images = Photos(
            paths=half.paths, size=fit.size, channels=self.channels, preparation=fit.preparation, fit=fit.fit
        )
        return Examples.from_labels(images, torch.tensor(half.labels))

    def _statistics(self, train: Examples | None) -> tuple[tuple[float, ...], tuple[float, ...]]:
        if self.channels == 3:
            return IMAGENET
        if train is None:
            return neutral_statistics(self.channels)
        return channel_statistics(choose(train, min(len(train), 2000), seed=0))

    def _given(self) -> frozenset[str]:
        return frozenset(field.name for field in fields(self) if getattr(self, field.name) is not None)


@final
@dataclass(frozen=True, kw_only=True)
class _Half:
    """The photos of one split, in the order of the names of their folders, and files beside them that are left out."""

    paths: tuple[str, ...]
    labels: tuple[int, ...]
    left_out: dict[str, Counter[str]]

    @classmethod
    def read(cls, tree: Path, classes: Sequence[str]) -> "_Half":
        numbers = {name: number for number, name in enumerate(classes)}
        files = read_class_folders(tree, subfolders(tree))
        beside = Counter(
            entry.suffix.lower() for entry in tree.iterdir() if entry.is_file() and not is_litter(entry.name)
        )
        left_out = {name: photo_files.left_out for name, photo_files in files.items()} | {f"{tree.name} itself": beside}
        return cls(
            paths=tuple(path for photo_files in files.values() for path in photo_files.photos),
            labels=tuple(numbers[name] for name, photo_files in files.items() for _ in photo_files.photos),
            left_out={name: types for name, types in left_out.items() if types},
        )


def _completeness(train: _Half | None, test: _Half, classes: Sequence[str], file: str | None) -> list[Interpretation]:
    """Files that are left out, and classes of which there is nothing."""
    readings = []
    halves = {"training": train, "held-out": test}
    for half, read_half in halves.items():
        if read_half is None:
            continue
        if read_half.left_out:
            types = sum(read_half.left_out.values(), Counter[str]())
            readings.append(
                Interpretation(
                    topic="left-out files",
                    value=f"{types.total()} beside {len(read_half.paths)} {half} photos: {listed(types)}",
                    basis="measured",
                    reason=f"in {some(read_half.left_out)}",
                )
            )
        missing = sorted(set(range(len(classes))) - set(read_half.labels))
        if missing:
            readings.append(
                Interpretation(
                    topic=f"classes without {half} photos",
                    value=some([classes[number] for number in missing]),
                    basis="doubtful" if file is None else "given",
                    reason=f"they are among {len(classes)} classes" if file is None else f"{file} lists them",
                )
            )
    return readings
