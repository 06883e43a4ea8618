"""Images in one numpy file and their labels in another, as CIFAR-10-C and CIFAR-10.1 are published."""

from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
import torch
from torch import Tensor

from evalsuite.data._base import Examples
from evalsuite.errors import RefusedInputError, UsageError

Array = np.ndarray[tuple[int, ...], np.dtype[np.generic]]


@final
@dataclass(frozen=True, kw_only=True)
class Stack:
    """Images that are read from the file when asked for.

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
    if rows.dtype != np.uint8 or rows.ndim != 4 or rows.shape[3] not in {1, 3} or not len(rows) or len(rows) % parts:
        count = f"a multiple of {parts}" if parts > 1 else "at least one"
        raise RefusedInputError(
            f"expected {images} to hold images (n, height, width, 1 or 3) of uint8, n {count}, "
            f"got {rows.dtype} of shape {rows.shape}"
        )
    if truth.shape != (len(rows),) or not np.issubdtype(truth.dtype, np.integer):
        raise RefusedInputError(
            f"expected {labels} to hold {len(rows)} class numbers, one for each image of {images.name}, "
            f"got {truth.dtype} of shape {truth.shape}"
        )
    size = len(rows) // parts
    kept = slice(part * size, (part + 1) * size)
    return Examples.of(Stack(rows=rows[kept]), torch.from_numpy(truth[kept].astype(np.int64)))


def _mapped(path: Path) -> Array:
    if not path.is_file():
        beside = sorted(file.name for file in path.parent.glob("*.npy"))
        raise UsageError(f"expected the file {path}, got {', '.join(beside) or 'no .npy file'} in {path.parent}")
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise RefusedInputError(f"expected {path} to be a whole numpy file (.npy), got an error: {error}") from error
    if not isinstance(found, np.ndarray):
        raise RefusedInputError(f"expected {path} to be a single numpy array (.npy), got an archive")
    return found
