"""Mutations of protocol buffers by their fields, without a schema."""

from random import Random
from typing import Final

from fuzz.mutations.plain import BYTES, TOKENS, encoded

Field = tuple[int, int, "int | bytes"]
_NUMBERS: Final = (0, 1, 2, 7, 255, 2**31 - 1, 2**31, 2**32, 2**62, 2**63, 2**64 - 1)
_DEPTH: Final = 6


def fields(random: Random, data: bytes) -> bytes:
    """A field at some depth is left out, doubled, exchanged, or holds another value; all lengths hold."""
    return _mutated(random, data, _DEPTH)


def _mutated(random: Random, data: bytes, depth: int) -> bytes:
    try:
        result = _parsed(data)
    except ValueError:
        return random.choice(BYTES)(random, data)
    if not result:
        return random.choice(BYTES)(random, data)
    at, other = random.randrange(len(result)), random.randrange(len(result))
    number, kind, value = result[at]
    if isinstance(value, bytes) and kind == 2 and depth and random.random() < 0.75:
        result[at] = (number, kind, _mutated(random, value, depth - 1))
    else:
        _changed(random, result, at, other)
    return b"".join(map(_printed, result))


def _changed(random: Random, result: list[Field], at: int, other: int) -> None:
    number, kind, value = result[at]
    match random.randrange(6):
        case 0:
            del result[at]
        case 1:
            result.insert(other, result[at])
        case 2:
            result[at] = (random.randint(1, 16), kind, value)
        case 3:
            result[at], result[other] = result[other], result[at]
        case _ if isinstance(value, int):
            result[at] = (number, kind, random.choice(_NUMBERS))
        case _:
            result[at] = (
                number,
                kind,
                random.choice((b"", encoded(random.choice(TOKENS)), random.randbytes(8), value * 3)),
            )


def _parsed(data: bytes) -> list[Field]:
    outcome: list[Field] = []
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, kind = tag >> 3, tag & 7
        if not number:
            raise ValueError("expected fields from 1")
        if kind == 0:
            value, at = _varint(data, at)
            outcome.append((number, kind, value))
            continue
        length, at = _varint(data, at) if kind == 2 else ({1: 8, 5: 4}.get(kind, len(data) + 1), at)
        if at + length > len(data):
            raise ValueError("expected a whole message")
        outcome.append((number, kind, data[at : at + length]))
        at += length
    return outcome


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise ValueError("expected a whole number")
        value |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if not data[at - 1] & 0x80:
            return value, at


def _printed(field: Field) -> bytes:
    number, kind, value = field
    tag = _number(number << 3 | kind)
    if isinstance(value, int):
        return tag + _number(value)
    return tag + (_number(len(value)) if kind == 2 else b"") + value


def _number(value: int) -> bytes:
    pieces = bytearray()
    while True:
        pieces.append(value & 0x7F | (0x80 if value > 0x7F else 0))
        value >>= 7
        if not value:
            return bytes(pieces)
