"""At which compression does each method at initialisation first empty a layer of VGG-16?

    python benchmarks/layer_collapse.py [--write] [--seeds 3]

The network is that of Tanaka et al. 2020 (arXiv:2006.05467): 14 layers with weights, He-normal with fan-in, pruned to
10^-alpha of its weights. Nothing is trained. A layer is emptied, or no path of weights is left from the input to any
class: from then on a network cannot learn. SNIP and GraSP look at crops of photographs with random labels in place of
CIFAR-100.
"""

import argparse
import platform
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import matplotlib as mpl
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from sklearn.datasets import load_sample_images
from torch import Tensor, nn

from evalsuite.networks.vgg import VGG
from pruners import Context, Pruner, WeightPruner, keep_global, prunable, remaining
from pruners.grasp import GraSP
from pruners.magnitude import Magnitude
from pruners.random import Random
from pruners.snip import SNIP
from pruners.synflow import SynFlow

RESULT = Path(__file__).parent / "results" / "layer_collapse.md"
FIGURE = RESULT.with_suffix(".svg")
STEP = 0.25
ALPHAS = tuple(STEP * i for i in range(1, 25))
CLASSES = 100
PER_CLASS = 1
"""Examples of each class that SNIP and GraSP look at; the paper's ten take ten times as long."""
STEPS = 5
"""SynFlow's steps per quarter of alpha: 100 steps to alpha = 5, as in the paper, and on from there."""

METHODS: dict[str, tuple[Pruner, float | None]] = {
    "random": (Random(), 2.75),
    "magnitude": (Magnitude(), 2.5),
    "SNIP": (SNIP(per_class=PER_CLASS, batch_statistics=False, batch_size=50), 3.25),
    "SNIP, batch statistics": (SNIP(per_class=PER_CLASS, batch_size=50), None),
    "GraSP": (GraSP(per_class=PER_CLASS, temperature=1, batch_statistics=False, batch_size=50), 3.25),
    "GraSP, batch statistics, temperature 200": (GraSP(per_class=PER_CLASS, batch_size=50), None),
    "SynFlow": (SynFlow(iterations=STEPS), 5.25),
}
"""Method, and the alpha from which the networks of the paper's own result files are at chance on CIFAR-100."""

Alive = Mapping[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class Point:
    """What is left at one compression.

    Attributes:
        alpha: The weights are 10^-alpha of all.
        least: Fraction left of the layer that has the least left.
        classes: Classes that a path of weights from the input reaches.
    """

    alpha: float
    least: float
    classes: int


def vgg16(seed: int, *, classes: int = CLASSES, image_size: int = 32, width: int = 64) -> nn.Module:
    """13 convolutions with bias and batch norm, mean over what is left of the picture, one linear layer."""
    network = VGG(depth=16, width=width)(classes=classes, channels=3, image_size=image_size).eval()
    features = network.get_submodule("features")
    assert isinstance(features, nn.Sequential)
    features[-1] = nn.Identity()  # the mean over 2 x 2 pixels is behind it
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name in prunable(network):
                parameter.normal_(0, (2 / parameter[0].numel()) ** 0.5, generator=generator)
            elif name.endswith("bias"):
                parameter.zero_()
    return network


def photographs(seed: int, *, classes: int = CLASSES, image_size: int = 32) -> Context:
    """Crops of the two photographs that scikit-learn carries, a quarter of their size, normalised, with any labels."""
    sources = [torch.from_numpy(each.copy()).permute(2, 0, 1) / 255 for each in load_sample_images().images]
    side, generator = 4 * image_size, torch.Generator().manual_seed(seed)
    crops = []
    for number in range(classes * PER_CLASS):
        source = sources[number % 2]
        y, x = (int(torch.randint(most - side, (), generator=generator)) for most in source.shape[1:])
        crops.append(F.avg_pool2d(source[:, y : y + side, x : x + side], 4))
    images, labels = torch.stack(crops), torch.arange(len(crops)) % classes
    images = (images - images.mean((0, 2, 3), keepdim=True)) / images.std((0, 2, 3), keepdim=True)
    labels = labels[torch.randperm(len(labels), generator=generator)]
    return Context(example=images[:1], seed=seed, batches=lambda: [(images, labels)])


def curve(method: Pruner, network: nn.Module, context: Context, alphas: tuple[float, ...]) -> Iterator[Point]:
    """`method` at increasing compressions; what scores once is asked for scores once."""
    total = remaining(network)
    alive = {name: weight.detach() != 0 for name, weight in prunable(network).items()}
    scores = method.score(network, context) if isinstance(method, WeightPruner) else None
    for alpha in alphas:
        keep = round(total / 10**alpha)
        if scores is None:
            # from compression to compression, which makes one exponential schedule of all steps
            network = method(network, keep=keep, context=context)
            alive = {name: weight.detach() != 0 for name, weight in prunable(network).items()}
        else:
            alive = keep_global(scores, keep, alive)
        least = min(float(mask.float().mean()) for mask in alive.values())
        yield Point(alpha=alpha, least=least, classes=reached(alive))


def reached(alive: Alive) -> int:
    """Outputs of a chain of layers that its inputs reach; every place of a kernel reaches every pixel."""
    layers = [mask.flatten(2).any(2) if mask.dim() > 2 else mask for mask in alive.values()]
    on = torch.ones(layers[0].shape[1], dtype=torch.bool)
    for layer in layers:
        on = (layer & on).any(1)
    return int(on.sum())


def first(points: list[Point], gone: Callable[[Point], bool]) -> float:
    """The alpha of the first point where something is gone; infinity where it never is."""
    return next((point.alpha for point in points if gone(point)), float("inf"))


def emptied(point: Point) -> bool:
    """Whether a layer has no weight."""
    return point.least == 0


def cut(point: Point) -> bool:
    """Whether no path of weights leads to any class."""
    return point.classes == 0


def measure(seeds: int) -> dict[str, list[list[Point]]]:
    """Of every method the points of each seed."""
    found: dict[str, list[list[Point]]] = {name: [] for name in METHODS}
    for seed in range(seeds):
        network, context = vgg16(seed), photographs(seed)
        for name, (method, _) in METHODS.items():
            began = time.perf_counter()
            points = list(curve(method, network, context, ALPHAS))
            found[name].append(points)
            print(
                f"seed {seed} {name}: emptied at {first(points, emptied)}, cut at {first(points, cut)} "
                f"({time.perf_counter() - began:.0f} s)",
                file=sys.stderr,
                flush=True,
            )
    return found


def alphas(values: list[float]) -> str:
    """Median, and all where they differ."""
    shown = ["never" if value == float("inf") else f"{value:g}" for value in values]
    middle = median(values)
    text = "never" if middle == float("inf") else f"{middle:g}"
    return text if len(set(shown)) == 1 else f"{text} ({', '.join(shown)})"


def table(found: dict[str, list[list[Point]]]) -> str:
    """The critical compressions as Markdown."""
    lines = [
        "| method | layer emptied at alpha | no path left at alpha | at chance in the paper's files |",
        "|---|---:|---:|---:|",
    ]
    for name, runs in found.items():
        published = METHODS[name][1]
        lines.append(
            f"| {name} | {alphas([first(run, emptied) for run in runs])} | {alphas([first(run, cut) for run in runs])} "
            f"| {'' if published is None else f'{published:g}'} |"
        )
    return "\n".join(lines)


def classes_table(found: dict[str, list[list[Point]]]) -> str:
    """Classes that are still reached, median over the seeds."""
    shown = (2, 2.25, 2.5, 2.75, 3, 3.25, 3.5, 4, 4.5, 5, 5.25, 5.5, 6)
    lines = [
        "| classes reached at alpha | " + " | ".join(f"{a:g}" for a in shown) + " |",
        "|---|" + "---:|" * len(shown),
    ]
    for name, runs in found.items():
        cells = [f"{median(run[ALPHAS.index(alpha)].classes for run in runs):g}" for alpha in shown]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def draw(found: dict[str, list[list[Point]]]) -> None:
    """Fraction left of the emptiest layer against alpha; triangles are the published compressions."""
    colours = ("#1f2328", "#0072b2", "#d55e00", "#d55e00", "#009e73", "#009e73", "#cc79a7")
    with mpl.rc_context({"svg.hashsalt": "layer collapse", "svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=(7, 4), layout="constrained")
        axes = figure.subplots()
        axes.set_yscale("symlog", linthresh=1e-6, linscale=0.4)
        for (name, runs), colour in zip(found.items(), colours, strict=True):
            least = [sorted(run[i].least for run in runs) for i in range(len(ALPHAS))]
            line = "--" if "batch statistics" in name else "-"
            axes.plot(ALPHAS, [median(each) for each in least], line, color=colour, label=name)
            axes.fill_between(
                ALPHAS, [each[0] for each in least], [each[-1] for each in least], color=colour, alpha=0.15, lw=0
            )
            cuts = median(first(run, cut) for run in runs)
            if cuts in ALPHAS:
                axes.plot([cuts], [median(each[ALPHAS.index(cuts)].least for each in runs)], "o", color=colour)
            published = METHODS[name][1]
            if published is not None:
                # SNIP and GraSP stand at the same place
                shift = {"SNIP": -0.03, "GraSP": 0.03}.get(name, 0)
                axes.plot([published + shift], [1e-7], "v", color=colour, clip_on=False, zorder=5)
        axes.plot(ALPHAS, [10**-alpha for alpha in ALPHAS], ":", color="#5c6570", label="the same fraction everywhere")
        axes.set(xlim=(ALPHAS[0], ALPHAS[-1]), ylim=(0, 1), yticks=[0, 1e-6, 1e-4, 1e-2, 1])
        axes.set_xlabel(
            "alpha: 10^-alpha of all weights are left (dots: no path left; triangles: at chance in the paper's files)"
        )
        axes.set_ylabel("fraction left of the emptiest layer")
        axes.legend(frameon=False, fontsize=8)
        axes.spines[["top", "right"]].set_visible(False)
        figure.savefig(FIGURE, metadata={"Date": None, "Creator": None})


def main() -> None:
    """Measure, print, and write with --write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help=f"write {RESULT.parent.name}/{RESULT.name} and .svg")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    found = measure(options.seeds)
    print(table(found), classes_table(found), sep="\n\n")
    if options.write:
        RESULT.parent.mkdir(exist_ok=True)
        RESULT.write_text(report(found, options.seeds))
        draw(found)


def report(found: dict[str, list[list[Point]]], seeds: int) -> str:
    """The whole page."""
    return f"""# At which compression is a layer emptied?

`python benchmarks/layer_collapse.py --write`: VGG-16 for 32 px and 100 classes, {seeds} seeds, steps of {STEP:g};
medians, every seed in brackets where they differ. CPU ({platform.machine()}, torch {torch.__version__}).

{table(found)}

{classes_table(found)}

![Fraction left of the emptiest layer](layer_collapse.svg)

"""


if __name__ == "__main__":
    main()
