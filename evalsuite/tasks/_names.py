"""A task and its name: `corruption/fog/3` ⇄ `Corruption(corruption="fog", severity=3)`."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import MISSING, Field, fields
from typing import Literal, get_args, get_origin

from evalsuite.errors import UsageError
from evalsuite.registry import find, names
from evalsuite.tasks._base import Task

PACKAGE = "evalsuite.tasks"


def parse(text: str) -> Task:
    """The task that `text` names: `kind/field/field?field=value&field=value`.

    Raises:
        UnknownNameError: There is no such kind; the nearest are told.
        UsageError: A field or a value is not accepted; the accepted ones are told.
    """
    path, _, query = text.strip().partition("?")
    kind, *values = path.split("/")
    task = find(PACKAGE, kind.replace("-", "_"), Task)
    if len(values) > len(task.path):
        expected = "/".join((kind, *(name.upper() for name in task.path)))
        raise UsageError(f"expected at most {len(task.path)} parts after {kind!r}, as in {expected}, got {text!r}")
    given = dict(zip(task.path, values, strict=False)) | _options(text, query)
    known = {f.name: f for f in fields(task)}
    for name in given:
        if name not in known:
            raise UsageError(f"expected an option of task {kind!r} ({', '.join(known)}), got {name!r} in {text!r}")
    for name in task.path:
        if name not in given and known[name].default is MISSING and known[name].default_factory is MISSING:
            raise UsageError(f"expected {'/'.join((kind, *(p.upper() for p in task.path)))}, got {text!r}")
    try:
        return task(**{name: _value(known[name], value) for name, value in given.items()})
    except ValueError as error:
        raise UsageError(f"task {text!r}: {error}") from error


def name(task: Task) -> str:
    """The one spelling of a task: path fields always, other fields where they are not at their default."""
    path = [kind(task), *(_text(getattr(task, f)) for f in task.path)]
    rest = [f for f in fields(task) if f.name not in task.path and _differs(task, f)]
    query = "&".join(f"{f.name}={_text(getattr(task, f.name))}" for f in rest)
    return "/".join(path) + (f"?{query}" if query else "")


def kind(task: Task) -> str:
    """The file that holds the task: the first part of its name."""
    return type(task).__module__.rpartition(".")[2]


def address(task: Task) -> str:
    """Everything that the observations of a task depend on, as canonical text: fields without readings, and version."""
    kept = {f.name: getattr(task, f.name) for f in fields(task) if f.name not in task.readings}
    return json.dumps({"kind": kind(task), "version": task.version, **kept, **task.identity()}, sort_keys=True)


def digest(task: Task) -> str:
    """The task's part of a shard's address, 16 hex digits."""
    return hashlib.sha256(address(task).encode()).hexdigest()[:16]


def readings(task: Task) -> dict[str, float]:
    """How stored observations are to be read, e.g. {"radius": 0.5}."""
    return {reading: float(getattr(task, reading)) for reading in sorted(task.readings)}


def expand(patterns: Iterable[str]) -> tuple[Task, ...]:
    """Tasks for names in which a part may be `all`, a list (`1,3`) or a range (`1-5`); doubles are dropped."""
    found: dict[str, Task] = {}
    for pattern in patterns:
        for text in _expand(pattern):
            task = parse(text)
            found.setdefault(name(task), task)
    return tuple(found.values())


def _expand(pattern: str) -> list[str]:
    path, mark, query = pattern.strip().partition("?")
    texts: list[list[str]] = [[]]
    for position, part in enumerate(path.split("/")):
        texts = [[*text, choice] for text in texts for choice in _choices(path, position, part)]
    return ["/".join(text) + mark + query for text in texts]


def _choices(path: str, position: int, part: str) -> list[str]:
    if part in {"all", "common", "extra"} and position > 0:
        kind = find(PACKAGE, path.split("/", maxsplit=1)[0].replace("-", "_"), Task)
        known = kind.choices(kind.path[position - 1], part) if position <= len(kind.path) else ()
        if not known:
            raise UsageError(f"expected a value instead of {part!r} in task {path!r}: it stands for no list there")
        return list(known)
    first, dash, last = part.partition("-")
    if dash and first.isdigit() and last.isdigit():
        return [str(number) for number in range(int(first), int(last) + 1)]
    return part.split(",")


def _options(text: str, query: str) -> dict[str, str]:
    pairs = [pair.partition("=") for pair in query.split("&") if pair]
    for key, equals, _ in pairs:
        if not equals:
            raise UsageError(f"expected option=value behind the question mark, got {key!r} in {text!r}")
    return {key: value for key, _, value in pairs}


def _value(field: Field[object], text: str) -> object:
    if get_origin(field.type) is Literal:
        accepted = get_args(field.type)
        if text not in accepted:
            raise UsageError(f"expected {field.name} to be one of {', '.join(accepted)}, got {text!r}")
        return text
    try:
        if field.type is bool:
            return {"true": True, "false": False, "yes": True, "no": False, "1": True, "0": False}[text.lower()]
        return {int: int, float: float}.get(field.type, str)(text)  # type: ignore[arg-type, call-overload]
    except (ValueError, KeyError):
        wanted = getattr(field.type, "__name__", str(field.type))
        raise UsageError(f"expected {field.name} to be of type {wanted}, got {text!r}") from None


def _text(value: object) -> str:
    if isinstance(value, float) and float(f"{value:g}") == value:
        return f"{value:g}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _differs(task: Task, field: Field[object]) -> bool:
    default = field.default_factory() if field.default_factory is not MISSING else field.default
    return bool(getattr(task, field.name) != default)


def known() -> tuple[str, ...]:
    """Names of all kinds of task."""
    return names(PACKAGE)
