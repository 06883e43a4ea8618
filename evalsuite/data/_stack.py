"""Reads images in one numpy file and labels in another, as CIFAR-10-C and CIFAR-10.1 are published."""

from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
import torch
from torch import Tensor

from evalsuite.data._base import Examples
from evalsuite.data._labels import parse_labels
from evalsuite.data._pixel_values import check_white
from evalsuite.errors import RefusedInputError, UsageError

_LOOKED_AT = 200

Array = np.ndarray[tuple[int, ...], np.dtype[np.generic]]


@final
@dataclass(frozen=True, kw_only=True)
class Stack:
    """Images that are read from the file when needed.

    Attributes:
        rows: (n, h, w, c), uint8, mapped into memory.
    """

    rows: Array

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Tensor) -> Tensor:
        """Images (k, c, h, w), uint8, at `index` (k,)."""
        return torch.from_numpy(np.ascontiguousarray(self.rows[index.numpy()].transpose(0, 3, 1, 2)))


def stacked(images: Path, labels: Path, *, part: int = 0, parts: int = 1) -> Examples:
    """Part `part` = 0, ..., `parts` - 1 of the examples in two files; parts are as long as each other.

    Raises:
        UsageError: A file is missing.
        RefusedInputError: A file is cut short or holds something else.
    """
    rows, truth = _mapped(images), _mapped(labels)
    if rows.ndim == 3:
        rows = rows[..., None]
    if rows.dtype != np.uint8 or rows.ndim != 4 or rows.shape[3] not in {1, 3} or not rows.size or len(rows) % parts:
        count = f"a multiple of {parts}" if parts > 1 else "at least one"
        raise RefusedInputError(
            f"expected {images} to hold images (n, height, width, 1 or 3) of uint8, n {count}, "
            f"got {rows.dtype} of shape {rows.shape}"
        )
    if not truth.ndim or len(truth) != len(rows):
        raise RefusedInputError(
            f"expected {labels} to hold {len(rows)} class numbers, one for each image of {images.name}, "
            f"got {truth.dtype} of shape {truth.shape}"
        )
    size = len(rows) // parts
    kept = slice(part * size, (part + 1) * size)
    stack = Stack(rows=rows[kept])
    _check_some(stack, str(images))
    return Examples.from_labels(stack, torch.from_numpy(parse_labels(truth, str(labels)).numbers[kept]))


def _check_some(stack: Stack, where: str) -> None:
    # not all: files of published sets have hundreds of megabytes
    chosen = torch.linspace(0, len(stack) - 1, min(len(stack), _LOOKED_AT)).round().long()
    way_out = "store them with 255 as white"
    check_white(float(stack[chosen].max()), f"{len(chosen)} images of {where}", eight_bit=True, way_out=way_out)


def _mapped(path: Path) -> Array:
    if not path.is_file():
        beside = sorted(file.name for file in path.parent.glob("*.npy"))
        raise UsageError(f"expected the file {path}, got {', '.join(beside) or 'no .npy file'} in {path.parent}")
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise RefusedInputError(f"expected {path} to be a whole numpy file (.npy), got an error: {reason}") from error
    if not isinstance(array, np.ndarray):
        raise RefusedInputError(f"expected {path} to be a single numpy array (.npy), got an archive")
    return array
