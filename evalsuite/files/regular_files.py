"""Opens files that are files: no pipes, devices or sockets, which have no end or never begin, and no folders."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from evalsuite.errors import RefusedInputError, UsageError

_KINDS: Final = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def read_regular(path: Path, what: str, *, most: int | None = None, first: int | None = None) -> bytes:
    """The contents of the file at `path`.

    Args:
        path: Links are followed.
        what: What it is meant to be, for messages: "a checkpoint file".
        most: Bytes, at most; None: as many as the machine's memory holds.
        first: How many bytes are read, of a file of any size; None: all.

    Raises:
        UsageError: There is no such file, it is of another kind, or it cannot be read.
        RefusedInputError: It is larger.
    """
    with opened(path, what) as file:
        size = os.fstat(file.fileno()).st_size
        limit = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if most is None else most
        if first is None and size > limit:
            got = f"got one of {size / 1e6:.1f} MB: {path}"
            raise RefusedInputError(f"expected {what} of at most {limit / 1e6:.0f} MB, {got}")
        try:
            # of what is written to meanwhile, no more than was there
            return file.read(size if first is None else min(size, first))
        except OSError as error:
            raise UsageError(_expected(path, what, _reason(path, error))) from error


@contextmanager
def opened(path: Path, what: str) -> Iterator[BinaryIO]:
    """The file at `path`, to be read; arguments and errors as for `read_regular`."""
    try:
        # a pipe without a writer would be waited for
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except (OSError, ValueError) as error:
        raise UsageError(_expected(path, what, _reason(path, error))) from error
    try:
        _check_kind(path, what, os.fstat(descriptor).st_mode)
        with os.fdopen(descriptor, "rb", buffering=2**20, closefd=False) as file:
            yield file
    finally:
        os.close(descriptor)


def size_of(path: Path, what: str) -> int:
    """Bytes of the file at `path`; arguments and errors as for `read_regular`."""
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        raise UsageError(_expected(path, what, _reason(path, error))) from error
    _check_kind(path, what, status.st_mode)
    return status.st_size


def kind_of(mode: int) -> str | None:
    """What an entry of a folder with this `st_mode` is; None: a file."""
    return next((kind for test, kind in _KINDS if test(mode)), None)


def _check_kind(path: Path, what: str, mode: int) -> None:
    if (kind := kind_of(mode)) is not None:
        raise UsageError(_expected(path, what, kind))


def _expected(path: Path, what: str, got: str) -> str:
    return f"expected {what}, got {str(path)!r}: {got}"


def _reason(path: Path, error: OSError | ValueError) -> str:
    if isinstance(error, OSError):
        # opening some of them is what fails
        kind = kind_of(path.stat().st_mode) if path.exists() else None
        return kind or error.strerror or str(error)
    return str(error)
