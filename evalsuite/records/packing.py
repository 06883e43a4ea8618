"""Packs observations into bytes, and back: the same bytes for the same arrays on every machine."""

import io
import zlib
from collections.abc import Mapping

import numpy as np

Column = np.ndarray[tuple[int, ...], np.dtype[np.generic]]
Columns = Mapping[str, Column]
_MOST, _DENSEST = 2**26, 100
"""Bytes of one shard's observations that may be packed in any way; beyond, how many times as many as when packed."""


def pack(columns: Columns) -> bytes:
    """Arrays as bytes, the same bytes for the same arrays on every machine."""
    parts: list[bytes] = []
    for column in sorted(columns):
        buffer = io.BytesIO()
        np.lib.format.write_array(buffer, np.asarray(columns[column]), allow_pickle=False)
        data = buffer.getvalue()
        parts.append(len(column.encode()).to_bytes(4, "big") + column.encode() + len(data).to_bytes(8, "big") + data)
    return zlib.compress(b"".join(parts), 6)


def unpack(data: bytes) -> Columns:
    """The arrays that `pack` packed.

    Raises:
        Exception: They are damaged, or many times as large as observations are.
    """
    most = max(_MOST, _DENSEST * len(data))
    unpacking = zlib.decompressobj()
    content = unpacking.decompress(data, most)
    if not unpacking.eof:
        raise ValueError("cut short" if len(content) < most else f"more than {most:,} bytes of one shard")
    stream = io.BytesIO(content)
    columns: dict[str, Column] = {}
    while head := stream.read(4):
        column = stream.read(int.from_bytes(head, "big")).decode()
        size = int.from_bytes(stream.read(8), "big")
        columns[column] = np.lib.format.read_array(io.BytesIO(stream.read(size)), allow_pickle=False)
    return columns


def is_readable(data: bytes) -> bool:
    """Whether `unpack` can read what is stored."""
    try:
        unpack(data)
    except Exception:  # noqa: BLE001 - whatever parsers raise
        return False
    return True
