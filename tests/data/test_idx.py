import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from evalsuite.data._idx import read_idx
from evalsuite.errors import RefusedInputError

Array = np.ndarray[tuple[int, ...], np.dtype[np.generic]]


def idx(array: Array, code: int = 8) -> bytes:
    # magic number: two zeros, the type's code, the number of axes; then the sides, big-endian
    return bytes([0, 0, code, array.ndim]) + np.array(array.shape, dtype=">u4").tobytes() + array.tobytes()


@pytest.fixture
def array() -> Array:
    return np.random.default_rng(0).integers(0, 256, (3, 4, 5), dtype=np.uint8)


def test_what_was_written_is_read(tmp_path: Path, array: Array) -> None:
    (tmp_path / "x.gz").write_bytes(gzip.compress(idx(array)))
    np.testing.assert_array_equal(read_idx(tmp_path / "x.gz", axes=3).numpy(), array)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda array: gzip.compress(idx(array))[:-9], "whole gzip file"),
        (idx, "whole gzip file"),
        (lambda array: gzip.compress(idx(array)[:-1]), r"hold \(3, 4, 5\) values, got 59"),
        (lambda array: gzip.compress(idx(array) + b"!"), r"hold \(3, 4, 5\) values, got more than 60"),
        (lambda array: gzip.compress(idx(array, code=13)), "start like an idx file of 3 axes, got 00000d03"),
        (lambda array: gzip.compress(idx(array[0])), "start like an idx file of 3 axes, got 00000802"),
        (lambda array: gzip.compress(idx(array)[:9]), "start like an idx file"),
        (lambda _: gzip.compress(b""), "start like an idx file"),
    ],
)
def test_damaged_files_are_refused(
    tmp_path: Path, array: Array, change: Callable[[Array], bytes], message: str
) -> None:
    path = tmp_path / "x.gz"
    path.write_bytes(change(array))
    with pytest.raises(RefusedInputError, match=message):
        read_idx(path, axes=3)
