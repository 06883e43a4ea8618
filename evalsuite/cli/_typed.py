"""What was typed: recognised again without importing torch."""

import hashlib
import json
import shlex
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from evalsuite.data_files import files_of, tree
from evalsuite.errors import UsageError
from evalsuite.networks._header import described
from evalsuite.spec import LIBRARIES, Spec, digest
from evalsuite.store import opened, reading
from evalsuite.version import __version__


def typed() -> str:
    """The command line as it was typed, for the report."""
    return shlex.join(["evalsuite", *sys.argv[1:]])


def default_out(ckpt: Path) -> Path:
    """`reports/NAME` for a checkpoint called NAME."""
    return Path("reports") / ckpt.stem


def request_digest(spec: Spec) -> str | None:
    """Digest of the options and of all files that they name, to recognise a finished run; None where it cannot be.

    Checkpoints and tables count by content; data by a stamp of every file that changes with every write to it. What
    code of the user's own makes cannot be told without running it: then there is no short cut.

    Raises:
        UsageError: The checkpoint is missing.
    """
    options = {"ckpt": spec.ckpt, "early": spec.early, "slices": spec.slices, "separate": spec.separate}
    files = {name: _content(path, f"--{name}") for name, path in options.items() if path is not None}
    if spec.classes is not None and Path(spec.classes).expanduser().is_file():
        files["classes"] = _content(Path(spec.classes).expanduser(), "--classes")
    named = spec.data or _recorded_data(spec.ckpt)
    data = () if named is None else files_of(named)
    if data is None or _names_code(spec.arch):
        return None
    stamps = {"data_files": _stamps(data), "task_files": _stamps(_of_tasks(spec.tasks)), "version": __version__}
    # a run file names the data that its checkpoint recorded
    return digest({**spec.canonical(), "data": named, **files, **stamps})


def finished(out: Path, request: str | None) -> dict[str, object] | None:
    """The results of `out` if it holds just this run, complete, with its report; else None."""
    results = out / "results.json"
    if not (results.exists() and (out / "results.sqlite").exists() and (out / "report.html").exists()):
        return None
    with reading(out) as store:
        meta = store.meta()
    if request is None or meta.get("request") != request or not meta.get("complete"):
        return None
    try:
        found = json.loads(results.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None  # the store is whole: they are made again from it
    # what a process has left that was killed in its last moment is cleared, unless the disk may only be read
    with suppress(UsageError, OSError), opened(out):
        pass
    return found if isinstance(found, dict) else None


def _content(path: Path, option: str) -> str:
    if not path.is_file():
        raise UsageError(
            f"{option}: expected a file, got {path}, which {'is a folder' if path.is_dir() else 'is not there'}"
        )
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _recorded_data(ckpt: Path) -> str | None:
    """The data set that the checkpoint names in its own header, read without torch."""
    header = described(ckpt)
    return None if header is None else header.data


def _names_code(arch: str | None) -> bool:
    """Whether the architecture is made by a function of the user's own."""
    origin, colon, _ = (arch or "").partition("?")[0].partition(":")
    return bool(colon) and origin not in LIBRARIES


def _of_tasks(tasks: Sequence[str]) -> list[Path]:
    """Every file that tasks with examples of their own name."""
    options = [option.partition("=") for task in tasks for option in task.partition("?")[2].split("&")]
    named = sorted({Path(value).expanduser() for key, _, value in options if key in {"at", "classes"}})
    return [file for path in named for file in (tree(path) if path.is_dir() else (path,))]


def _stamps(files: Iterable[Path]) -> list[str]:
    """What changes whenever a file is written to or another one is put in its place; links are followed."""
    return [
        f"{file} {stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns} {stat.st_ino}"
        for file in files
        if file.is_file() and (stat := file.stat())
    ]
