"""Draws what `study.py` has made, and says which published orderings appear: python benchmarks/pruners/figures.py."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from points import Point, Right, read_runs, write_csv

from evalsuite.statistics import tango

HERE = Path(__file__).parent / "results"
FIRST = {"weights": "magnitude", "channels": "filter_norm"}
_GREY, _BLUE, _RED = "#8c959f", "#0072b2", "#d55e00"

Claim = tuple[str, str, str, str]
"""Setting, the method that is said to do better, the one that is said to do worse, and who says so."""

CLAIMS: tuple[Claim, ...] = (
    ("weights", "magnitude", "random", "Han et al. 2015"),
    ("weights", "magnitude", "magnitude?allocation=uniform", "Gale et al. 2019; Blalock et al. 2020"),
    ("weights", "magnitude?allocation=lamp", "magnitude", "Lee et al. 2021"),
    ("weights", "magnitude?allocation=lamp", "magnitude?allocation=erk", "Lee et al. 2021"),
    ("weights", "magnitude", "snip", "Frankle et al. 2021"),
    ("weights", "magnitude", "grasp", "Frankle et al. 2021"),
    ("weights", "magnitude", "synflow", "Frankle et al. 2021"),
    ("weights", "woodfisher", "magnitude", "Singh and Alistarh 2020"),
    ("weights", "sipp", "magnitude", "Baykal et al. 2021 (alike in Liebenwein et al. 2021)"),
    ("weights", "iss_p", "magnitude", "Bai et al. 2023"),
    ("weights", "greedy_allocation", "magnitude?allocation=uniform", "Yang et al. 2018"),
    ("weights", "constrained_rl", "greedy_allocation", "Malik et al. 2021"),
    ("weights", "magnitude, cascade", "magnitude", "Han et al. 2015; Frankle and Carbin 2019"),
    ("weights", "magnitude, cascade", "magnitude, lottery ticket", "Renda et al. 2020"),
    ("weights", "magnitude", "control: shuffled", "Frankle et al. 2021"),
    ("weights", "magnitude", "control: reinitialised", "Frankle and Carbin 2019"),
    ("weights", "magnitude", "control: random", "Frankle et al. 2021"),
    ("channels", "filter_norm", "control: random", "Li et al. 2017; Mittal et al. 2018 say otherwise"),
    ("channels", "taylor", "filter_norm", "Molchanov et al. 2019"),
    ("channels", "fisher", "filter_norm", "Liu et al. 2021"),
    ("channels", "fpgm", "filter_norm", "He et al. 2019"),
    ("channels", "thinet", "filter_norm", "Luo et al. 2017"),
    ("channels", "hrank", "filter_norm", "Lin et al. 2020"),
    ("channels", "pfp", "filter_norm", "Liebenwein et al. 2020"),
    ("channels", "singe", "taylor", "Ganesh et al. 2022"),
    ("channels", "coreset", "filter_norm", "Mussay et al. 2020"),
    ("channels", "greg", "filter_norm", "Wang et al. 2021"),
    ("channels", "greg", "greg?variant=greg1", "Wang et al. 2021"),
    ("channels", "rni", "slimming", "Suteu and Guo 2022"),
    ("channels", "filter_norm?allocation=global", "filter_norm", "Liu et al. 2017"),
    ("channels", "control: scratch", "filter_norm", "Liu et al. 2019, with full training"),
    ("channels", "filter_norm, cascade", "filter_norm", "Molchanov et al. 2017"),
    ("channels", "filter_norm", "control: width", "against Crowley et al. 2018"),
)


def by_method(points: Sequence[Point]) -> dict[str, dict[float, list[Point]]]:
    """Method → target ratio → one point a seed."""
    result: dict[str, dict[float, list[Point]]] = {}
    for point in points:
        result.setdefault(point.method, {}).setdefault(point.target, []).append(point)
    return {method: dict(sorted(result[method].items())) for method in sorted(result)}


def draw(setting: str, points: Sequence[Point], across: str, path: Path) -> None:
    """Accuracy against prune ratio or FLOP reduction, a panel a method: mean and range over the seeds."""
    curves = by_method(points)
    flat = {"parent", "control: dense"}
    methods = [method for method in curves if method not in flat and method != FIRST[setting]]
    columns = 5
    rows = -(-len(methods) // columns)
    with mpl.rc_context({"svg.hashsalt": "pruners", "svg.fonttype": "none", "font.size": 8}):
        figure = Figure(figsize=(11, 1.9 * rows + 0.6), layout="constrained")
        panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).flat
        for method, axes in zip(methods, panels, strict=False):
            for level, colour in (("control: dense", _GREY), ("parent", "#1f2328")):
                if level in curves:
                    axes.axhline(mean(p.accuracy for p in curves[level][0.0]), color=colour, lw=0.7, ls=":")
            _curve(axes, curves[FIRST[setting]], across, _GREY)
            _curve(axes, curves[method], across, _RED if method.startswith("control") else _BLUE)
            axes.set_title(method, loc="left", fontsize=8)
            axes.spines[["top", "right"]].set_visible(False)
        for axes in list(panels):
            axes.set_visible(False)
        for axes in figure.axes[max(0, len(methods) - columns) : len(methods)]:
            axes.tick_params(labelbottom=True)
        figure.supxlabel({"prune_ratio": "prune ratio", "flop_reduction": "FLOP reduction"}[across], fontsize=9)
        figure.supylabel("accuracy on held-out examples, %", fontsize=9)
        title = (
            f"grey: {FIRST[setting]}; dotted: the parents, and the parents trained as long; bands: range of the seeds"
        )
        figure.suptitle(title, fontsize=9)
        figure.savefig(path, metadata={"Date": None, "Creator": None})


def _curve(axes: Axes, curve: Mapping[float, Sequence[Point]], across: str, colour: str) -> None:
    x = [mean(getattr(point, across) for point in seeds) for seeds in curve.values()]
    values = [[point.accuracy for point in seeds] for seeds in curve.values()]
    axes.plot(x, [mean(each) for each in values], "o-", ms=2.5, lw=1.2, color=colour)
    axes.fill_between(x, [min(each) for each in values], [max(each) for each in values], color=colour, alpha=0.2, lw=0)


def accuracies(points: Sequence[Point], targets: Sequence[float]) -> str:
    """Mean over the seeds and their range, as Markdown."""
    lines = ["| method | " + " | ".join(f"{target:g}" for target in targets) + " |"]
    lines.append("|---|" + "---:|" * len(targets))
    for method, curve in by_method(points).items():
        if 0.0 in curve:
            lines.append(f"| {method} | {_cell(curve[0.0])} |" + " |" * (len(targets) - 1))
        else:
            lines.append(f"| {method} | " + " | ".join(_cell(curve.get(target, [])) for target in targets) + " |")
    return "\n".join(lines)


def _cell(seeds: Sequence[Point]) -> str:
    if not seeds:
        return ""
    values = [point.accuracy for point in seeds]
    return f"{mean(values):.1f} ({min(values):.1f} to {max(values):.1f})"


def narrowness(points: Sequence[Point], targets: Sequence[float]) -> str:
    """Filters that the narrowest convolution has left, least and most over the seeds, as Markdown."""
    lines = ["| method | " + " | ".join(f"{target:g}" for target in targets) + " |"]
    lines.append("|---|" + "---:|" * len(targets))
    for method, curve in by_method(points).items():
        if 0.0 not in curve:
            lines.append(f"| {method} | " + " | ".join(_width(curve.get(target, [])) for target in targets) + " |")
    return "\n".join(lines)


def _width(seeds: Sequence[Point]) -> str:
    widths = sorted({point.narrowest for point in seeds if point.narrowest is not None})
    return "" if not widths else str(widths[0]) if len(widths) == 1 else f"{widths[0]} to {widths[-1]}"


def orderings(result: Mapping[Point, Right], targets: Sequence[float]) -> str:
    """Differences in points where both methods have the same parents, as Markdown."""
    rights = {(p.setting, p.method, p.seed, p.target): right for p, right in result.items()}
    seeds = sorted({point.seed for point in result})
    lines = ["| said to be better | said to be worse | " + " | ".join(f"{t:g}" for t in targets) + " | source |"]
    lines.append("|---|---|" + "---:|" * len(targets) + "---|")
    for setting, better, worse, source in CLAIMS:
        cells = []
        for target in targets:
            keys = [((setting, better, seed, target), (setting, worse, seed, target)) for seed in seeds]
            pairs = [(rights[a], rights[b]) for a, b in keys if a in rights and b in rights]
            cells.append(difference(pairs) if pairs else "")
        if any(cells):
            lines.append(f"| {better} | {worse} | " + " | ".join(cells) + f" | {source} |")
    return "\n".join(lines)


def difference(pairs: Sequence[tuple[Right, Right]]) -> str:
    """Points by which the first is ahead, with Tango's 95 % interval over examples.

    Bold where it leaves out 0 and the first is ahead, or behind, for every seed.
    """
    first, second = (np.concatenate(side) for side in zip(*pairs, strict=True))
    ahead, behind, n = int((first & ~second).sum()), int((second & ~first).sum()), len(first)
    low, high = tango.lower(ahead, behind, n, confidence=0.975), tango.upper(ahead, behind, n, confidence=0.975)
    text = f"{100 * (ahead - behind) / n:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"
    each = [int(a.sum()) - int(b.sum()) for a, b in pairs]
    return f"**{text}**" if (low > 0 and min(each) > 0) or (high < 0 and max(each) < 0) else text


def page(result: Mapping[Point, Right]) -> str:
    """The tables, as Markdown."""
    targets = sorted({point.target for point in result} - {0.0})
    seeds = sorted({point.seed for point in result})
    n = sorted({point.n for point in result})
    head = (
        f"`python benchmarks/pruners/study.py`, then `python benchmarks/pruners/figures.py`. Seeds {seeds}; "
        f"{' or '.join(map(str, n))} held-out examples each. What it says is in [the reading](../README.md).\n"
    )
    parts = ["# All pruners on the same networks\n", head]
    for setting in FIRST:
        points_there = [point for point in result if point.setting == setting]
        if points_there:
            parts += [f"## Accuracy in percent by prune ratio: {setting}\n", "Mean over the seeds and their range.\n"]
            parts += [accuracies(points_there, targets) + "\n"]
            parts += [f"![{setting} by prune ratio]({setting}_prune_ratio.svg)\n"]
            parts += [f"![{setting} by FLOP reduction]({setting}_flop_reduction.svg)\n"]
            parts += [
                f"Filters that the narrowest convolution has left: {setting}\n",
                narrowness(points_there, targets) + "\n",
            ]
    message = (
        "Points by which the first is ahead of the second on the same examples of the same parents, with Tango's 95 % "
        "interval over examples, seeds taken as they are; bold where it leaves out 0 and all seeds agree.\n"
    )
    return "\n".join([*parts, "## Published orderings\n", message, orderings(result, targets) + "\n"])


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("reports/pruners"), help="where study.py keeps its runs")
    parser.add_argument("--out", type=Path, default=HERE)
    options = parser.parse_args()
    outcome = read_runs(options.folder)
    options.out.mkdir(parents=True, exist_ok=True)
    write_csv(outcome, options.out / "points.csv")
    (options.out / "tables.md").write_text(page(outcome))
    for setting in FIRST:
        points_there = [point for point in outcome if point.setting == setting]
        for across in ("prune_ratio", "flop_reduction"):
            if points_there:
                draw(setting, points_there, across, options.out / f"{setting}_{across}.svg")
    print(f"{len(outcome)} networks; {options.out}")


if __name__ == "__main__":
    main()
