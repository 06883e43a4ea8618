"""Paths as users give them: with `~`, and perhaps none at all."""

from pathlib import Path

from evalsuite.errors import UsageError


def expanded(path: str | Path) -> Path:
    """`path` with `~` as shells have it: of a user whom nobody knows it stays as it is.

    Raises:
        UsageError: It holds a null character, which no system of files can have.
    """
    if "\0" in str(path):
        raise UsageError(f"expected a path, got one with a null character: {str(path)!r}")
    try:
        return Path(path).expanduser()
    except RuntimeError:  # no such user, or one without a home
        return Path(path)


def exists(path: Path) -> bool:
    """Whether something is there; nothing is where a name is longer than any file's, or cannot be looked up."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def is_file(path: Path) -> bool:
    """Whether a file is there; text that may be a path or something else is no file where it is too long for one."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False
