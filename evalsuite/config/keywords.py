"""Keywords of Python's front door: options named and typed as on the command line, with parts beside names.

The test of the two front doors holds these to the command line's options, name by name.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from os import PathLike
from pathlib import Path
from typing import Literal, TypedDict, TypeVar, final, get_origin

from evalsuite.config.options import OPTIONS, Budget, Control, Rewind, Spec, alternatives
from evalsuite.config.settings import EvaluationSettings
from evalsuite.config.spec import resolve
from evalsuite.errors import UnknownNameError, UsageError
from evalsuite.tasks._base import Task
from evalsuite.training import Recipe
from pruners import Pruner
from pruners.regularisers import Regulariser

File = str | PathLike[str]
Part = TypeVar("Part")


class RunOptions(TypedDict, total=False):
    """What `sweep` and `evaluate` both take; an option that is left out, or None, is as the preset has it.

    Attributes:
        preset: "quick" (default), "standard", "paper", "safety" or "robustbench": a named set of options.
        arch: Architecture of files that do not describe themselves, e.g. "resnet8" or "torchvision:resnet18".
        weights: Entry of a file that holds the weights, where it has several.
        normalise: What stands before the network: "none", "data", "imagenet" or MEAN/STD, for images in [0, 1].
        classes: What the network's outputs stand for: "data" (its order), names with commas in between, or a file.
        strict: Whether nothing may be assumed.
        assume: Patterns of topics that may be assumed even so, e.g. "class order".
        accept_parent: Whether to go on with a parent that is not shown to be better than a trivial answer.
        trust: "sha256:..." of pickles that may run their code.
        device: "cpu", "cuda", "cuda:N" or "auto".
        threads: CPU threads while the call lasts.
        engine: Where shards are computed.
        tasks: Tasks, or their names: "clean", "noise/uniform/0.1", "corruption/all/3".
        measures: Names of what is read off observations, or "all".
        require: Patterns of the tasks that bind the deployable ratio.
        margin: How much worse a pruned network may be, in [0, 1). Given, it is that of every task: those that the
            preset has for some of them are left out, unless `margin_for` is given too.
        margin_for: Other margins by task or kind, e.g. {"adversarial": 0.02}.
        confidence: Of every claim, in (0.5, 1).
        examples: Held-out examples to evaluate on.
        examples_for: Fewer for expensive tasks, e.g. {"adversarial": 200}.
        seed: The run's; every random draw is derived from it.
        slices: CSV with a row for each held-out example: attributes, for the worst slice's error.
        separate: File of a network that was trained apart from the parent.
        full_paths: Whether results tell where files lie on this machine.
        gate: Policy (TOML) that the result will be held to: what it refuses to be assumed is refused before any work.
            `Result.gate` gives the verdict.
    """

    preset: Literal["quick", "standard", "paper", "safety", "robustbench"]
    arch: str | None
    weights: str | None
    normalise: str | None
    classes: str | None
    strict: bool
    assume: str | Sequence[str]
    accept_parent: bool
    trust: str | Sequence[str]
    device: str
    threads: int | None
    engine: Literal["local"]
    tasks: str | Task | Sequence[str | Task] | None
    measures: str | Sequence[str] | None
    require: str | Sequence[str]
    margin: float | None
    margin_for: Mapping[str, float] | None
    confidence: float | None
    examples: int | None
    examples_for: Mapping[str, int] | None
    seed: int
    slices: File | None
    separate: File | None
    full_paths: bool
    gate: File | None


class EvaluateOptions(RunOptions, total=False):
    """What `evaluate` takes.

    Attributes:
        artefact_input: What exported files take: "images" in [0, 1] (default), or "normalised" as for the parent.
    """

    artefact_input: Literal["images", "normalised"] | None


class SweepOptions(RunOptions, total=False):
    """What `sweep` takes.

    Attributes:
        pruner: One or several, as parts or by name; each makes a family.
        ratios: Target prune ratios in (0, 1).
        budget: What ratios are shares of: "parameters", "flops" or "latency".
        schedule: "cascade": each network is pruned from the one before; "one-shot": each from the parent.
        retrain: Recipe that retrains every pruned network, by name or as a part, which is taken as it is; or "none".
        epochs: Of retraining per step; None: the recipe's.
        rewind: The "learning-rate" schedule again; early "weights" too; or "none": fine-tuning at a small rate.
        early: File of the early weights for "weights".
        adapters: Rank of low-rank adapters that are retrained instead of the weights.
        regularise: Penalties that retraining adds to the loss, as parts or by name.
        controls: Networks to compare with, e.g. "random" or "scratch".
        seeds: Families per pruner, which differ in their seed.
    """

    pruner: str | Pruner | Sequence[str | Pruner]
    ratios: Sequence[float] | None
    budget: Budget
    schedule: Literal["cascade", "one-shot"]
    retrain: str | Recipe | None
    epochs: int | None
    rewind: Rewind
    early: File | None
    adapters: int | None
    regularise: str | Regulariser | Sequence[str | Regulariser]
    controls: Control | Sequence[Control]
    seeds: int


@final
@dataclass(frozen=True, kw_only=True)
class GivenParts:
    """Options of which a value was given as a part: a class of the user's own has no name that could be written down.

    Attributes:
        tasks: All values of `tasks`; None where there are none, or all are names.
        pruners: All values of `pruner`, likewise.
        regularisers: All values of `regularise`, likewise.
        recipe: Retrains, as it is; None where it is named.
    """

    tasks: tuple[str | Task, ...] | None = None
    pruners: tuple[str | Pruner, ...] | None = None
    regularisers: tuple[str | Regulariser, ...] | None = None
    recipe: Recipe | None = None


def resolve_options(
    options: Mapping[str, object], accepted: type[RunOptions], *, ckpt: Path, data: str | None
) -> tuple[Spec, GivenParts]:
    """The settings of a run by the command line's own rule, and the parts that have no place among them.

    Args:
        options: Keywords of a call.
        accepted: Those that it takes.
        ckpt: The network's file; "." where the network is handed over itself.
        data: Name of the data, if they have one.

    Raises:
        UsageError: A keyword is unknown (the nearest names are told), or a value is not accepted.
    """
    names = accepted.__annotations__
    for option in options:
        if option not in names:
            raise UnknownNameError("option", option, [*names, "evaluation_settings"])
    given = {option: value for option, value in options.items() if value is not None}
    parts = GivenParts(
        tasks=_take_parts(given, "tasks", Task),
        pruners=_take_parts(given, "pruner", Pruner),
        regularisers=_take_parts(given, "regularise", Regulariser),
        recipe=_take_recipe(given),
    )
    listed = {option: _listed(value) if _is_list(option) else value for option, value in given.items()}
    return resolve({"ckpt": ckpt, **({} if data is None else {"data": data}), **listed}), parts


def check_apart(options: Mapping[str, object], settings: EvaluationSettings | None) -> None:
    """Refuse options of the evaluation beside all of its settings in one value.

    Raises:
        UsageError: There is one.
    """
    names = {"require" if field.name == "required" else field.name for field in fields(EvaluationSettings)}
    twice = sorted(option for option, value in options.items() if option in names and value is not None)
    if settings is not None and twice:
        raise UsageError(
            f"evaluation_settings holds every option of the evaluation: leave out {', '.join(twice)}, or set them there"
        )


def _take_parts(given: dict[str, object], option: str, kind: type[Part]) -> tuple[str | Part, ...] | None:
    """Take an option out of `given` if one of its values is a part."""
    value = given.get(option, ())
    listed = _listed([value] if isinstance(value, kind) else value)
    values = list(listed) if isinstance(listed, Iterable) else [listed]
    accepted = [each for each in values if isinstance(each, str | kind)]
    if len(accepted) < len(values):
        stranger = next(each for each in values if not isinstance(each, str | kind))
        raise UsageError(f"{option}: expected names or parts that are {kind.__name__}s, got {stranger!r}")
    if all(isinstance(each, str) for each in accepted):
        return None
    del given[option]
    return tuple(accepted)


def _take_recipe(given: dict[str, object]) -> Recipe | None:
    """As `_take_parts`; epochs that are given are its own."""
    recipe, epochs = given.get("retrain"), given.get("epochs")
    if not isinstance(recipe, Recipe):
        return None
    del given["retrain"]
    return replace(recipe, epochs=epochs) if isinstance(epochs, int) else recipe


def _is_list(option: str) -> bool:
    return any(get_origin(kind) is tuple for kind in alternatives(OPTIONS[option].type))


def _listed(value: object) -> object:
    """`"clean,noise/uniform/0.1"`, alone or in a list, as the command line reads it; what is no text stays."""
    values = value if isinstance(value, list | tuple) else [value] if isinstance(value, str) else None
    if values is None:
        return value
    return [piece for each in values for piece in (_pieces(each) if isinstance(each, str) else [each])]


def _pieces(text: str) -> list[str]:
    return [piece.strip() for piece in text.split(",") if piece.strip()]
