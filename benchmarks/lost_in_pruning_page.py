"""What `lost_in_pruning.py` has made, as a page, figures and points: the paper's figures from stored results."""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import final

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evalsuite.corruptions import MIX1, MIX2, SETS
from evalsuite.decide.deployable import OverTasks, over_tasks
from evalsuite.decide.excess import Regression, excess_error, regress

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")
_SPLITS = {"standard": ((), SETS["all"]), "augmented": (MIX1, MIX2)}
"""Corruptions that count as seen in training beside clean data, and those on which is tested, by recipe."""


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
class Found:
    """Everything that is there."""

    points: tuple[Point, ...]
    reached: tuple[Reached, ...]


def read_runs(folder: Path) -> Found:
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
    return Found(points=tuple(points), reached=tuple(reached))


def names(training: str, found: Found) -> tuple[list[str], list[str]]:
    """Tasks of the training distribution and of the test distribution that were asked."""
    asked = {reached.task for reached in found.reached}
    seen, tested = _SPLITS[training]
    train = ["clean", *(f"corruption/{kind}/3" for kind in seen)]
    return [t for t in train if t in asked], [t for kind in tested if (t := f"corruption/{kind}/3") in asked]


def potentials(found: Found, training: str, pruner: str, tasks: Sequence[str]) -> np.ndarray:
    """(seeds, tasks), in percent of weights; seeds that lack a task are left out."""
    table: dict[int, dict[str, float]] = {}
    for each in found.reached:
        if (each.training, each.pruner) == (training, pruner):
            table.setdefault(each.seed, {})[each.task] = 100 * each.prune_potential
    return np.array([[row[t] for t in tasks] for row in table.values() if row.keys() >= set(tasks)])


def groups(found: Found) -> list[tuple[str, str]]:
    """(training, pruner), in order of appearance."""
    return sorted(dict.fromkeys((r.training, r.pruner) for r in found.reached), key=lambda g: g[0] != "standard")


def summary(found: Found) -> Iterator[tuple[str, str, str, int, int, OverTasks]]:
    """Training, pruner, which distribution, seeds, tasks, and average and minimum potential over it."""
    for training, pruner in groups(found):
        for title, tasks in zip(("train", "test"), names(training, found), strict=True):
            values = potentials(found, training, pruner, tasks)
            if values.size:
                yield training, pruner, title, *values.shape, over_tasks(values)


def excess(found: Found, training: str, pruner: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Prune ratio, difference in excess error (test minus train distribution) and seed of every network."""
    train, test = names(training, found)
    cells: dict[tuple[int, float], dict[str, Point]] = {}
    for point in found.points:
        if (point.training, point.pruner) == (training, pruner):
            cells.setdefault((point.seed, point.prune_ratio), {})[point.task] = point
    rows = [(*key, of) for key, of in sorted(cells.items()) if of.keys() >= {*train, *test}]
    values = [
        excess_error(
            shifted=np.array([[of[t].error for t in test]]),
            nominal=np.array([[of[t].error for t in train]]),
            parent_shifted=np.array([of[t].parent_error for t in test]),
            parent_nominal=np.array([of[t].parent_error for t in train]),
        )[0]
        for _, _, of in rows
    ]
    return np.array([r for _, r, _ in rows]), np.array(values), np.array([s for s, _, _ in rows], dtype=np.int64)


def lines(found: Found) -> Iterator[tuple[str, str, int, Regression]]:
    """Training, pruner, networks and the regression of excess error on the prune ratio."""
    for training, pruner in groups(found):
        ratios, values, seeds = excess(found, training, pruner)
        if (ratios > 0).any():
            fitted = regress(ratios, values, seeds, generator=np.random.default_rng(0))
            yield training, pruner, len(ratios), fitted


def by_clean(found: Found, training: str, pruner: str) -> ByClean:
    """One family a seed, held against the bounds that its run gave."""
    clean = {r.seed: r for r in found.reached if (r.training, r.pruner, r.task) == (training, pruner, "clean")}
    tested = set(names(training, found)[1])
    margin = {(r.seed, r.task): r.margin for r in found.reached if (r.training, r.pruner) == (training, pruner)}
    chosen = [
        point
        for point in found.points
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


# --- figures


def draw_potentials(found: Found, path: Path) -> None:
    """A panel for each training: potential by task, mean and range over the seeds."""
    with _style():
        figure = Figure(figsize=(10, 6.4), layout="constrained")
        for axes, training in zip(figure.subplots(2, 1), _SPLITS, strict=True):
            train, test = names(training, found)
            known = [pruner for each, pruner in groups(found) if each == training]
            for k, pruner in enumerate(known):
                values = potentials(found, training, pruner, [*train, *test])
                if values.size:
                    _spread(axes, np.arange(values.shape[1]) + 0.16 * (k - 1.5), values, _COLOURS[k % 4], pruner)
            labels = [t.removeprefix("corruption/").removesuffix("/3").replace("_", " ") for t in [*train, *test]]
            axes.set_xticks(range(len(labels)), labels, rotation=40, ha="right")
            axes.axvspan(-0.5, len(train) - 0.5, color="#e9ebee", zorder=0, label="trained on")
            axes.set(xlim=(-0.6, len(labels) - 0.4), ylim=(-3, 103), ylabel="prune potential, %")
            axes.set_title(f"trained and retrained: {training}", loc="right")
            axes.legend(loc="lower left", bbox_to_anchor=(0, 1), fontsize=7, ncols=5, frameon=False)
        figure.savefig(path, metadata={"Date": None})


def draw_noise(found: Found, path: Path) -> None:
    """A panel for each training: potential against the level of uniform noise."""
    levels = sorted({float(r.task.rpartition("/")[2]) for r in found.reached if r.task.startswith("noise/uniform/")})
    tasks = ["clean", *(f"noise/uniform/{level:g}" for level in levels)]
    with _style():
        figure = Figure(figsize=(8, 3.2), layout="constrained")
        for axes, training in zip(figure.subplots(1, 2, sharey=True), _SPLITS, strict=True):
            for k, pruner in enumerate(p for each, p in groups(found) if each == training):
                values = potentials(found, training, pruner, tasks)
                if values.size:
                    beside = np.array([0, *levels]) + 0.0025 * (k - 1.5)
                    axes.plot(beside, values.mean(0), color=_COLOURS[k % 4], linewidth=1)
                    _spread(axes, beside, values, _COLOURS[k % 4], pruner)
            axes.set(ylim=(-3, 103), xlabel="uniform noise, of the range [0, 1]", title=training)
        figure.axes[0].set_ylabel("prune potential, %")
        _legend(figure)
        figure.savefig(path, metadata={"Date": None})


def draw_excess(found: Found, path: Path) -> None:
    """A panel for each training: excess error of every network, and the lines through the origin."""
    with _style():
        figure = Figure(figsize=(8, 3.2), layout="constrained")
        for axes, training in zip(figure.subplots(1, 2, sharey=True), _SPLITS, strict=True):
            axes.axhline(0, color="#1f2328", linewidth=0.8)
            mine = [(pruner, fitted) for each, pruner, _, fitted in lines(found) if each == training]
            for k, (pruner, fitted) in enumerate(mine):
                colour = _COLOURS[k % 4]
                ratios, values, _ = excess(found, training, pruner)
                axes.plot(100 * ratios, 100 * values, ".", color=colour, markersize=3)
                axes.plot([0, 100], [0, 100 * fitted.slope], color=colour, linewidth=1, label=pruner)
                if fitted.slope_low is not None and fitted.slope_high is not None:
                    ends = [0, 100 * fitted.slope_low], [0, 100 * fitted.slope_high]
                    axes.fill_between([0, 100], *ends, color=colour, alpha=0.15, linewidth=0)
            axes.set(xlabel="prune ratio, %", title=training)
        figure.axes[0].set_ylabel("difference in excess error, points")
        _legend(figure)
        figure.savefig(path, metadata={"Date": None})


def _spread(axes: Axes, x: np.ndarray, values: np.ndarray, colour: str, label: str) -> None:
    axes.vlines(x, values.min(0), values.max(0), color=colour, linewidth=1)
    axes.plot(x, values.mean(0), "o", color=colour, markersize=3, label=label)


def _legend(figure: Figure) -> None:
    """One for all panels, above them: what it covers cannot be seen."""
    known = [axes.get_legend_handles_labels() for axes in figure.axes]
    entries = {label: handle for of in known for handle, label in zip(*of, strict=True)}
    figure.legend(entries.values(), entries.keys(), loc="outside upper center", ncols=4, fontsize=7, frameon=False)


def _style() -> AbstractContextManager[None]:
    return mpl.rc_context({"svg.hashsalt": "lost-in-pruning", "svg.fonttype": "none", "font.size": 8})


# --- the page


def write_page(folder: Path, out: Path) -> Path:
    """Write `page.md`, three figures and two tables of points to `out`; returns the page."""
    found = read_runs(folder)
    out.mkdir(parents=True, exist_ok=True)
    for name, draw in (("potential", draw_potentials), ("noise", draw_noise), ("excess", draw_excess)):
        draw(found, out / f"{name}.svg")
    _write(out / "points.csv", Point, (asdict(p) for p in found.points))
    _write(out / "potentials.csv", Reached, (asdict(r) for r in found.reached))
    page = out / "page.md"
    page.write_text("\n".join(_page(found)) + "\n", encoding="utf-8")
    return page


def _page(found: Found) -> Iterator[str]:
    counts = ", ".join(str(n) for n in sorted({point.n for point in found.points}))
    margins = ", ".join(f"{100 * margin:g}" for margin in sorted({reached.margin for reached in found.reached}))
    yield "# Lost in Pruning on a small scale"
    yield ""
    yield f"Every figure from {counts} held-out examples, margin {margins} points."
    yield from ("", "## Prune potential over training and test distributions", "", *_potential_table(found))
    yield from ("", "![Prune potential by task](potential.svg)", "")
    yield from ("## What clean test data alone would ship", "", *_clean_table(found))
    yield from ("", "## Noise", "", "![Prune potential against noise](noise.svg)", "")
    yield from ("## Difference in excess error", "", *_excess_table(found))
    yield from ("", "![Difference in excess error](excess.svg)", "")
    yield "Points: `points.csv` (errors), `potentials.csv`."


def _potential_table(found: Found) -> Iterator[str]:
    yield "Percent; mean ± standard deviation over seeds of the average and of the minimum over the distributions."
    yield "Trained on clean data: clean against all corruptions at severity 3. Augmented: clean and mix1 against mix2."
    yield ""
    yield "| training | pruner | distributions | seeds | average | minimum |"
    yield "|---|---|---|---|---|---|"
    for training, pruner, title, seeds, tasks, over in summary(found):
        average, minimum = (f"{s.mean:.1f} ± {s.std:.1f}" for s in (over.average, over.minimum))
        yield f"| {training} | {pruner} | {title} ({tasks}) | {seeds} | {average} | {minimum} |"


def _clean_table(found: Found) -> Iterator[str]:
    yield "Each seed's network at the prune potential of clean data, on the test distributions: pairs of a network and"
    yield "a corruption, by whether one-sided bounds show it to be worse than its parent by more than the margin."
    yield ""
    yield "| training | pruner | clean potential by seed, % | shown worse | shown within | open |"
    yield "|---|---|---|---|---|---|"
    for training, pruner in groups(found):
        seen = by_clean(found, training, pruner)
        ratios = ", ".join(f"{100 * ratio:.1f}" for ratio in seen.ratios)
        undecided = seen.pairs - seen.worse - seen.within
        yield f"| {training} | {pruner} | {ratios} | {seen.worse} of {seen.pairs} | {seen.within} | {undecided} |"


def _excess_table(found: Found) -> Iterator[str]:
    yield "Points at a prune ratio of 100 %, by least squares through the origin;"
    yield "the 95 % interval resamples whole seeds."
    yield ""
    yield "| training | pruner | networks | slope | interval |"
    yield "|---|---|---|---|---|"
    for training, pruner, networks, fitted in lines(found):
        low, high = fitted.slope_low, fitted.slope_high
        interval = "one seed" if low is None or high is None else f"{100 * low:+.2f} to {100 * high:+.2f}"
        yield f"| {training} | {pruner} | {networks} | {100 * fitted.slope:+.2f} | {interval} |"


def _write(path: Path, kind: type[Point] | type[Reached], rows: Iterable[Mapping[str, object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(kind)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
