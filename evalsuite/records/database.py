"""The database of a run folder: its tables, opened for a writer or a reader, checked, and brought up to date."""

import fcntl
import json
import os
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import cache
from pathlib import Path

from evalsuite.errors import RefusedInputError, UsageError
from evalsuite.records.database_errors import DISK, BusyError, code, damaged
from evalsuite.records.run_folder import JOURNAL, LOCK, LOG

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
PATIENCE = 60.0
"""Seconds that a writer waits for readers, and a reader for a writer; each is done in a moment."""
_VERSION = "evalsuite-store/2"
PREVIOUS_SCHEMA = "evalsuite-store/1"
"""Knew one list of labels for all tasks; read and brought up to date when it is opened."""


def expect_run(path: Path) -> None:
    """Refuse a folder without a store with UsageError."""
    if not path.exists():
        raise UsageError(f"expected a run folder with {path.name}, got {path.parent}")


def open_to_read(path: Path, stack: ExitStack) -> sqlite3.Connection:
    """Open a store without writing or locking; `stack` closes it. What has to be brought up to date is copied first.

    Raises:
        UsageError: It may not be read.
        RefusedInputError: It is no store.
    """
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
    bring_up_to_date(copy, path)
    return copy


def _connected(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=PATIENCE)


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


def expect_store(path: Path) -> None:
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


def bring_up_to_date(database: sqlite3.Connection, path: Path) -> None:
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
            _upgrade(database)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise RefusedInputError(damaged(path, f"{type(error).__name__}: {error}")) from error
    elif version != json.dumps(_VERSION):
        raise RefusedInputError(
            f"{path}: expected a store of version {_VERSION} or {PREVIOUS_SCHEMA}, got {version!r:.60}: a run that "
            f"another version of evalsuite began is read with that version, or begun anew in another folder"
        )


def _upgrade(database: sqlite3.Connection) -> None:
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
def locked(folder: Path) -> Iterator[None]:
    """Keep other writers out of a run folder; raises BusyError where one is at work."""
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
