"""Trains a parent by recipe and writes its checkpoint, with the early weights that weight rewinding goes back to."""

import tempfile
from collections.abc import Mapping
from pathlib import Path

from torch import nn

from evalsuite.config.build import recipe_for
from evalsuite.data import load
from evalsuite.errors import UsageError
from evalsuite.files.atomic import check_writable
from evalsuite.inputs.read import chosen_device
from evalsuite.networks.architectures.by_name import build, split
from evalsuite.networks.checkpoints.checkpoint import Checkpoint, write
from evalsuite.networks.checkpoints.header import described
from evalsuite.networks.copies import copied
from evalsuite.networks.normalized import Normalized
from evalsuite.parts.names import part_name
from evalsuite.process.third_party_code import others_code
from evalsuite.progress import Reporter
from evalsuite.pruning.refusals import refusing
from evalsuite.pruning.retraining import Pace
from evalsuite.training import score, train
from evalsuite.version import __version__


def train_parent(
    *,
    arch: str,
    data: str,
    recipe: str,
    epochs: int | None,
    seed: int,
    device: str,
    out: Path,
    reporter: Reporter,
) -> str:
    """Train a network by recipe, write its checkpoint (and its early weights), tell its held-out score.

    Weights after the first 5 % of training stand beside it, for weight rewinding (Frankle et al. 2020).

    Raises:
        UsageError: Arguments do not fit together, or `out` cannot be written, which is found out before training.
    """
    dataset, chosen = load(data), recipe_for(recipe, arch, data, epochs, retraining=False)
    if dataset.train is None or chosen is None:
        raise UsageError(f"expected a recipe and data with training examples, got --recipe {recipe} --data {data}")
    check_writable(out, "--out")
    beside = out.with_suffix(".early.safetensors")
    check_writable(beside, "--out")
    if beside.exists() and described(beside) is None:
        raise UsageError(
            f"--out: expected a place beside which {beside.name} can be written, got one with another file of that "
            f"name, which is left as it is: {beside}"
        )
    channels, side, _ = dataset.shape
    with others_code(f"building {arch}"):
        bare = build(arch, classes=len(dataset.classes), channels=channels, image_size=side, seed=seed)
    network = Normalized(bare, dataset.mean, dataset.std)
    steps = chosen.epochs * max(1, len(dataset.train) // chosen.batch_size)
    early: list[nn.Module] = []

    def keep_early(step: int, student: nn.Module) -> None:
        if step == max(1, round(0.05 * steps)):
            early.append(copied(student))

    reporter.start(f"Training {arch}", chosen.epochs)
    pace = Pace(dataset.train, chosen, reporter)
    on = chosen_device(device)
    with refusing(f"--recipe {part_name(chosen)} cannot train {arch}", networks={arch: network}):
        trained = train(
            network,
            dataset.train,
            chosen,
            seed=seed,
            device=on,
            after_step=pace.after(None),
            progress=pace.epoch_done,
            early=keep_early,
        )
    reporter.finish()
    name, arguments = split(arch)
    made: dict[Path, Checkpoint] = {}
    for path, student, step in ((out, trained, "train"), (beside, early[0], "early")):
        assert isinstance(student, Normalized)  # noqa: S101 - training keeps what it is handed
        made[path] = Checkpoint(
            network=student,
            arch=name,
            arguments=arguments,
            class_count=len(dataset.classes),
            classes=dataset.classes,
            shape=dataset.shape,
            data=data,
            lineage=({"step": step, "recipe": part_name(chosen), "seed": seed, "version": __version__},),
        )
    _write(made)
    with others_code("scoring it on held-out examples", networks={arch: trained}):
        return f"{dataset.problem.score_title} {score(trained, dataset.test, device=on):.2%}"


def _write(made: Mapping[Path, Checkpoint]) -> None:
    """Each to its place; where one cannot be written any more, all to a folder of their own: training was long."""
    try:
        for path, checkpoint in made.items():
            write(path, checkpoint)
    except OSError as error:
        rescue = Path(tempfile.mkdtemp(prefix="evalsuite-"))
        for path, checkpoint in made.items():
            write(rescue / path.name, checkpoint)
        raise UsageError(
            f"--out: expected a place that can be written, got {error.filename} ({error.strerror}); "
            f"what was trained is in {rescue}"
        ) from error
