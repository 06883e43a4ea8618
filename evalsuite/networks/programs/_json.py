"""Validates parts of a third party's JSON document as the types that they have to have."""

from collections.abc import Mapping, Sequence

from evalsuite.networks.programs._symbolic import NotUnderstoodError

Json = Mapping[str, object]


def as_mapping(value: object) -> Json:
    """`value`, a JSON object.

    Raises:
        NotUnderstoodError: It is none.
    """
    if not isinstance(value, dict):
        raise NotUnderstoodError(f"expected an object, got {type(value).__name__}")
    return value


def as_list(value: object) -> Sequence[object]:
    """`value`, a JSON list.

    Raises:
        NotUnderstoodError: It is none.
    """
    if not isinstance(value, list):
        raise NotUnderstoodError(f"expected a list, got {type(value).__name__}")
    return value


def as_name(value: object) -> str:
    """`value`, a name.

    Raises:
        NotUnderstoodError: It is none.
    """
    if not isinstance(value, str):
        raise NotUnderstoodError(f"expected a name, got {type(value).__name__}")
    return value


def only_entry(value: object) -> tuple[str, object]:
    """Key and value of `value`, a JSON object with one entry, as torch writes one of several kinds of things.

    Raises:
        NotUnderstoodError: It is none.
    """
    entries = list(as_mapping(value).items())
    if len(entries) != 1:
        raise NotUnderstoodError(f"expected an object with one entry, got {len(entries)}")
    return entries[0]
