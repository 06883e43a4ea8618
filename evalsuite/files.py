"""Files that are either there whole or not at all."""

import os
import secrets
from pathlib import Path

from evalsuite.errors import UsageError

_PARTIAL = ".partial"


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a hidden file beside `path`, flush it to disk, put it in place in one step; folders are made as needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # not tempfile: its files keep others out whatever the umask says
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}{_PARTIAL}")
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


def check_writable(path: Path, option: str) -> None:
    """Make sure, before any work is done for it, that `path` can be written; the folders above it are made as needed.

    Args:
        path: The file to come; one that is there already is not touched.
        option: By which the user named it, for messages: "--out".

    Raises:
        UsageError: It is a folder or a device, or nothing can be written there.
    """
    probe = path.with_name(f".{path.name}.{secrets.token_hex(4)}{_PARTIAL}") if path.name else path
    try:
        if path.is_dir() or (path.exists() and not path.is_file()):
            kind = "a folder" if path.is_dir() else "no regular file"
            raise UsageError(f"{option}: expected the path of a file to write, got {path}, which is {kind}")
        path.parent.mkdir(parents=True, exist_ok=True)
        probe.touch(exist_ok=False)
        probe.unlink()
    except OSError as error:
        raise UsageError(f"{option}: expected a place that can be written, got {path} ({error.strerror})") from error


def clear_partials(folder: Path) -> None:
    """Remove what a process that was killed while writing to `folder`, or a folder in it, left behind."""
    for partial in folder.rglob(f".*{_PARTIAL}"):
        partial.unlink(missing_ok=True)
