"""Reads JSON in the cells of a store: every key and every type that is promised is there."""

import json
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Annotated, Final, cast

from pydantic import Field, TypeAdapter, ValidationError
from typing_extensions import get_type_hints

from evalsuite.records.facts import Meta, NetworkFacts, TaskFacts

_KINDS: Final[Mapping[str, object]] = MappingProxyType(
    {
        "labels": list[Annotated[int, Field(ge=-(2**63), lt=2**63)]],
        "cuts": list[tuple[str, int]],
        "tasks": TaskFacts,
        "networks": NetworkFacts,
        **{f"meta {key}": kind for key, kind in get_type_hints(Meta).items()},
    }
)
"""By table; of facts about the run as a whole by key."""
_UNKNOWN: Final = "meta "
"""Facts of another version of evalsuite, at which nobody looks."""


def read_stored(kind: str, text: str) -> object:
    """What `text` says, which is of the kind that stands in such a cell.

    Args:
        kind: The table; of `meta` with a blank and the key behind it.
        text: JSON.

    Raises:
        ValueError: It is not JSON, or says something of another kind; in one line.
    """
    value: object = json.loads(text)
    if kind not in _KINDS and kind.startswith(_UNKNOWN):
        return value
    try:
        # JSON knows no tuples; what is given back is what was stored, with all that other versions know
        _adapter(kind).validate_json(text, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise ValueError(f"{place}: {first['msg']}" if place else first["msg"]) from error
    return value


@cache
def _adapter(kind: str) -> TypeAdapter[object]:
    return TypeAdapter(cast(type[object], _KINDS[kind]))
