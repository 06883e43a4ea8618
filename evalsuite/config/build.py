"""Builds the settings of a run from its options: parts by their names."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, TypeVar

import torch

from evalsuite.config.keywords import GivenParts
from evalsuite.config.options import EvaluationOptions, PruningOptions, Spec, declared
from evalsuite.config.settings import EvaluationSettings, PruningSettings
from evalsuite.data._slices import read as read_slices
from evalsuite.errors import UsageError
from evalsuite.inputs.read import Inputs
from evalsuite.measures._base import Metric
from evalsuite.networks.architectures.by_name import split
from evalsuite.networks.checkpoints.checkpoint import read
from evalsuite.networks.programs.program import artefact_in
from evalsuite.parts.names import parse_part, part_name
from evalsuite.parts.registry import names
from evalsuite.process.third_party_code import others_code
from evalsuite.tasks._base import Task
from evalsuite.tasks._names import expand
from evalsuite.training import Recipe, named
from pruners import Pruner
from pruners.regularisers import Regulariser

Part = TypeVar("Part")
_NAMED: Final = GivenParts()


def build_pruning_settings(spec: Spec, inputs: Inputs, parts: GivenParts = _NAMED) -> PruningSettings:
    """How the family is to be made; `parts` stand in the place of those that `spec` names.

    Raises:
        UsageError: A part cannot be made, or needs data or training that there is not.
    """
    recipe = parts.recipe
    if recipe is None:
        recipe = recipe_for(spec.retrain, inputs.parent.arch, inputs.dataset.name, spec.epochs, retraining=True)
    if recipe is not None and inputs.dataset.train is None:
        raise UsageError(
            f"--retrain {part_name(recipe)}: {inputs.dataset.name} has no training examples; use --retrain none"
        )
    if spec.rewind == "weights" and spec.early is None:
        raise UsageError("--rewind weights: expected --early FILE, the early checkpoint that evalsuite train wrote")
    early = None if spec.early is None or spec.rewind != "weights" else _early(spec, inputs)
    settings = PruningSettings(
        pruners=_parsed("pruners", parts.pruners or spec.pruner, Pruner),
        one_shot=spec.schedule == "one-shot",
        recipe=recipe,
        full=_full_recipe(spec, inputs) if parts.recipe is None else None,
        rewind_to=early,
        regularisers=_parsed("pruners.regularisers", parts.regularisers or spec.regularise, Regulariser),
        **{option.name: getattr(spec, option.name) for option in declared(PruningOptions)},
    )
    check_pruning(settings, inputs)
    return settings


def check_pruning(settings: PruningSettings, inputs: Inputs) -> None:
    """Refuse what cannot be made, before anything is.

    Raises:
        UsageError: A pruner or a control needs data or training that there is not, or the parent cannot be pruned.
    """
    if artefact_in(inputs.parent.network) is not None:
        raise UsageError("an exported file is run as it is and cannot be pruned: give the network's checkpoint")
    for recipe in filter(None, (settings.recipe, settings.full)):
        if (refusal := recipe.unsupported_reason(inputs.dataset.problem)) is not None:
            raise UsageError(f"--retrain {part_name(recipe).partition('?')[0]}: {refusal}")
    for pruner in settings.pruners:
        _check_pruner(pruner, settings, inputs)
    if settings.recipe is None:
        changed = {
            "--adapters": settings.adapters,
            "--regularise": settings.regularisers,
            "--controls": settings.controls,
        }
        for option in (option for option, given in changed.items() if given):
            raise UsageError(f"{option} is about retraining, and nothing is retrained: add --retrain RECIPE")
    if "copycat" in settings.controls and all(pruner.structure == "weights" for pruner in settings.pruners):
        raise UsageError("--controls copycat: expected a pruner of channels, whose widths are imitated, got none")


def _check_pruner(pruner: Pruner, settings: PruningSettings, inputs: Inputs) -> None:
    if pruner.needs and inputs.dataset.train is None:
        raise UsageError(f"--pruner {part_name(pruner)} looks at training examples, and {inputs.dataset.name} has none")
    if "training" in pruner.needs and settings.recipe is None:
        raise UsageError(f"--pruner {part_name(pruner)} prunes while it trains: add --retrain RECIPE")
    if settings.rewind == "weights" and pruner.structure != "weights":
        raise UsageError(
            f"--rewind weights: expected pruners of weights, got {part_name(pruner)}, which takes channels"
        )


def _full_recipe(spec: Spec, inputs: Inputs) -> Recipe | None:
    if spec.retrain == "none" or not spec.controls:
        return None
    return recipe_for(spec.retrain, inputs.parent.arch, inputs.dataset.name, None, retraining=False)


def build_evaluation_settings(spec: Spec, parts: GivenParts = _NAMED) -> EvaluationSettings:
    """What the family is to be asked; `parts` as for `build_pruning_settings`.

    Raises:
        UsageError: A task, a measure or the table of attributes cannot be read.
    """
    slices = None if spec.slices is None else read_slices(spec.slices)
    tasks = spec.tasks if parts.tasks is None else parts.tasks
    return EvaluationSettings(
        tasks=(
            *expand(task for task in tasks if isinstance(task, str)),
            *(task for task in tasks if isinstance(task, Task)),
        ),
        measures=None if spec.measures is None else _measures(spec.measures, sliced=slices is not None),
        required=spec.require,
        slices=slices,
        **{option.name: getattr(spec, option.name) for option in declared(EvaluationOptions)},
    )


def _parsed(package: str, values: Sequence[str | Part], base: type[Part]) -> tuple[Part, ...]:
    return tuple(value if isinstance(value, base) else parse_part(package, str(value), base) for value in values)


def _measures(texts: Sequence[str], *, sliced: bool) -> tuple[str, ...]:
    every = names("evalsuite.measures")
    given = dict.fromkeys(text for each in texts for text in (every if each == "all" else [each]))
    measures = dict.fromkeys(part_name(parse_part("evalsuite.measures", text, Metric)) for text in given)
    return tuple({**measures, **({"worst_slice": None} if sliced else {})})


def recipe_for(name: str, arch: str | None, data: str, epochs: int | None, *, retraining: bool) -> Recipe | None:
    """The recipe called `name`, as its source sets it for this network and data; None for "none".

    `retraining`: for retraining after pruning.
    """
    if name == "none":
        return None
    recipe = named(name, architecture=split(arch)[0] if arch else "", data=data)
    recipe = recipe.for_retraining() if retraining else recipe
    return recipe if epochs is None else replace(recipe, epochs=epochs)


def _early(spec: Spec, inputs: Inputs) -> dict[str, torch.Tensor]:
    assert spec.early is not None  # noqa: S101 - checked by the caller
    with others_code(f"reading --early {spec.early}"):
        network = read(spec.early, arch=spec.arch, classes=inputs.dataset.classes, shape=inputs.dataset.shape).network
    early, now = network.state_dict(), inputs.parent.network.state_dict()
    if {k: v.shape for k, v in early.items()} != {k: v.shape for k, v in now.items()}:
        raise UsageError(f"--early {spec.early}: expected the tensors of the network itself, got those of another")
    return early
