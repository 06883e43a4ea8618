"""Mutations of numpy's files: what the header says of type and shape."""

import ast
import io
from random import Random

import numpy as np

_TYPES = (
    *("|u1", "|i1", "<u2", ">u2", "<i4", "<i8", "<u8", "<f2", "<f4", ">f8", "<f16", "|b1", "<c8", "<c16", "|S4", "<U4"),
    *(
        "<M8[s]",
        "<m8[D]",
        "|O",
        "|V8",
        "|V0",
        "|S0",
        "<U0",
        "<U1000000",
        [("a", "<f4"), ("b", "|O")],
        [("a", "|u1", 2**31)],
    ),
    *("", "x", "<f3", None, 5, "|u1,|u1", "<M8[999999999s]"),
)
_SIDES = (0, 1, 2, 3, 5, -1, 2**31, 2**40, 2**63, 1.5, "a", None, True)


def npy_header(random: Random, data: bytes) -> bytes:
    """The header says another type, shape or order, or is none; its length is put right."""
    try:
        stream = io.BytesIO(data)
        version = np.lib.format.read_magic(stream)
        size = 2 if version == (1, 0) else 4
        length = int.from_bytes(stream.read(size), "little")
        header = ast.literal_eval(stream.read(length).decode("latin1"))
        content = stream.read()
        changed = _changed(random, header)
    except Exception:  # noqa: BLE001 - an array that was mutated before
        return data
    text = f"{changed!r}\n".encode("utf-8", "replace")
    if size == 2 and len(text) >= 2**16:
        return data
    magic = data[:6] + (bytes(version) if random.random() < 0.95 else random.randbytes(2))
    return magic + len(text).to_bytes(size, "little") + text + content


def _changed(random: Random, header: dict[str, object]) -> object:
    shape = header.get("shape")
    match random.randrange(6):
        case 0:
            return {**header, "descr": random.choice(_TYPES)}
        case 1:
            return {**header, "fortran_order": random.choice((True, False, None, 2))}
        case 2:
            return {key: value for key, value in header.items() if random.random() < 0.7}
        case 3:
            return {**header, "shape": tuple(random.choices(_SIDES, k=random.randint(0, 6)))}
        case 4 if isinstance(shape, tuple) and shape:
            at = random.randrange(len(shape))
            return {**header, "shape": (*shape[:at], random.choice(_SIDES), *shape[at + 1 :])}
        case _:
            return random.choice(({}, [], "x", {**header, "more": 1}, {**header, "shape": (1,) * 40}))
