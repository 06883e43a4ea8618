"""Lost in Pruning on a small scale, robust training included: python benchmarks/lost_in_pruning.py.

Liebenwein et al. 2021 (arXiv:2103.03014): how far can a network be pruned on corrupted data and on noise, when it was
trained and retrained on clean data, and when on half of the corruptions? Fashion-MNIST and a ResNet-8 with 8 filters;
cascades of the paper's four methods (weights by magnitude and SiPP, filters by norm and PFP), every network retrained
by the whole schedule on a quarter of the training examples; three parents for each kind of training. What has been made
is kept: the same command goes on where it stopped, with more --held-out examples too, and writes the page, the figures
and the points of what is there.
"""

import argparse
import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

import torch
from lost_in_pruning_page import write_page

from evalsuite.cli._console import reporter
from evalsuite.config.settings import EvaluationSettings, PruningSettings
from evalsuite.data import choose, load
from evalsuite.inputs.read import Inputs, chosen_device
from evalsuite.networks.checkpoints.checkpoint import read
from evalsuite.parts.names import parse_part, part_name
from evalsuite.pipeline import Origin, run
from evalsuite.progress import Reporter
from evalsuite.pruning.train_parent import train_parent
from evalsuite.tasks._names import expand
from evalsuite.training import named
from pruners import Pruner

TRAININGS = ("standard", "augmented")
# the paper's noise is in units of the normalised image: its 0.05, ..., 0.7 are 0.018, ..., 0.25 here (deviation 0.353)
NOISE = (0.02, 0.05, 0.08, 0.11, 0.14, 0.17, 0.2, 0.25)
# of the paper's grid for robust networks
WEIGHTS = (0.357, 0.585, 0.732, 0.827, 0.888, 0.954)
FILTERS = (0.2, 0.357, 0.484, 0.585, 0.732, 0.827)


@final
@dataclass(frozen=True, kw_only=True)
class Study:
    """What is run.

    Attributes:
        data: Name of the data set.
        arch: As on the command line.
        weights: Methods that remove weights, as on the command line.
        filters: Methods that remove filters.
        weight_ratios: Targets of the former.
        filter_ratios: Targets of the latter.
        noise: Levels of uniform noise, in units of the image's range.
        epochs: Of the parents' training and of each retraining.
        train: Training examples of retraining, at most; parents see all.
        held_out: Examples to judge on, at most.
        seeds: Parents for each kind of training.
    """

    data: str = "fashion-mnist"
    arch: str = "resnet8?width=8"
    weights: tuple[str, ...] = ("magnitude", "sipp")
    filters: tuple[str, ...] = ("filter-norm", "pfp")
    weight_ratios: tuple[float, ...] = WEIGHTS
    filter_ratios: tuple[float, ...] = FILTERS
    noise: tuple[float, ...] = NOISE
    epochs: int = 3
    train: int = 15_000
    held_out: int = 10_000
    seeds: int = 3


SMALL = Study(
    data="digits",
    arch="resnet8?width=4",
    weights=("magnitude",),
    filters=("filter-norm",),
    weight_ratios=(0.5, 0.8),
    filter_ratios=(0.3,),
    noise=(0.1, 0.3),
    epochs=1,
    train=256,
    held_out=60,
    seeds=2,
)
"""The same in a minute, to see that it runs."""


def study(requested: Study, folder: Path, message: Reporter, trainings: tuple[str, ...] = TRAININGS) -> None:
    """All runs, seed after seed, so that what is there is balanced whenever it is stopped."""
    for seed in range(requested.seeds):
        for training in trainings:
            parent = folder / training / f"parent-{seed}.safetensors"
            parent.parent.mkdir(parents=True, exist_ok=True)
            if not parent.is_file():
                print(parent, flush=True)
                train_parent(
                    arch=requested.arch,
                    data=requested.data,
                    recipe=training,
                    epochs=requested.epochs,
                    seed=seed,
                    device="auto",
                    out=parent,
                    reporter=message,
                )
            for part, methods, ratios in (
                ("weights", requested.weights, requested.weight_ratios),
                ("filters", requested.filters, requested.filter_ratios),
            ):
                out = folder / training / f"{part}-{seed}"
                one(requested, parent, training, _parts(methods), ratios, out, seed, message)


def one(
    requested: Study,
    parent: Path,
    training: str,
    methods: tuple[Pruner, ...],
    ratios: tuple[float, ...],
    out: Path,
    seed: int,
    message: Reporter,
) -> None:
    """One run: nothing if it is there already, with as many held-out examples."""
    data = load(requested.data)
    expected = _judged_on(out)
    if expected is not None and expected >= min(requested.held_out, len(data.test)):
        return
    print(f"{out}: {', '.join(map(part_name, methods))}", flush=True)
    assert data.train is not None
    data = replace(data, train=choose(data.train, min(requested.train, len(data.train)), seed))
    recipe = replace(named(training, architecture=requested.arch, data=requested.data), epochs=requested.epochs)
    tasks = ["clean", "corruption/all/3", *(f"noise/uniform/{level:g}" for level in requested.noise)]
    judging = EvaluationSettings(
        tasks=expand(tasks),
        measures=("error", "softmax_distance"),
        required=("clean",),
        examples=requested.held_out,
        seed=seed,
    )
    inputs = Inputs(parent=read(parent), dataset=data, device=chosen_device("auto"))
    making = PruningSettings(pruners=methods, ratios=ratios, recipe=recipe.for_retraining())
    origin = Origin(command="benchmarks/lost_in_pruning.py", amend=expected is not None)
    run(inputs, making, judging, out=out, origin=origin, reporter=message)


def _judged_on(out: Path) -> int | None:
    """On how many examples the finished run in `out` was judged; None where there is none."""
    if not ((out / "results.json").is_file() and (out / "report.html").is_file()):
        return None
    examples: int = json.loads((out / "results.json").read_text(encoding="utf-8"))["data"]["examples"]
    return examples


def _parts(names: tuple[str, ...]) -> tuple[Pruner, ...]:
    return tuple(parse_part("pruners", each, Pruner) for each in names)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("reports/lost-in-pruning"), help="where runs are kept")
    parser.add_argument("--page", type=Path, help="where page, figures and points go (default: into the folder)")
    parser.add_argument("--seeds", type=int, help="parents for each kind of training (default 3)")
    parser.add_argument("--epochs", type=int, help="of each training and retraining (default 3)")
    parser.add_argument("--held-out", type=int, help="examples to judge on (default 10 000)")
    parser.add_argument("--only", choices=TRAININGS, help="one kind of training: two can run side by side")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--small", action="store_true", help="the digits and few networks, to see that it runs")
    parser.add_argument("--only-page", action="store_true", help="train nothing, write the page of what is there")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    requested = SMALL if options.small else Study()
    given = {key: getattr(options, key) for key in ("seeds", "epochs", "held_out") if getattr(options, key)}
    requested = replace(requested, **given)
    if not options.only_page:
        study(requested, options.folder, reporter(), TRAININGS if options.only is None else (options.only,))
    print(write_page(options.folder, options.page or options.folder))


if __name__ == "__main__":
    main()
