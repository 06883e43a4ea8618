"""Sources by name, and what they tell before anything is read: their files, and what they recommend to recipes.

It imports no torch, so that a finished run is recognised at once.
"""

from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import get_args, get_type_hints

from pydantic import TypeAdapter, ValidationError

from evalsuite.data._source import Source, TrainingAdvice
from evalsuite.errors import UsageError
from evalsuite.parts.data_names import parse_data_name
from evalsuite.parts.registry import built_in, find, names

PACKAGE = "evalsuite.data"


def data_files(name: str) -> tuple[Path, ...] | None:
    """Every file that the data set called `name` is read from; some of them may be missing.

    Empty where the data come with a library, or where their reader checks them against published digests; None where
    that cannot be told: data from a factory, or from a source of another package.

    Raises:
        UsageError: An argument or an option of a source is missing or not accepted.
    """
    if parse_data_name(name).kind.replace("-", "_") not in built_in(PACKAGE):
        return None
    return source_named(name).files()


def training_advice(name: str) -> TrainingAdvice:
    """What the source of the data set called `name` recommends to recipes; of a factory's data nothing is known."""
    kind = parse_data_name(name).kind.replace("-", "_")
    return find(PACKAGE, kind, Source).advice if kind in names(PACKAGE) else TrainingAdvice()


def source_named(name: str) -> Source:
    """The source that `name` spells, e.g. `folder:photos?size=64`; nothing is read.

    Raises:
        UnknownNameError: There is no such source.
        UsageError: An argument or an option is missing or not accepted.
    """
    parsed = parse_data_name(name)
    kind = find(PACKAGE, parsed.kind.replace("-", "_"), Source)
    accepted = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]  # every part is a dataclass
    required = [field.name for field in accepted.values() if _is_required(field)]
    if bool(parsed.argument) != bool(required):
        raise UsageError(
            f"expected {':'.join([parsed.kind, *(r.upper() for r in required)])} as a data set, got {name!r}"
        )
    given = dict(zip(required, [parsed.argument], strict=False))
    for option in parsed.options:
        key, _, value = option.partition("=")
        if key not in accepted or key in given:
            options = ", ".join(sorted(accepted.keys() - set(required))) or "none"
            raise UsageError(f"expected an option of the data set {parsed.kind} ({options}), got {option!r}")
        given[key] = value
    hints = get_type_hints(kind)
    return kind(**{key: _converted(key, value, hints[key]) for key, value in given.items()})


def _is_required(field: Field[object]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _converted(key: str, value: str, hint: type[object]) -> object:
    try:
        return TypeAdapter(hint).validate_python(value)
    except ValidationError as error:
        raise UsageError(f"expected {key} to be {_described(hint)}, got {value!r}") from error


def _described(hint: type[object]) -> str:
    """A type as a user would say it: "of type int", "one of first"."""
    kinds = [kind for kind in (get_args(hint) or (hint,)) if kind is not type(None)]
    choices = [choice for kind in kinds for choice in ((kind,) if isinstance(kind, str) else get_args(kind))]
    return f"one of {', '.join(map(str, choices))}" if choices else f"of type {kinds[0].__name__}"
