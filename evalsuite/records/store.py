"""The run folder's database: every shard's observations, and the only source of truth.

A shard is addressed by (digest of the task, digest of the network's tensors, digest of the shard's examples, seed) and,
for columns that need another network too, that one's digest - never by a path or a name. It is written in one
transaction: a process that is killed loses at most the shard in flight.
"""

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, final

from pydantic import TypeAdapter

from evalsuite.errors import RefusedInputError
from evalsuite.records.cells import EVALUATED_META, LABELS, META, NETWORK, SHARD_SIZES, TASK, validated
from evalsuite.records.database import PATIENCE, bring_up_to_date, expect_run, expect_store, locked, open_to_read
from evalsuite.records.database_errors import damaged, explained
from evalsuite.records.packing import Columns, is_readable, pack, unpack
from evalsuite.records.run_folder import STORE as _FILE
from evalsuite.records.run_folder import check_names, check_usable, clear_partials, make
from evalsuite.records.schema import Part
from evalsuite.records.sealing import canonical
from evalsuite.records.stored import EvaluatedMeta, Meta, StoredNetwork, StoredTask

Value = TypeVar("Value")

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
        unreadable = [address for *address, data in rows if not is_readable(data)]
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
        expect_run(path)
    check_usable(folder)
    make(folder)
    with locked(folder), explained(path, PATIENCE):
        if path.exists():
            expect_store(path)
        with closing(sqlite3.connect(path, timeout=PATIENCE)) as database:
            bring_up_to_date(database, path)
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
    expect_run(path)
    check_names(folder, writing=False)
    with ExitStack() as stack:
        stack.enter_context(explained(path, PATIENCE))
        yield Store(open_to_read(path, stack), path)


def _text(part: Part) -> str:
    return json.dumps(part.document(), sort_keys=True)


def _without_times(network: StoredNetwork) -> dict[str, object]:
    return {key: value for key, value in network.document().items() if key not in _TIMES}


def _length(columns: Columns) -> int:
    return len(next(iter(columns.values()))) if columns else 0
