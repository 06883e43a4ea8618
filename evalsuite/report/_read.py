"""`results.json` → the report's model, checked once."""

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TypeVar, cast

import numpy as np
from pydantic import TypeAdapter, ValidationError

from evalsuite.errors import UsageError
from evalsuite.printable import printable
from evalsuite.records.facts import Nested
from evalsuite.report._model import (
    Aggregate,
    Average,
    Cell,
    Data,
    Deployable,
    Excess,
    ExcessLine,
    Exemplars,
    Failure,
    Family,
    Feature,
    Latency,
    Measure,
    Network,
    Parent,
    Potential,
    Reading,
    Results,
    Run,
    Shipped,
    Standard,
    Task,
)  # fmt: skip

SCHEMA = "evalsuite-results/1"
T = TypeVar("T")


def read(results: Mapping[str, object]) -> Results:
    """Check the schema and take over what the report shows; NaN and infinities become None.

    Raises:
        UsageError: Another schema, a key missing, or a verdict with an unknown name.
    """
    if results.get("schema") != SCHEMA:
        raise UsageError(f"expected results of schema {SCHEMA!r}, got {results.get('schema')!r}")
    raw = cast(dict[str, object], _clean(results))
    networks = [
        {**n, **{key: _maybe(Latency, n.get(key), key) for key in ("latency_ms", "throughput_ms")}}
        for n in _objects(raw, "networks")
    ]
    potential = [
        {**p, "first_failure": _maybe(Failure, p.get("first_failure"), "first_failure")}
        for p in _objects(raw, "potential")
    ]
    families = [
        {**f, "deployable": _maybe(Deployable, f.get("deployable"), "families")} for f in _objects(raw, "families")
    ]
    return Results(
        run=_build(Run, raw.get("run"), "run"),
        data=_build(Data, raw.get("data"), "data"),
        parent=_build(Parent, _judged(raw.get("parent")), "parent"),
        networks=tuple(_build(Network, n, "networks") for n in networks),
        tasks=tuple(_build(Task, t, "tasks") for t in _rows(raw, "tasks")),
        cells=tuple(_build(Cell, c, "cells") for c in _rows(raw, "cells")),
        potential=tuple(_build(Potential, p, "potential") for p in potential),
        averages=tuple(_build(Average, a, "averages") for a in _rows(raw, "averages")),
        aggregates=tuple(_build(Aggregate, a, "aggregates") for a in _rows(raw, "aggregates")),
        excess=tuple(_build(Excess, e, "excess") for e in _rows(raw, "excess")),
        excess_lines=tuple(_build(ExcessLine, e, "excess_lines") for e in _rows(raw, "excess_lines")),
        families=tuple(_build(Family, f, "families") for f in families),
        deployable=_maybe(Deployable, raw.get("deployable"), "deployable"),
        complete=bool(raw.get("complete", True)),
        exemplars=tuple(_build(Exemplars, e, "exemplars") for e in _rows(raw, "exemplars")),
        features=tuple(_build(Feature, f, "features") for f in _rows(raw, "features")),
        invariants=tuple(_build(Nested, i, "invariants") for i in _rows(raw, "invariants")),
        shipped=tuple(_build(Shipped, each, "shipped") for each in _rows(raw, "shipped")),
        readings=None
        if raw.get("readings") is None
        else tuple(_build(Reading, each, "readings") for each in _rows(raw, "readings")),
        warnings=tuple(str(each) for each in _rows(raw, "warnings")),
        measures=tuple(_build(Measure, m, "measures") for m in _rows(raw, "measures")),
    )


def _judged(raw: object) -> object:
    """The parent, with what is known of its own quality."""
    if not isinstance(raw, dict):
        return raw
    return {**raw, "standard": _maybe(Standard, raw.get("standard"), "standard")}


def _rows(raw: Mapping[str, object], key: str) -> tuple[object, ...]:
    rows = raw.get(key, ())
    if not isinstance(rows, tuple):
        raise UsageError(f"expected a list under {key!r}, got {type(rows).__name__}")
    return rows


def _objects(raw: Mapping[str, object], key: str) -> tuple[dict[str, object], ...]:
    rows = _rows(raw, key)
    if strangers := [row for row in rows if not isinstance(row, dict)]:
        raise UsageError(f"expected objects under {key!r}, got {type(strangers[0]).__name__}")
    return cast(tuple[dict[str, object], ...], rows)


def _maybe(part: Callable[..., T], raw: object, where: str) -> T | None:
    return None if raw is None else _build(part, raw, where)


def _build(part: Callable[..., T], raw: object, where: str) -> T:
    if not isinstance(raw, dict):
        raise UsageError(f"expected an object under {where!r}, got {type(raw).__name__}")
    known, needed = _keys(part)
    if missing := [k for k in needed if k not in raw]:
        raise UsageError(f"expected {', '.join(map(repr, missing))} under {where!r}, got {', '.join(raw) or 'nothing'}")
    try:
        return cast(T, _reader(part).validate_python({k: raw[k] for k in known if k in raw}))
    except ValidationError as error:
        raise UsageError(_explained(error, where)) from error


def _explained(error: ValidationError, where: str) -> str:
    """One sentence for the first of pydantic's errors."""
    first = error.errors()[0]
    key = ".".join(map(str, first["loc"]))
    if first["type"] == "literal_error":
        return f"expected {key} under {where!r} to be out of {first['ctx']['expected']}, got {first['input']!r}"
    return f"expected {key} under {where!r} as evalsuite writes it, got {first['input']!r}: {first['msg']}"


@cache
def _reader(part: Callable[..., object]) -> TypeAdapter[object]:
    return TypeAdapter(cast(type[object], part))


@cache
def _keys(part: Callable[..., object]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """All fields of a part, and those that have no default."""
    parameters = inspect.signature(part).parameters
    return tuple(parameters), tuple(k for k, p in parameters.items() if p.default is p.empty)


def _clean(value: object) -> object:
    match value:
        case str():
            return printable(value)
        case np.generic():
            return _clean(value.item())
        case float():
            return value if math.isfinite(value) else None
        case Mapping():
            return {printable(str(k)): _clean(v) for k, v in value.items()}
        case Sequence():
            return tuple(_clean(v) for v in value)
        case _:
            return value
