"""Locates torchvision's data sets, and reads or downloads them by its own code."""

import contextlib
import pickle
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, final

from torch import Tensor

from evalsuite.data._archive_files import archive_roots
from evalsuite.data._base import Dataset, Examples
from evalsuite.data._class_order import published_classes
from evalsuite.data._statistics import channel_statistics
from evalsuite.errors import RefusedInputError, UsageError


@final
@dataclass(frozen=True, kw_only=True)
class Split:
    """The training or the held-out half of a data set.

    Attributes:
        images: (n, c, h, w), uint8.
        labels: (n,), int64.
        classes: Their names, in the order of their numbers.
    """

    images: Tensor
    labels: Tensor
    classes: Sequence[str]


class Read(Protocol):
    """Reads one half of a data set by torchvision's class."""

    def __call__(self, root: Path, *, train: bool, download: bool) -> Split: ...


@final
@dataclass(frozen=True, kw_only=True)
class Archive:
    """A data set that torchvision reads.

    Attributes:
        title: As its authors spell it.
        files: Below the root; all there: it need not be downloaded.
        read: By torchvision's class.
    """

    title: str
    files: Sequence[str]
    read: Read


# what torchvision's readers raise for a file that is cut short or holds something else
_BROKEN = (RuntimeError, OSError, ValueError, TypeError, AssertionError, LookupError, pickle.PickleError)


def on_disk(archive: Archive) -> tuple[Split, Split] | None:
    """Training and held-out examples if all files are there, else None.

    Raises:
        RefusedInputError: The files are there but not as their authors published them.
    """
    for root in archive_roots():
        if all((root / file).is_file() for file in archive.files):
            try:
                return _both(archive, root, download=False)
            except _BROKEN as error:
                raise RefusedInputError(
                    f"expected the files of {archive.title} in {root} as published, got others ({error!r}). "
                    f"Remove them, and they are downloaded anew."
                ) from error
    return None


def download(archive: Archive) -> tuple[Split, Split]:
    """Training and held-out examples, downloaded into the first of `archive_roots()`.

    Raises:
        UsageError: That failed; the message says where files are looked for.
    """
    root = archive_roots()[0]
    try:
        # torchvision reports what it does on stdout, which belongs to results
        with contextlib.redirect_stdout(sys.stderr):
            return _both(archive, root, download=True)
    except (RuntimeError, OSError) as error:
        places = " or ".join(str(r) for r in archive_roots())
        raise UsageError(
            f"expected {archive.title} ({', '.join(archive.files)}) in {places}, got nothing there, and downloading "
            f"failed: {' '.join(str(error).split())}. The environment variable EVALSUITE_DATA names another folder."
        ) from error


def dataset(
    name: str, pair: tuple[Split, Split], statistics: tuple[tuple[float, ...], tuple[float, ...]] | None = None
) -> Dataset:
    """The data set of the training and held-out `pair`; statistics are those of the training images unless given."""
    train, test = (Examples.from_labels(split.images, split.labels) for split in pair)
    channels, height, width = pair[0].images.shape[1:]
    mean, std = statistics or channel_statistics(train)
    return Dataset(
        name=name,
        classes=tuple(pair[0].classes),
        shape=(channels, height, width),
        train=train,
        test=test,
        mean=mean,
        std=std,
        interpretations=(published_classes(pair[0].classes),),
    )


def _both(archive: Archive, root: Path, *, download: bool) -> tuple[Split, Split]:
    train = archive.read(root, train=True, download=download)
    return train, archive.read(root, train=False, download=download)
