"""Reads whole files that are files: no pipes, devices or sockets, which have no end or never begin, and no folders."""

import os
import stat
from pathlib import Path
from typing import Final

from evalsuite.errors import RefusedInputError, UsageError

_KINDS: Final = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def read_regular(path: Path, what: str, *, most: int | None = None) -> bytes:
    """The contents of `path`.

    Args:
        path: The file; links are followed.
        what: What it is meant to be, for messages: "a checkpoint file".
        most: Bytes, at most; None: as many as the machine's memory holds.

    Raises:
        UsageError: There is no such file, it is of another kind, or it cannot be opened.
        RefusedInputError: It is larger.
    """
    try:
        # a pipe without a writer would be waited for
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            kind = next((kind for test, kind in _KINDS if test(status.st_mode)), None)
            if kind is None:
                _check_size(path, what, status.st_size, most)
                # what is being written to meanwhile is read as far as it went
                return file.read(status.st_size)
    except OSError as error:
        kind = "a folder" if path.is_dir() else _reason(error)
        raise UsageError(f"expected {what}, got {str(path)!r}: {kind}") from error
    except ValueError as error:
        raise UsageError(f"expected {what}, got {str(path)!r}: {error}") from error
    raise UsageError(f"expected {what}, got {str(path)!r}: {kind}")


def _check_size(path: Path, what: str, size: int, most: int | None) -> None:
    limit = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if most is None else most
    if size > limit:
        got = f"got one of {size / 1e6:.1f} MB: {path}"
        raise RefusedInputError(f"expected {what} of at most {limit / 1e6:.0f} MB, {got}")


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
