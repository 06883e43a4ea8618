"""What a reader may do with an input: give a value, or refuse it in one line; everything else is a finding."""

import contextlib
import io
import resource
import sys
import time
import traceback
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, final

import click

from evalsuite.cli._console import _tell
from fuzz.effects import Effects

Kind = Literal["read", "usage", "refused", "exception", "message", "memory", "time", "effect", "death"]
FINDINGS: Final = ("exception", "message", "memory", "time", "effect", "death")
"""Kinds that must not be."""
CPU_SECONDS: Final = 5.0
GROWTH: Final = 2**30
"""Bytes by which a process may grow over one input."""
_LONGEST_LINE: Final = 2000 + len("evalsuite: ")
_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_JOINERS: Final = frozenset("\u200c\u200d")
_HERE: Final = str(Path(__file__).parent)


@final
@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one input.

    Attributes:
        kind: One of `Kind`.
        key: What findings of one cause share: what was raised and where.
        detail: For whoever looks into it.
    """

    kind: Kind
    key: str = ""
    detail: str = ""


def judged(read: Callable[[], object], effects: Effects) -> Outcome:
    """Runs `read` once."""
    _forget_peak()
    before, started = _status("VmRSS"), _cpu()
    with effects.watched():
        outcome = _ended(read)
    if effects.recorded:
        return Outcome(kind="effect", key=effects.recorded[0], detail="\n".join(effects.recorded[:20]))
    spent, growth = _cpu() - started, _status("VmHWM") - before
    if growth > GROWTH:
        return Outcome(
            kind="memory",
            key=f"{outcome.kind} {outcome.key}",
            detail=f"grew by {growth / 1e9:.1f} GB; {outcome.detail}",
        )
    if spent > CPU_SECONDS:
        return Outcome(kind="time", key=f"{outcome.kind} {outcome.key}", detail=f"took {spent:.1f} s; {outcome.detail}")
    return outcome


def objection(message: str) -> str | None:
    """What is wrong with what a user is told; None where nothing is."""
    if len(message.splitlines()) > 1:
        return f"{len(message.splitlines())} lines"
    if len(message) > _LONGEST_LINE:
        return f"{len(message)} characters"
    if hidden := sorted({c for c in message if unicodedata.category(c) in _HIDDEN and c not in _JOINERS}):
        return f"characters that are not shown ({', '.join(f'U+{ord(c):04X}' for c in hidden[:4])})"
    return None if message.removeprefix("evalsuite:").strip() else "no words"


def _ended(read: Callable[[], object]) -> Outcome:
    try:
        read()
    except BaseException as error:  # noqa: BLE001 - that is what is looked for
        return _complaint(error)
    return Outcome(kind="read")


def _complaint(error: BaseException) -> Outcome:
    """By what the command line makes of the error: an exit code, and what a terminal is shown."""
    if _out_of_memory(error):
        return Outcome(kind="memory", key=place(error), detail=_message(error))
    heard = io.StringIO()
    try:
        with contextlib.redirect_stderr(heard):
            code = _tell(error)
    except Exception as worse:  # noqa: BLE001 - what ends the process in Python's own way, with exit code 1
        return Outcome(kind="exception", key=f"{type(worse).__name__} {place(worse)}", detail=_message(worse))
    if code not in {2, 3, 4}:
        return Outcome(kind="exception", key=f"{type(error).__name__} {place(error)}", detail=_message(error))
    message = heard.getvalue().removesuffix("\n")
    if isinstance(error, click.UsageError):  # below how the command is called
        message = message.rpartition("\n")[2]
    if (wrong := objection(message)) is not None:
        return Outcome(kind="message", key=place(error), detail=f"{wrong}: {message[:3000]!r}")
    return Outcome(kind="refused" if code == 4 else "usage", key=place(error))


def place(error: BaseException) -> str:
    """The innermost line of evalsuite's own, else of whoever raised."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith(_HERE)]
    our_frames = [
        f for f in frames if any(f"/{package}/" in f.filename for package in ("evalsuite", "pruners", "neuralnets"))
    ]
    if not frames:
        return "nowhere"
    last = (our_frames or frames)[-1]
    return f"{'/'.join(Path(last.filename).parts[-2:])}:{last.lineno} {last.name}"


def _message(error: BaseException) -> str:
    lines = traceback.format_exception(error)
    return "".join(lines)[-4000:]


def _out_of_memory(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, MemoryError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _cpu() -> float:
    process, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return process.ru_utime + process.ru_stime + children.ru_utime + children.ru_stime


def _forget_peak() -> None:
    if sys.platform == "linux":
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _status(key: str) -> int:
    """Bytes, as Linux says of this process; 0 elsewhere."""
    if sys.platform != "linux":
        return 0
    for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024
    return 0


def now() -> float:
    """Seconds of a clock that does not jump."""
    return time.monotonic()
