"""Reads folders of photos."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import final

import torch

from evalsuite.data._base import Dataset, Examples
from evalsuite.data._choose import choose
from evalsuite.data._class_order import ClassOrder, class_names, class_order, listed_classes, some
from evalsuite.data._fitting import Fitting, fitting
from evalsuite.data._photo_files import listed, read_class_folders
from evalsuite.data._photos import Photos
from evalsuite.data._preparation import NOTHING_WANTED, Preparation, Wanted
from evalsuite.data._splits import Splits, check_same_classes, labelled_splits, subfolders
from evalsuite.data._statistics import IMAGENET, channel_statistics, neutral_statistics
from evalsuite.data._survey import photo_readings, survey
from evalsuite.data.folder import Folder
from evalsuite.errors import UsageError
from evalsuite.files.given_paths import expanded
from evalsuite.files.trees import is_litter
from evalsuite.interpretation import Interpretation


def read(source: Folder, network: Wanted = NOTHING_WANTED) -> Dataset:
    """What lies in the folder, as the name says and, where it leaves something open, as the `network` is used to."""
    root = expanded(source.path)
    if not root.is_dir():
        raise UsageError(f"expected folder:PATH with the path of a folder, got {str(source.path)!r}")
    splits = labelled_splits(root)
    order = _order(source, splits)
    train = None if splits.train is None else _Half.read(splits.train, order.names)
    test = _Half.read(splits.test, order.names)
    headers = survey(() if train is None else train.paths, test.paths)
    user = Wanted(size=source.size, crop=source.crop, interpolation=source.interpolation, basis="given")
    fit = fitting(headers, source.path, user=user, network=network, preparation=_preparation(source))
    trained = None if train is None else _examples(source, train, fit)
    mean, std = _statistics(source, trained)
    return Dataset(
        name=f"folder:{source.path}",
        classes=order.names,
        shape=(source.channels, fit.size, fit.size),
        train=trained,
        test=_examples(source, test, fit),
        mean=mean,
        std=std,
        preparation=fit.preparation,
        interpretations=(
            splits.reading,
            class_names(order.names, "the names of the folders"),
            order.reading,
            *_completeness(train, test, order.names, source.classes),
            *fit.readings,
            *photo_readings(headers, fit.preparation, _given(source)),
        ),
    )


def _order(source: Folder, splits: Splits) -> ClassOrder:
    named = splits.train or splits.test
    names = subfolders(named)
    if not names:
        raise UsageError(f"expected one folder a class in {named}, got none")
    if splits.train is not None:
        check_same_classes(splits.test, splits.train, names)
    if source.classes is not None:
        return listed_classes(expanded(source.classes), names, str(named))
    return class_order(names, source.order, str(named))


def _preparation(source: Folder) -> Preparation:
    return Preparation(scale=source.scale, alpha=source.alpha or "drop", orientation=source.orientation or "ignore")


def _examples(source: Folder, half: "_Half", fit: Fitting) -> Examples:
    images = Photos(paths=half.paths, size=fit.size, channels=source.channels, preparation=fit.preparation, fit=fit.fit)
    return Examples.from_labels(images, torch.tensor(half.labels))


def _statistics(source: Folder, train: Examples | None) -> tuple[tuple[float, ...], tuple[float, ...]]:
    if source.channels == 3:
        return IMAGENET
    if train is None:
        return neutral_statistics(source.channels)
    return channel_statistics(choose(train, min(len(train), 2000), seed=0))


def _given(source: Folder) -> frozenset[str]:
    return frozenset(field.name for field in fields(source) if getattr(source, field.name) is not None)


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
