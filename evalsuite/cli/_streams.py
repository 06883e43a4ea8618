"""Wraps stdout and stderr: a closed pipe changes neither what a command does nor its exit code."""

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TextIO, final

from typing_extensions import override

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_IN, _OUT, _ERR = 0, 1, 2
_DISK = frozenset(
    {
        *(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG),
        *(
            errno.EACCES,
            errno.EPERM,
            errno.ENOENT,
            errno.EEXIST,
            errno.ENOTDIR,
            errno.EISDIR,
            errno.ENAMETOOLONG,
            errno.ENOTEMPTY,
        ),
    }
)
"""What a disk answers that no program can help: it is full, read-only or broken, or the path is none."""
_ROOM = "; make room on the disk: the same command continues then"
_PERMISSION = "; make it readable and writable, or choose another place"
_WAYS_OUT = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), _ROOM),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), _PERMISSION),
}
_STDOUT = "stdout"


@contextmanager
def patient() -> Iterator[None]:
    """While it lasts, what is written to a pipe that nobody reads any more is dropped, and closed streams take all.

    Of stderr every failure is dropped: there is nowhere to tell it. Streams that others have put in place, such as
    those of tests, are left alone.
    """
    before = sys.stdout, sys.stderr
    if sys.stdin is None:
        _fill(_IN)
    sys.stdout, sys.stderr = _outliving(sys.stdout, _OUT), _outliving(sys.stderr, _ERR)
    try:
        yield
    finally:
        flushed(0)
        sys.stdout, sys.stderr = before


def flushed(code: int) -> int:
    """Write what is still held back; `code`, or 2 where stdout cannot be written and nothing went wrong before."""
    with suppress(OSError):
        sys.stderr.flush()
    try:
        sys.stdout.flush()
    except OSError as error:
        with suppress(OSError):
            sys.stderr.write(f"evalsuite: {error.filename}: {error.strerror}\n")
        return code or 2
    return code


def disk_error(error: BaseException) -> str | None:
    """One line on an error of the user's disk, or of the stream that is written to; None for any other error."""
    if isinstance(error, OSError) and error.errno in _DISK:
        way_out = _WAYS_OUT.get(error.errno or 0, "") if error.filename != _STDOUT else ""
        return f"{error.filename}: {error.strerror}{way_out}" if error.filename else f"{error.strerror}{way_out}"
    return None


def _outliving(stream: TextIO | None, descriptor: int) -> TextIO:
    if stream is None:
        return _substitute(descriptor)
    if all(stream is not standard for standard in (sys.__stdout__, sys.__stderr__)):
        return stream
    raw = _Outliving(descriptor, "w", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw), stream.encoding, "backslashreplace", line_buffering=bool(stream.line_buffering)
    )


@final
class _Outliving(io.FileIO):
    @override
    def write(self, data: "ReadableBuffer", /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            # what is still held back would fail again, at the latest when the interpreter ends
            _silence(self.fileno())
            if self.fileno() == _OUT and error.errno != errno.EPIPE:
                error.filename = _STDOUT
                raise
        return memoryview(data).nbytes


def _silence(descriptor: int) -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, descriptor)
    os.close(null)


def _substitute(descriptor: int) -> TextIO:
    """For a stream that was closed before the process began."""
    _fill(descriptor)
    return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123 - lives as long as the process


def _fill(descriptor: int) -> None:
    """No file that is opened later may get the number of a standard stream, and what libraries write to it."""
    try:
        os.fstat(descriptor)
    except OSError:
        null = os.open(os.devnull, os.O_RDWR)
        if null != descriptor:
            os.dup2(null, descriptor)
            os.close(null)
