"""The grammar of parts' names: `corruption/fog/3` ⇄ `Corruption(corruption="fog", severity=3)`, `magnitude?n=1`."""

import re
from collections.abc import Callable
from dataclasses import MISSING, Field, fields
from types import NoneType
from typing import Literal, TypeVar, get_args, get_origin

from evalsuite.errors import UsageError
from evalsuite.parts.registry import entry_of, find
from evalsuite.process.third_party_code import others_code

Part = TypeVar("Part")


def parse_part(package: str, text: str, base: type[Part]) -> Part:
    """The part that `text` names: `kind/field/field?field=value&field=value`.

    Raises:
        UnknownNameError: There is no such kind; the nearest are told.
        UsageError: A field or a value is not accepted; the accepted ones are told.
    """
    path, options = split_options(text)
    kind, *values = path.split("/")
    part = find(package, kind.replace("-", "_"), base)
    places = _path(part)
    values = _fractions(values, len(places))
    if len(values) > len(places):
        raise UsageError(f"expected {_pattern(kind, places)}, got {text!r}")
    accepted = _fields(part)
    given = dict(zip(places, values, strict=False)) | dict(options)
    for name in given:
        if name not in accepted:
            listed = ", ".join(accepted) or "none"
            raise UsageError(f"expected an option of {kind!r} ({listed}), got {name!r} in {text!r}")
    for name, field in accepted.items():
        if name not in given and field.default is MISSING and field.default_factory is MISSING:
            raise UsageError(f"expected {_pattern(kind, places)}, got {text!r}")
    with others_code(repr(text)):
        try:
            return part(**{name: _value(accepted[name], value) for name, value in given.items()})
        except ValueError as error:
            raise UsageError(f"{text!r}: {error}") from error


def split_options(text: str, *, word: str = "option") -> tuple[str, list[tuple[str, str]]]:
    """What stands before the question mark, and the pairs of `name=value&name=value` behind it, in order.

    Args:
        text: As typed: a part, an architecture.
        word: What a pair is called in messages.

    Raises:
        UsageError: A pair has no equals sign.
    """
    bare, _, query = text.strip().partition("?")
    pairs = [pair.partition("=") for pair in query.split("&") if pair]
    for name, equals, _ in pairs:
        if not equals:
            raise UsageError(f"expected {word}=value behind the question mark, got {name!r} in {text!r}")
    return bare, [(name, value) for name, _, value in pairs]


def part_name(part: object) -> str:
    """The one spelling of a part: path fields less a tail of None, other fields where they are not at their default."""
    places = [getattr(part, field) for field in _path(type(part))]
    while places and places[-1] is None:
        places.pop()
    path = [part_kind(part), *map(_text, places)]
    rest = [f for f in _fields(type(part)).values() if f.name not in _path(type(part)) and _differs(part, f)]
    query = "&".join(f"{f.name}={_text(getattr(part, f.name))}" for f in rest)
    return "/".join(path) + (f"?{query}" if query else "")


def part_kind(part: object) -> str:
    """The first piece of a part's name: its file's, its entry point's, or else its class's, in lower case."""
    package, _, file = type(part).__module__.rpartition(".")
    if package.partition(".")[0] in {"evalsuite", "pruners"}:
        return file
    return entry_of(type(part)) or re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(part).__name__).lower()


def part_settings(part: object) -> dict[str, object]:
    """All hyperparameters of a part, by name."""
    return {field: getattr(part, field) for field in _fields(type(part))}


def _fractions(values: list[str], places: int) -> list[str]:
    """`linf/8/255` → `linf`, `8/255`: a slash too many, before what budgets are mostly divided by."""
    if len(values) == places + 1 and values[-1] == "255":
        return [*values[:-2], f"{values[-2]}/255"]
    return values


def _number(text: str) -> float:
    """A decimal number or a fraction."""
    above, slash, below = text.partition("/")
    if not slash:
        return float(text)
    if float(below) == 0:
        raise ValueError(f"expected a fraction, got {text!r}")
    return float(above) / float(below)


def _path(part: type) -> tuple[str, ...]:
    return getattr(part, "path", ())


def _fields(part: type) -> dict[str, Field[object]]:
    return {f.name: f for f in fields(part) if f.init}


def _pattern(kind: str, places: tuple[str, ...]) -> str:
    return "/".join((kind, *(place.upper() for place in places)))


def _value(field: Field[object], text: str) -> object:
    if get_origin(field.type) is Literal:
        accepted = get_args(field.type)
        if text not in accepted:
            raise ValueError(f"expected {field.name} to be one of {', '.join(accepted)}, got {text!r}")
        return text
    kinds = [k for k in (get_args(field.type) or (field.type,)) if k is not NoneType]
    try:
        return _READ[kinds[0]](text) if kinds and kinds[0] in _READ else text
    except (ValueError, KeyError):
        wanted = getattr(kinds[0], "__name__", str(kinds[0]))
        raise ValueError(f"expected {field.name} to be of type {wanted}, got {text!r}") from None


def _text(value: object) -> str:
    if isinstance(value, float) and float(f"{value:g}") == value:
        return f"{value:g}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _differs(part: object, field: Field[object]) -> bool:
    default = field.default_factory() if field.default_factory is not MISSING else field.default
    return bool(getattr(part, field.name) != default)


_READ: dict[object, Callable[[str], object]] = {
    bool: lambda text: {"true": True, "false": False, "yes": True, "no": False, "1": True, "0": False}[text.lower()],
    int: int,
    float: _number,
    str: str,
}
