"""Reads and writes `progress.json` in the run folder: what a running process tells whoever asks how far it is.

It is written about once a second while something moves, and every few seconds while nothing does, so that its age tells
a working process from a dead one on any machine that sees the folder.
"""

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal, final, get_args

from evalsuite.errors import exit_code
from evalsuite.files.atomic import partial
from evalsuite.printable import one_line
from evalsuite.process.interruption import check, telling
from evalsuite.progress import READING, Position, Reporter, Ticker, Tracker
from evalsuite.records.run_folder import PROGRESS, check_usable, is_file, make

FILE = PROGRESS
SCHEMA = "evalsuite-progress/1"
_EVERY = 1.0
_AT_REST = 5.0
_STALE = 60.0
_MOST_PROCESSES = 2**31
_FOREVER = 1e15
"""Seconds; NaN is not below it either."""

Sign = Literal["working", "silent", "killed", "finished", "stopped"]


@final
@dataclass(frozen=True, kw_only=True)
class Heartbeat:
    """The last that was heard of a process.

    Attributes:
        process: Its id.
        host: The machine's name.
        born: When the process was started, in ticks since the machine was; tells it from a later one that got the same
            id. None where the system does not say.
        began: Seconds since 1970.
        updated: Seconds since 1970, when this was written.
        moved: Seconds since 1970, when the work last moved.
        state: "working", or how it ended.
        exit_code: That it ended with, less the verdict of a gate; None while it works.
        position: Where it was.
        error: The last error, in one line; empty if there was none.
    """

    process: int
    host: str
    born: int | None
    began: float
    updated: float
    moved: float
    state: Literal["working", "finished", "stopped"] = "working"
    exit_code: int | None = None
    position: Position = field(default_factory=Position)
    error: str = ""

    def sign(self) -> Sign:
        """Whether the process lives: as it said itself, and as the system says where it is this machine's."""
        if self.state != "working":
            return self.state
        if self.host == socket.gethostname():
            return "working" if _lives(self.process, self.born) else "killed"
        return "working" if self.age() <= _STALE else "silent"

    def age(self) -> float:
        """Seconds since the last word."""
        return max(0.0, time.time() - self.updated)


def read(folder: Path) -> Heartbeat | None:
    """The heartbeat of the last process that worked in a run folder; None where there is none that can be read."""
    try:
        if not is_file(folder / FILE):
            return None
        stored = json.loads((folder / FILE).read_text(encoding="utf-8"))
        if stored.pop("schema") != SCHEMA:
            return None
        position = Position(**stored.pop("position"))
        beat = Heartbeat(position=position, **stored)
        return beat if _is_sound(beat) else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _is_sound(beat: Heartbeat) -> bool:
    """Whether every value is of its kind: the file may be anybody's."""
    at = beat.position
    words: tuple[object, ...] = (beat.host, beat.error, at.stage, at.network, at.what)
    counts: tuple[object, ...] = (beat.process, beat.born, beat.exit_code, at.epoch, at.epochs)
    times: tuple[object, ...] = (beat.began, beat.updated, beat.moved, at.elapsed)
    others: tuple[object, ...] = tuple(number for number in (at.share, at.rate, at.left) if number is not None)
    return (
        beat.state in get_args(Heartbeat.__annotations__["state"])
        and all(isinstance(word, str) for word in words)
        and all(count is None or isinstance(count, int) for count in counts)
        and all(isinstance(number, int | float) and abs(number) < _FOREVER for number in (*times, *others))
        and 0 < beat.process < _MOST_PROCESSES
    )


@contextmanager
def recorded(reporter: Reporter, folder: Path) -> Iterator[Reporter]:
    """`reporter`, and what it hears is written to `folder` too, until the work ends in whatever way.

    What is recorded already, or belongs to another process that works in `folder`, is left as it is. The folder is made
    where it is missing. Work that is refused before it begins leaves folder and record as they were.

    Raises:
        UsageError: The folder holds files of others, or cannot be written to.
        RefusedInputError: What stands under the name of one of evalsuite's own files is a link, or none.
    """
    check_usable(folder)
    other = read(folder)
    busy = other is not None and other.process != os.getpid() and other.sign() == "working"
    if isinstance(reporter, Recorded) or busy:
        yield reporter
        return
    before, made = _content(folder), _made(folder)
    record = Recorded(reporter, folder)
    try:
        with telling(lambda code: record.close("stopped", code)):
            yield record
            check()  # work that ends just after a signal ends with the signal's code all the same
    except BaseException as error:
        record.close("stopped", exit_code(error), f"{error}".strip() or type(error).__name__)
        if not record.began:
            _restore(folder, before, made)
        raise
    else:
        record.close("finished", 0)


@final
class Recorded:
    """A reporter whose words are written down.

    Attributes:
        began: Whether a stage has begun that does more than to read.
    """

    def __init__(self, reporter: Reporter, folder: Path) -> None:
        self._reporter, self._path, self._tracker = reporter, folder / FILE, Tracker()
        self._lock, self.began = threading.Lock(), False
        now = time.time()
        process = os.getpid()
        self._last = Heartbeat(
            process=process, host=socket.gethostname(), born=_born(process), began=now, updated=now, moved=now
        )
        self._written = 0.0
        self._write(moved=True)
        self._ticker = Ticker(_AT_REST, lambda: self._write(moved=False))

    def start(self, stage: str, total: float) -> None:
        """A stage begins."""
        self.began = self.began or stage != READING
        self._tracker.start(stage, total)
        self._write(moved=True)
        self._reporter.start(stage, total)

    def work_on(self, network: str, what: str = "") -> None:
        """Another network."""
        self._tracker.work_on(network, what)
        self._now_and_then()
        self._reporter.work_on(network, what)

    def enter_epoch(self, epoch: int, epochs: int) -> None:
        """Another epoch."""
        self._tracker.enter_epoch(epoch, epochs)
        self._now_and_then()
        self._reporter.enter_epoch(epoch, epochs)

    def advance(self, amount: float, what: str, left: float | None = None, *, examples: int = 0) -> None:
        """The work moves."""
        self._tracker.advance(amount, what, left, examples)
        self._now_and_then()
        self._reporter.advance(amount, what, left, examples=examples)

    def skip(self, amount: float, what: str) -> None:
        """Work that was done before."""
        self._tracker.skip(amount, what)
        self._now_and_then()
        self._reporter.skip(amount, what)

    def finish(self) -> None:
        """The stage is done."""
        self._write(moved=True)
        self._reporter.finish()

    def say(self, line: str) -> None:
        """One line for the user."""
        self._reporter.say(line)

    def close(self, state: Literal["finished", "stopped"], code: int, error: str = "") -> None:
        """The last word."""
        self._ticker.stop()
        with self._lock:
            if self._last.state == "working":
                line = one_line(error.partition("\n  ")[0])
                self._last = replace(self._last, state=state, exit_code=code, error=line)
                self._put(moved=False)

    def _now_and_then(self) -> None:
        if time.monotonic() - self._written >= _EVERY:
            self._write(moved=True)

    def _write(self, *, moved: bool) -> None:
        with self._lock:
            if self._last.state == "working":  # the last word has been spoken otherwise
                self._put(moved=moved)

    def _put(self, *, moved: bool) -> None:
        now, self._written = time.time(), time.monotonic()
        self._last = replace(
            self._last,
            updated=now,
            moved=now if moved else self._last.moved,
            position=self._tracker.position(),
        )
        # not `write_atomically`: what is worth a second need not survive a power cut, nor may a full disk stop a run
        _replace(self._path, json.dumps({"schema": SCHEMA, **asdict(self._last)}, indent=1).encode())


def _replace(path: Path, content: bytes) -> None:
    temporary = partial(path)
    with suppress(OSError):
        with temporary.open("xb") as file:
            file.write(content)
        temporary.replace(path)
    with suppress(OSError):
        temporary.unlink(missing_ok=True)


def _made(folder: Path) -> list[Path]:
    """Makes `folder`; the folders that had to be made, the innermost first."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    make(folder)
    return missing


def _content(folder: Path) -> bytes | None:
    try:
        return (folder / FILE).read_bytes()
    except OSError:
        return None


def _restore(folder: Path, before: bytes | None, made: list[Path]) -> None:
    """Put the record back that stood there before, or take away what was made for nothing but this one."""
    if before is not None:
        _replace(folder / FILE, before)
        return
    with suppress(OSError):
        (folder / FILE).unlink()
        for each in made:
            each.rmdir()  # the first that holds anything ends it


def _born(process: int) -> int | None:
    fields = _stat(process)
    return None if fields is None else int(fields[19])


def _lives(process: int, born: int | None) -> bool:
    fields = _stat(process)
    if fields is not None:  # one that has ended and was not yet waited for is in state Z
        return fields[0] != "Z" and (born is None or int(fields[19]) == born)
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _stat(process: int) -> list[str] | None:
    """What Linux says of a process from its state on; None where there is no such process, or no such system."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text(encoding="utf-8")
    except OSError:
        return None
    return stat.rpartition(")")[2].split()  # the name in parentheses before may hold anything
