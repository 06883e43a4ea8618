"""Validates what stands in the cells of a store: every key and every type that is promised is there."""

from typing import Annotated, Final, TypeVar

from pydantic import Field, StrictInt, StrictStr, TypeAdapter, ValidationError

from evalsuite.records.stored import EvaluatedMeta, Meta, StoredNetwork, StoredTask

Value = TypeVar("Value")
LABELS: Final = TypeAdapter(list[Annotated[StrictInt, Field(ge=-(2**63), lt=2**63)]])
"""True classes of a shard's examples."""
SHARD_SIZES: Final = TypeAdapter(list[tuple[StrictStr, StrictInt]])
"""(digest, number of examples) of each shard."""
TASK: Final = TypeAdapter(StoredTask)
NETWORK: Final = TypeAdapter(StoredNetwork)
META: Final = TypeAdapter(Meta)
EVALUATED_META: Final = TypeAdapter(EvaluatedMeta)


def validated(kind: TypeAdapter[Value], value: object) -> Value:
    """`value`, as JSON was read, as one of `kind`; keys that other versions have written are kept.

    Raises:
        ValueError: It is of another kind; in one line.
    """
    try:
        return kind.validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise ValueError(f"{place}: {first['msg']}" if place else first["msg"]) from error
