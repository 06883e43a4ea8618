"""Explains SQLite's errors for a run folder, in one line each: what is wrong, and what to do."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Final

from evalsuite.errors import RefusedInputError, UsageError

_WRITABLE: Final = "make the folder and the file writable"
DISK: Final[Mapping[int, str]] = MappingProxyType(
    {
        sqlite3.SQLITE_FULL: "make room on the disk",
        sqlite3.SQLITE_IOERR: "make sure that the disk has room and works",
        sqlite3.SQLITE_CANTOPEN: "make sure that the disk has room, and that folder and file can be written",
        sqlite3.SQLITE_READONLY: _WRITABLE,
        sqlite3.SQLITE_PERM: _WRITABLE,
        sqlite3.SQLITE_AUTH: _WRITABLE,
    }
)
"""What a disk answers that no program can help, and what its owner can do."""
_DAMAGE: Final = frozenset(
    {
        *(sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH),
        *(sqlite3.SQLITE_SCHEMA, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_TOOBIG),
    }
)


class BusyError(UsageError):
    """Another process works in the run folder."""


@contextmanager
def explained(path: Path, patience: float) -> Iterator[None]:
    """Say what SQLite means, at whatever query it finds out.

    Args:
        path: The database.
        patience: Seconds that a query waits for another process.

    Raises:
        BusyError: Another process has been writing for so long.
        UsageError: The disk is full, may only be read, or the run folder is gone.
        RefusedInputError: The file is no database, or damaged.
    """
    try:
        yield
    except sqlite3.DatabaseError as error:
        if code(error) == sqlite3.SQLITE_BUSY:
            message = f"{path}: another process has been writing for {patience:g} s; try again"
            raise BusyError(message) from error
        if code(error) in DISK:
            raise UsageError(_of_disk(path, error)) from error
        if code(error) == sqlite3.SQLITE_NOTADB:
            message = f"{path}: expected an evalsuite store, got a file that SQLite refuses ({error})"
            raise RefusedInputError(f"{message}; move the file away, or choose another folder") from error
        if code(error) in _DAMAGE or _is_no_text(error):
            raise RefusedInputError(damaged(path, str(error))) from error
        raise


def _is_no_text(error: sqlite3.DatabaseError) -> bool:
    """Whether Python, not SQLite, found that a column is not the text that it should be."""
    return isinstance(error, sqlite3.OperationalError) and code(error) == 0


def code(error: sqlite3.DatabaseError) -> int:
    """SQLite's own code, less its details; 0 where the error is not SQLite's."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def damaged(path: Path, what: str) -> str:
    """The whole line on a store that cannot be read."""
    return (
        f"{path}: expected a whole evalsuite store, got one that is damaged inside ({what}); move the file away: the "
        f"run's own command then makes it anew"
    )


def _of_disk(path: Path, error: sqlite3.DatabaseError) -> str:
    if path.exists() and error.sqlite_errorcode != sqlite3.SQLITE_READONLY_DBMOVED:
        return f"{path}: {error}; what was finished is kept, {DISK[code(error)]}: the same command continues then"
    return (
        f"{path}: {error}; the file is not there, or another is: make sure that the disk has room and that nobody "
        f"takes the run folder away: the same command begins the run anew"
    )
