"""Lists files in folders, however deep: links are followed, what systems leave beside files is left out."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from evalsuite.errors import RefusedInputError
from evalsuite.files.regular_files import kind_of

_MOST_VISITS: Final = 1000
"""Of one folder, by different links."""

# what systems and tools leave beside files: no photos, no classes
_LITTER: Final = frozenset(
    {
        *("__macosx", "@eadir", "$recycle.bin", "system volume information", "lost+found", "__pycache__"),
        *("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"),
    }
)


def is_litter(name: str) -> bool:
    """Whether a file or folder called `name` is hidden, or one of those that systems leave everywhere."""
    return name.startswith(".") or name.lower() in _LITTER


def walk(folder: Path) -> list[tuple[Path, list[str]]]:
    """`folder` and all folders below it with the names of their files, sorted; links are followed, litter left out.

    Raises:
        RefusedInputError: Links lead to the same folders over and over, or something in a folder is no file: a pipe, a
            socket or a device.
    """
    return sorted(_walked(str(folder)), key=lambda entry: str(entry[0]))


def _walked(folder: str) -> Iterator[tuple[Path, list[str]]]:
    ahead: list[tuple[str, frozenset[str]]] = [(folder, frozenset())]
    visits: dict[str, int] = {}
    while ahead:
        at, above = ahead.pop()
        real = os.path.realpath(at)
        # a link to a folder above would be followed for ever
        if real in above or not Path(at).is_dir():
            continue
        # two links in each of thirty folders to the next are a thousand million ways
        visits[real] = visits.get(real, 0) + 1
        if visits[real] > _MOST_VISITS:
            raise RefusedInputError(f"expected links to different folders in {folder}, got many ways to {real}")
        files: list[str] = []
        with os.scandir(at) as entries:
            for entry in entries:
                if is_litter(entry.name):
                    continue
                if entry.is_dir():
                    ahead.append((entry.path, above | {real}))
                else:
                    _check_file(entry)
                    files.append(entry.name)
        yield Path(at), sorted(files)


def _check_file(entry: os.DirEntry[str]) -> None:
    if entry.is_file(follow_symlinks=False):
        return
    try:
        kind = kind_of(entry.stat().st_mode)
    except OSError:
        return  # a link that leads nowhere: whoever reads it says so
    if kind is not None:
        raise RefusedInputError(f"expected files, got {kind}: {entry.path}")


def tree(folder: Path) -> tuple[Path, ...]:
    """All files below `folder`."""
    return tuple(at / name for at, names in walk(folder) for name in names)
