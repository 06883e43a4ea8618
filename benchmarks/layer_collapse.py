"""At which compression does each method at initialisation first empty a layer of VGG-16?

    python benchmarks/layer_collapse.py [--write] [--seeds 3]

The network is that of Tanaka et al. 2020 (arXiv:2006.05467): 14 layers with weights, He-normal with fan-in, pruned to
10^-alpha of its weights. Nothing is trained. A layer is emptied, or no path of weights is left from the input to any
class: from then on a network cannot learn. SNIP and GraSP look at crops of photographs, or at noise, with random labels
in place of CIFAR-100. Beside it stands what the result files say that the paper's authors published: of each of three
runs how many weights each layer has left, and the accuracy after training.
"""

import argparse
import sys
import time
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import torch
import torch.nn.functional as F
from layer_collapse_page import (
    ALPHAS,
    CLASSES,
    NEVER,
    STEPS,
    Curve,
    Point,
    classes_table,
    cut,
    draw,
    emptied,
    fewest_table,
    first,
    report,
    table,
)
from sklearn.datasets import load_sample_images
from torch import Tensor, nn
from typing_extensions import override

from evalsuite.networks.architectures.vgg import VGG
from pruners import Context, Pruner, Scores, WeightPruner, keep_global, prunable, remaining
from pruners.grasp import GraSP
from pruners.magnitude import Magnitude
from pruners.random import Random
from pruners.snip import SNIP
from pruners.synflow import SynFlow

RESULT = Path(__file__).parent / "results" / "layer_collapse.md"

Look = Callable[[int], Context]
"""Seed → what a method looks at."""


@final
@dataclass(frozen=True, kw_only=True)
class Reversed(WeightPruner):
    """Keeps what `method` removes first."""

    method: WeightPruner

    @override
    def score(self, network: nn.Module, context: Context) -> Scores:
        return {name: -score for name, score in self.method.score(network, context).items()}


@dataclass(frozen=True, kw_only=True)
class Row:
    """A method and what it looks at."""

    method: Pruner
    look: Look


Alive = Mapping[str, Tensor]


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


def photographs(seed: int, *, per_class: int = 1, classes: int = CLASSES, image_size: int = 32) -> Context:
    """Crops of the two photographs that scikit-learn carries, a quarter of their size, normalised, with any labels."""
    sources = [torch.from_numpy(each.copy()).permute(2, 0, 1) / 255 for each in load_sample_images().images]
    side, generator = 4 * image_size, torch.Generator().manual_seed(seed)
    crops = []
    for number in range(classes * per_class):
        source = sources[number % 2]
        y, x = (int(torch.randint(most - side, (), generator=generator)) for most in source.shape[1:])
        crops.append(F.avg_pool2d(source[:, y : y + side, x : x + side], 4))
    images = torch.stack(crops)
    images = (images - images.mean((0, 2, 3), keepdim=True)) / images.std((0, 2, 3), keepdim=True)
    return _labelled(images, classes, generator)


def noise(seed: int, *, per_class: int = 1, classes: int = CLASSES, image_size: int = 32) -> Context:
    """Independent normal pixels with any labels: examples that have nothing in common."""
    generator = torch.Generator().manual_seed(seed)
    return _labelled(
        torch.randn(classes * per_class, 3, image_size, image_size, generator=generator), classes, generator
    )


def _labelled(images: Tensor, classes: int, generator: torch.Generator) -> Context:
    labels = (torch.arange(len(images)) % classes)[torch.randperm(len(images), generator=generator)]
    return Context(example=images[:1], seed=generator.initial_seed(), batches=lambda: [(images, labels)])


def many(seed: int) -> Context:
    """As many photographs as the paper takes examples of CIFAR-100."""
    return photographs(seed, per_class=10)


_FIRST_GRASP = GraSP(per_class=1, temperature=1, batch_statistics=False, batch_size=50)

METHODS: dict[str, Row] = {
    "random": Row(method=Random(), look=photographs),
    "magnitude": Row(method=Magnitude(), look=photographs),
    "SNIP, 1000 photographs": Row(method=SNIP(per_class=10, batch_statistics=False, batch_size=50), look=many),
    "SNIP, 100 photographs": Row(method=SNIP(per_class=1, batch_statistics=False, batch_size=50), look=photographs),
    "SNIP, 100 times noise": Row(method=SNIP(per_class=1, batch_statistics=False, batch_size=50), look=noise),
    "SNIP, 100 times noise, batch statistics": Row(method=SNIP(per_class=1, batch_size=50), look=noise),
    "GraSP, 100 photographs": Row(method=_FIRST_GRASP, look=photographs),
    "GraSP, 100 times noise": Row(method=_FIRST_GRASP, look=noise),
    "GraSP, 100 times noise, signs reversed": Row(method=Reversed(method=_FIRST_GRASP), look=noise),
    "GraSP, 100 times noise, batch statistics, T = 200": Row(method=GraSP(per_class=1, batch_size=50), look=noise),
    "SynFlow": Row(method=SynFlow(iterations=STEPS), look=photographs),
}


def curve(method: Pruner, network: nn.Module, context: Context, alphas: Sequence[float]) -> Curve:
    """`method` at increasing compressions; what scores once is asked for scores once."""
    total = remaining(network)
    alive = _alive(network)
    result: list[Point] = []
    if isinstance(method, WeightPruner):
        scores, cut_at, last = method.score(network, context), NEVER, 0.0
        for alpha in alphas:
            # fewer weights are a part of more, so that they are looked for there, and a path that is gone stays gone
            before, alive = alive, keep_global(scores, round(total / 10**alpha), alive)
            result.append(_point(alpha, alive))
            if cut(result[-1]) and cut_at == NEVER:
                cut_at = _exactly(scores, total, before, last, alpha)
            last = alpha
        return Curve(points=tuple(result), cut=cut_at)
    for alpha in alphas:
        # from compression to compression, which makes one exponential schedule of all steps
        network = method(network, keep=round(total / 10**alpha), context=context)
        result.append(_point(alpha, _alive(network)))
    return Curve(points=tuple(result), cut=None)


def _exactly(scores: Scores, total: int, alive: Alive, low: float, high: float) -> float:
    """The hundredth above `low`, at which `alive` is left, and up to `high` at which no path is left."""
    hundredths = range(round(100 * low) + 1, round(100 * high))

    def gone(hundredth: int) -> bool:
        return not reached(keep_global(scores, round(total / 10 ** (hundredth / 100)), alive))

    return (hundredths.start + bisect_left(hundredths, 1, key=gone)) / 100


def _alive(network: nn.Module) -> Alive:
    return {name: weight.detach() != 0 for name, weight in prunable(network).items()}


def _point(alpha: float, alive: Alive) -> Point:
    return Point(
        alpha=alpha,
        least=min(float(mask.float().mean()) for mask in alive.values()),
        fewest=min(int(mask.sum()) for mask in alive.values()),
        classes=reached(alive),
        narrowest=min(paths(alive)[:-1]),
    )


def paths(alive: Alive) -> list[int]:
    """Outputs of each layer of a chain that lie on a path from input to output; all places of a kernel are one."""
    layers = [mask.flatten(2).any(2) if mask.dim() > 2 else mask for mask in alive.values()]
    on = torch.ones(layers[0].shape[1], dtype=torch.bool)
    fed = [on := (layer & on).any(1) for layer in layers]
    lead = torch.ones(len(layers[-1]), dtype=torch.bool)
    counts = [int(fed[-1].sum())]
    for layer, here in zip(reversed(layers[1:]), reversed(fed[:-1]), strict=True):
        lead = (layer & lead[:, None]).any(0)
        counts.append(int((here & lead).sum()))
    return counts[::-1]


def reached(alive: Alive) -> int:
    """Outputs of a chain of layers that its inputs reach; every place of a kernel reaches every pixel."""
    return paths(alive)[-1]


def measure(seeds: int) -> dict[str, list[Curve]]:
    """Of every method the curve of each seed."""
    outcome: dict[str, list[Curve]] = {name: [] for name in METHODS}
    for seed in range(seeds):
        network = vgg16(seed)
        for name, row in METHODS.items():
            began = time.perf_counter()
            run = curve(row.method, network, row.look(seed), ALPHAS)
            outcome[name].append(run)
            print(
                f"seed {seed} {name}: emptied at {first(run.points, emptied)}, cut at {first(run.points, cut)}, "
                f"exactly {run.cut} ({time.perf_counter() - began:.0f} s)",
                file=sys.stderr,
                flush=True,
            )
    return outcome


def main() -> None:
    """Measure, print, and write with --write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help=f"write {RESULT.parent.name}/{RESULT.name} and .svg")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    actual = measure(options.seeds)
    print(table(actual), classes_table(actual), fewest_table(actual), sep="\n\n")
    if options.write:
        RESULT.parent.mkdir(exist_ok=True)
        RESULT.write_text(report(actual, options.seeds, remaining(vgg16(0))))
        draw(actual, RESULT.with_suffix(".svg"))


if __name__ == "__main__":
    main()
