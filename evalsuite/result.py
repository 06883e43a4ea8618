"""Results of a run in Python: looked up, drawn, put into tables, held to a policy, read again from a folder."""

from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Literal, final

from typing_extensions import override

from evalsuite.analysis.observation_rows import observation_rows
from evalsuite.analysis.results_file import read_back
from evalsuite.errors import UnknownNameError, UsageError
from evalsuite.files.private_paths import without_folders_in
from evalsuite.gate.checks import GateResult
from evalsuite.gate.judge import judge
from evalsuite.gate.policy import read_policy
from evalsuite.records.schema import Cell, Potential, Results
from evalsuite.records.store import reading

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

Table = Literal["networks", "cells", "claims", "observations"]
Document = dict[str, object]


@final
@dataclass(frozen=True, kw_only=True, repr=False)
class Result:
    """Results of one run; equal to those that `load` reads from its folder.

    Attributes:
        folder: The run folder: report.html, results.json, the store and the networks.
        results: What the run has to say, with named fields.
    """

    folder: Path
    results: Results

    @override
    def __repr__(self) -> str:
        limit = self.results.deployable
        networks, tasks = len(self.results.networks), len(self.results.tasks)
        ratio = "nothing is shown to be deployable"
        if limit is not None and limit.ratio:
            binding = f", bound by {limit.binding_task}" if limit.binding_task else ""
            ratio = f"deployable to {limit.ratio:.1%}{binding}"
        evidence = "complete" if self.results.complete else "incomplete"
        return f"<Result {str(self.folder)!r}: {ratio}; {networks} networks, {tasks} tasks, {evidence}>"

    @cached_property
    def summary(self) -> Document:
        """`results.json` as a dictionary."""
        return self.results.document()

    @property
    def deployable(self) -> Document | None:
        """Ratio, network and binding task of the family that goes furthest; None where evidence is missing."""
        limit = self.results.deployable
        return None if limit is None else limit.document()

    def commensurate(self, task: str, measure: str = "error", family: str | None = None) -> Document:
        """How far a task lets a family be pruned: ratio, prune potential, what ended the claim, verdict of every step.

        Args:
            task: Full name, e.g. "corruption/fog/3"; a path in it may be written as it was typed.
            measure: Name of the measure.
            family: E.g. "magnitude-0"; the first by default.

        Raises:
            KeyError: There is no such task, measure or family.
        """
        for row in self.results.potential:
            named = row.task in {task, without_folders_in(task)}
            if named and row.measure == measure and family in {None, row.family}:
                return {**row.document(), "steps": self._steps(row)}
        raise KeyError(f"expected a task, measure and family of this run, got {task!r}, {measure!r}, {family!r}")

    def to_frame(self, table: Table) -> "DataFrame":
        """A pandas table.

        Args:
            table: "networks", a row each; "cells": a network on a task as a measure reads it; "claims": how far a task
                and measure lets a family be pruned; "observations": an example as a network answered it under a task,
                read from the run's store.

        Raises:
            UsageError: pandas is not installed, or there is no such table.
        """
        try:
            from pandas import DataFrame  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise UsageError("to_frame needs pandas: pip install 'evalsuite[notebook]'") from error
        return DataFrame(self.rows(table))

    def rows(self, table: Table) -> list[Document]:
        """What `to_frame` shows, as dictionaries; it needs no pandas."""
        if table == "observations":
            with reading(self.folder) as store:
                return list(observation_rows(store))
        tables = {"networks": self.results.networks, "cells": self.results.cells, "claims": self.results.potential}
        if table not in tables:
            raise UnknownNameError("table", table, (*tables, "observations"))
        return [row.document() for row in tables[table]]

    def figure(
        self, kind: Literal["loss", "ratios"], *, task: str | None = None, measure: str | None = None
    ) -> "Figure":
        """A figure of the report, as a matplotlib `Figure` that no window shows; `savefig` writes it.

        Args:
            kind: "loss": loss against prune ratio on `task`; "ratios": commensurate prune ratio of every task.
            task: Full name, for "loss".
            measure: Which of the task's measures is read, for "loss"; None: the one that the report shows.

        Raises:
            UsageError: There is no such figure, task or measure.
        """
        from evalsuite.report.figures.single import loss_figure, ratio_figure  # noqa: PLC0415 - matplotlib takes a while

        if kind == "ratios":
            return ratio_figure(self.results)
        if kind != "loss":
            raise UnknownNameError("figure", kind, ("loss", "ratios"))
        if task is None:
            raise UsageError("figure('loss') is of one task: expected task=NAME, got none")
        return loss_figure(self.results, without_folders_in(task), measure)

    def gate(self, policy: str | PathLike[str]) -> GateResult:
        """The run's verdict under a policy (TOML), from results that are made again from its store.

        Raises:
            IncompleteEvidenceError: The run was taken up again since.
            RefusedInputError: Store and results do not belong together, or one of them is damaged.
            UsageError: The policy is none, or the folder holds no run.
        """
        demands = read_policy(Path(policy))
        return judge(demands, *read_back(self.folder))

    def _repr_html_(self) -> str:
        """The answer and a matrix of verdicts, as notebooks show it."""
        from evalsuite.report.fragment import fragment  # noqa: PLC0415 - imports matplotlib

        return fragment(self.results)

    def _steps(self, reached: Potential) -> list[Document]:
        networks = [network for network in self.results.networks if network.family == reached.family]
        networks.sort(key=lambda network: network.prune_ratio or 0.0)
        cells = {each.network: each for each in self.results.cells if _is_of(each, reached)}
        return [
            {**cells[network.id].document(), "prune_ratio": network.prune_ratio}
            for network in networks
            if network.id in cells
        ]


def load(run: str | PathLike[str]) -> Result:
    """The results of a finished run, made again from its store.

    Args:
        run: A run folder, or its results.json.

    Raises:
        IncompleteEvidenceError: The run has not ended, or was taken up again.
        RefusedInputError: Store and results do not belong together, or one of them is damaged.
        UsageError: There is no such run.
    """
    path = Path(run)
    results, _ = read_back(path)
    return Result(folder=path if path.is_dir() else path.parent, results=results)


def _is_of(cell: Cell, reached: Potential) -> bool:
    return (cell.task, cell.measure) == (reached.task, reached.measure)
