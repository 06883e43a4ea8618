"""How long stages tell that they are alive; the command line draws it, the library stays silent."""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, final

from evalsuite.process.interruption import check

READING = "Reading"
"""The stage before any work: files are read and options checked."""
_WINDOW = 30.0
"""Seconds of work that a rate is taken over."""


class Reporter(Protocol):
    """Hears about the progress of stages that take more than a few seconds."""

    def start(self, stage: str, total: float) -> None:
        """A stage begins; `total` is its amount of work in any unit."""

    def work_on(self, network: str, what: str = "") -> None:
        """From now on `network` is worked on, and `what` is done with it."""

    def enter_epoch(self, epoch: int, epochs: int) -> None:
        """The network is trained; `epoch`, from 1, of `epochs` begins."""

    def advance(self, amount: float, what: str, left: float | None = None, *, examples: int = 0) -> None:
        """`amount` of the work is done, on `what`.

        `left` are the seconds left, where the stage knows better; `examples` went through a network meanwhile, each
        counted once a network.
        """

    def skip(self, amount: float, what: str) -> None:
        """`amount` of the work was done before: no pace can be told from it."""

    def finish(self) -> None:
        """The stage is done."""

    def say(self, line: str) -> None:
        """One line for the user."""


@final
class Silent:
    """Tells nothing."""

    def start(self, stage: str, total: float) -> None:
        """Nothing."""

    def work_on(self, network: str, what: str = "") -> None:
        """Nothing."""

    def enter_epoch(self, epoch: int, epochs: int) -> None:
        """Nothing."""

    def advance(self, amount: float, what: str, left: float | None = None, *, examples: int = 0) -> None:
        """Nothing."""

    def skip(self, amount: float, what: str) -> None:
        """Nothing."""

    def finish(self) -> None:
        """Nothing."""

    def say(self, line: str) -> None:
        """Nothing."""


@final
@dataclass(frozen=True, kw_only=True)
class Position:
    """How far a stage is.

    Attributes:
        stage: Its name; empty before the first and after the last.
        network: What is worked on; empty where the stage does not say.
        epoch: From 1; None where nothing is trained.
        epochs: Of this training.
        what: A few words: the task, the score.
        share: Of the stage's work that is done, in [0, 1]; None where the work cannot be told.
        rate: Examples a second, over the last half minute of work; None before the first.
        left: Seconds until the end of the stage; None where they cannot be told yet.
        elapsed: Seconds since the stage began.
    """

    stage: str = ""
    network: str = ""
    epoch: int | None = None
    epochs: int | None = None
    what: str = ""
    share: float | None = None
    rate: float | None = None
    left: float | None = None
    elapsed: float = 0.0

    def details(self) -> list[str]:
        """Network, epoch, rate, time left and what else there is, as far as they are known."""
        epoch = "" if self.epoch is None else f"epoch {self.epoch}/{self.epochs}"
        rate = "" if self.rate is None else f"{_number(self.rate)} examples/s"
        left = "" if self.left is None else f"{clock(self.left)} left"
        return [piece for piece in (self.network, epoch, rate, left, self.what) if piece]

    def line(self) -> str:
        """All of it in one line."""
        share = "" if self.share is None else f" {self.share:.0%}"
        return "  ".join((f"{self.stage}{share}", *self.details()))


@final
class Tracker:
    """Works out where a stage is from what it reports; may be asked from another thread.

    Whatever a stage reports, it can be left at that moment: here it hears of signals (TerminatedError).
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.start("", 0.0)

    def start(self, stage: str, total: float) -> None:
        """As of `Reporter`."""
        check()
        with self._lock:
            self._began = self._since = time.monotonic()
            self._stage, self._total, self._done, self._skipped = stage, total, 0.0, 0.0
            self._network, self._what = "", ""
            self._epoch: int | None = None
            self._epochs: int | None = None
            self._known_end: float | None = None
            self._pace: deque[tuple[float, float, int]] = deque()  # from, to, examples

    def work_on(self, network: str, what: str) -> None:
        """As of `Reporter`."""
        check()
        with self._lock:
            self._network, self._what = network, what
            self._epoch, self._epochs = None, None
            self._since = time.monotonic()

    def enter_epoch(self, epoch: int, epochs: int) -> None:
        """As of `Reporter`."""
        check()
        with self._lock:
            self._epoch, self._epochs = epoch, epochs

    def advance(self, amount: float, what: str, left: float | None, examples: int) -> None:
        """As of `Reporter`."""
        check()
        with self._lock:
            now = time.monotonic()
            self._done, self._what = self._done + amount, what
            self._known_end = None if left is None else now + left
            if examples:
                self._pace.append((self._since, now, examples))
                while len(self._pace) > 1 and self._pace[0][1] < now - _WINDOW:
                    self._pace.popleft()
            self._since = now

    def skip(self, amount: float, what: str) -> None:
        """As of `Reporter`."""
        check()
        with self._lock:
            self._done, self._skipped, self._what = self._done + amount, self._skipped + amount, what
            self._since = time.monotonic()

    def position(self) -> Position:
        """Where the stage is now."""
        with self._lock:
            now = time.monotonic()
            return Position(
                stage=self._stage,
                network=self._network,
                epoch=self._epoch,
                epochs=self._epochs,
                what=self._what,
                share=min(1.0, self._done / self._total) if self._total else None,
                rate=self._rate(),
                left=self._left(now),
                elapsed=now - self._began,
            )

    def _rate(self) -> float | None:
        worked = sum(until - since for since, until, _ in self._pace)
        return sum(examples for _, _, examples in self._pace) / worked if worked > 0 else None

    def _left(self, now: float) -> float | None:
        if self._known_end is not None:
            return max(0.0, self._known_end - now)
        fresh = self._done - self._skipped
        return max(0.0, (now - self._began) * (self._total - self._done) / fresh) if fresh > 0 else None


@final
class Ticker:
    """Calls something every so many seconds, from a thread of its own that keeps no process alive."""

    def __init__(self, seconds: float, call: Callable[[], None]) -> None:
        self._seconds, self._call, self._ended = seconds, call, threading.Event()
        threading.Thread(target=self._run, name="evalsuite progress", daemon=True).start()

    def stop(self) -> None:
        """No more calls begin."""
        self._ended.set()

    def _run(self) -> None:
        while not self._ended.wait(self._seconds):
            self._call()


def clock(seconds: float) -> str:
    """`3 h 05 min`, `4 min 10 s`, `12 s`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def _number(value: float) -> str:
    return f"{value:.2g}" if value < 10 else f"{value:,.0f}"
