"""Reads JSON in the cells of a store: every key and every type that is promised is there."""

import json
from typing import Annotated, Final, TypeVar

from pydantic import Field, StrictInt, StrictStr, TypeAdapter, ValidationError

Value = TypeVar("Value")
LABELS: Final = TypeAdapter(list[Annotated[StrictInt, Field(ge=-(2**63), lt=2**63)]])
"""True classes of a shard's examples."""
SHARD_SIZES: Final = TypeAdapter(list[tuple[StrictStr, StrictInt]])
"""(digest, number of examples) of each shard."""


def read_cell(kind: TypeAdapter[Value], text: str) -> Value:
    """What `text` says, which is JSON of the kind that stands in such a cell.

    Raises:
        ValueError: It is not JSON, or says something of another kind; in one line.
    """
    return checked(kind, json.loads(text))


def checked(kind: TypeAdapter[Value], value: object) -> Value:
    """`value` of JSON's types as one of `kind`, with all that other versions have written.

    Raises:
        ValueError: It is of another kind; in one line.
    """
    try:
        return kind.validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise ValueError(f"{place}: {first['msg']}" if place else first["msg"]) from error
