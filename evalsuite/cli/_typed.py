"""What was typed: recognised again without importing torch."""

import hashlib
import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from evalsuite.errors import UsageError
from evalsuite.spec import Spec, digest
from evalsuite.store import opened


def typed() -> str:
    """The command line as it was typed, for the report."""
    return shlex.join(["evalsuite", *sys.argv[1:]])


def default_out(ckpt: Path) -> Path:
    """`reports/NAME` for a checkpoint called NAME."""
    return Path("reports") / ckpt.stem


def request_digest(spec: Spec) -> str:
    """Digest of the options and of the files that they name: by content for checkpoints, by size and date for data.

    Raises:
        UsageError: The checkpoint is missing.
    """
    files = {"ckpt": _content(spec.ckpt, "--ckpt")}
    if spec.early is not None:
        files["early"] = _content(spec.early, "--early")
    if spec.slices is not None:
        files["slices"] = _content(spec.slices, "--slices")
    if spec.separate is not None:
        files["separate"] = _content(spec.separate, "--separate")
    return digest({**spec.canonical(), **files, "data_files": _stamps(spec.data), "task_files": _own(spec.tasks)})


def finished(out: Path, request: str) -> dict[str, object] | None:
    """The results of `out` if it holds just this run, complete, with its report; else None."""
    results = out / "results.json"
    if not (results.exists() and (out / "results.sqlite").exists() and (out / "report.html").exists()):
        return None
    with opened(out) as store:
        meta = store.meta()
    if meta.get("request") != request or not meta.get("complete"):
        return None
    found = json.loads(results.read_text(encoding="utf-8"))
    return found if isinstance(found, dict) else None


def _content(path: Path, option: str) -> str:
    if not path.is_file():
        raise UsageError(
            f"{option}: expected a file, got {path}, which {'is a folder' if path.is_dir() else 'is not there'}"
        )
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _stamps(data: str | None) -> list[str]:
    """Size and date of every file of a data set that is named by its path."""
    kind, colon, rest = (data or "").partition(":")
    if not colon or kind not in {"folder", "npz"}:
        return []
    return _stamped(Path(rest.partition("?")[0]))


def _own(tasks: Sequence[str]) -> list[str]:
    """Size and date of every file that tasks with examples of their own name."""
    options = [option.partition("=") for task in tasks for option in task.partition("?")[2].split("&")]
    named = {value for key, _, value in options if key in {"at", "classes"}}
    return [stamp for path in sorted(named) for stamp in _stamped(Path(path).expanduser())]


def _stamped(path: Path) -> list[str]:
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return [f"{file} {stat.st_size} {stat.st_mtime_ns}" for file in files if file.is_file() and (stat := file.stat())]
