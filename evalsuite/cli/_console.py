"""Prints and ends alike for every command: exit codes, one-line errors, progress on stderr, JSON on stdout."""

import json
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NoReturn, TextIO, final

import click

from evalsuite.cli import _debug
from evalsuite.cli._exits import invoked, kept_from_leaving
from evalsuite.cli._streams import disk_error, flushed, patient
from evalsuite.errors import EvalsuiteError, exit_code
from evalsuite.printable import one_line
from evalsuite.process.interruption import CODES, check, describe_end, listening
from evalsuite.process.third_party_code import described
from evalsuite.progress import Ticker, Tracker, clock

_USAGE = 2


def guarded(cli: click.Command) -> NoReturn:
    """Run `cli` and exit: 0-4 by contract, 5 on a crash, 129, 130 or 143 when stopped from outside.

    A reader of stdout that goes away changes neither what is done nor the exit code. Only what the command itself
    returns is a verdict: nothing that others' code raises, and no exit that it asks for, is taken for one.
    """
    _debug.forget()
    with listening() as watch, patient(), _plain_warnings(), _plain_threads(), kept_from_leaving():
        try:
            code = invoked(cli, sys.argv[1:])
            check()  # a signal that comes before the code is told is not lost
        except BaseException as error:  # noqa: BLE001 - the last line of defence: a crash must never look like a verdict
            _stop_display()
            code = _tell(error if watch is None else watch.instead_of(error))
        code = flushed(code)
        if watch is not None:
            watch.leave()
    sys.exit(code)


def _tell(error: BaseException) -> int:
    """Say what went wrong, on stderr; the exit code."""
    _debug.show(error)
    code = exit_code(error)
    match error:
        case _ if code in CODES.values():
            echo(f"evalsuite: {describe_end(code)}", err=True)
        case click.ClickException():
            echo(*_usage(error), f"Error: {error.format_message()}", err=True)
            return _USAGE
        case EvalsuiteError():
            first, *listed = error.lines
            echo(f"evalsuite: {first}", *listed, colour="red", err=True)
        case _ if (reason := disk_error(error)) is not None:
            echo(f"evalsuite: {reason}", colour="red", err=True)
            return _USAGE
        case _ if isinstance(usable := described(error), EvalsuiteError):
            echo(f"evalsuite: {usable}", colour="red", err=True)
            return exit_code(usable)
        case _:
            _debug.show(error, always=True)
            echo("evalsuite: internal error (this is a bug); what was finished is kept", colour="red", err=True)
    return code


def _usage(error: click.ClickException) -> list[str]:
    """How the command is called, as click shows it."""
    if not isinstance(error, click.UsageError) or error.ctx is None:
        return []
    context = error.ctx
    hint = f"Try '{context.command_path} {context.help_option_names[0]}' for help." if context.help_option_names else ""
    return [*context.get_usage().split("\n"), hint, ""]


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """While it lasts, warnings of libraries are one line each, and hold only what may be shown."""
    before = warnings.showwarning

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        del file, line
        echo(f"{filename}:{lineno}: {category.__name__}: {message}", err=True)

    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = before


@contextmanager
def _plain_threads() -> Iterator[None]:
    """While it lasts, an error that ends a thread is one line."""
    before = threading.excepthook

    def show(ended: threading.ExceptHookArgs) -> None:
        name = ended.thread.name if ended.thread is not None else "a thread"
        echo(f"evalsuite: {name} ended with {ended.exc_type.__name__}: {ended.exc_value}", err=True)

    threading.excepthook = show
    try:
        yield
    finally:
        threading.excepthook = before


def echo(*lines: str, err: bool = False, colour: str | None = None, bold: bool = False) -> None:
    """Lines on stdout or stderr, each as it may be shown: what files and libraries call things may be anything."""
    click.secho("\n".join(map(one_line, lines)), err=err, fg=colour, bold=bold)


def echo_labelled(label: str, colour: str, line: str) -> None:
    """One line on stdout behind a coloured word."""
    click.echo(f"{click.style(label, fg=colour)} {one_line(line)}")


def write_document(text: str) -> None:
    """A document of many lines on stdout that holds nothing but what may be shown."""
    click.echo(text)


def write_json(document: Mapping[str, object]) -> None:
    """One JSON document on stdout; JSON escapes by itself."""
    click.echo(json.dumps(document, indent=2))


def reporter() -> "Lines | Bars":
    """Bars on a terminal, plain lines elsewhere; both on stderr."""
    display = Bars() if sys.stderr is not None and sys.stderr.isatty() else Lines()
    _DISPLAYS.append(display)
    return display


_DISPLAYS: "list[Lines | Bars]" = []


def _stop_display() -> None:
    """Nothing is drawn any more: what is said from now on stands below the last bar."""
    while _DISPLAYS:
        _DISPLAYS.pop().stop()


@final
class Lines:
    """Plain lines: one as soon as a stage can say anything, then one every few seconds, whether it moves or not."""

    def __init__(self, every: float = 10.0, first: float = 1.0) -> None:
        self._every, self._first = every, first
        self._tracker, self._ticker = Tracker(), Ticker(every, self._tick)
        self._last_line = 0.0
        self._ticker.stop()

    def start(self, stage: str, total: float) -> None:
        """Say that a stage begins."""
        self.stop()
        self._tracker.start(stage, total)
        self._last_line = 0.0
        self.say(f"{stage} ...")
        self._ticker = Ticker(self._every, self._tick)

    def work_on(self, network: str, what: str = "") -> None:
        """Remember which."""
        self._tracker.work_on(network, what)

    def enter_epoch(self, epoch: int, epochs: int) -> None:
        """Remember which."""
        self._tracker.enter_epoch(epoch, epochs)

    def advance(self, amount: float, what: str, left: float | None = None, *, examples: int = 0) -> None:
        """Say how far the stage is, if nothing was said of it yet."""
        self._tracker.advance(amount, what, left, examples)
        if not self._last_line and self._tracker.position().elapsed >= self._first:
            self._tick()

    def skip(self, amount: float, what: str) -> None:
        """Remember it."""
        self._tracker.skip(amount, what)

    def finish(self) -> None:
        """Say how long the stage took."""
        self.stop()
        position = self._tracker.position()
        self.say(f"{position.stage} done in {clock(position.elapsed)}")

    def say(self, line: str) -> None:
        """One line on stderr."""
        echo(line, err=True)

    def stop(self) -> None:
        """No more lines of their own accord."""
        self._ticker.stop()

    def _tick(self) -> None:
        self._last_line = time.monotonic()
        self.say(self._tracker.position().line())


@final
class Bars:
    """A progress bar with the network, the epoch, the rate and the time that is left."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

        self._console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=20),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[details]}", markup=False),
            console=self._console,
        )
        self._tracker, self._task = Tracker(), 0
        self._ticker = Ticker(1.0, self._draw)
        self._ticker.stop()
        self._drawn = False

    def start(self, stage: str, total: float) -> None:
        """Draw a new bar."""
        from rich.markup import escape

        self.finish()
        self._tracker.start(stage, total)
        self._task = int(self._bar.add_task(escape(one_line(stage)), total=total or None, details=""))
        self._bar.start()
        self._drawn = True
        self._ticker = Ticker(1.0, self._draw)

    def work_on(self, network: str, what: str = "") -> None:
        """Show which."""
        self._tracker.work_on(network, what)
        self._draw()

    def enter_epoch(self, epoch: int, epochs: int) -> None:
        """Show which."""
        self._tracker.enter_epoch(epoch, epochs)
        self._draw()

    def advance(self, amount: float, what: str, left: float | None = None, *, examples: int = 0) -> None:
        """Move the bar; the next tick draws it."""
        self._tracker.advance(amount, what, left, examples)

    def skip(self, amount: float, what: str) -> None:
        """Move the bar; the next tick draws it."""
        self._tracker.skip(amount, what)

    def finish(self) -> None:
        """Leave the bar as it is, full, and stop drawing."""
        if self._drawn:
            self._draw(full=True)
        self.stop()

    def say(self, line: str) -> None:
        """One line above the bar."""
        self._console.print(one_line(line), highlight=False, markup=False, soft_wrap=True)

    def stop(self) -> None:
        """Leave the bar as it is and stop drawing."""
        self._ticker.stop()
        if self._drawn:
            self._drawn = False
            self._bar.stop()

    def _draw(self, *, full: bool = False) -> None:
        from rich.progress import TaskID

        position = self._tracker.position()
        details = "" if full else one_line("  ".join(position.details()))
        share = 1.0 if full else position.share
        task = next(task for task in self._bar.tasks if task.id == self._task)
        if full and task.total is None:
            self._bar.update(TaskID(self._task), total=1.0)
        done = None if share is None else share * (task.total or 1.0)
        self._bar.update(TaskID(self._task), completed=done, details=details)
