"""Recognises a run that is finished when its command is typed again, without importing torch."""

import hashlib
import mmap
import re
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from evalsuite.config.options import Spec
from evalsuite.config.spec import LIBRARIES, digest
from evalsuite.data._by_name import data_files
from evalsuite.errors import UsageError
from evalsuite.files.given_paths import expanded, is_file
from evalsuite.files.trees import tree, walk
from evalsuite.networks.checkpoints.header import described
from evalsuite.parts.data_names import parse_data_name
from evalsuite.parts.names import split_options
from evalsuite.parts.recorded_data import check_recorded
from evalsuite.parts.registry import third_party
from evalsuite.records.schema import Results
from evalsuite.records.store import opened, reading
from evalsuite.version import __version__

_MOST_FILES, _MOST_BYTES = 10_000, 2**30
"""Of data whose content is looked at: a second or two."""


def typed() -> str:
    """The command line as it was typed, for the report."""
    return shlex.join(["evalsuite", *sys.argv[1:]])


def default_out(ckpt: Path) -> Path:
    """`reports/NAME` for a checkpoint called NAME."""
    return Path("reports") / ckpt.stem


def request_digest(spec: Spec, judged: Mapping[str, Path] | None = None) -> str | None:
    """Digest of the options and of all files that they name, to recognise a finished run; None where it cannot be.

    `judged`: networks made elsewhere, by what they are called; None where the run makes its own.

    Checkpoints and tables count by content; data by a stamp of every file that changes with every write to it, and by
    content too where that is read in moments. What other people's code makes of them cannot be told without running
    it: then there is no short cut.

    Raises:
        UsageError: The checkpoint is missing.
        RefusedInputError: Its header names data that only the user may name.
    """
    files = {name: _content(path, f"--{name.replace('_', '-')}") for name, path in spec.files().items()}
    if spec.classes is not None and is_file(expanded(spec.classes)):
        files["classes"] = _content(expanded(spec.classes), "--classes")
    named = spec.data or _recorded_data(spec.ckpt)
    data = () if named is None else data_files(named)
    networks = [spec.ckpt, *filter(None, [spec.separate]), *(judged or {}).values()]
    if data is None or _calls_others(spec) or any(map(leans_on_others, networks)):
        return None
    if judged is not None:
        files["judged"] = digest({name: _content(path, f"--{name}") for name, path in judged.items()})
    places = _of_tasks(spec.tasks)
    stamps = {
        "data_files": _stamps(data),
        "task_files": _stamps(file for path in places for file in (tree(path) if path.is_dir() else (path,))),
        # a class may be there without a photo
        "folders": _folders([*places, *_place_of(named)]),
        "version": __version__,
    }
    # a run file names the data that its checkpoint recorded
    return digest({**spec.canonical(), "data": named, **files, **stamps})


def finished(out: Path, request: str | None) -> Results | None:
    """The results of `out` if it holds just this run, complete, with its report, all as the run left it; else None."""
    if not all((out / name).exists() for name in ("results.json", "results.sqlite", "report.html")):
        return None
    from evalsuite.analysis.results_file import recognised

    with reading(out) as store:
        meta = store.meta()
        if request is None or meta.request != request or not meta.complete:
            return None
        results = recognised(out, store)
    # what a process has left that was killed in its last moment is cleared, unless the disk may only be read
    with suppress(UsageError, OSError), opened(out):
        pass
    return results


def _content(path: Path, option: str) -> str:
    if not path.is_file():
        raise UsageError(
            f"{option}: expected a file, got {path}, which {'is a folder' if path.is_dir() else 'is not there'}"
        )
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _recorded_data(ckpt: Path) -> str | None:
    """The data set that the checkpoint names in its own header, read without torch.

    Raises:
        RefusedInputError: The header names what only the user may.
    """
    header = described(ckpt)
    return None if header is None or header.data is None else check_recorded(header.data, ckpt)


def _calls_others(spec: Spec) -> bool:
    """Whether code takes part that no version of evalsuite stands for: the user's own, or that of another package."""
    parts = (*spec.pruner, *spec.tasks, *(spec.measures or ()), *spec.regularise, spec.retrain)
    words = {word.replace("-", "_") for part in parts for word in re.findall(r"[\w-]+", part)}
    others = third_party()
    # "all" of something may be theirs too
    return _names_code(spec.arch) or bool(others and words & {*others, "all"})


def _names_code(arch: str | None) -> bool:
    """Whether the architecture is made by a function of the user's own."""
    origin, colon, _ = (arch or "").partition("?")[0].partition(":")
    return bool(colon) and origin not in LIBRARIES


def leans_on_others(network: Path) -> bool:
    """Whether a network's file may keep its numbers in other files: ONNX names each by its `location`."""
    if not network.is_file() or not network.stat().st_size:
        return False
    with network.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        # archives of torch and files of safetensors hold all that they need
        return content[:2] != b"PK" and content[8:9] != b"{" and content.find(b"location") >= 0


def _of_tasks(tasks: Sequence[str]) -> list[Path]:
    """Every file and folder that tasks with examples of their own name."""
    options = [option for task in tasks for option in split_options(task)[1]]
    return sorted({expanded(value) for key, value in options if key in {"at", "classes"}})


def _place_of(data: str | None) -> list[Path]:
    """The file or folder behind the colon of a data set's name, where it has one."""
    parsed = None if data is None else parse_data_name(data)
    return [] if parsed is None or not parsed.argument else [parsed.path]


def _folders(paths: Iterable[Path]) -> list[str]:
    return [str(folder) for path in paths if path.is_dir() for folder, _ in walk(path)]


def _stamps(files: Iterable[Path]) -> list[str]:
    """What changes whenever a file is written to or another one is put in its place; links are followed."""
    states = [(file, file.stat()) for file in files if file.is_file()]
    stamps = [f"{file} {stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns} {stat.st_ino}" for file, stat in states]
    if len(states) > _MOST_FILES or sum(stat.st_size for _, stat in states) > _MOST_BYTES:
        return stamps
    # not every file system, and no clock that was set back, changes the stamp with every write
    return [*stamps, *(_content(file, "--data") for file, _ in states)]
