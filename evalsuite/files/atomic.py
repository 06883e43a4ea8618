"""Writes files whole or not at all."""

import os
import secrets
from pathlib import Path

from evalsuite.errors import UsageError

PARTIAL = ".partial"
"""How the name of a file ends that is being written; before it stand the file's own name and eight hex digits."""

_HEAD = 4096


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a hidden file beside `path`, flush it to disk, put it in place in one step; folders are made as needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # not tempfile: its files keep others out whatever the umask says
    temporary = partial(path)
    try:
        with temporary.open("xb") as file:
            file.write(content.encode("utf-8") if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        error.filename = str(path)  # the file that was asked for, not the hidden one
        raise
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_own(path: Path, content: str, *, mark: str) -> None:
    """As `write_atomically`, to a place that nobody named: what stands there is replaced where evalsuite wrote it.

    Args:
        path: The file.
        content: What is written.
        mark: Stands within the first `_HEAD` bytes of all that evalsuite writes to such a place.

    Raises:
        UsageError: Something else stands there.
    """
    if os.path.lexists(path) and not _is_marked(path, mark.encode()):
        raise UsageError(f"{path}: expected a file that evalsuite wrote, got another; it is left as it is")
    write_atomically(path, content)


def _is_marked(path: Path, mark: bytes) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as file:
        head = file.read(_HEAD)
    return not head or mark in head  # an empty one holds nothing to lose


def partial(path: Path) -> Path:
    """Where a file lies while it is written; another place with every call."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}{PARTIAL}")


def check_writable(path: Path, option: str) -> None:
    """Make sure, before any work is done for it, that `path` can be written; the folders above it are made as needed.

    Args:
        path: The file to come; one that is there already is not touched.
        option: By which the user named it, for messages: "--out".

    Raises:
        UsageError: It is a folder or a device, or nothing can be written there.
    """
    probe = partial(path) if path.name else path
    try:
        if path.is_dir() or (path.exists() and not path.is_file()):
            kind = "a folder" if path.is_dir() else "no regular file"
            raise UsageError(f"{option}: expected the path of a file to write, got {path}, which is {kind}")
        path.parent.mkdir(parents=True, exist_ok=True)
        probe.touch(exist_ok=False)
        probe.unlink()
    except OSError as error:
        raise UsageError(f"{option}: expected a place that can be written, got {path} ({error.strerror})") from error
