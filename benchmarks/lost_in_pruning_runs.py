"""What `lost_in_pruning.py` has made, read from stored results, and the paper's figures of merit of it."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np

from evalsuite.corruptions import MIX1, MIX2, SETS
from evalsuite.statistics.deployable import OverTasks, over_tasks
from evalsuite.statistics.excess import Regression, excess_error, regress

SPLITS = {"standard": ((), SETS["all"]), "augmented": (MIX1, MIX2)}
"""Corruptions that count as seen in training beside clean data, and those on which is tested, by recipe."""
DISTRIBUTIONS = {"clean": ("clean",), "mix1": tuple(f"corruption/{kind}/3" for kind in MIX1)} | {
    "mix2": tuple(f"corruption/{kind}/3" for kind in MIX2)
}
"""Tasks by what networks of both trainings are asked alike."""


@final
@dataclass(frozen=True, kw_only=True)
class Point:
    """One network on one task. Errors are shares of n examples, with the interval that the run gave."""

    training: str
    pruner: str
    seed: int
    prune_ratio: float
    task: str
    n: int
    error: float
    low: float
    high: float
    parent_error: float
    difference_low: float
    difference_high: float


@final
@dataclass(frozen=True, kw_only=True)
class Reached:
    """The prune potential of one family on one task."""

    training: str
    pruner: str
    seed: int
    task: str
    prune_potential: float
    commensurate: float
    margin: float


@final
@dataclass(frozen=True, kw_only=True)
class ByClean:
    """The networks that clean test data alone would ship, and how they do on the test distribution.

    Attributes:
        ratios: The prune potential on clean data, by seed; 0: the parent.
        worse: Pairs of a pruned network and a task on which it is shown to be more than the margin worse.
        within: Those on which it is shown to be within.
        pairs: All of them.
    """

    ratios: tuple[float, ...]
    worse: int
    within: int
    pairs: int


@final
@dataclass(frozen=True, kw_only=True)
class Summary:
    """Everything that is there."""

    points: tuple[Point, ...]
    reached: tuple[Reached, ...]


def read_runs(folder: Path) -> Summary:
    """The runs in `folder`: training/part-seed/results.json."""
    points: list[Point] = []
    reached: list[Reached] = []
    for path in sorted(folder.glob("*/*/results.json")):
        training, seed = path.parent.parent.name, int(path.parent.name.rpartition("-")[2])
        results = json.loads(path.read_text(encoding="utf-8"))
        pruners = {family["id"]: family["pruner"] for family in results["families"]}
        ratios = {n["id"]: n for n in results["networks"] if n["role"] == "pruned"}
        for cell in results["cells"]:
            if cell["measure"] == "error" and cell["network"] in ratios and cell["loss"] is not None:
                network = ratios[cell["network"]]
                points.append(
                    Point(
                        training=training,
                        pruner=network["pruner"],
                        seed=seed,
                        prune_ratio=network["prune_ratio"],
                        task=cell["task"],
                        error=cell["loss"],
                        **{key: cell[key] for key in ("n", "low", "high", "difference_low", "difference_high")},
                        parent_error=cell["parent_loss"],
                    )
                )
        for row in results["potential"]:
            if row["measure"] == "error" and row["prune_potential"] is not None:
                kept = {key: row[key] for key in ("task", "prune_potential", "commensurate", "margin")}
                reached.append(Reached(training=training, pruner=pruners[row["family"]], seed=seed, **kept))
    return Summary(points=tuple(points), reached=tuple(reached))


def names(training: str, result: Summary) -> tuple[list[str], list[str]]:
    """Tasks of the training distribution and of the test distribution that were asked."""
    requested = {reached.task for reached in result.reached}
    observed, tested = SPLITS[training]
    train = ["clean", *(f"corruption/{kind}/3" for kind in observed)]
    return [t for t in train if t in requested], [t for kind in tested if (t := f"corruption/{kind}/3") in requested]


def potentials(result: Summary, training: str, pruner: str, tasks: Sequence[str]) -> np.ndarray:
    """(seeds, tasks), in percent of weights; seeds that lack a task are left out."""
    table: dict[int, dict[str, float]] = {}
    for each in result.reached:
        if (each.training, each.pruner) == (training, pruner):
            table.setdefault(each.seed, {})[each.task] = 100 * each.prune_potential
    return np.array([[row[t] for t in tasks] for row in table.values() if row.keys() >= set(tasks)])


def groups(result: Summary) -> list[tuple[str, str]]:
    """(training, pruner), in order of appearance."""
    return sorted(dict.fromkeys((r.training, r.pruner) for r in result.reached), key=lambda g: g[0] != "standard")


def summary(result: Summary) -> Iterator[tuple[str, str, str, int, int, OverTasks]]:
    """Training, pruner, which distribution, seeds, tasks, and average and minimum potential over it."""
    for training, pruner in groups(result):
        for title, tasks in zip(("train", "test"), names(training, result), strict=True):
            values = potentials(result, training, pruner, tasks)
            if values.size:
                yield training, pruner, title, *values.shape, over_tasks(values)


def excess(result: Summary, training: str, pruner: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Prune ratio, difference in excess error (test minus train distribution) and seed of every network."""
    train, test = names(training, result)
    cells: dict[tuple[int, float], dict[str, Point]] = {}
    for point in result.points:
        if (point.training, point.pruner) == (training, pruner):
            cells.setdefault((point.seed, point.prune_ratio), {})[point.task] = point
    rows = [(*key, subject) for key, subject in sorted(cells.items()) if subject.keys() >= {*train, *test}]
    values = [
        excess_error(
            shifted=np.array([[subject[t].error for t in test]]),
            nominal=np.array([[subject[t].error for t in train]]),
            parent_shifted=np.array([subject[t].parent_error for t in test]),
            parent_nominal=np.array([subject[t].parent_error for t in train]),
        )[0]
        for _, _, subject in rows
    ]
    return np.array([r for _, r, _ in rows]), np.array(values), np.array([s for s, _, _ in rows], dtype=np.int64)


def lines(result: Summary) -> Iterator[tuple[str, str, int, Regression]]:
    """Training, pruner, networks and the regression of excess error on the prune ratio."""
    for training, pruner in groups(result):
        ratios, values, seeds = excess(result, training, pruner)
        if (ratios > 0).any():
            fitted = regress(ratios, values, seeds, generator=np.random.default_rng(0))
            yield training, pruner, len(ratios), fitted


def by_clean(result: Summary, training: str, pruner: str) -> ByClean:
    """One family a seed, held against the bounds that its run gave."""
    clean = {r.seed: r for r in result.reached if (r.training, r.pruner, r.task) == (training, pruner, "clean")}
    tested = set(names(training, result)[1])
    margin = {(r.seed, r.task): r.margin for r in result.reached if (r.training, r.pruner) == (training, pruner)}
    chosen = [
        point
        for point in result.points
        if (point.training, point.pruner) == (training, pruner)
        and point.task in tested
        and point.prune_ratio == clean[point.seed].prune_potential
    ]
    return ByClean(
        ratios=tuple(each.prune_potential for _, each in sorted(clean.items())),
        worse=sum(point.difference_low > margin[point.seed, point.task] for point in chosen),
        within=sum(point.difference_high <= margin[point.seed, point.task] for point in chosen),
        pairs=len(chosen),
    )


def errors(result: Summary, training: str, pruner: str, tasks: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Mean error over those of `tasks` that were asked, in percent: prune ratios (k,), and errors (seeds, k).

    Networks stand in the order of their ratios, the parent first; ratios are means over the seeds.
    """
    cells: dict[int, dict[float, dict[str, float]]] = {}
    for point in result.points:
        if (point.training, point.pruner) == (training, pruner) and point.task in tasks:
            source = cells.setdefault(point.seed, {0.0: {}})
            source[0.0][point.task] = point.parent_error
            source.setdefault(point.prune_ratio, {})[point.task] = point.error
    rows = [sorted(source.items()) for source in cells.values()]
    ratios = np.array([[100 * ratio for ratio, _ in row] for row in rows])
    return ratios.mean(0), np.array(
        [[100 * float(np.mean(list(source.values()))) for _, source in row] for row in rows]
    )
