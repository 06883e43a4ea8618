"""What `layer_collapse.py` has measured, beside what is published of it, as a page and a figure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import log10
from pathlib import Path
from statistics import median
from textwrap import fill

import matplotlib as mpl
from matplotlib.figure import Figure

STEP = 0.25
ALPHAS = tuple(STEP * i for i in range(1, 25))
CLASSES = 100
STEPS = 5
"""SynFlow's steps per quarter of alpha: 100 steps to alpha = 5, as in the paper, and on from there."""
NEVER = float("inf")


@dataclass(frozen=True, kw_only=True)
class Files:
    """What the authors' result files say of each of their three runs on CIFAR-100, every quarter of alpha.

    Attributes:
        chance: The alpha from which on the test accuracy after training is 1.00 % in the mean of the three.
        emptied: The first alpha at which a layer has no weight.
        fewest: Alpha → weights left in the layer that has the fewest.
    """

    chance: float
    emptied: tuple[float, float, float]
    fewest: Mapping[float, tuple[int, int, int]]


RANDOM = Files(chance=2.75, emptied=(3, 4, 3.75), fewest={2.5: (6, 8, 2), 3: (0, 2, 3)})
MAGNITUDE = Files(chance=2.5, emptied=(3, 3, 3), fewest={2.5: (45, 51, 45), 3: (0, 0, 0)})
SNIPS = Files(chance=3.25, emptied=(4, 3.75, 3.75), fewest={2.5: (1059, 892, 1097), 3: (160, 85, 109)})
GRASP = Files(chance=3.25, emptied=(3.75, 4, 3.75), fewest={2.5: (540, 498, 567), 3: (120, 96, 83)})
SYNFLOW = Files(
    chance=5.25,
    emptied=(NEVER, NEVER, 6),
    fewest={2.5: (1388, 1370, 1364), 3: (752, 780, 741), 5.25: (3, 4, 5)},
)
PUBLISHED = {
    "random": RANDOM,
    "magnitude": MAGNITUDE,
    "SNIP, 1000 photographs": SNIPS,
    "GraSP, 100 photographs": GRASP,
    "SynFlow": SYNFLOW,
}
"""By the name of the method that is nearest to the authors'."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """What is left at one compression.

    Attributes:
        alpha: The weights are 10^-alpha of all.
        least: Fraction left of the layer that has the least left.
        fewest: Weights left in the layer that has the fewest.
        classes: Classes that a path of weights from the input reaches.
        narrowest: Channels on such paths in the layer that has the fewest.
    """

    alpha: float
    least: float
    fewest: int
    classes: int
    narrowest: int


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One method on one network.

    Attributes:
        points: At increasing compressions.
        cut: The alpha at which no path is left, to a hundredth; None for what is scored again and again.
    """

    points: tuple[Point, ...]
    cut: float | None


def first(points: Sequence[Point], gone: Callable[[Point], bool]) -> float:
    """The alpha of the first point where something is gone; infinity where it never is."""
    return next((point.alpha for point in points if gone(point)), NEVER)


def emptied(point: Point) -> bool:
    """Whether a layer has no weight."""
    return point.least == 0


def cut(point: Point) -> bool:
    """Whether no path of weights leads to any class."""
    return point.classes == 0


def alphas(values: Sequence[float]) -> str:
    """Median, and all where they differ."""
    shown = ["never" if value == NEVER else f"{value:g}" for value in values]
    middle = median(values)
    text = "never" if middle == NEVER else f"{middle:g}"
    return text if len(set(shown)) == 1 else f"{text} ({', '.join(shown)})"


def table(result: dict[str, list[Curve]]) -> str:
    """The critical compressions as Markdown."""
    lines = [
        "| method | no path left at alpha | to a hundredth | files: at chance | layer emptied at | files: emptied |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, runs in result.items():
        files = PUBLISHED.get(name)
        cells = (
            alphas([first(run.points, cut) for run in runs]),
            exact(result, name),
            "" if files is None else f"{files.chance:g}",
            alphas([first(run.points, emptied) for run in runs]),
            "" if files is None else alphas(files.emptied),
        )
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def at(runs: Sequence[Curve], alpha: float) -> list[Point]:
    """The points of all runs at one alpha."""
    return [run.points[ALPHAS.index(alpha)] for run in runs]


def classes_table(result: dict[str, list[Curve]]) -> str:
    """Classes that are still reached, median over the seeds."""
    shown = (2, 2.25, 2.5, 2.75, 3, 3.25, 3.5, 4, 4.5, 5, 5.25, 5.5, 6)
    lines = [
        "| classes reached at alpha | " + " | ".join(f"{a:g}" for a in shown) + " |",
        "|---|" + "---:|" * len(shown),
    ]
    for name, runs in result.items():
        cells = [f"{median(point.classes for point in at(runs, alpha)):g}" for alpha in shown]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def fewest_table(result: dict[str, list[Curve]]) -> str:
    """Weights in the layer that has the fewest, every seed, beside the three runs of the files."""
    shown = (2.5, 3, 5.25)
    lines = [
        "| weights in the layer with the fewest | " + " | ".join(f"{a:g} | files" for a in shown) + " |",
        "|---|" + "---:|---:|" * len(shown),
    ]
    for name, runs in result.items():
        files = PUBLISHED.get(name)
        if files is not None:
            cells = []
            for alpha in shown:
                cells.append(", ".join(str(point.fewest) for point in at(runs, alpha)))
                cells.append(", ".join(map(str, files.fewest.get(alpha, ()))))
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def draw(result: dict[str, list[Curve]], path: Path) -> None:
    """Fraction left of the emptiest layer against alpha; triangles are the published compressions."""
    colours = ("#1f2328", "#0072b2", "#d55e00", "#009e73", "#cc79a7")
    with mpl.rc_context({"svg.hashsalt": "layer collapse", "svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=(7, 4), layout="constrained")
        axes = figure.subplots()
        axes.set_yscale("symlog", linthresh=1e-6, linscale=0.4)
        for (name, row), colour in zip(PUBLISHED.items(), colours, strict=True):
            runs = [run.points for run in result[name]]
            least = [sorted(run[i].least for run in runs) for i in range(len(ALPHAS))]
            axes.plot(ALPHAS, [median(each) for each in least], color=colour, label=name)
            axes.fill_between(
                ALPHAS, [each[0] for each in least], [each[-1] for each in least], color=colour, alpha=0.15, lw=0
            )
            cuts = median(first(run, cut) for run in runs)
            if cuts in ALPHAS:
                axes.plot([cuts], [median(each[ALPHAS.index(cuts)].least for each in runs)], "o", color=colour)
            # SNIP and GraSP stand at the same place
            shift = {SNIPS.chance: 0.03}.get(row.chance, 0) * (-1 if row is SNIPS else 1)
            axes.plot([row.chance + shift], [1e-7], "v", color=colour, clip_on=False, zorder=5)
        axes.plot(ALPHAS, [10**-alpha for alpha in ALPHAS], ":", color="#5c6570", label="the same fraction everywhere")
        axes.set(xlim=(ALPHAS[0], ALPHAS[-1]), ylim=(0, 1), yticks=[0, 1e-6, 1e-4, 1e-2, 1])
        axes.set_xlabel(
            "alpha: 10^-alpha of all weights are left (dots: no path left; triangles: at chance in the paper's files)"
        )
        axes.set_ylabel("fraction left of the emptiest layer")
        axes.legend(frameon=False, fontsize=8)
        axes.spines[["top", "right"]].set_visible(False)
        figure.savefig(path, metadata={"Date": None, "Creator": None})


def cuts(result: dict[str, list[Curve]], name: str) -> str:
    """Where the last path goes, on the grid."""
    return alphas([first(run.points, cut) for run in result[name]])


def exact(result: dict[str, list[Curve]], name: str) -> str:
    """Where the last path goes, to a hundredth; nothing for what is scored again and again."""
    expected = [run.cut for run in result[name] if run.cut is not None]
    return alphas(expected) if expected else ""


def each(result: dict[str, list[Curve]], name: str, alpha: float, read: Callable[[Point], int]) -> str:
    """A number of every seed at one alpha."""
    return ", ".join(str(read(point)) for point in at(result[name], alpha))


def _fewest(point: Point) -> int:
    return point.fewest


def _classes(point: Point) -> int:
    return point.classes


def _narrowest(point: Point) -> int:
    return point.narrowest


def report(result: dict[str, list[Curve]], seeds: int, total: int) -> str:
    """The whole page; `total` is the number of weights of the network."""
    items = "\n".join(
        fill(text, 120, initial_indent="- ", subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
        for text in explanations(result, total)
    )
    return f"""# At which compression is a layer emptied?

`python benchmarks/layer_collapse.py --write`: VGG-16 for 32 px and {CLASSES} classes, {seeds} seeds, steps of {STEP:g};
medians, every seed in brackets where they differ. Columns called "files" are read off the result files that the authors
of SynFlow published (github.com/ganguli-lab/Synaptic-Flow, `Results/data`, three runs on CIFAR-100): the alpha from
which on the mean accuracy after training is 1.00 %, and the first at which a layer has no weight left.

{table(result)}

{classes_table(result)}

{fewest_table(result)}

![Fraction left of the emptiest layer](layer_collapse.svg)

## What differs from the published compressions, and why

The published compressions are those at which a *trained* network is at chance. Nothing is trained here. Where no path
of weights is left from the input to any class, a network is at chance for certain; where one is left, it need not be
above it. With the same masks, "no path left" stands at the alpha of "at chance" or behind it.

{items}
"""


def explanations(result: dict[str, list[Curve]], total: int) -> list[str]:
    """Why numbers are not the published ones, each with what was measured."""
    last = {name: exact(result, name) for name in result}
    text = f"""
**An empty layer is not what makes a network collapse.** In the files no layer is empty yet when networks are at chance:
random {RANDOM.chance:g} against {alphas(RANDOM.emptied)}, magnitude {MAGNITUDE.chance:g} against
{alphas(MAGNITUDE.emptied)}, SNIP {SNIPS.chance:g} against {alphas(SNIPS.emptied)}, GraSP {GRASP.chance:g} against
{alphas(GRASP.emptied)}, SynFlow {SYNFLOW.chance:g} against {alphas(SYNFLOW.emptied)}. The same is measured here of
scores in evaluation mode: the last path goes while every layer still has weights.

**Magnitude** has the published value in every seed, and as many weights left in the smallest layer as the files: no
data is looked at.

**Random.** The first layer has 1728 weights, of which {1728 / 10**2.75:.1f} are expected to be left at 2.75. The files'
runs have 2, 4 and 1 there and are at chance, though no layer is empty. The seeds here have
{each(result, "random", 2.75, _fewest)}; paths reach {each(result, "random", 2.75, _classes)} classes, over
{each(result, "random", 2.75, _narrowest)} channels where they are fewest. Whether one of so few leads on is luck; seeds
in which it does are not counted as collapsed here, while in the files they have not learnt.

**Examples of SNIP.** With the paper's ten examples a class the last path goes at {last["SNIP, 1000 photographs"]}, with
one a class at {last["SNIP, 100 photographs"]}: earlier in every seed, and in one of them by a point of the grid. With
100 pictures of independent noise it goes at {last["SNIP, 100 times noise"]}, as late as with ten times as many
photographs, which are crops of two and have much in common. CIFAR-100 itself is not looked at; its examples leave more
weights in the smallest layer (at 3: {", ".join(map(str, SNIPS.fewest[3]))} against
{each(result, "SNIP, 1000 photographs", 3, _fewest)}), at the same point of the grid.

**Examples of GraSP.** {last["GraSP, 100 photographs"]} with photographs, {last["GraSP, 100 times noise"]} with noise,
later in every seed: data moves the last path by as much as a point of the grid. The smallest layer at 3 has
{each(result, "GraSP, 100 photographs", 3, _fewest)} weights with photographs,
{each(result, "GraSP, 100 times noise", 3, _fewest)} with noise and {", ".join(map(str, GRASP.fewest[3]))} in the files.

**GraSP's sign.** The authors' first public code, of the same weeks as the files, scores -theta Hg and keeps the
largest, the opposite of the GraSP paper and of `pruners`. Reversed like that, the last path goes at
{last["GraSP, 100 times noise, signs reversed"]} instead of {last["GraSP, 100 times noise"]}: seeds differ by more. That
a path is left for longer than networks learn is seen in the files too: their third run is at chance from 3 on, with 83
weights or more in every layer.

**Batch statistics.** The files come from scores in evaluation mode, in which batch norm normalises nothing at
initialisation. With batch statistics, as in SNIP's and GraSP's own code and as `pruners` does by default, SNIP falls to
{last["SNIP, 100 times noise, batch statistics"]} and GraSP, with its temperature, to
{last["GraSP, 100 times noise, batch statistics, T = 200"]}.

**SynFlow.** No path left: {cuts(result, "SynFlow")}. By construction a weight of every layer may stay up to alpha =
log10({total} / 14) = {log10(total / 14):.2f}. In the files, too, no layer is empty at 5.25, from where on networks are
at chance: the smallest have 3, 4 and 5 weights, here {each(result, "SynFlow", 5.25, _fewest)}. Paths then reach
{each(result, "SynFlow", 5.25, _classes)} of the classes, over {each(result, "SynFlow", 5.25, _narrowest)} channel where
they are fewest: one number in the place of a picture. The outputs of all other classes do not depend on the picture,
and one of them at most can ever be right. SynFlow takes {STEPS} steps per quarter of alpha here, which is the paper's
100 at alpha = 5 and fewer below.

**The grid.** Published values stand on quarters; the third column has the hundredth. Medians lie up to a quarter below
the point of the grid that they are counted at.
"""
    return [" ".join(part.split()) for part in text.split("\n\n")]
