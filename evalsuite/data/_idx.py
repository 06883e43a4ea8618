"""Reads the idx format of MNIST and its successors, compressed by gzip (LeCun, Cortes and Burges 1998)."""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from evalsuite.errors import RefusedInputError
from evalsuite.files.regular_files import opened, size_of

_UNSIGNED_BYTE = 0x08
_WORST_RATIO = 50
_WORST_BYTES = 2**28


def read_idx(path: Path, *, axes: int) -> Tensor:
    """The uint8 array of `path` (compressed), of `axes` dimensions.

    Raises:
        RefusedInputError: The file is damaged or holds something else.
    """
    start = 4 + 4 * axes
    limit = max(_WORST_BYTES, _WORST_RATIO * size_of(path, "a gzip file"))
    try:
        with opened(path, "a gzip file") as packed, gzip.open(packed) as file:
            head = file.read(start)
            shape = _shape(path, head, axes)
            count = math.prod(shape)
            if count > limit:
                raise RefusedInputError(f"expected {path} to hold at most {limit} values, got {shape}")
            # one more than there should be tells whether that is all
            raw = file.read(count + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise RefusedInputError(f"expected {path} to be a whole gzip file, got an error: {error}") from error
    values = np.frombuffer(raw, dtype=np.uint8)
    if values.size != count:
        held = values.size if values.size < count else f"more than {count}"
        raise RefusedInputError(f"expected {path} to hold {shape} values, got {held}")
    return torch.from_numpy(values.copy()).view(shape)


def _shape(path: Path, head: bytes, axes: int) -> tuple[int, ...]:
    if head[:4] != bytes([0, 0, _UNSIGNED_BYTE, axes]) or len(head) < 4 + 4 * axes:
        raise RefusedInputError(f"expected {path} to start like an idx file of {axes} axes, got {head[:4].hex()}")
    return tuple(int(side) for side in np.frombuffer(head, dtype=">u4", count=axes, offset=4))
