"""What `robust_pruning.py` has made, as a page and a figure."""

import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import final

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import torch
from matplotlib.figure import Figure
from torch import Tensor

from evalsuite.statistics import betting

Row = Mapping[str, Tensor]
CONTROL = {"magnitude": "dense again", "hydra": "dense again", "imp + nrs": "imp + nrs", "random + nrs": "imp + nrs"}
"""Dense networks that have had as many training steps, by method."""
LABELS = {
    "dense": "dense, trained once",
    "dense again": "dense, trained twice",
    "magnitude": "magnitude",
    "hydra": "HYDRA",
    "imp + nrs": "IMP + NRSLoss",
    "random + nrs": "random + NRSLoss",
}
TITLES = {"pgd": "trained against attacks (`pgd`)", "ibp": "trained with interval bounds (`ibp`)"}
COLUMNS = {"right": "clean accuracy", "survived": "survives PGD-20", "crown": "certified", "unstable": "open ReLUs"}
READING = "## What holds and what does not"
"""From here on the page is written by hand; it is kept."""


@final
@dataclass(frozen=True, kw_only=True)
class Point:
    """Networks of one kind, method and ratio: a row for every seed, in order."""

    kind: str
    method: str
    ratio: float
    rows: tuple[Row, ...]

    def shares(self, name: str) -> list[float]:
        """Of every seed the share of examples, or of ReLUs."""
        return [float(row[name].double().mean()) for row in self.rows]

    def values(self, name: str) -> npt.NDArray[np.float64]:
        """(n,): of every example the share of seeds."""
        return torch.stack([row[name] for row in self.rows]).double().mean(0).numpy()


def read(folder: Path) -> list[Point]:
    """What is there, of the seeds that every kind has in full."""
    made: dict[tuple[str, str, float], dict[int, Row]] = {}
    for file in sorted(folder.glob("*-*/*.pt")):
        kind, _, seed = file.parent.name.rpartition("-")
        method, _, ratio = file.stem.rpartition("-")
        row = torch.load(file, weights_only=True)["row"]
        made.setdefault((kind, method.replace("_", " "), float(ratio)), {})[int(seed)] = row
    seeds = sorted(set.intersection(*(set(rows) for rows in made.values()))) if made else []
    order = list(LABELS)
    places = sorted(made, key=lambda each: (each[0], order.index(each[1]), each[2]))
    return [
        Point(kind=kind, method=method, ratio=ratio, rows=tuple(made[kind, method, ratio][seed] for seed in seeds))
        for kind, method, ratio in places
    ]


def against(point: Point, points: Iterable[Point], name: str) -> npt.NDArray[np.float64] | None:
    """(seeds, n): per example how much more often than the dense network with as many steps; None for dense ones."""
    dense = [
        each
        for each in points
        if each.kind == point.kind and each.method == CONTROL.get(point.method) and not each.ratio
    ]
    if not dense or not point.ratio:
        return None
    pairs = zip(point.rows, dense[0].rows, strict=True)
    return np.stack([(row[name].double() - other[name].double()).numpy() for row, other in pairs])


def share(values: npt.NDArray[np.float64]) -> str:
    """A mean of values in [0, 1] with its interval, in percent."""
    around = betting.interval(values, confidence=0.95)
    return f"{values.mean():.1%} [{100 * abs(max(around.low, 0.0)):.1f}, {100 * around.high:.1f}]"


def difference(values: npt.NDArray[np.float64]) -> str:
    """A mean of differences (seeds, n) with its interval over examples, and of every seed by itself, in points."""
    mean = values.mean(0)
    around = betting.interval(mean, confidence=0.95, support=(-1.0, 1.0))
    each = ", ".join(f"{100 * seed:+.1f}" for seed in values.mean(1))
    return f"{100 * mean.mean():+.1f} [{100 * around.low:+.1f}, {100 * around.high:+.1f}] ({each})"


def table(points: list[Point], kind: str) -> str:
    """All networks of a kind as Markdown."""
    here = [point for point in points if point.kind == kind]
    n, m = len(here[0].rows[0]["right"]), len(here[0].rows[0]["crown"])
    counted = f"clean accuracy (n = {n}) | survives PGD-20 (n = {n}) | certified (n = {m})"
    lines = [
        f"| network | weights gone | {counted} | by intervals alone | open ReLUs |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for point in here:
        shares = " | ".join(share(point.values(name)) for name in ("right", "survived", "crown", "interval"))
        gone, opened = np.mean(point.shares("ratio")), np.mean(point.shares("unstable"))
        lines.append(f"| {called(point)} | {gone:.1%} | {shares} | {opened:.1%} |")
    return "\n".join(lines)


def called(point: Point) -> str:
    """What a network is called in a table."""
    dense = point.method == "imp + nrs" and not point.ratio
    return "dense, trained once with NRSLoss" if dense else LABELS[point.method]


def differences(points: list[Point]) -> str:
    """Pruned networks against dense ones, as Markdown."""
    lines = [
        "| trained by | pruned by | weights gone | clean accuracy | survives PGD-20 | certified |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for point in points:
        result = [against(point, points, name) for name in ("right", "survived", "crown")]
        cells = [difference(each) for each in result if each is not None]
        if cells:
            gone = np.mean(point.shares("ratio"))
            lines.append(f"| {point.kind} | {LABELS[point.method]} | {gone:.1%} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def draw(points: list[Point], file: Path) -> None:
    """Each share against the prune ratio: means over seeds, and every seed as a dot."""
    colours = {"magnitude": "#1f2328", "hydra": "#0072b2", "imp + nrs": "#d55e00", "random + nrs": "#009e73"}
    kinds = list(dict.fromkeys(point.kind for point in points))
    with mpl.rc_context({"svg.hashsalt": "robust pruning", "svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=(10, 2.6 * len(kinds)), layout="constrained")
        grid = figure.subplots(len(kinds), len(COLUMNS), sharex=True, sharey="col", squeeze=False)
        for axes, (kind, (name, title)) in zip(
            grid.flat, ((kind, column) for kind in kinds for column in COLUMNS.items()), strict=True
        ):
            for method, colour in colours.items():
                line = sorted(
                    (p for p in points if p.kind == kind and p.method == method and p.ratio), key=lambda p: p.ratio
                )
                ratios = [point.ratio for point in line]
                axes.plot(ratios, [np.mean(point.shares(name)) for point in line], color=colour, label=LABELS[method])
                for point in line:
                    seeds = point.shares(name)
                    axes.plot([point.ratio] * len(seeds), seeds, ".", color=colour, ms=4)
            for method, style in (("dense again", "#1f2328"), ("imp + nrs", "#d55e00")):
                dense = [p for p in points if p.kind == kind and p.method == method and not p.ratio]
                for point in dense:
                    label = LABELS["dense again"] if method == "dense again" else "dense, NRSLoss"
                    axes.axhline(float(np.mean(point.shares(name))), color=style, ls=":", label=label)
            axes.set_title(title if kind == kinds[0] else "", fontsize=9)
            axes.set_ylabel(f"recipe {kind}" if name == "right" else "")
            axes.set_xlabel("prune ratio" if kind == kinds[-1] else "")
            axes.spines[["top", "right"]].set_visible(False)
        grid[0, 0].legend(frameon=False, fontsize=7)
        figure.savefig(file, metadata={"Date": None, "Creator": None})


def write_page(folder: Path, out: Path) -> Path:
    """Write `robust_pruning.md` and `.svg` to `out`; returns the page, whose reading by hand stays as it was."""
    points = read(folder)
    out.mkdir(parents=True, exist_ok=True)
    page = out / "robust_pruning.md"
    reading = page.read_text().partition(READING)[2] if page.is_file() else "\n"
    kinds = list(dict.fromkeys(point.kind for point in points))
    tables = "\n\n".join(f"### {TITLES[kind].capitalize()}\n\n{table(points, kind)}" for kind in kinds)
    seeds = len(points[0].rows)
    page.write_text(f"""# What does pruning do to robust networks?

`python benchmarks/robust_pruning.py --write`: Fashion-MNIST, every pixel moved by at most 0.1; two convolutions with
batch norm and one hidden layer, 27 584 weights, 3 200 training examples, 4 epochs each time; {seeds} seeds. Before
training against attacks come 2 epochs on clean images, and rewinding goes back to what these have made. Intervals are
at 95 % over examples (betting, of each example's mean over seeds): they tell how sure a figure is for these networks,
not for other seeds. "Certified" is by the best of interval bounds, CROWN-IBP and CROWN. CPU ({platform.machine()},
torch {torch.__version__}).

Magnitude pruning (the same share of every layer) and HYDRA prune the network that was trained once, in one shot, and
retrain it with the whole recipe, so they stand against the dense network that was trained twice; HYDRA's scores have
had half a training besides. IMP prunes the smallest weights of all layers together, rewinds to the first weights and
trains with NRSLoss, and stands against the dense network that was trained once with NRSLoss. So does its control:
from the same first weights, as many left of every layer as IMP has left, but drawn at random.

{tables}

## Against the dense network with as many steps

Points, paired by example, mean over seeds; every seed by itself in brackets.

{differences(points)}

![Shares against the prune ratio](robust_pruning.svg)

{READING}{reading}""")
    draw(points, page.with_suffix(".svg"))
    return page
