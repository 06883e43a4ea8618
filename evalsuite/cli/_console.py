"""What every command does alike: exit codes, one-line errors, progress on stderr, JSON on stdout."""

import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Mapping
from types import FrameType
from typing import NoReturn, final

import click

from evalsuite.errors import EvalsuiteError

_INTERNAL = 5


@final
class _TerminatedError(BaseException):
    """SIGTERM arrived; unwinds like Ctrl-C so that files are closed."""


def guarded(cli: click.Command) -> NoReturn:
    """Run `cli` and exit: 0-4 by contract, 5 on a crash, 130 or 143 when stopped from outside."""
    signal.signal(signal.SIGTERM, _terminate)
    try:
        code = cli.main(standalone_mode=False)
    except click.exceptions.Exit as stop:
        code = stop.exit_code
    except click.ClickException as error:
        error.show(file=sys.stderr)
        code = 2
    except EvalsuiteError as error:
        click.secho(f"evalsuite: {error}", fg="red", err=True)
        code = error.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("evalsuite: interrupted; what was finished is kept, the same command continues", err=True)
        code = 130
    except _TerminatedError:
        click.echo("evalsuite: terminated; what was finished is kept, the same command continues", err=True)
        code = 143
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except Exception:  # noqa: BLE001 - the last line of defence: a crash must never look like a verdict
        traceback.print_exc()
        click.secho("evalsuite: internal error (this is a bug); what was finished is kept", fg="red", err=True)
        code = _INTERNAL
    sys.exit(code if isinstance(code, int) else 0)


def _terminate(_signum: int, _frame: FrameType | None) -> NoReturn:
    raise _TerminatedError


def write_json(document: Mapping[str, object]) -> None:
    """One JSON document on stdout."""
    click.echo(json.dumps(document, indent=2))


def reporter() -> "Lines | Bars":
    """Bars on a terminal, plain lines elsewhere; both on stderr."""
    return Bars() if sys.stderr.isatty() else Lines()


@final
class Lines:
    """Plain lines, at most one every few seconds."""

    _every = 10.0

    def __init__(self) -> None:
        self._stage, self._total, self._done = "", 0.0, 0.0
        self._began = self._told = time.monotonic()

    def start(self, stage: str, total: float) -> None:
        """Say that a stage begins."""
        self._stage, self._total, self._done = stage, total, 0.0
        self._began = self._told = time.monotonic()
        self.say(f"{stage} ...")

    def advance(self, amount: float, what: str, left: float | None = None) -> None:
        """Say how far the stage is, now and then."""
        self._done += amount
        now = time.monotonic()
        if now - self._told >= self._every and self._total:
            self._told = now
            if left is None and self._done:
                left = (now - self._began) * (self._total - self._done) / self._done
            self.say(f"{self._stage} {self._done / self._total:4.0%}  {_left(left)}  {what}")

    def finish(self) -> None:
        """Say how long the stage took."""
        self.say(f"{self._stage} done in {_clock(time.monotonic() - self._began)}")

    def say(self, line: str) -> None:
        """One line on stderr."""
        click.echo(line, err=True)


@final
class Bars:
    """A progress bar with the time that is left."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

        self._console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=30),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}  [dim]{task.fields[what]}"),
            console=self._console,
        )
        self._task: int | None = None
        self._began, self._total, self._done = time.monotonic(), 0.0, 0.0

    def start(self, stage: str, total: float) -> None:
        """Draw a new bar."""
        self.finish()
        self._began, self._total, self._done = time.monotonic(), total, 0.0
        self._bar.start()
        self._task = int(self._bar.add_task(stage, total=total, what="", left=""))

    def advance(self, amount: float, what: str, left: float | None = None) -> None:
        """Move the bar."""
        self._done += amount
        if left is None and self._done:
            left = (time.monotonic() - self._began) * (self._total - self._done) / self._done
        if self._task is not None:
            from rich.progress import TaskID

            self._bar.update(TaskID(self._task), completed=self._done, what=what, left=_left(left))

    def finish(self) -> None:
        """Leave the bar as it is and stop drawing."""
        if self._task is not None:
            from rich.progress import TaskID

            self._bar.update(TaskID(self._task), what="", left="")
            self._bar.stop()
            self._task = None

    def say(self, line: str) -> None:
        """One line above the bar."""
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)


def _left(seconds: float | None) -> str:
    return "" if seconds is None else f"{_clock(seconds)} left"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
