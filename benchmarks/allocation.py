"""Do layer ratios that are searched for beat rules, and does reinforcement learning beat the greedy search?

    OMP_NUM_THREADS=1 python benchmarks/allocation.py [--write] [--seeds 6] [--first 0]

A small network learns digits (scikit-learn), is pruned by magnitude with each way to share the weights out between its
layers, and fine-tuned for one epoch. Searches look at 256 training examples; accuracy is that on the test examples.
"""

import argparse
import platform
import sys
import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from itertools import pairwise
from math import sqrt
from pathlib import Path
from statistics import mean, stdev
from typing import final

import torch
import torch.nn.functional as F
from scipy.stats import t as student
from sklearn.datasets import load_digits
from torch import Tensor, nn

from pruners import Context, Hook, Pruner, keep_for, remaining, sgd
from pruners.constrained_rl import ConstrainedRL
from pruners.greedy_allocation import GreedyAllocation
from pruners.magnitude import Magnitude

RESULT = Path(__file__).parent / "results" / "allocation.md"
RATIOS = (0.5, 0.65, 0.8)
TRAINING, BATCH, EXAMPLES, WIDTH = 1000, 64, 256, 8
STEPS, TUNING = 300, 16
"""Optimiser steps of the training and of the fine-tuning, the latter one epoch."""

GREEDY, LEARNT, LONGER = "greedy", "constrained RL", "constrained RL, 4 x episodes"
METHODS: dict[str, Pruner] = {
    "uniform": Magnitude(allocation="uniform"),
    "global": Magnitude(allocation="global"),
    "ERK": Magnitude(allocation="erk"),
    "LAMP": Magnitude(allocation="lamp"),
    GREEDY: GreedyAllocation(examples=EXAMPLES),
    "greedy, steps of 2 %": GreedyAllocation(examples=EXAMPLES, share=0.02),
    "constrained RL that does not learn": ConstrainedRL(examples=EXAMPLES, learning_rate=1e-9),
    LEARNT: ConstrainedRL(examples=EXAMPLES),
    LONGER: ConstrainedRL(examples=EXAMPLES, episodes=4 * ConstrainedRL.episodes),
}
PAIRS = ((LEARNT, GREEDY), (LONGER, GREEDY), (LONGER, "greedy, steps of 2 %"), (LEARNT, "LAMP"))


@final
@dataclass(frozen=True, kw_only=True)
class Cell:
    """One network, pruned in one way.

    Attributes:
        method: A name of `METHODS`.
        ratio: The prune ratio.
        seed: Of the training and of the search.
        searched: Likelihood in percent of the examples that searches look at: what they maximise.
        pruned: Test accuracy in percent without any retraining.
        tuned: Test accuracy in percent after fine-tuning.
        passes: How often each example was looked at.
    """

    method: str
    ratio: float
    seed: int
    searched: float
    pruned: float
    tuned: float
    passes: float


READINGS: dict[str, Callable[[Cell], float]] = {
    "pruned": lambda cell: cell.pruned,
    "fine-tuned": lambda cell: cell.tuned,
    "likelihood": lambda cell: cell.searched,
}


@final
@dataclass(frozen=True, kw_only=True)
class Difference:
    """A mean of paired differences with its 95 % interval (Student's t)."""

    mean: float
    low: float
    high: float
    n: int


Split = tuple[Tensor, Tensor]


def digits() -> tuple[Split, Split]:
    """Training and test examples: pictures (n, 1, 8, 8) in [0, 1] and classes, in a fixed order."""
    data = load_digits()
    order = torch.randperm(len(data.target), generator=torch.Generator().manual_seed(0))
    images = torch.tensor(data.images / 16, dtype=torch.float32).unsqueeze(1)[order]
    labels = torch.tensor(data.target)[order]
    return (images[:TRAINING], labels[:TRAINING]), (images[TRAINING:], labels[TRAINING:])


def build(seed: int, width: int = WIDTH) -> nn.Module:
    """Five convolutions with batch norm, at 8 x 8 and then 4 x 4 pixels, and a linear layer; He-normal."""
    channels = (1, width, width, 2 * width, 2 * width, 4 * width)
    layers: list[nn.Module] = []
    for place, (before, after) in enumerate(pairwise(channels)):
        convolution = nn.Conv2d(before, after, 3, stride=2 if place == 1 else 1, padding=1, bias=False)
        layers += [convolution, nn.BatchNorm2d(after), nn.ReLU()]
    network = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels[-1], 10))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0, sqrt(2 / parameter[0].numel()), generator=generator)
        network[-1].get_parameter("bias").zero_()
    return network


def outputs(network: nn.Module, split: Split) -> tuple[float, float]:
    """Accuracy and likelihood in percent."""
    images, labels = split
    with torch.no_grad():
        logits = network.eval()(images)
    accuracy = 100 * float((logits.argmax(1) == labels).float().mean())
    return accuracy, 100 * float(torch.exp(-F.cross_entropy(logits, labels)))


def counted(network: nn.Module) -> tuple[nn.Module, list[int]]:
    """A copy that writes down how many images went through it and its copies."""
    observed: list[int] = []
    copy = deepcopy(network)
    copy.register_forward_hook(lambda _module, _inputs, output: observed.append(len(output)))
    return copy, observed


def cells(seed: int, methods: dict[str, Pruner], ratios: Sequence[float], steps: int = STEPS) -> list[Cell]:
    """One network, trained and pruned in every way."""
    training, test = digits()

    def batches() -> list[Split]:
        return list(zip(training[0].split(BATCH), training[1].split(BATCH), strict=True))

    parent = sgd(batches, steps=steps, learning_rate=0.05)(build(seed), Hook())
    context = Context(example=training[0][:1], seed=seed, batches=batches)
    tune = sgd(batches, steps=TUNING, learning_rate=0.01)
    print(f"seed {seed}: parent {outputs(parent, test)[0]:.1f} %", file=sys.stderr, flush=True)
    result = []
    for ratio in ratios:
        keep = keep_for(remaining(parent), ratio)
        for name, method in methods.items():
            network, recorded = counted(parent)
            pruned = method(network, keep=keep, context=context)
            passes = sum(recorded) / EXAMPLES
            result.append(
                Cell(
                    method=name,
                    ratio=ratio,
                    seed=seed,
                    searched=outputs(pruned, (training[0][:EXAMPLES], training[1][:EXAMPLES]))[1],
                    pruned=outputs(pruned, test)[0],
                    tuned=outputs(tune(pruned, Hook()), test)[0],
                    passes=passes,
                )
            )
    return result


def difference(
    result: Sequence[Cell], one: str, other: str, reading: Callable[[Cell], float], ratio: float | None
) -> Difference:
    """`one` less `other`, paired by network; without a ratio the mean over all, so that n is the number of networks."""

    def per_seed(method: str) -> dict[int, float]:
        chosen = [cell for cell in result if cell.method == method and ratio in (None, cell.ratio)]
        return {
            seed: mean(reading(cell) for cell in chosen if cell.seed == seed)
            for seed in sorted({cell.seed for cell in chosen})
        }

    first, second = per_seed(one), per_seed(other)
    values = [value - second[seed] for seed, value in first.items()]
    half = float(student.ppf(0.975, len(values) - 1)) * stdev(values) / sqrt(len(values))
    return Difference(mean=mean(values), low=mean(values) - half, high=mean(values) + half, n=len(values))


def means(result: Sequence[Cell]) -> str:
    """Means over the networks as Markdown."""
    ratios = sorted({cell.ratio for cell in result})
    head = [f"{reading}, {ratio:.0%} gone" for reading in ("pruned", "fine-tuned") for ratio in ratios]
    lines = [f"| test accuracy in percent | {' | '.join(head)} | forward passes |", "|---|" + "---:|" * (len(head) + 1)]
    for name in dict.fromkeys(cell.method for cell in result):
        values = [
            mean(READINGS[reading](cell) for cell in result if cell.method == name and cell.ratio == ratio)
            for reading in ("pruned", "fine-tuned")
            for ratio in ratios
        ]
        passes = mean(cell.passes for cell in result if cell.method == name)
        lines.append(f"| {name} | {' | '.join(f'{value:.1f}' for value in values)} | {passes:.0f} |")
    return "\n".join(lines)


def differences(result: Sequence[Cell]) -> str:
    """Paired differences as Markdown."""
    ratios = (*sorted({cell.ratio for cell in result}), None)
    head = " | ".join("all ratios" if ratio is None else f"{ratio:.0%} gone" for ratio in ratios)
    lines = [f"| difference in points (95 % interval) | of | {head} |", "|---|---|" + "---:|" * len(ratios)]
    for one, other in PAIRS:
        for name, reading in READINGS.items():
            row = [difference(result, one, other, reading, ratio) for ratio in ratios]
            shown = " | ".join(f"{each.mean:+.1f} ({each.low:+.1f}, {each.high:+.1f})" for each in row)
            lines.append(f"| {one} - {other} | {name} | {shown} |")
    return "\n".join(lines)


def report(result: Sequence[Cell], seconds: float) -> str:
    """The whole page; `seconds` of processor time went into it."""
    seeds = sorted({cell.seed for cell in result})
    _, test = digits()
    return f"""# Layer ratios: rules, a greedy search, reinforcement learning

`python benchmarks/allocation.py --write`: {len(seeds)} networks (seeds {seeds[0]} to {seeds[-1]}), each trained on
{TRAINING} digits of scikit-learn and tested on the {len(test[1])} others; {remaining(build(0))} weights in 6 layers,
pruned by magnitude. Searches look at {EXAMPLES} training examples; a forward pass is one of all these. Fine-tuning is
one epoch ({TUNING} steps). CPU ({platform.machine()}, torch {torch.__version__}), one thread,
{seconds:.0f} s of processor time.

{means(result)}

Differences are paired by network: n = {len(seeds)} each, over all ratios too, where a network counts with its mean.
Intervals are Student's and speak of other networks and searches, not of other test examples. "likelihood" is what the
searches maximise, of the examples that they look at. What the agent starts from and learns with was chosen on other
seeds and another network.

{differences(result)}
"""


def main() -> None:
    """Measure, print, and write with --write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help=f"write {RESULT.parent.name}/{RESULT.name}")
    parser.add_argument("--seeds", type=int, default=6, help="number of networks, at least 2")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    options = parser.parse_args()
    torch.set_num_threads(1)
    began, outcome = time.process_time(), []
    for seed in range(options.first, options.first + options.seeds):
        outcome += cells(seed, METHODS, RATIOS)
    print(means(outcome), differences(outcome), sep="\n\n")
    seconds = time.process_time() - began
    print(f"{seconds:.0f} s", file=sys.stderr)
    if options.write:
        RESULT.parent.mkdir(exist_ok=True)
        RESULT.write_text(report(outcome, seconds))


if __name__ == "__main__":
    main()
