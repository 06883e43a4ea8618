"""The idx format of MNIST and its successors, compressed by gzip (LeCun, Cortes and Burges 1998)."""

import gzip
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from evalsuite.errors import RefusedInputError

_UNSIGNED_BYTE = 0x08


def read_idx(path: Path, *, axes: int) -> Tensor:
    """The uint8 array of `path` (compressed), of `axes` dimensions.

    Raises:
        RefusedInputError: The file is damaged or holds something else.
    """
    try:
        raw = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise RefusedInputError(f"expected {path} to be a whole gzip file, got an error: {error}") from error
    start = 4 + 4 * axes
    if raw[:4] != bytes([0, 0, _UNSIGNED_BYTE, axes]) or len(raw) < start:
        raise RefusedInputError(f"expected {path} to start like an idx file of {axes} axes, got {raw[:4].hex()}")
    shape = tuple(int(side) for side in np.frombuffer(raw, dtype=">u4", count=axes, offset=4))
    values = np.frombuffer(raw, dtype=np.uint8, offset=start)
    if values.size != np.prod(shape, dtype=np.int64):
        raise RefusedInputError(f"expected {path} to hold {shape} values, got {values.size}")
    return torch.from_numpy(values.copy()).view(shape)
