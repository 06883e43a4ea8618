"""One numpy archive with the arrays x_test and y_test and, where there are training examples, x_train and y_train."""

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from evalsuite.data._base import Dataset, Examples, Source
from evalsuite.data._statistics import channel_statistics, neutral_statistics
from evalsuite.errors import RefusedInputError, UsageError

_NAMES = frozenset({"x_train", "y_train", "x_test", "y_test", "classes"})

Array = np.ndarray[tuple[int, ...], np.dtype[np.generic]]


@final
@dataclass(frozen=True, kw_only=True)
class Npz(Source):
    """Images n h w c, n c h w or n h w (one channel), uint8 or float in [0, 1]; labels are class numbers from 0.

    An array `classes` of strings may name the classes; without it there are as many as the highest label tells.
    Pickled objects are never read.

    Attributes:
        path: The file, as `numpy.savez` or `numpy.savez_compressed` writes it.
    """

    path: Path

    @override
    def load(self) -> Dataset:
        arrays = _arrays(self.path)
        test = _examples(self.path, arrays, "test")
        train = _examples(self.path, arrays, "train") if {"x_train", "y_train"} & arrays.keys() else None
        channels, height, width = test.images[torch.arange(1)].shape[1:]
        if train is not None and train.images[torch.arange(1)].shape[1:] != (channels, height, width):
            raise RefusedInputError(f"expected x_train and x_test in {self.path} to hold images of one size, got two")
        mean, std = channel_statistics(train) if train is not None else neutral_statistics(channels)
        highest = max(int(part.labels.max()) for part in (train, test) if part is not None)
        classes = arrays.get("classes", np.arange(highest + 1))
        return Dataset(
            name=f"npz:{self.path}",
            classes=tuple(str(name) for name in classes.tolist()),
            shape=(channels, height, width),
            train=train,
            test=test,
            mean=mean,
            std=std,
        )


def _arrays(path: Path) -> dict[str, Array]:
    file = path.expanduser()
    if not file.is_file():
        raise UsageError(f"expected npz:PATH with the path of a file, got {str(path)!r}, where there is none")
    try:
        with file.open("rb") as stream:
            archive = np.load(stream, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise RefusedInputError(f"expected {path} to be an archive of numpy arrays (.npz), got a single array")
            found = {name: archive[name] for name in archive.files if name in _NAMES}
            others = ", ".join(archive.files) or "none"
    except (OSError, ValueError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise RefusedInputError(
            f"expected {path} to be an archive of plain numpy arrays (.npz), got an error: {error}"
        ) from error
    if not {"x_test", "y_test"} <= found.keys():
        raise RefusedInputError(f"expected the arrays x_test and y_test in {path}, got {others}")
    return found


def _examples(path: Path, arrays: dict[str, Array], part: str) -> Examples:
    if not {f"x_{part}", f"y_{part}"} <= arrays.keys():
        raise RefusedInputError(f"expected both x_{part} and y_{part} in {path}, got only one of them")
    images = _images(arrays[f"x_{part}"], f"x_{part} in {path}")
    labels = _labels(arrays[f"y_{part}"], f"y_{part} in {path}")
    if len(images) != len(labels) or not images.numel():
        raise RefusedInputError(
            f"expected as many images as labels, and at least one, for {part} in {path}, "
            f"got {len(images)} and {len(labels)}"
        )
    return Examples.of(images, labels)


def _images(values: Array, where: str) -> Tensor:
    if values.dtype != np.uint8 and not np.issubdtype(values.dtype, np.floating):
        raise RefusedInputError(
            f"expected {where} to be uint8, or float in [0, 1], got {values.dtype}: "
            f"values from 0 to 255 can be stored as uint8"
        )
    if values.dtype != np.uint8:
        values = values.astype(np.float32)
        if values.size and not (values.min() >= 0.0 and values.max() <= 1.0):
            raise RefusedInputError(
                f"expected {where} to be in [0, 1], got values from {values.min()} to {values.max()}: "
                f"undo a normalisation, or store uint8"
            )
    return torch.from_numpy(np.ascontiguousarray(_channels_first(values, where)))


def _channels_first(values: Array, where: str) -> Array:
    if values.ndim == 3:
        return values[:, None]
    if values.ndim == 4:
        first, last = values.shape[1] in {1, 3}, values.shape[3] in {1, 3}
        if first and not last:
            return values
        if last and not first:
            return values.transpose(0, 3, 1, 2)
    raise RefusedInputError(
        f"expected {where} to have the axes n h w c, n c h w (c: 1 or 3, told apart by that) or n h w, "
        f"got the shape {values.shape}"
    )


def _labels(values: Array, where: str) -> Tensor:
    if values.ndim != 1 or not np.issubdtype(values.dtype, np.integer) or (values.size and values.min() < 0):
        raise RefusedInputError(
            f"expected {where} to hold class numbers 0, 1, ... on one axis, got {values.dtype} of shape {values.shape}"
            + (f" from {values.min()}" if values.size and np.issubdtype(values.dtype, np.integer) else "")
        )
    return torch.from_numpy(values.astype(np.int64))
