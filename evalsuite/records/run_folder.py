"""The run folder: which names in it are evalsuite's; files of others are never written over, links never followed.

A run writes only where nothing was, or where a run of evalsuite stands already. Every name that it writes is looked at
before: a link, a pipe or a device under such a name is refused, by those who read a run as well as by those who write.
"""

import errno
import json
import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from evalsuite.errors import RefusedInputError, UsageError
from evalsuite.files.atomic import PARTIAL
from evalsuite.wording import listed

STORE: Final = "results.sqlite"
LOCK: Final = "results.sqlite.lock"
RESULTS: Final = "results.json"
REPORT: Final = "report.html"
SETTINGS: Final = "run.toml"
PROGRESS: Final = "progress.json"
VERDICT: Final = "junit.xml"
NETWORKS: Final = "networks"
JOURNAL: Final = f"{STORE}-journal"
LOG: Final = f"{STORE}-wal"
_PAGES: Final = (RESULTS, REPORT, SETTINGS, PROGRESS, VERDICT)
_IN_PLACE: Final = (STORE, JOURNAL, LOG, f"{STORE}-shm")
"""Files that the database writes to where they lie; all others are put in place whole."""
_FILES: Final = (*_PAGES, *_IN_PLACE, LOCK)
_SCHEMAS: Final = {RESULTS: "evalsuite-results/", PROGRESS: "evalsuite-progress/"}
_SHOWN: Final = 3
_NETWORK: Final = r"[A-Za-z0-9._-]+\.safetensors"
_KINDS: Final = (
    (stat.S_ISLNK, "a link"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISREG, "a file"),
)


def check_usable(folder: Path) -> None:
    """Make sure, before anything is written, that a run may be made in `folder`: it is new, empty or holds a run.

    Raises:
        UsageError: It is a file, the root of all files, cannot be read, or holds what evalsuite did not write.
        RefusedInputError: As for `check_names`.
    """
    if os.path.realpath(folder) == folder.absolute().anchor:
        raise UsageError(f"--out: expected a folder for the run, got the root of all files: {folder}")
    try:
        if not folder.exists():
            return
        if not folder.is_dir():
            raise UsageError(f"--out: expected a folder for the run, got a file: {folder}")
        names = sorted(os.listdir(folder))  # noqa: PTH208 - names, not paths
    except OSError as error:
        raise UsageError(f"--out: expected a folder that can be read, got {folder} ({error.strerror})") from error
    strange = _strange(folder, names)
    if strange:
        raise UsageError(
            f"--out: expected a new or empty folder, or one that holds a run, got {folder}, which holds other files: "
            f"{listed([repr(each) for each in strange], _SHOWN)}; choose another --out"
        )
    check_names(folder, writing=True)


def make(folder: Path) -> None:
    """Make a run folder, or make sure that the one that is there can be written to.

    Raises:
        UsageError: It cannot.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise UsageError(f"--out: expected a folder that can be written to, got {folder} ({error.strerror})") from error


def check_names(folder: Path, *, writing: bool) -> None:
    """Make sure that what stands under evalsuite's names in a run folder are files and a folder of their own.

    Args:
        folder: A run folder; nothing is looked at where there is none.
        writing: Whether the database is to be written to: then it must have no second name elsewhere either.

    Raises:
        RefusedInputError: A name is a link, a pipe, a device; or the database has several names.
    """
    for name in (*_FILES, NETWORKS):
        facts = _look(folder / name)
        if facts is None:
            continue
        expected = "a folder" if name == NETWORKS else "a file"
        if _kind(facts.st_mode) != expected:
            raise RefusedInputError(
                f"{folder / name}: expected {expected} that a run wrote, got {_kind(facts.st_mode)}: nothing is "
                f"followed out of a run folder; put {expected} in its place, or choose another folder"
            )
        if writing and name in _IN_PLACE and facts.st_nlink > 1:
            raise RefusedInputError(
                f"{folder / name}: expected a file with one name, got one that has {facts.st_nlink} (hard links): what "
                f"is written here would stand there too; put a copy in its place"
            )


def is_file(path: Path) -> bool:
    """Whether `path` is a file itself, not a link to one."""
    facts = _look(path)
    return facts is not None and stat.S_ISREG(facts.st_mode)


def clear_partials(folder: Path) -> None:
    """Remove the files that a process of evalsuite was killed in the midst of, and nothing else."""
    _clear(folder, "|".join(map(re.escape, _PAGES)))
    facts = _look(folder / NETWORKS)
    if facts is not None and stat.S_ISDIR(facts.st_mode):
        _clear(folder / NETWORKS, _NETWORK)


def _strange(folder: Path, names: Sequence[str]) -> list[str]:
    """Which of `names` keep a folder from being used; a run's own pages do where there is no run that wrote them."""
    if STORE in names or (PROGRESS in names and _is_own(folder / PROGRESS)):
        return []
    results = RESULTS in names and _is_own(folder / RESULTS)
    ours = {LOCK, *((*_FILES, NETWORKS) if results else ())}
    left = re.compile(_partial("|".join(map(re.escape, _PAGES))))
    return [name for name in names if name not in ours and not left.fullmatch(name)]


def _is_own(path: Path) -> bool:
    """Whether evalsuite wrote a file of JSON."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8-sig")) if is_file(path) else None
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(stored, dict) and str(stored.get("schema")).startswith(_SCHEMAS[path.name])


def _clear(folder: Path, names: str) -> None:
    left = re.compile(_partial(names))
    for name in os.listdir(folder):  # noqa: PTH208 - names, not paths
        if left.fullmatch(name) and is_file(folder / name):
            (folder / name).unlink(missing_ok=True)


def _partial(names: str) -> str:
    return rf"\.(?:{names})\.[0-9a-f]{{8}}{re.escape(PARTIAL)}"


def _look(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _kind(mode: int) -> str:
    return next((kind for is_such, kind in _KINDS if is_such(mode)), "a device")
