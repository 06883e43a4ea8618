"""Keywords of Python's front door: options named and typed as on the command line, with parts beside names.

The test of the two front doors holds these to the command line's options, name by name.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from inspect import Parameter, cleandoc, signature
from pathlib import Path
from typing import Final, TypeVar, final, get_origin

from evalsuite.config.options import OPTIONS, Spec, alternatives
from evalsuite.config.settings import EvaluationSettings
from evalsuite.config.spec import resolve
from evalsuite.errors import UnknownNameError, UsageError
from evalsuite.tasks._base import Task
from evalsuite.training import Recipe
from pruners import Pruner
from pruners.regularisers import Regulariser

Part = TypeVar("Part")
Function = TypeVar("Function", bound=Callable[..., object])

_ARGUMENTS: Final = frozenset({"ckpt", "data", "out"})
"""Options that are arguments of the functions."""


def keywords(command: str) -> tuple[str, ...]:
    """Names of the options of `command` ("sweep" or "evaluate") that its function takes as keywords."""
    return tuple(name for name, each in OPTIONS.items() if command in each.option.commands and name not in _ARGUMENTS)


def with_options_of(command: str) -> Callable[[Function], Function]:
    """Decorator of a function of Python's front door: its signature and its documentation name every option.

    So `help` and the completion of notebooks show what the command line shows, from the same declaration.
    """

    def documented(function: Function) -> Function:
        given = signature(function)
        options = [
            Parameter(name, Parameter.KEYWORD_ONLY, default=None, annotation=OPTIONS[name].type)
            for name in keywords(command)
        ]
        arguments = [each for each in given.parameters.values() if each.kind is not Parameter.VAR_KEYWORD]
        function.__signature__ = given.replace(parameters=[*arguments, *options])  # type: ignore[attr-defined]
        lines = "\n".join(f"    {name}: {OPTIONS[name].option.help}" for name in keywords(command))
        heading = "Options, each as the preset has it where it is left out or None:"
        function.__doc__ = f"{cleandoc(function.__doc__ or '')}\n\n{heading}\n{lines}\n"
        return function

    return documented


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
    options: Mapping[str, object], command: str, *, ckpt: Path, data: str | None
) -> tuple[Spec, GivenParts]:
    """The settings of a run by the command line's own rule, and the parts that have no place among them.

    Args:
        options: Keywords of a call.
        command: The command whose options it takes: "sweep" or "evaluate".
        ckpt: The network's file; "." where the network is handed over itself.
        data: Name of the data, if they have one.

    Raises:
        UsageError: A keyword is unknown (the nearest names are told), or a value is not accepted.
    """
    names = keywords(command)
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
