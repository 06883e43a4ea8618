"""Files that are either there whole or not at all."""

import os
import secrets
from pathlib import Path

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


def clear_partials(folder: Path) -> None:
    """Remove what a process that was killed while writing to `folder`, or a folder in it, left behind."""
    for partial in folder.rglob(f".*{_PARTIAL}"):
        partial.unlink(missing_ok=True)
