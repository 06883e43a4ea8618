"""Mutations of containers: zip members, gzip, the chunks of PNG, the header of safetensors, tables of SQLite."""

import gzip
import io
import json
import sqlite3
import struct
import warnings
import zipfile
import zlib
from collections.abc import Mapping
from random import Random

from fuzz.mutations import Mutation
from fuzz.mutations.documents import tree_changed
from fuzz.mutations.plain import BYTES, TOKENS


def zip_members(inside: Mapping[str, tuple[Mutation, ...]]) -> Mutation:
    """A member is changed, left out, doubled, renamed or packed otherwise; all checksums hold.

    Args:
        inside: Mutations of members, by the end of their names.
    """

    def mutated(random: Random, data: bytes) -> bytes:
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                members = [(entry.filename, archive.read(entry)) for entry in archive.infolist()]
        except Exception:  # noqa: BLE001 - an archive that was mutated before
            return data
        if not members:
            return data
        at = random.randrange(len(members))
        name, content = members[at]
        match random.randrange(8):
            case 0:
                del members[at]
            case 1:
                members.append((random.choice([name, *(other for other, _ in members)]), content))
            case 2:
                members[at] = (random.choice((*TOKENS, name.swapcase(), f"/{name}", f"../{name}", f"{name}/")), content)
            case _:
                members[at] = (name, _inside(random, name, content, inside))
        return zipped(members, random.choice((zipfile.ZIP_STORED, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)))

    return mutated


def zipped(members: list[tuple[str, bytes]], method: int = zipfile.ZIP_STORED) -> bytes:
    """A zip archive; names may be doubled."""
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", method) as archive:
        warnings.simplefilter("ignore")
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name.encode("utf-8", "replace").decode() or "empty"), content, method)
    return buffer.getvalue()


def _inside(random: Random, name: str, content: bytes, inside: Mapping[str, tuple[Mutation, ...]]) -> bytes:
    mutations_inside = [each for suffix, mutations in inside.items() if name.endswith(suffix) for each in mutations]
    return random.choice([*mutations_inside, *mutations_inside, random.choice(BYTES)])(random, content)


def gzipped(*inside: Mutation) -> Mutation:
    """What is compressed is changed, and compressed again."""

    def mutated(random: Random, data: bytes) -> bytes:
        try:
            content = gzip.decompress(data)
        except (OSError, EOFError, zlib.error):
            return data
        return gzip.compress(random.choice(inside)(random, content), compresslevel=1)

    return mutated


def png_chunks(random: Random, data: bytes) -> bytes:
    """PNG: a chunk is changed, left out, doubled or renamed; its checksum holds."""
    chunks: list[tuple[bytes, bytes]] = []
    at = 8
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4])
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    if not chunks:
        return data
    place = random.randrange(len(chunks))
    kind, content = chunks[place]
    match random.randrange(5):
        case 0:
            del chunks[place]
        case 1:
            chunks.insert(random.randrange(len(chunks) + 1), chunks[place])
        case 2:
            chunks[place] = (random.choice((b"IHDR", b"PLTE", b"tRNS", b"tEXt", b"eXIf", b"acTL", b"iCCP")), content)
        case _:
            chunks[place] = (kind, random.choice(BYTES)(random, content))
    return data[:8] + b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    )


def safetensors_header(random: Random, data: bytes) -> bytes:
    """The JSON at the head of a safetensors file is changed, its length put right; so is JSON within its metadata."""
    length = int.from_bytes(data[:8], "little")
    try:
        tree = json.loads(data[8 : 8 + length])
        alone = json.loads(tree["__metadata__"]["evalsuite"]) if random.random() < 0.7 else None
    except (ValueError, KeyError, TypeError, RecursionError):
        alone = None
        try:
            tree = json.loads(data[8 : 8 + length])
        except (ValueError, RecursionError):
            return data
    if alone is not None:
        tree["__metadata__"]["evalsuite"] = json.dumps(tree_changed(random, alone))
    else:
        tree = tree_changed(random, tree)
    header = json.dumps(tree).encode()
    return len(header).to_bytes(8, "little") + header + data[8 + length :]


def sqlite_rows(random: Random, data: bytes) -> bytes:
    """SQLite: a value of some row is changed, a row or a table is left out."""
    with sqlite3.connect(":memory:") as database:
        try:
            database.deserialize(data)
            _row_changed(random, database)
            database.commit()
            return database.serialize()
        except sqlite3.Error:
            return data


def _row_changed(random: Random, database: sqlite3.Connection) -> None:
    tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    table = random.choice(tables)
    if random.random() < 0.1:
        database.execute(f"DROP TABLE {table}")
        return
    columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
    rows = database.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608 - as above
    if not rows:
        return
    row = list(random.choice(rows))
    where = " AND ".join(f"{column} IS ?" for column in columns)
    if random.random() < 0.2:
        database.execute(f"DELETE FROM {table} WHERE {where}", row)  # noqa: S608 - as above
        return
    at = random.randrange(len(columns))
    value = _value_changed(random, row[at])
    database.execute(f"UPDATE OR IGNORE {table} SET {columns[at]} = ? WHERE {where}", [value, *row])  # noqa: S608


def _value_changed(random: Random, value: object) -> object:
    if isinstance(value, bytes):
        try:
            inside = zlib.decompress(value)
        except zlib.error:
            return random.choice(BYTES)(random, value)
        return zlib.compress(random.choice(BYTES)(random, inside))
    if isinstance(value, str) and value[:1] in {"[", "{"}:
        return json.dumps(tree_changed(random, json.loads(value)))
    return random.choice((None, 0, -1, 2**62, 1.5, "", "x", b"\xff", "null", "[]", "{}", value))
