"""Values that one process may take from another that it does not trust: numbers, texts, lists, mappings and bytes.

They travel as JSON, and bytes of any length beside it in a file. Nothing that arrives is unpickled, imported or called.
"""

import json
import mmap
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

Plain = (
    None
    | bool
    | int
    | float
    | str
    | bytes
    | bytearray
    | memoryview
    | Iterator["Plain"]
    | Sequence["Plain"]
    | Mapping[str, "Plain"]
)
"""What may be handed over. Sequences and iterators arrive as lists, bytes of every kind as writable memoryviews.

An iterator is asked for its next entry when the one before has been written: not all need be in memory.
"""

_ALIGNED: Final = 64
"""Bytes: where numbers may begin so that every type of them can be read in place."""


def encode(value: Plain, file: int) -> str:
    """JSON of `value`, whose bytes are appended to the descriptor `file`, which is empty.

    Raises:
        TypeError: It holds something that is not plain.
        OSError: The file takes no more.
    """
    return json.dumps(_tagged(value, file), separators=(",", ":"))


def decode(text: bytes, file: int) -> Plain:
    """The value of which `encode` made `text` and the contents of `file`, which are mapped, not copied.

    Raises:
        ValueError: No honest writer has made this.
    """
    size = os.fstat(file).st_size
    # private: what others may do to the file later, by writing, changes nothing that is read here
    whole = memoryview(mmap.mmap(file, size, flags=mmap.MAP_PRIVATE) if size else bytearray())
    try:
        return _untagged(json.loads(text), whole)
    except (RecursionError, TypeError) as error:
        raise ValueError(f"expected an answer of the known kinds, got {error}") from error


def _tagged(value: Plain, file: int) -> object:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return ["bytes", *_append(memoryview(value).cast("B"), file)]
    if isinstance(value, Mapping):
        return ["mapping", *([_key(key), _tagged(entry, file)] for key, entry in value.items())]
    if isinstance(value, Sequence | Iterator):
        return ["list", *(_tagged(entry, file) for entry in value)]
    raise TypeError(f"expected a plain value, got {type(value).__name__}")


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise TypeError(f"expected a text as a key, got {type(key).__name__}")
    return key


def _append(data: memoryview, file: int) -> tuple[int, int]:
    """Where `data` begins in the file, and how long it is."""
    start = -(-os.lseek(file, 0, os.SEEK_END) // _ALIGNED) * _ALIGNED
    os.lseek(file, start, os.SEEK_SET)
    written = 0
    while written < len(data):
        written += os.write(file, data[written:])
    return start, len(data)


def _untagged(value: object, whole: memoryview) -> Plain:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    match value:
        case ["list", *entries]:
            return [_untagged(entry, whole) for entry in entries]
        case ["mapping", *entries]:
            return {_key(key): _untagged(entry, whole) for key, entry in _pairs(entries)}
        case ["bytes", int(start), int(length)] if min(start, length) >= 0 and start + length <= len(whole):
            return whole[start : start + length]
    raise ValueError("expected an answer of the known kinds, got another")


def _pairs(entries: Sequence[object]) -> list[tuple[object, object]]:
    pairs = [tuple(entry) for entry in entries if isinstance(entry, list) and len(entry) == 2]
    if len(pairs) < len(entries):
        raise ValueError("expected pairs of a key and a value, got something else")
    return pairs
