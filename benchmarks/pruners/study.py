"""Every pruning method on the same networks, with the same short retraining: python benchmarks/pruners/study.py.

Fashion-MNIST; ResNet-20 of half the width for methods that remove weights, VGG-11 with batch norm and 16 to 128
filters for methods that remove channels; three parents each, trained from three seeds. Every method prunes every
parent in one shot to five ratios, and every network is retrained for the same number of steps; methods that prune while
they train spend half of them before the cut. Cascades, in which every network is pruned from the one before, and
lottery tickets (cascades with weight rewinding) have had more steps the smaller they are; they and the controls are
runs of their own. What has been made is kept: the same command goes on where it stopped. `figures.py` draws what is
there.
"""

import argparse
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

import torch

from evalsuite.cli._console import reporter
from evalsuite.config.options import Control
from evalsuite.config.settings import EvaluationSettings, PruningSettings
from evalsuite.data import Dataset, choose, load
from evalsuite.inputs.read import Inputs, chosen_device
from evalsuite.networks.checkpoints.checkpoint import read
from evalsuite.parts.names import parse_part
from evalsuite.pipeline import Origin, run
from evalsuite.progress import Reporter
from evalsuite.pruning.train_parent import train_parent
from evalsuite.tasks.clean import Clean
from evalsuite.training.standard import Standard
from pruners import Pruner

RATIOS = (0.5, 0.8, 0.9, 0.95, 0.98)
WEIGHTS = (
    *("magnitude", "magnitude?allocation=uniform", "magnitude?allocation=lamp", "magnitude?allocation=erk"),
    *("magnitude?allocation=flops", "random", "random?allocation=uniform", "snip", "grasp", "synflow", "sipp"),
    *("woodfisher", "n-m"),
)
CHANNELS = (
    *("filter-norm", "filter-norm?allocation=global", "filter-norm?allocation=flops", "slimming", "taylor", "fisher"),
    *("fpgm", "hrank", "thinet", "pfp", "singe", "coreset", "coreset?variant=tukan", "correlation"),
)


@final
@dataclass(frozen=True, kw_only=True)
class Setting:
    """One network and what is done with it.

    Attributes:
        name: Of the folder of its runs.
        arch: As on the command line.
        data: Name of the data set.
        methods: Pruners, as on the command line; the first is the one that cascades and controls are about.
        training: Those that train while they prune.
        searched: Those that search the layers' ratios.
        controls: Networks to hold the first method against.
        parent_epochs: Of the parents' training, on all training examples.
        examples: Training examples of retraining, drawn anew for every seed.
        epochs: Passes over them; even.
        held_out: Examples to judge on.
    """

    name: str
    arch: str
    data: str
    methods: tuple[str, ...]
    training: tuple[str, ...]
    searched: tuple[str, ...] = ()
    controls: tuple[Control, ...]
    parent_epochs: int = 2
    examples: int = 3200
    epochs: int = 2
    held_out: int = 2500


SETTINGS = (
    Setting(
        name="channels",
        arch="vgg16_bn?depth=11&width=16",
        data="fashion-mnist",
        methods=CHANNELS,
        training=("greg", "greg?variant=greg1", "rni"),
        controls=("dense", "random", "reinitialised", "scratch", "width", "copycat"),
        held_out=5000,
    ),
    Setting(
        name="weights",
        arch="resnet20?width=8",
        data="fashion-mnist",
        methods=WEIGHTS,
        training=("iss-p", "hydra"),
        searched=("greedy-allocation", "constrained-rl"),
        controls=("dense", "random", "shuffled", "reinitialised", "width", "depth"),
    ),
)
SMALL = tuple(
    replace(
        each,
        arch=arch,
        data="digits",
        methods=each.methods[:2],
        training=each.training[:1],
        searched=(),
        controls=each.controls[:2],
        examples=256,
    )
    for each, arch in zip(SETTINGS, ("vgg16_bn?depth=11&width=2", "resnet8?width=4"), strict=True)
)
"""The same in a minute, to see that it runs."""


def study(settings: tuple[Setting, ...], folder: Path, seeds: int, ratios: tuple[float, ...]) -> None:
    """All runs of all settings, seed after seed, so that what is there is balanced whenever it is stopped."""
    message = reporter()
    for seed in range(seeds):
        for setting in settings:
            parent = folder / setting.name / f"parent-{seed}.safetensors"
            parent.parent.mkdir(parents=True, exist_ok=True)
            if not parent.is_file():
                train_parent(
                    arch=setting.arch,
                    data=setting.data,
                    recipe="standard",
                    epochs=setting.parent_epochs,
                    seed=seed,
                    device="auto",
                    out=parent,
                    reporter=message,
                )
            for name, making in runs(setting, ratios, parent):
                one(setting, parent, making, folder / setting.name / f"{name}-{seed}", seed, message)


def runs(setting: Setting, ratios: tuple[float, ...], parent: Path) -> Iterator[tuple[str, PruningSettings]]:
    """Name and making of every run of a setting on one parent."""
    recipe = Standard(epochs=setting.epochs, learning_rate=0.02, flip=setting.data == "fashion-mnist")
    first = PruningSettings(pruners=_parts(setting.methods[:1]), ratios=ratios, recipe=recipe)
    once = replace(first, one_shot=True)
    yield "methods", replace(once, pruners=_parts(setting.methods))
    half = replace(recipe, epochs=setting.epochs // 2)
    yield "training", replace(once, pruners=_parts(setting.training), recipe=half)
    yield "controls", replace(once, full=recipe, controls=setting.controls)
    yield "cascade", first
    if first.pruners[0].structure == "weights":
        early = read(parent.with_suffix(".early.safetensors")).network.state_dict()
        yield "lottery", replace(first, rewind="weights", rewind_to=early)
    if setting.searched:
        yield "searched", replace(once, pruners=_parts(setting.searched))


def one(setting: Setting, parent: Path, making: PruningSettings, out: Path, seed: int, message: Reporter) -> None:
    """One run: nothing if it is there already."""
    if (out / "results.json").is_file() and (out / "report.html").is_file():
        return
    print(f"{out}", flush=True)
    checkpoint = read(parent)
    data = fewer(load(setting.data), setting, seed)
    inputs = Inputs(parent=checkpoint, dataset=data, device=chosen_device("auto"))
    judging = EvaluationSettings(tasks=(Clean(),), measures=("error",), examples=setting.held_out, seed=seed)
    run(inputs, making, judging, out=out, origin=Origin(command="benchmarks/pruners/study.py"), reporter=message)


def fewer(data: Dataset, setting: Setting, seed: int) -> Dataset:
    """`data` with as many training examples as retraining gets."""
    assert data.train is not None
    return replace(data, train=choose(data.train, min(setting.examples, len(data.train)), seed))


def _parts(names: tuple[str, ...]) -> tuple[Pruner, ...]:
    return tuple(parse_part("pruners", name, Pruner) for name in names)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("reports/pruners"), help="where runs are kept")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", choices=[each.name for each in SETTINGS], help="one of the two networks")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--small", action="store_true", help="a few methods on the digits, to see that it runs")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    settings = SMALL if options.small else SETTINGS
    requested = tuple(each for each in settings if options.only in {None, each.name})
    study(requested, options.folder, options.seeds, (0.5, 0.8) if options.small else RATIOS)


if __name__ == "__main__":
    main()
