"""The contract of an exporter: a run's results, or a verdict on them, as a file of another tool's format."""

from abc import ABC, abstractmethod

from evalsuite.gate.checks import GateResult
from evalsuite.records.schema import Results


class Exporter(ABC):
    """Writes what another tool reads; concrete subclasses are frozen dataclasses, each in a file of its name."""

    @abstractmethod
    def export(self, results: Results, verdict: GateResult | None = None) -> str:
        """The text of the file; the same for the same results and verdict.

        Args:
            results: What the run has to say.
            verdict: What a gate said of them; None where none was asked.

        Raises:
            UsageError: The format shows a verdict, and there is none.
        """
