"""Options → parts: the checkpoint, the data set, and what is to be done with them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

import torch

from evalsuite.data import Dataset, load
from evalsuite.errors import UsageError
from evalsuite.measures._base import Figure
from evalsuite.naming import name as spelled
from evalsuite.naming import parse
from evalsuite.networks.architectures import convention, split
from evalsuite.networks.artefact import artefact_in
from evalsuite.networks.artefacts import Statistics, is_artefact, read_artefact
from evalsuite.networks.checkpoint import Checkpoint, check_fits, read
from evalsuite.order import Judging, Making
from evalsuite.registry import names
from evalsuite.slices import read as read_slices
from evalsuite.spec import Spec
from evalsuite.tasks._names import expand
from evalsuite.training import Recipe, named
from pruners import Pruner
from pruners.regularisers import Regulariser


@final
@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What a run works on.

    Attributes:
        parent: The trained network, on its device.
        dataset: Its data.
        device: Where networks are run.
        separate: A dense network that was trained apart from the parent, to hold functional distances against (Lost in
            Pruning, section 4); None where there is none.
    """

    parent: Checkpoint
    dataset: Dataset
    device: torch.device
    separate: Checkpoint | None = None


def inputs(spec: Spec) -> Inputs:
    """The network and the data that the options name.

    Raises:
        UsageError: A file is missing, or network and data do not fit together.
        RefusedInputError: A file is corrupt or would have to be trusted.
    """
    normalised = spec.artefact_input == "normalised"
    found = read_inputs(
        spec.ckpt, arch=spec.arch, data=spec.data, trust=spec.trust, on=spec.device, normalised=normalised
    )
    return found if spec.separate is None else replace(found, separate=candidate(spec.separate, spec, found))


def read_inputs(
    ckpt: Path, *, arch: str | None, data: str | None, trust: Sequence[str], on: str, normalised: bool = False
) -> Inputs:
    """As `inputs`, for a single checkpoint; `normalised`: exported files take images normalised as the data are."""
    device = chosen_device(on)
    trusted = frozenset(digest.removeprefix("sha256:") for digest in trust)
    # a state dict and an exported file say nothing of their images: the data set does
    given = load(data) if data is not None else None
    if is_artefact(ckpt):
        if given is None:
            raise UsageError(f"expected --data NAME beside an exported file, which does not tell its images: {ckpt}")
        before = (given.mean, given.std) if normalised else None
        parent = read_artefact(ckpt, classes=given.classes, shape=given.shape, normalisation=before)
    else:
        parent = _read(ckpt, arch, given, trusted)
    dataset = given
    if dataset is None:
        if parent.data is None:
            known = ", ".join(name.replace("_", "-") for name in names("evalsuite.data"))
            raise UsageError(f"{ckpt} does not say on which data it was trained: add --data NAME (one of {known})")
        dataset = load(parent.data)
    check_fits(parent, dataset.outputs, dataset.shape)
    moved = replace(parent, network=parent.network.to(device), data=dataset.name)
    return Inputs(parent=moved, dataset=dataset, device=device)


def _read(ckpt: Path, arch: str | None, dataset: Dataset | None, trusted: frozenset[str]) -> Checkpoint:
    if dataset is None:
        return read(ckpt, arch=arch, trusted=trusted)
    # networks of other libraries were trained with their library's statistics, all others with those of their data
    own = arch is not None and convention(arch).mean is None
    return read(
        ckpt,
        arch=arch,
        classes=dataset.classes,
        shape=dataset.shape,
        mean=dataset.mean if own else None,
        std=dataset.std if own else None,
        trusted=trusted,
    )


def candidate(path: Path, spec: Spec, inputs: Inputs) -> Checkpoint:
    """A network to be compared with the parent of `inputs`, on the same device.

    Raises:
        UsageError: It does not fit the data.
        RefusedInputError: The file is corrupt or would have to be trusted.
    """
    if is_artefact(path):
        dataset, before = inputs.dataset, statistics(inputs) if spec.artefact_input == "normalised" else None
        read_as = read_artefact(path, classes=dataset.classes, shape=dataset.shape, normalisation=before)
        return replace(read_as, network=read_as.network.to(inputs.device))
    trusted = frozenset(digest.removeprefix("sha256:") for digest in spec.trust)
    found = _read(path, spec.arch, inputs.dataset, trusted)
    check_fits(found, inputs.dataset.outputs, inputs.dataset.shape)
    return replace(found, network=found.network.to(inputs.device).eval())


def statistics(inputs: Inputs) -> Statistics:
    """Mean and standard deviation by which the parent normalises its images; those of the data where it does not."""
    mean, std = inputs.parent.network.mean.tolist(), inputs.parent.network.std.tolist()
    trivial = not any(mean) and all(each == 1 for each in std)
    return (inputs.dataset.mean, inputs.dataset.std) if trivial else (mean, std)


def making(spec: Spec, inputs: Inputs) -> Making:
    """How the family is to be made."""
    recipe = recipe_for(spec.retrain, inputs.parent.arch, inputs.dataset.name, spec.epochs, again=True)
    if recipe is not None and inputs.dataset.train is None:
        raise UsageError(
            f"--retrain {spec.retrain}: {inputs.dataset.name} has no training examples; use --retrain none"
        )
    if spec.rewind == "weights" and spec.early is None:
        raise UsageError("--rewind weights: expected --early FILE, the early checkpoint that evalsuite train wrote")
    early = None if spec.early is None or spec.rewind != "weights" else _early(spec, inputs)
    made = Making(
        pruners=tuple(parse("pruners", name, Pruner) for name in spec.pruner),
        ratios=spec.ratios,
        one_shot=spec.schedule == "one-shot",
        budget=spec.budget,
        recipe=recipe,
        full=_full_recipe(spec, inputs),
        rewind=spec.rewind,
        rewind_to=early,
        adapters=spec.adapters,
        regularisers=tuple(parse("pruners.regularisers", name, Regulariser) for name in spec.regularise),
        controls=spec.controls,
        seeds=spec.seeds,
    )
    check_making(made, inputs)
    return made


def check_making(making: Making, inputs: Inputs) -> None:
    """Refuse what cannot be made, before anything is.

    Raises:
        UsageError: A pruner or a control needs data or training that there is not, or the parent cannot be pruned.
    """
    if artefact_in(inputs.parent.network) is not None:
        raise UsageError("an exported file is run as it is and cannot be pruned: give the network's checkpoint")
    for recipe in filter(None, (making.recipe, making.full)):
        if (refusal := recipe.refuses(inputs.dataset.problem)) is not None:
            raise UsageError(f"--retrain {spelled(recipe).partition('?')[0]}: {refusal}")
    for pruner in making.pruners:
        _check_pruner(pruner, making, inputs)
    if making.recipe is None:
        changed = {"--adapters": making.adapters, "--regularise": making.regularisers, "--controls": making.controls}
        for option in (option for option, given in changed.items() if given):
            raise UsageError(f"{option} is about retraining, and nothing is retrained: add --retrain RECIPE")
    if "copycat" in making.controls and all(pruner.structure == "weights" for pruner in making.pruners):
        raise UsageError("--controls copycat: expected a pruner of channels, whose widths are imitated, got none")


def _check_pruner(pruner: Pruner, making: Making, inputs: Inputs) -> None:
    if pruner.needs and inputs.dataset.train is None:
        raise UsageError(f"--pruner {spelled(pruner)} looks at training examples, and {inputs.dataset.name} has none")
    if "training" in pruner.needs and making.recipe is None:
        raise UsageError(f"--pruner {spelled(pruner)} prunes while it trains: add --retrain RECIPE")
    if making.rewind == "weights" and pruner.structure != "weights":
        raise UsageError(f"--rewind weights: expected pruners of weights, got {spelled(pruner)}, which takes channels")


def _full_recipe(spec: Spec, inputs: Inputs) -> Recipe | None:
    if spec.retrain == "none" or not spec.controls:
        return None
    return recipe_for(spec.retrain, inputs.parent.arch, inputs.dataset.name, None, again=False)


def judging(spec: Spec) -> Judging:
    """What the family is to be asked."""
    slices = None if spec.slices is None else read_slices(spec.slices)
    return Judging(
        tasks=expand(spec.tasks),
        measures=None if spec.measures is None else _measures(spec.measures, sliced=slices is not None),
        required=spec.require,
        margin=spec.margin,
        margin_for=spec.margin_for,
        confidence=spec.confidence,
        examples=spec.examples,
        examples_for=spec.examples_for,
        seed=spec.seed,
        slices=slices,
    )


def _measures(asked: Sequence[str], *, sliced: bool) -> tuple[str, ...]:
    every = names("evalsuite.measures")
    given = dict.fromkeys(m for each in asked for m in (every if each == "all" else [each]))
    found = dict.fromkeys(spelled(parse("evalsuite.measures", measure, Figure)) for measure in given)
    return tuple({**found, **({"worst_slice": None} if sliced else {})})


def recipe_for(name: str, arch: str | None, data: str, epochs: int | None, *, again: bool) -> Recipe | None:
    """The recipe called `name`, as its source sets it for this network and data; None for "none".

    `again`: for retraining after pruning.
    """
    if name == "none":
        return None
    recipe = named(name, architecture=split(arch)[0] if arch else "", data=data)
    recipe = recipe.retraining() if again else recipe
    return recipe if epochs is None else replace(recipe, epochs=epochs)


def chosen_device(name: str) -> torch.device:
    """The device called `name`; "auto" takes a GPU where there is one.

    Raises:
        UsageError: There is no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UsageError(f"--device: expected cpu, cuda, cuda:N or auto, got {name!r}") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UsageError(f"--device {name}: there is no CUDA device here; use cpu or auto")
    return device


def _early(spec: Spec, inputs: Inputs) -> dict[str, torch.Tensor]:
    assert spec.early is not None  # noqa: S101 - checked by the caller
    network = read(spec.early, arch=spec.arch, classes=inputs.dataset.classes, shape=inputs.dataset.shape).network
    early, now = network.state_dict(), inputs.parent.network.state_dict()
    if {k: v.shape for k, v in early.items()} != {k: v.shape for k, v in now.items()}:
        raise UsageError(f"--early {spec.early}: expected the tensors of the network itself, got those of another")
    return early
