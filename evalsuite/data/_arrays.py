"""Reads numpy archives (.npz) in a child process: arrays of plain numbers and texts by name."""

import zipfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

import numpy as np

from evalsuite.errors import RefusedInputError
from evalsuite.files.regular_files import opened, size_of
from evalsuite.process.confined import MEMORY, Limits, run_apart
from evalsuite.process.plain_values import Plain

Array = np.ndarray[tuple[int, ...], np.dtype[np.generic]]

_KINDS: Final = frozenset("biufcSUmM")
"""Types of numpy that are handed over: numbers, texts and times, whose values are nothing but their bytes."""
_WHAT: Final = "npz:PATH with the path of a file"
_WORST_RATIO: Final = 50


@final
@dataclass(frozen=True, kw_only=True)
class Archive:
    """The arrays of an archive.

    Attributes:
        arrays: By name, those that were asked for.
        names: All that the file holds.
    """

    arrays: Mapping[str, Array]
    names: tuple[str, ...]


def read_archive(path: Path, names: Collection[str]) -> Archive:
    """Those of the arrays called `names` that the file at `path` holds. Pickled objects are never read.

    Raises:
        UsageError: There is no such file, or it is a folder, a pipe or a device.
        RefusedInputError: It is damaged, takes too much memory or time, or holds arrays of anything but plain values.
    """
    file = path.expanduser()
    limits = Limits.for_size(size_of(file, _WHAT), unpacked=_WORST_RATIO)
    plain = run_apart(lambda: _handed_over(path, file, names, limits), path=path, limits=limits)
    match plain:
        case {"names": [*every], "arrays": [*entries]}:
            try:
                arrays = dict(_array(entry) for entry in entries)
            except (ValueError, TypeError) as error:
                raise RefusedInputError(f"expected plain numpy arrays in {path}, got {error}") from error
            return Archive(arrays=arrays, names=tuple(map(str, every)))
        case _:
            raise RefusedInputError(f"expected plain numpy arrays in {path}, got something else")


def _handed_over(path: Path, file: Path, names: Collection[str], limits: Limits) -> Plain:
    """What the child process hands back: one array after the other is read and written."""
    with opened(file, _WHAT) as stream:
        try:
            archive = np.load(stream, allow_pickle=False)
        except Exception as error:
            raise _damaged(path, error) from error
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise RefusedInputError(f"expected {path} to be an archive of numpy arrays (.npz), got a single array")
        wanted = [name for name in archive.files if name in names]
        _check_declared(path, archive.zip, wanted, limits)
    # the file is opened anew: entries are asked for when this function has returned
    return {"names": list(archive.files), "arrays": _entries(path, file, wanted)}


def _check_declared(path: Path, archive: zipfile.ZipFile | None, names: Collection[str], limits: Limits) -> None:
    entries = [] if archive is None else archive.infolist()
    last = [entry for entry in entries if entry.filename.removesuffix(".npy") in names]
    unpacked = sum(entry.file_size for entry in last)
    if unpacked > limits.answer:
        raise RefusedInputError(
            f"expected arrays of at most {limits.answer / 1e6:.0f} MB in a file of this size, got {unpacked / 1e6:.0f} "
            f"MB: {path}; the environment variable {MEMORY} allows more, in bytes"
        )


def _entries(path: Path, file: Path, names: Collection[str]) -> Iterator[Plain]:
    with opened(file, _WHAT) as stream:
        archive = np.load(stream, allow_pickle=False)
        for name in names:
            try:
                values = archive[name]
            except Exception as error:
                raise _damaged(path, error) from error
            yield _entry(path, name, values)
            del values


def _entry(path: Path, name: str, values: object) -> Plain:
    if not isinstance(values, np.ndarray) or values.dtype.kind not in _KINDS or not values.dtype.itemsize:
        got = values.dtype if isinstance(values, np.ndarray) else "no array"
        raise RefusedInputError(f"expected numbers or texts in {name} of {path}, got {got}")
    rows = values if values.flags.c_contiguous else np.ascontiguousarray(values)
    return {
        "name": name,
        "dtype": values.dtype.str,
        "shape": list(values.shape),
        "values": rows.reshape(-1).view(np.uint8).data if values.size else b"",
    }


def _array(entry: Plain) -> tuple[str, Array]:
    match entry:
        case {"name": str(name), "dtype": str(spelled), "shape": [*sides], "values": memoryview() as raw}:
            dtype = np.dtype(spelled)
            shape = tuple(side for side in sides if isinstance(side, int) and side >= 0)
            if dtype.kind in _KINDS and len(shape) == len(sides):
                return name, np.frombuffer(raw, np.uint8).view(dtype).reshape(shape)
        case _:
            pass
    raise ValueError("an array of another kind")


def _damaged(path: Path, error: Exception) -> RefusedInputError:
    got = " ".join(str(error).split())[:300] or type(error).__name__
    return RefusedInputError(f"expected {path} to be an archive of plain numpy arrays (.npz), got an error: {got}")
