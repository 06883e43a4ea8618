"""Progress in a notebook: a few lines of text, updated in place."""

import sys
import time
from typing import Protocol, final, runtime_checkable

from evalsuite.printable import one_line
from evalsuite.progress import Reporter, Tracker, clock

_EVERY = 0.2
"""Seconds between two updates."""


@runtime_checkable
class _Display(Protocol):
    """What can be shown again in the same place."""

    def update(self, data: dict[str, str], *, raw: bool) -> None:
        """Show `data`, texts by their MIME type, in the place of what stands there."""


def notebook_reporter() -> Reporter | None:
    """A reporter that writes into the cell of the notebook that runs this; None where none does.

    IPython is not imported: where a notebook runs, it has been.
    """
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    # shells in a terminal have no kernel, and nothing there is updated in place
    return None if getattr(shell, "kernel", None) is None else NotebookLines()


@final
class NotebookLines:
    """Reporter that shows the lines so far, and one that says where the stage is.

    Nothing is drawn from another thread: the line moves when work is done, at most a few times a second.
    """

    def __init__(self) -> None:
        """Shows nothing yet."""
        self._tracker, self._lines = Tracker(), list[str]()
        self._display: _Display | None = None
        self._drawn_at = 0.0

    def start(self, stage: str, total: float) -> None:
        """Show that a stage begins."""
        self._tracker.start(stage, total)
        self._draw(now=True)

    def work_on(self, network: str, what: str = "") -> None:
        """Show which."""
        self._tracker.work_on(network, what)
        self._draw()

    def enter_epoch(self, epoch: int, epochs: int) -> None:
        """Show which."""
        self._tracker.enter_epoch(epoch, epochs)
        self._draw()

    def advance(self, amount: float, what: str, left: float | None = None, *, examples: int = 0) -> None:
        """Show how far the stage is."""
        self._tracker.advance(amount, what, left, examples)
        self._draw()

    def skip(self, amount: float, what: str) -> None:
        """Show how far the stage is."""
        self._tracker.skip(amount, what)
        self._draw()

    def finish(self) -> None:
        """Keep a line that says how long the stage took."""
        position = self._tracker.position()
        self._lines.append(f"{position.stage} done in {clock(position.elapsed)}")
        self._tracker.start("", 0.0)
        self._draw(now=True)

    def say(self, line: str) -> None:
        """Keep the line."""
        self._lines.append(line)
        self._draw(now=True)

    def _draw(self, *, now: bool = False) -> None:
        if not now and time.monotonic() - self._drawn_at < _EVERY:
            return
        self._drawn_at = time.monotonic()
        lines = [line for line in (*self._lines, self._tracker.position().line()) if line]
        text = {"text/plain": "\n".join(map(one_line, lines))}
        if self._display is not None:
            self._display.update(text, raw=True)
            return
        shown = sys.modules["IPython"].display.display(text, raw=True, display_id=True)
        self._display = shown if isinstance(shown, _Display) else None
