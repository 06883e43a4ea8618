"""The figures of `lost_in_pruning.py`: prune potential by task and against noise, excess error, errors."""

from contextlib import AbstractContextManager
from pathlib import Path

import matplotlib as mpl
import numpy as np
from lost_in_pruning_runs import DISTRIBUTIONS, SPLITS, Summary, errors, excess, groups, lines, names, potentials
from matplotlib.axes import Axes
from matplotlib.figure import Figure

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")


def draw_potentials(result: Summary, path: Path) -> None:
    """A panel for each training: potential by task, mean and range over the seeds."""
    with _style():
        figure = Figure(figsize=(10, 6.4), layout="constrained")
        for axes, training in zip(figure.subplots(2, 1), SPLITS, strict=True):
            train, test = names(training, result)
            expected = [pruner for each, pruner in groups(result) if each == training]
            for k, pruner in enumerate(expected):
                values = potentials(result, training, pruner, [*train, *test])
                if values.size:
                    _spread(axes, np.arange(values.shape[1]) + 0.16 * (k - 1.5), values, _COLOURS[k % 4], pruner)
            labels = [t.removeprefix("corruption/").removesuffix("/3").replace("_", " ") for t in [*train, *test]]
            axes.set_xticks(range(len(labels)), labels, rotation=40, ha="right")
            axes.axvspan(-0.5, len(train) - 0.5, color="#e9ebee", zorder=0, label="trained on")
            axes.set(xlim=(-0.6, len(labels) - 0.4), ylim=(-3, 103), ylabel="prune potential, %")
            axes.set_title(f"trained and retrained: {training}", loc="right")
            axes.legend(loc="lower left", bbox_to_anchor=(0, 1), fontsize=7, ncols=5, frameon=False)
        figure.savefig(path, metadata={"Date": None})


def draw_noise(result: Summary, path: Path) -> None:
    """A panel for each training: potential against the level of uniform noise."""
    levels = sorted({float(r.task.rpartition("/")[2]) for r in result.reached if r.task.startswith("noise/uniform/")})
    tasks = ["clean", *(f"noise/uniform/{level:g}" for level in levels)]
    with _style():
        figure = Figure(figsize=(8, 3.2), layout="constrained")
        for axes, training in zip(figure.subplots(1, 2, sharey=True), SPLITS, strict=True):
            for k, pruner in enumerate(p for each, p in groups(result) if each == training):
                values = potentials(result, training, pruner, tasks)
                if values.size:
                    beside = np.array([0, *levels]) + 0.0025 * (k - 1.5)
                    axes.plot(beside, values.mean(0), color=_COLOURS[k % 4], linewidth=1)
                    _spread(axes, beside, values, _COLOURS[k % 4], pruner)
            axes.set(ylim=(-3, 103), xlabel="uniform noise, of the range [0, 1]", title=training)
        figure.axes[0].set_ylabel("prune potential, %")
        _legend(figure)
        figure.savefig(path, metadata={"Date": None})


def draw_excess(result: Summary, path: Path) -> None:
    """A panel for each training: excess error of every network, and the lines through the origin."""
    with _style():
        figure = Figure(figsize=(8, 3.2), layout="constrained")
        for axes, training in zip(figure.subplots(1, 2, sharey=True), SPLITS, strict=True):
            axes.axhline(0, color="#1f2328", linewidth=0.8)
            mine = [(pruner, fitted) for each, pruner, _, fitted in lines(result) if each == training]
            for k, (pruner, fitted) in enumerate(mine):
                colour = _COLOURS[k % 4]
                ratios, values, _ = excess(result, training, pruner)
                axes.plot(100 * ratios, 100 * values, ".", color=colour, markersize=3)
                axes.plot([0, 100], [0, 100 * fitted.slope], color=colour, linewidth=1, label=pruner)
                if fitted.slope_low is not None and fitted.slope_high is not None:
                    ends = [0, 100 * fitted.slope_low], [0, 100 * fitted.slope_high]
                    axes.fill_between([0, 100], *ends, color=colour, alpha=0.15, linewidth=0)
            axes.set(xlabel="prune ratio, %", title=training)
        figure.axes[0].set_ylabel("difference in excess error, points")
        _legend(figure)
        figure.savefig(path, metadata={"Date": None})


def draw_errors(result: Summary, path: Path) -> None:
    """A panel for each distribution: mean error against the prune ratio, of both trainings."""
    with _style():
        figure = Figure(figsize=(10, 3.4), layout="constrained")
        for axes, (title, tasks) in zip(figure.subplots(1, 3, sharey=True), DISTRIBUTIONS.items(), strict=True):
            pruners = list(dict.fromkeys(pruner for _, pruner in groups(result)))
            for training, pruner in groups(result):
                colour = _COLOURS[pruners.index(pruner) % 4]
                ratios, values = errors(result, training, pruner, tasks)
                style = "-" if training == "standard" else "--"
                axes.plot(ratios, values.mean(0), style, color=colour, linewidth=1, label=f"{pruner}, {training}")
                axes.vlines(ratios, values.min(0), values.max(0), color=colour, linewidth=1)
            axes.set(xlim=(-2, 102), xlabel="prune ratio, %", title=title)
        figure.axes[0].set(ylim=(0, None), ylabel="error, %")
        _legend(figure)
        figure.savefig(path, metadata={"Date": None})


def _spread(axes: Axes, x: np.ndarray, values: np.ndarray, colour: str, label: str) -> None:
    axes.vlines(x, values.min(0), values.max(0), color=colour, linewidth=1)
    axes.plot(x, values.mean(0), "o", color=colour, markersize=3, label=label)


def _legend(figure: Figure) -> None:
    """One for all panels, above them: what it covers cannot be seen."""
    truth = [axes.get_legend_handles_labels() for axes in figure.axes]
    entries = {label: handle for subject in truth for handle, label in zip(*subject, strict=True)}
    figure.legend(entries.values(), entries.keys(), loc="outside upper center", ncols=4, fontsize=7, frameon=False)


def _style() -> AbstractContextManager[None]:
    return mpl.rc_context({"svg.hashsalt": "lost-in-pruning", "svg.fonttype": "none", "font.size": 8})
