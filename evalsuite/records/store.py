"""The run folder's database: every shard's observations, and the only source of truth.

A shard is addressed by (digest of the task, digest of the network's tensors, digest of the shard's examples, seed) and,
for columns that need another network too, that one's digest - never by a path or a name. It is written in one
transaction: a process that is killed loses at most the shard in flight.
"""

import fcntl
import hashlib
import io
import json
import os
import re
import shutil
import sqlite3
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeVar, final

import numpy as np
from pydantic import TypeAdapter

from evalsuite.errors import RefusedInputError, UsageError
from evalsuite.records.cells import EVALUATED_META, LABELS, META, NETWORK, SHARD_SIZES, TASK, validated
from evalsuite.records.database_errors import DISK, BusyError, code, damaged, explained
from evalsuite.records.run_folder import JOURNAL, LOCK, LOG, check_names, check_usable, clear_partials, make
from evalsuite.records.run_folder import STORE as _FILE
from evalsuite.records.schema import Part
from evalsuite.records.sealing import canonical
from evalsuite.records.stored import EvaluatedMeta, Meta, StoredNetwork, StoredTask

Column = np.ndarray[tuple[int, ...], np.dtype[np.generic]]
Columns = Mapping[str, Column]
Value = TypeVar("Value")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS labels (examples TEXT PRIMARY KEY, labels TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS cuts (source TEXT PRIMARY KEY, shards TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS networks (made_from TEXT PRIMARY KEY, position INTEGER NOT NULL, facts TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS tasks (name TEXT PRIMARY KEY, position INTEGER NOT NULL, facts TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS shards (
    task TEXT NOT NULL, network TEXT NOT NULL, examples TEXT NOT NULL, seed INTEGER NOT NULL, parent TEXT NOT NULL,
    n INTEGER NOT NULL, seconds REAL NOT NULL, observations BLOB NOT NULL,
    PRIMARY KEY (task, network, examples, seed, parent)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pictures (task TEXT PRIMARY KEY, png BLOB NOT NULL);
"""
_TABLES = frozenset(re.findall(r"TABLE IF NOT EXISTS (\w+)", _SCHEMA))
_LOOKED_AT_LATER = frozenset({*DISK, sqlite3.SQLITE_BUSY})
"""What only a writer can mend, such as a transaction that its writer was killed in."""
_EXAMPLES = ("examples", "position", "id", "label")
"""A table of the version before, with its columns."""
_PATIENCE = 60.0
"""Seconds that a writer waits for readers, and a reader for a writer; each is done in a moment."""
_VERSION = "evalsuite-store/2"
PREVIOUS_SCHEMA = "evalsuite-store/1"
"""Knew one list of labels for all tasks; read and brought up to date when it is opened."""
_MOST, _DENSEST = 2**26, 100
"""Bytes of one shard's observations that may be packed in any way; beyond, how many times as many as when packed."""
_EVIDENCE = ("identity", "data", "parent", "measures", "families", "slices", "shipped", "readings")
_EVIDENCE_OF_RUN = ("seed", "margin", "confidence", "spec_digest")
_TIMES = frozenset({"latency_ms", "throughput_ms"})
NO_OTHER = ""
"""In place of another network's digest: columns that depend on the network alone."""


@final
@dataclass(frozen=True, kw_only=True)
class Address:
    """Where the observations of one network on one shard are kept.

    Attributes:
        task: Digest of the task with its hyperparameters and code version.
        network: Digest of the network's tensors.
        examples: Digest of the shard's examples.
        seed: The run's seed.
        other: Digest of the network, mostly the parent, without which the columns could not be told, else `NO_OTHER`.
            The database calls it `parent`.
    """

    task: str
    network: str
    examples: str
    seed: int
    other: str = NO_OTHER


@final
@dataclass(frozen=True, kw_only=True)
class StoredShard:
    """Observations to be stored.

    Attributes:
        address: Where.
        columns: Arrays whose first axis is the example.
        seconds: What it took to compute them.
    """

    address: Address
    columns: Columns
    seconds: float


@final
class Store:
    """One run folder's database. Open with `opened`, which lets in one writer at a time, or with `reading`.

    Everything that is read may be damaged; RefusedInputError says what to do then.
    """

    def __init__(self, database: sqlite3.Connection, path: Path) -> None:
        self._database, self._path = database, path

    # --- what the run is

    def meta(self) -> Meta:
        """What is written about the run as a whole."""
        return self._meta(META)

    def evaluated_meta(self) -> EvaluatedMeta:
        """The same of a run that has networks to evaluate."""
        return self._meta(EVALUATED_META)

    def _meta(self, kind: TypeAdapter[Value]) -> Value:
        with self._refusing_damage("meta"):
            cells = self._database.execute("SELECT key, value FROM meta")
            return validated(kind, {key: json.loads(value) for key, value in cells})

    def set_meta(self, meta: Meta) -> None:
        """Write or replace what is set of `meta`."""
        rows = [(key, json.dumps(value, sort_keys=True)) for key, value in meta.document().items()]
        with self._database:
            self._database.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", rows)

    def set_labels(self, labels: Mapping[str, Sequence[int]]) -> None:
        """Write down the true classes of the examples of shards, by the digest of the examples."""
        rows = [(examples, json.dumps(list(numbers))) for examples, numbers in labels.items()]
        with self._database:
            self._database.executemany("INSERT OR REPLACE INTO labels VALUES (?, ?)", rows)

    def labels(self, shards: Sequence[str]) -> list[int] | None:
        """True classes of the examples of shards, joined in the order given; None where a shard's are not there."""
        numbers: list[int] = []
        for examples in shards:
            row = self._database.execute("SELECT labels FROM labels WHERE examples = ?", (examples,)).fetchone()
            if row is None:
                return None
            classes = self._parsed(row[0], LABELS, "labels")
            numbers.extend(classes)
        return numbers

    def set_shard_sizes(self, source: str, shards: Sequence[tuple[str, int]]) -> None:
        """Remember into which shards (digest, number of examples) the examples from `source` were split."""
        with self._database:
            self._database.execute("INSERT OR REPLACE INTO cuts VALUES (?, ?)", (source, json.dumps(list(shards))))

    def shard_sizes(self, source: str) -> list[tuple[str, int]] | None:
        """The shards (digest, number of examples) of the examples from `source`, or None."""
        row = self._database.execute("SELECT shards FROM cuts WHERE source = ?", (source,)).fetchone()
        return self._parsed(row[0], SHARD_SIZES, "cuts") if row else None

    def set_tasks(self, tasks: Sequence[StoredTask]) -> None:
        """Replace the list of tasks."""
        with self._database:
            self._database.execute("DELETE FROM tasks")
            rows = [(task.name, k, _text(task)) for k, task in enumerate(tasks)]
            self._database.executemany("INSERT INTO tasks VALUES (?, ?, ?)", rows)

    def tasks(self) -> list[StoredTask]:
        """The tasks, in order."""
        rows = self._database.execute("SELECT facts FROM tasks ORDER BY position")
        return [self._parsed(text, TASK, "tasks") for (text,) in rows]

    def add_network(self, made_from: str, network: StoredNetwork) -> None:
        """Write down a network, under what it was made from (parent, pruner, schedule, recipe, data, seed)."""
        with self._database:
            (position,) = self._database.execute("SELECT coalesce(max(position), -1) + 1 FROM networks").fetchone()
            row = (made_from, position, _text(network))
            self._database.execute("INSERT OR REPLACE INTO networks VALUES (?, ?, ?)", row)

    def network_count(self) -> int:
        """How many networks are written down."""
        (count,) = self._database.execute("SELECT count(*) FROM networks").fetchone()
        return int(count)

    def network(self, made_from: str) -> StoredNetwork | None:
        """The network made from `made_from`, or None."""
        row = self._database.execute("SELECT facts FROM networks WHERE made_from = ?", (made_from,)).fetchone()
        return self._parsed(row[0], NETWORK, "networks") if row else None

    def networks(self) -> list[StoredNetwork]:
        """The run's networks, in order, as far as they are written down."""
        networks = [self.network(made_from) for made_from in self.meta().members or ()]
        return [network for network in networks if network is not None]

    # --- observations

    def write(self, rows: Iterable[StoredShard], pictures: Mapping[str, bytes] | None = None) -> None:
        """Store observations, and strips of sample images (PNG) by task name, all or none."""
        packed = [
            (a.task, a.network, a.examples, a.seed, a.other, _length(row.columns), row.seconds, pack(row.columns))
            for row in rows
            for a in (row.address,)
        ]
        with self._database:
            self._database.executemany("INSERT OR REPLACE INTO shards VALUES (?, ?, ?, ?, ?, ?, ?, ?)", packed)
            self._database.executemany("INSERT OR REPLACE INTO pictures VALUES (?, ?)", list((pictures or {}).items()))

    def read(self, address: Address) -> Columns | None:
        """The observations at `address`, or None."""
        row = self._database.execute(
            "SELECT observations FROM shards WHERE task=? AND network=? AND examples=? AND seed=? AND parent=?",
            (address.task, address.network, address.examples, address.seed, address.other),
        ).fetchone()
        if row is None:
            return None
        try:
            return unpack(row[0])
        except Exception as error:  # whatever parsers raise of bytes that `pack` did not write
            raise self._without_damaged(error) from error

    def present(self, task: str, seed: int) -> set[tuple[str, str, str]]:
        """(network, examples, other network) of all that is stored of a task."""
        rows = self._database.execute(
            "SELECT network, examples, parent FROM shards WHERE task=? AND seed=?", (task, seed)
        )
        return set(rows)

    def seconds(self, task: str, seed: int, shards: Sequence[str]) -> float:
        """What the stored observations of a task on the given shards took to compute."""
        query = "SELECT coalesce(sum(seconds), 0) FROM shards WHERE task=? AND seed=? AND examples=?"
        return sum(float(self._database.execute(query, (task, seed, s)).fetchone()[0]) for s in dict.fromkeys(shards))

    def evidence(self) -> str:
        """SHA-256 of all that results are made from, 64 hex digits: the same for the same observations everywhere.

        That are the run's settings, tasks and networks, the right answers, and the observations of these networks on
        these tasks; not what a run took, when and by which command it was made, nor how the database lays it out.
        """
        meta, tasks = self.meta(), self.tasks()
        networks = [self.network(made_from) for made_from in meta.members or ()]
        with self._refusing_damage("evidence"):  # nested deeper than can be written
            whole, run = meta.document(), {} if meta.run is None else meta.run.document()
            contents = {
                **{key: whole.get(key) for key in _EVIDENCE},
                "run": {key: run.get(key) for key in _EVIDENCE_OF_RUN},
                "tasks": [task.document() for task in tasks],
                "networks": [None if network is None else _without_times(network) for network in networks],
            }
        hashed = hashlib.sha256(self._canonical(contents))
        for examples in sorted({shard for task in tasks for shard in task.shards}):
            hashed.update(self._canonical([examples, self.labels([examples])]))
        digests = sorted({network.digest for network in networks if network is not None})
        for task in sorted({task.digest for task in tasks}):
            for digest in digests:
                self._hash_shards(hashed, task, digest, run.get("seed"))
        return hashed.hexdigest()

    def _hash_shards(self, digest: "hashlib._Hash", task: str, network: str, seed: object) -> None:
        query = (
            "SELECT examples, parent, n, observations FROM shards WHERE task=? AND network=? AND seed=? ORDER BY 1, 2"
        )
        for *address, observations in self._database.execute(query, (task, network, seed)):
            try:
                columns = unpack(observations)
            except Exception as error:  # whatever parsers raise of bytes that `pack` did not write
                raise self._without_damaged(error) from error
            kinds = [[column, str(values.dtype), values.shape] for column, values in columns.items()]
            digest.update(self._canonical([task, network, *address, kinds]))
            for column in columns.values():
                digest.update(column.tobytes())

    def pictures(self) -> dict[str, bytes]:
        """Strips of sample images, by task name."""
        return dict(self._database.execute("SELECT task, png FROM pictures"))

    # --- damage

    def _canonical(self, value: object) -> bytes:
        with self._refusing_damage("evidence"):  # NaN, or bytes where a run writes text
            return canonical(value)

    def _parsed(self, text: str, kind: TypeAdapter[Value], table: str) -> Value:
        """What stands in a cell of `table`, which is of its kind: others may have written to the database."""
        with self._refusing_damage(table):
            return validated(kind, json.loads(text))

    @contextmanager
    def _refusing_damage(self, table: str) -> Iterator[None]:
        try:
            yield
        except (ValueError, TypeError, RecursionError) as error:
            raise RefusedInputError(damaged(self._path, f"{table}: {error}")) from error

    def _without_damaged(self, error: Exception) -> RefusedInputError:
        """What to say of observations that cannot be read; who may write takes all such out, to be computed again."""
        message = f"{self._path}: expected observations as they were written, got damaged ones ({error})"
        keys = "task, network, examples, seed, parent"
        rows = self._database.execute(f"SELECT {keys}, observations FROM shards").fetchall()  # noqa: S608 - a constant
        unreadable = [address for *address, data in rows if not _is_readable(data)]
        try:
            with self._database:
                where = "task=? AND network=? AND examples=? AND seed=? AND parent=?"
                self._database.executemany(f"DELETE FROM shards WHERE {where}", unreadable)  # noqa: S608 - a constant
            if (seal := self.meta().seal) is not None:
                self.set_meta(Meta(complete=False, seal=None, awaited=seal.evidence))
        except sqlite3.OperationalError:  # a reader
            return RefusedInputError(f"{message}; the run's own command computes them again")
        return RefusedInputError(f"{message}; they were taken out: the same command computes them again")


@contextmanager
def opened(folder: Path, *, create: bool = False) -> Iterator[Store]:
    """The store of a run folder, to be written to, locked against other writers.

    Raises:
        BusyError: Another process works in the folder.
        UsageError: The folder holds no run, or files of others; nothing can be written there (any more).
        RefusedInputError: `results.sqlite` is not a store of this version, or damaged.
    """
    path = folder / _FILE
    if not create:
        _expect(path)
    check_usable(folder)
    make(folder)
    with _lock(folder), explained(path, _PATIENCE):
        if path.exists():
            _expect_store(path)
        with closing(sqlite3.connect(path, timeout=_PATIENCE)) as database:
            _check(database, path)
            clear_partials(folder)
            yield Store(database, path)


@contextmanager
def reading(folder: Path) -> Iterator[Store]:
    """The store of a run folder, only to be read: also while another process works in it, or on a read-only disk.

    Nothing is written and nothing is locked. A store of the version before is brought up to date in memory; what a
    killed process has left half-written is taken back in a copy.

    Raises:
        BusyError: Another process has been writing for too long.
        UsageError: The folder holds no run, or it cannot be read.
        RefusedInputError: `results.sqlite` is not a store of this version, or damaged.
    """
    path = folder / _FILE
    _expect(path)
    check_names(folder, writing=False)
    with ExitStack() as stack:
        stack.enter_context(explained(path, _PATIENCE))
        yield Store(_readable(path, stack), path)


def _expect(path: Path) -> None:
    if not path.exists():
        raise UsageError(f"expected a run folder with {path.name}, got {path.parent}")


def _readable(path: Path, stack: ExitStack) -> sqlite3.Connection:
    _expect_permission(path)
    if _has_log(path):
        database = _copied(path, stack)
    else:
        try:
            database = stack.enter_context(closing(_connected(path)))
            if _is_current(database):
                _expect_columns(database, path)
                return database
        except sqlite3.DatabaseError as error:
            database = _recovered(path, error, stack)
    _expect_columns(database, path)
    copy = stack.enter_context(closing(sqlite3.connect(":memory:")))
    database.backup(copy)
    _check(copy, path)
    return copy


def _connected(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_PATIENCE)


def _expect_permission(path: Path) -> None:
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise UsageError(f"expected a run folder that can be read, got {path} ({error.strerror})") from error


def _has_log(path: Path) -> bool:
    """Whether others have switched the database to a write-ahead log, which even readers write to."""
    with path.open("rb") as file:
        return file.read(20)[18:] == b"\x02\x02"


def _is_current(database: sqlite3.Connection) -> bool:
    """Whether there is nothing to bring up to date: tables and version are today's."""
    if not _tables(database).issuperset(_TABLES):
        return False
    row = database.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone()
    return row is not None and row[0] == json.dumps(_VERSION)


def _recovered(path: Path, error: sqlite3.DatabaseError, stack: ExitStack) -> sqlite3.Connection:
    """A copy in which a transaction is taken back that its writer was killed in: only a writer can do that."""
    if code(error) in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_NOTADB} or not path.with_name(JOURNAL).exists():
        raise error
    return _copied(path, stack)


def _copied(path: Path, stack: ExitStack) -> sqlite3.Connection:
    scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="evalsuite-")))
    for file in (path, path.with_name(JOURNAL), path.with_name(LOG)):
        if file.exists():
            shutil.copyfile(file, scratch / file.name)
    return stack.enter_context(closing(sqlite3.connect(scratch / path.name)))


def _expect_store(path: Path) -> None:
    """Look at a database before anything is written to it: it may be somebody else's."""
    try:
        with closing(_connected(path)) as database:
            _expect_columns(database, path)
    except sqlite3.DatabaseError as error:
        if code(error) in _LOOKED_AT_LATER:
            return
        raise


def _expect_columns(database: sqlite3.Connection, path: Path) -> None:
    """Make sure that the database holds the tables of a store, with their columns, and nothing that acts by itself.

    Raises:
        RefusedInputError: It does not.
    """
    try:
        objects = set(database.execute("SELECT type, name FROM sqlite_master WHERE name NOT GLOB 'sqlite_*'"))
        columns = {(name, *_columns(database, name)) for kind, name in objects if kind == "table"}
    except UnicodeDecodeError as error:
        raise RefusedInputError(damaged(path, str(error))) from error
    strange = sorted({name for _, name in objects} - {table for table, *_ in columns & {*_expected(), _EXAMPLES}})
    if strange:
        raise RefusedInputError(
            f"{path}: expected an evalsuite store, got a database with other contents ({', '.join(strange[:3])}); "
            f"choose another folder"
        )


@cache
def _expected() -> frozenset[tuple[str, ...]]:
    """Every table of a store, with its columns."""
    with closing(sqlite3.connect(":memory:")) as database:
        database.executescript(_SCHEMA)
        return frozenset((table, *_columns(database, table)) for table in _TABLES)


def _columns(database: sqlite3.Connection, table: str) -> list[str]:
    return [name for (name,) in database.execute("SELECT name FROM pragma_table_info(?)", (table,))]


def _tables(database: sqlite3.Connection) -> set[str]:
    try:
        return {table for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except UnicodeDecodeError:  # `_expect_columns` says so
        return set()


def _check(database: sqlite3.Connection, path: Path) -> None:
    """Make what is missing, all or nothing, and bring a store of the version before up to date."""
    if _is_current(database):
        return
    with database:
        database.execute("BEGIN IMMEDIATE")
        for statement in filter(str.strip, _SCHEMA.split(";")):
            database.execute(statement)
        database.execute("INSERT OR IGNORE INTO meta VALUES ('schema', ?)", (json.dumps(_VERSION),))
    version = database.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone()[0]
    if version == json.dumps(PREVIOUS_SCHEMA):
        try:
            _bring_up_to_date(database)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise RefusedInputError(damaged(path, f"{type(error).__name__}: {error}")) from error
    elif version != json.dumps(_VERSION):
        raise RefusedInputError(
            f"{path}: expected a store of version {_VERSION} or {PREVIOUS_SCHEMA}, got {version!r:.60}: a run that "
            f"another version of evalsuite began is read with that version, or begun anew in another folder"
        )


def _bring_up_to_date(database: sqlite3.Connection) -> None:
    """The one list of labels becomes one list a shard: all tasks had the run's examples, from the first on."""
    ordered = [label for (label,) in database.execute("SELECT label FROM examples ORDER BY position")]
    sizes = dict(database.execute("SELECT examples, max(n) FROM shards WHERE n > 0 GROUP BY examples"))
    shards: dict[str, str] = {}
    for (facts,) in database.execute("SELECT facts FROM tasks"):
        start = 0
        for examples in json.loads(facts)["shards"]:
            if examples not in sizes:
                break  # not computed yet: whoever computes it writes its labels
            shards[examples] = json.dumps(ordered[start : start + sizes[examples]])
            start += sizes[examples]
    with database:
        database.executemany("INSERT OR REPLACE INTO labels VALUES (?, ?)", shards.items())
        database.execute("DROP TABLE examples")
        database.execute("UPDATE meta SET value = ? WHERE key = 'schema'", (json.dumps(_VERSION),))


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    # nothing is written to the file, and no link is followed to one
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(folder / LOCK, flags, 0o666)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            message = f"{folder}: another evalsuite process works in this folder; wait for it or stop it"
            raise BusyError(message) from None
        yield
    finally:
        os.close(descriptor)


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


def _text(part: Part) -> str:
    return json.dumps(part.document(), sort_keys=True)


def _without_times(network: StoredNetwork) -> dict[str, object]:
    return {key: value for key, value in network.document().items() if key not in _TIMES}


def _is_readable(data: bytes) -> bool:
    try:
        unpack(data)
    except Exception:  # noqa: BLE001 - whatever parsers raise
        return False
    return True


def _length(columns: Columns) -> int:
    return len(next(iter(columns.values()))) if columns else 0
