"""The run folder's database: every shard's observations, and the only source of truth.

A shard is addressed by (digest of the task, digest of the network's tensors, digest of the shard's examples, seed) and,
for columns that need another network too, that one's digest - never by a path or a name. It is written in one
transaction: a process that is killed loses at most the shard in flight.
"""

import fcntl
import hashlib
import io
import json
import re
import shutil
import sqlite3
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO, cast, final

import numpy as np

from evalsuite.errors import RefusedInputError, UsageError
from evalsuite.facts import Meta, NetworkFacts, TaskFacts
from evalsuite.files import clear_partials
from evalsuite.sealing import canonical

Column = np.ndarray[tuple[int, ...], np.dtype[np.generic]]
Columns = Mapping[str, Column]

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
_FILE = "results.sqlite"
_PATIENCE = 60.0
"""Seconds that a writer waits for readers, and a reader for a writer; each is done in a moment."""
_VERSION = "evalsuite-store/2"
_BEFORE = "evalsuite-store/1"
"""Knew one list of labels for all tasks; read and brought up to date when it is opened."""
_EVIDENCE = ("identity", "data", "parent", "measures", "families", "slices", "shipped", "readings")
_EVIDENCE_OF_RUN = ("seed", "margin", "confidence", "spec_digest")
_TIMES = frozenset({"latency_ms", "throughput_ms"})
ALONE = ""
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
        other: Digest of the network, mostly the parent, without which the columns could not be told, else `ALONE`. The
            database calls it `parent`.
    """

    task: str
    network: str
    examples: str
    seed: int
    other: str = ALONE


@final
@dataclass(frozen=True, kw_only=True)
class Row:
    """Observations to be stored.

    Attributes:
        address: Where.
        columns: Arrays whose first axis is the example.
        seconds: What it took to compute them.
    """

    address: Address
    columns: Columns
    seconds: float


class BusyError(UsageError):
    """Another process works in the run folder."""


@final
class Store:
    """One run folder's database. Open with `opened`, which lets in one writer at a time, or with `reading`."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    # --- what the run is

    def meta(self) -> Meta:
        """Facts about the run as a whole, by key."""
        rows = self._database.execute("SELECT key, value FROM meta")
        return cast(Meta, {key: json.loads(value) for key, value in rows})

    def set_meta(self, facts: Meta) -> None:
        """Write or replace facts about the run."""
        rows = [(key, json.dumps(value, sort_keys=True)) for key, value in facts.items()]
        with self._database:
            self._database.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", rows)

    def set_labels(self, labels: Mapping[str, Sequence[int]]) -> None:
        """Write down the true classes of the examples of shards, by the digest of the examples."""
        rows = [(examples, json.dumps(list(of))) for examples, of in labels.items()]
        with self._database:
            self._database.executemany("INSERT OR REPLACE INTO labels VALUES (?, ?)", rows)

    def labels(self, shards: Sequence[str]) -> list[int] | None:
        """True classes of the examples of shards, joined in the order given; None where a shard's are not there."""
        found: list[int] = []
        for examples in shards:
            row = self._database.execute("SELECT labels FROM labels WHERE examples = ?", (examples,)).fetchone()
            if row is None:
                return None
            found.extend(json.loads(row[0]))
        return found

    def set_cuts(self, source: str, shards: Sequence[tuple[str, int]]) -> None:
        """Remember into which shards (digest, number of examples) the examples from `source` were cut."""
        with self._database:
            self._database.execute("INSERT OR REPLACE INTO cuts VALUES (?, ?)", (source, json.dumps(list(shards))))

    def cuts(self, source: str) -> list[tuple[str, int]] | None:
        """The shards (digest, number of examples) of the examples from `source`, or None."""
        row = self._database.execute("SELECT shards FROM cuts WHERE source = ?", (source,)).fetchone()
        return [(examples, n) for examples, n in json.loads(row[0])] if row else None

    def set_tasks(self, facts: Sequence[TaskFacts]) -> None:
        """Replace the list of tasks; each has a `name`."""
        with self._database:
            self._database.execute("DELETE FROM tasks")
            rows = [(fact["name"], k, json.dumps(fact, sort_keys=True)) for k, fact in enumerate(facts)]
            self._database.executemany("INSERT INTO tasks VALUES (?, ?, ?)", rows)

    def tasks(self) -> list[TaskFacts]:
        """The tasks, in order."""
        return [json.loads(facts) for (facts,) in self._database.execute("SELECT facts FROM tasks ORDER BY position")]

    def add_network(self, made_from: str, facts: NetworkFacts) -> None:
        """Write down a network, under what it was made from (parent, pruner, schedule, recipe, data, seed)."""
        with self._database:
            (position,) = self._database.execute("SELECT coalesce(max(position), -1) + 1 FROM networks").fetchone()
            row = (made_from, position, json.dumps(facts, sort_keys=True))
            self._database.execute("INSERT OR REPLACE INTO networks VALUES (?, ?, ?)", row)

    def network_count(self) -> int:
        """How many networks are written down."""
        (count,) = self._database.execute("SELECT count(*) FROM networks").fetchone()
        return int(count)

    def network(self, made_from: str) -> NetworkFacts | None:
        """Facts of the network made from `made_from`, or None."""
        row = self._database.execute("SELECT facts FROM networks WHERE made_from = ?", (made_from,)).fetchone()
        return json.loads(row[0]) if row else None

    # --- observations

    def write(self, rows: Iterable[Row], pictures: Mapping[str, bytes] | None = None) -> None:
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
        return unpack(row[0]) if row else None

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

        That are the run's facts, tasks and networks, the right answers, and the observations of these networks on
        these tasks; not what a run took, when and by which command it was made, nor how the database lays it out.
        """
        meta = cast(dict[str, object], self.meta())
        networks = [self.network(made_from) for made_from in cast(list[str], meta.get("members", []))]
        tasks = self.tasks()
        run = {key: cast(dict[str, object], meta.get("run", {})).get(key) for key in _EVIDENCE_OF_RUN}
        facts = {key: meta.get(key) for key in _EVIDENCE}
        timeless = [None if net is None else {k: v for k, v in net.items() if k not in _TIMES} for net in networks]
        found = hashlib.sha256(canonical({**facts, "run": run, "tasks": tasks, "networks": timeless}))
        for examples in sorted({shard for task in tasks for shard in task["shards"]}):
            found.update(canonical([examples, self.labels([examples])]))
        digests = sorted({net["digest"] for net in networks if net is not None})
        for task in sorted({task["digest"] for task in tasks}):
            for digest in digests:
                self._hash_shards(found, task, digest, run["seed"])
        return found.hexdigest()

    def _hash_shards(self, found: "hashlib._Hash", task: str, network: str, seed: object) -> None:
        query = (
            "SELECT examples, parent, n, observations FROM shards WHERE task=? AND network=? AND seed=? ORDER BY 1, 2"
        )
        for *address, observations in self._database.execute(query, (task, network, seed)):
            columns = unpack(observations)
            found.update(canonical([task, network, *address, [[c, str(v.dtype), v.shape] for c, v in columns.items()]]))
            for column in columns.values():
                found.update(column.tobytes())

    def pictures(self) -> dict[str, bytes]:
        """Strips of sample images, by task name."""
        return dict(self._database.execute("SELECT task, png FROM pictures"))


@contextmanager
def opened(folder: Path, *, create: bool = False) -> Iterator[Store]:
    """The store of a run folder, to be written to, locked against other writers.

    Raises:
        BusyError: Another process works in the folder.
        UsageError: The folder holds no run.
        RefusedInputError: `results.sqlite` is not a store of this version.
    """
    path = folder / _FILE
    if not create:
        _expect(path)
    if folder.resolve() == Path(folder.resolve().anchor):
        raise UsageError(f"expected a folder for the run, got the root of all files: {folder}")
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"expected a folder for the run, got a file: {folder}")
    if not path.exists() and _is_foreign(folder / "results.json"):
        raise UsageError(f"expected a folder for the run, got one with results.json of something else: {folder}")
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "results.sqlite.lock").open("w") as lock:
        _lock(lock, folder)
        clear_partials(folder)
        with closing(sqlite3.connect(path, timeout=_PATIENCE)) as database:
            _check(database, path)
            yield Store(database)


@contextmanager
def reading(folder: Path) -> Iterator[Store]:
    """The store of a run folder, only to be read: also while another process works in it, or on a read-only disk.

    Nothing is written and nothing is locked. A store of the version before is brought up to date in memory; what a
    killed process has left half-written is taken back in a copy.

    Raises:
        BusyError: Another process has been writing for too long.
        UsageError: The folder holds no run.
        RefusedInputError: `results.sqlite` is not a store of this version.
    """
    path = folder / _FILE
    _expect(path)
    with ExitStack() as stack:
        yield Store(_readable(path, stack))


def _is_foreign(results: Path) -> bool:
    """Whether a run would write over results that are not evalsuite's."""
    if not results.exists():
        return False
    try:
        found = json.loads(results.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError):
        return True
    return not (isinstance(found, dict) and str(found.get("schema")).startswith("evalsuite-results/"))


def _expect(path: Path) -> None:
    if not path.exists():
        raise UsageError(f"expected a run folder with {path.name}, got {path.parent}")


def _readable(path: Path, stack: ExitStack) -> sqlite3.Connection:
    try:
        address = f"{path.resolve().as_uri()}?mode=ro"
        database = stack.enter_context(closing(sqlite3.connect(address, uri=True, timeout=_PATIENCE)))
        if _is_current(database):
            return database
    except sqlite3.DatabaseError as error:
        database = _recovered(path, error, stack)
    copy = stack.enter_context(closing(sqlite3.connect(":memory:")))
    database.backup(copy)
    _check(copy, path)
    return copy


def _is_current(database: sqlite3.Connection) -> bool:
    """Whether there is nothing to bring up to date: tables and version are today's."""
    tables = {table for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not tables.issuperset(_TABLES):
        return False
    row = database.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone()
    return row is not None and json.loads(row[0]) == _VERSION


def _recovered(path: Path, error: sqlite3.DatabaseError, stack: ExitStack) -> sqlite3.Connection:
    """A copy in which a transaction is taken back that its writer was killed in: only a writer can do that."""
    journal = path.with_name(f"{path.name}-journal")
    if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY:
        raise BusyError(f"{path}: another process has been writing for {_PATIENCE:g} s; try again") from error
    if error.sqlite_errorcode == sqlite3.SQLITE_NOTADB or not journal.exists():
        raise _refused(path, error)
    scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="evalsuite-")))
    for file in (path, journal):
        shutil.copyfile(file, scratch / file.name)
    return stack.enter_context(closing(sqlite3.connect(scratch / path.name)))


def _check(database: sqlite3.Connection, path: Path) -> None:
    try:
        database.executescript(_SCHEMA)
        row = database.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone()
    except sqlite3.DatabaseError as error:
        raise _refused(path, error) from error
    if row is None:
        with database:
            database.execute("INSERT INTO meta VALUES ('schema', ?)", (json.dumps(_VERSION),))
        return
    version = json.loads(row[0])
    if version == _BEFORE:
        _bring_up_to_date(database)
    elif version != _VERSION:
        raise RefusedInputError(
            f"{path}: expected a store of version {_VERSION} or {_BEFORE}, got {row[0]}: a run that another version of "
            f"evalsuite began is read with that version, or begun anew in another folder"
        )


def _refused(path: Path, error: sqlite3.DatabaseError) -> RefusedInputError:
    return RefusedInputError(f"{path}: expected an evalsuite store, got a file that SQLite refuses ({error})")


def _bring_up_to_date(database: sqlite3.Connection) -> None:
    """The one list of labels becomes one list a shard: all tasks had the run's examples, from the first on."""
    ordered = [label for (label,) in database.execute("SELECT label FROM examples ORDER BY position")]
    sizes = dict(database.execute("SELECT examples, max(n) FROM shards WHERE n > 0 GROUP BY examples"))
    found: dict[str, str] = {}
    for (facts,) in database.execute("SELECT facts FROM tasks"):
        start = 0
        for examples in json.loads(facts)["shards"]:
            if examples not in sizes:
                break  # not computed yet: whoever computes it writes its labels
            found[examples] = json.dumps(ordered[start : start + sizes[examples]])
            start += sizes[examples]
    with database:
        database.executemany("INSERT OR REPLACE INTO labels VALUES (?, ?)", found.items())
        database.execute("DROP TABLE examples")
        database.execute("UPDATE meta SET value = ? WHERE key = 'schema'", (json.dumps(_VERSION),))


def _lock(file: TextIO, folder: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise BusyError(f"{folder}: another evalsuite process works in this folder; wait for it or stop it") from None


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
    """The arrays that `pack` packed."""
    stream = io.BytesIO(zlib.decompress(data))
    columns: dict[str, Column] = {}
    while head := stream.read(4):
        column = stream.read(int.from_bytes(head, "big")).decode()
        size = int.from_bytes(stream.read(8), "big")
        columns[column] = np.lib.format.read_array(io.BytesIO(stream.read(size)), allow_pickle=False)
    return columns


def _length(columns: Columns) -> int:
    return len(next(iter(columns.values()))) if columns else 0
