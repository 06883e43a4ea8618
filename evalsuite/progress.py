"""How long stages tell that they are alive; the command line draws it, the library stays silent."""

from typing import Protocol, final


class Reporter(Protocol):
    """Hears about the progress of stages that take more than a few seconds."""

    def start(self, stage: str, total: float) -> None:
        """A stage begins; `total` is its amount of work in any unit."""

    def advance(self, amount: float, what: str, left: float | None = None) -> None:
        """`amount` of the work is done, on `what`; `left` are the seconds left, where the stage knows better."""

    def finish(self) -> None:
        """The stage is done."""

    def say(self, line: str) -> None:
        """One line for the user."""


@final
class Silent:
    """Tells nothing."""

    def start(self, stage: str, total: float) -> None:
        """Nothing."""

    def advance(self, amount: float, what: str, left: float | None = None) -> None:
        """Nothing."""

    def finish(self) -> None:
        """Nothing."""

    def say(self, line: str) -> None:
        """Nothing."""
