"""What does each pruning method cost, in passes through the network that it prunes?

    OMP_NUM_THREADS=1 python benchmarks/scoring.py [--write] [--repetitions 3] [--only magnitude,snip]

Every method of `pruners/` removes 90 % of ResNet-20 and of VGG-16 with batch norm, 32 px, 10 classes. Where it looks at
data it is given one batch of 64, so that the unit, one forward and one backward pass of that batch, is what a formula
with one gradient costs. No retraining; methods that train while they prune train `TRAINING` steps of one batch.
"""

import argparse
import inspect
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry
from typing_extensions import override

import pruners
from evalsuite.networks.architectures.resnet import ResNet
from evalsuite.networks.architectures.vgg import VGG
from pruners import Context, Pruner, keep_for, remaining, sgd

RESULT = Path(__file__).parent / "results" / "scoring.md"
BATCH, CLASSES, RATIO, TRAINING = 64, 10, 0.9, 3
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "ResNet-20": lambda: ResNet(depth=20)(classes=CLASSES, channels=3, image_size=32),
    "VGG-16": lambda: VGG(depth=16)(classes=CLASSES, channels=3, image_size=32),
}
SMALLER: dict[str, dict[str, int | float]] = {
    "constrained_rl": {"episodes": 2, "per_update": 2, "again": 1},
    "greedy_allocation": {"share": 0.9},
    "singe": {"steps": 1},
    "synflow": {"iterations": 10},
}
"""Settings that multiply the cost, set to a small figure that is shown; all others are the defaults."""


@dataclass(kw_only=True)
class Passes:
    """What went through a network, copies included.

    Attributes:
        forward: Images.
        backward: Images whose outputs a gradient reached.
    """

    forward: int = 0
    backward: int = 0

    def watch(self, network: nn.Module) -> None:
        """Count from here on; copies of `network` take the hook along."""

        # a function, for copies of networks copy what a bound method is bound to
        def look(network: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            del network
            images = _images(inputs[0])
            self.forward += images
            if output.requires_grad:
                output.register_hook(lambda _: back(images))

        def back(images: int) -> None:
            self.backward += images

        network.register_forward_hook(look)


def _images(inputs: Tensor) -> int:
    """Number of images, also of those that torch.func hides."""
    while torch._C._functorch.is_functorch_wrapped_tensor(inputs):  # noqa: SLF001 - there is no public way
        inputs = torch._C._functorch.get_unwrapped(inputs)  # noqa: SLF001
    return inputs.numel() // math.prod(inputs.shape[-3:])


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Of one method on one network.

    Attributes:
        forward: Passes of as many images as the batch has.
        backward: The same.
        work: Multiplications and additions of layers, in those of the unit.
        seconds: Of each repetition, on one thread.
        units: Of each repetition, in the unit's seconds.
    """

    forward: float
    backward: float
    work: float
    seconds: tuple[float, ...]
    units: tuple[float, ...]


def methods() -> dict[str, Pruner]:
    """All methods of the folder, at their defaults but for `SMALLER`."""
    result = {}
    for path in sorted(Path(str(pruners.__file__)).parent.glob("[!_]*.py")):
        module = import_module(f"pruners.{path.stem}")
        classes = [
            each for each in vars(module).values() if inspect.isclass(each) and each.__module__ == module.__name__
        ]
        (part,) = [each for each in classes if issubclass(each, Pruner) and not inspect.isabstract(each)]
        result[path.stem] = part(**SMALLER.get(path.stem, {}))
    return result


def batch() -> tuple[Tensor, Tensor]:
    """Images and labels without any meaning."""
    generator = torch.Generator().manual_seed(0)
    return torch.rand(BATCH, 3, 32, 32, generator=generator), torch.arange(BATCH) % CLASSES


def context() -> Context:
    """One batch, and a training of a few steps."""
    images, labels = batch()

    def batches() -> list[tuple[Tensor, Tensor]]:
        return [(images, labels)]

    return Context(example=images[:1], batches=batches, train=sgd(batches, steps=TRAINING, learning_rate=1e-3))


def unit(network: nn.Module) -> None:
    """One forward and one backward pass of the batch."""
    images, labels = batch()
    F.cross_entropy(network(images), labels).backward()


@final
class Flops(TorchDispatchMode):
    """Counts inside; torch's own counter, which also tells modules apart, refuses gradients by inputs of a layer.

    Attributes:
        total: Operations of convolutions and matrix products.
    """

    total: int = 0

    @override
    def __torch_dispatch__(
        self,
        func: OpOverload,
        types: Sequence[type],
        args: Sequence[object] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        outcome = func(*args, **(kwargs or {}))
        count = flop_registry.get(func.overloadpacket)
        if func.overloadpacket is torch.ops.aten.convolution_backward:
            self.total += _backward(*args)
        elif count is not None:
            self.total += count(*args, **(kwargs or {}), out_val=outcome)
        return outcome


def _backward(slope: Tensor, inputs: Tensor, weight: Tensor, *rest: object) -> int:
    # torch's formula forgets groups, which is what gradients of single examples are computed with
    transposed, wanted = rest[4], rest[7]
    assert isinstance(wanted, Sequence)
    read = inputs if transposed else slope
    return 2 * len(read) * read[0, 0].numel() * weight.numel() * (bool(wanted[0]) + bool(wanted[1]))


def flops(work: Callable[[], object]) -> int:
    """Of convolutions and matrix products."""
    with Flops() as counter:
        work()
    return counter.total


def seconds(work: Callable[[], object]) -> float:
    """Of the processor, so that what else the machine does counts little."""
    began = time.process_time()
    work()
    return time.process_time() - began


def cost(build: Callable[[], nn.Module], pruner: Pruner, repetitions: int) -> Cost:
    """Of pruning what `build` builds; each repetition has a unit measured right before it."""
    network, looked_at = build().eval(), context()
    keep = keep_for(remaining(network), RATIO)

    def prune(watched: nn.Module) -> nn.Module:
        return pruner(watched, keep=keep, context=looked_at)

    passes, watched = Passes(), build().eval()
    passes.watch(watched)
    work = flops(lambda: prune(watched)) / flops(lambda: unit(network))
    spent, units = [], []
    for _ in range(repetitions):
        before = seconds(lambda: unit(network))
        spent.append(seconds(lambda: prune(network)))
        units.append(spent[-1] / before)
    return Cost(
        forward=passes.forward / BATCH,
        backward=passes.backward / BATCH,
        work=work,
        seconds=tuple(spent),
        units=tuple(units),
    )


def settings(name: str, pruner: Pruner) -> str:
    """What a reader has to know of how the method was run."""
    shown = [f"{key} {value}" for key, value in SMALLER.get(name, {}).items()]
    if "training" in pruner.needs:
        shown.append(f"{TRAINING} training steps")
    return ", ".join(shown)


def row(name: str, pruner: Pruner, result: Cost) -> str:
    """One line of a table."""
    middle, low, high = median(result.units), min(result.units), max(result.units)
    return (
        f"| {name} | {pruner.structure} | {settings(name, pruner)} | {result.forward:.2f} | {result.backward:.2f} "
        f"| {result.work:.2f} | {middle:.2f} ({low:.2f} to {high:.2f}) | {median(result.seconds):.2f} |"
    )


def table(costs: dict[str, tuple[Pruner, Cost]]) -> str:
    """One network's methods."""
    return "\n".join(
        [
            "| method | removes | run with | forward | backward | work | time | seconds |",
            "|---|---|---|---:|---:|---:|---:|---:|",
            *(row(name, pruner, actual) for name, (pruner, actual) in costs.items()),
        ]
    )


def report(tables: dict[str, str], repetitions: int) -> str:
    """The whole page."""
    parts = "\n\n".join(f"## {name}\n\n{computed}" for name, computed in tables.items())
    return f"""# What pruning costs before anything is retrained

`OMP_NUM_THREADS=1 python benchmarks/scoring.py --write`: every method of `pruners/` at a ratio of {RATIO:g}, 32 px,
{CLASSES} classes. The unit is one forward and one backward pass of {BATCH} images through the same network, measured
right before every repetition. Where a method looks at data, it is given these {BATCH} images; it takes as many
times longer as it is given more, up to the number that its own settings ask for.

- forward, backward: passes of {BATCH} images, counted by hooks; smaller passes, as of the one image of a trace, count
  in proportion. A second derivative counts as a backward pass where it reaches the outputs. What a method runs layer by
  layer, or from somewhere inside the network, is in "work" only.
- work: floating-point operations of convolutions and matrix products, in units.
- time: processor time of one thread, in units: median, and least to most, of {repetitions} repetitions.
- seconds: of this machine only (CPU, one thread, torch {torch.__version__}).

{parts}

## Where time is far above work

- Methods that remove channels first find out which belong together: a trace, and two runs without half of them, in
  float64. That is all that filter_norm, fpgm and slimming do beside reading weights.
- Methods that remove single weights rank all of them in float64, 14.7 million in VGG-16.
- hrank takes the singular values of every feature map.
- pfp takes, of every weight, the largest share in any sum: as many products as the convolution has, of which the
  maximum is taken instead of the sum, so that no matrix product does it.
- woodfisher and sipp take gradients of single examples, which torch computes as grouped convolutions; woodfisher also
  solves systems of {BATCH} equations in float64 for every 2000 weights.
- greedy_allocation and constrained_rl are searches: forward passes are what they spend.
"""


def main() -> None:
    """Measure, print, and write with --write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help=f"write {RESULT.parent.name}/{RESULT.name}")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--only", default="", help="some methods only, with commas")
    options = parser.parse_args()
    torch.set_num_threads(1)
    chosen = {name: each for name, each in methods().items() if name in options.only.split(",") or not options.only}
    tables = {}
    for title, build in NETWORKS.items():
        costs: dict[str, tuple[Pruner, Cost]] = {}
        for name, pruner in chosen.items():
            costs[name] = (pruner, cost(build, pruner, options.repetitions))
            print(title, row(name, *costs[name]), file=sys.stderr, flush=True)
            tables[title] = table(costs)
            if options.write:
                # what is measured is there, should the rest be interrupted
                RESULT.write_text(report(tables, options.repetitions))
        print(title, tables[title], sep="\n\n")


if __name__ == "__main__":
    main()
