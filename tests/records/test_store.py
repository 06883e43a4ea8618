"""The store: what goes in comes out, all or nothing, one writer at a time."""

import json
import sqlite3
import subprocess
import sys
import zlib

import numpy as np
import pytest

from evalsuite.errors import RefusedInputError, UsageError
from evalsuite.records.database_errors import BusyError
from evalsuite.records.packing import pack, unpack
from evalsuite.records.store import Address, StoredShard, opened, reading
from evalsuite.records.stored import Meta, StoredNetwork, StoredRun, StoredTask

pytestmark = pytest.mark.slow


def row(examples="e", **columns):
    address = Address(task="t", network="n", examples=examples, seed=0)
    return StoredShard(address=address, columns=columns or {"prediction": np.arange(3)}, seconds=0.5)


def test_arrays_survive(tmp_path):
    columns = {"a": np.arange(6, dtype=np.int32).reshape(3, 2), "b": np.array([0.5, np.nan, np.inf], np.float32)}
    with opened(tmp_path, create=True) as store:
        store.write([row(**columns)])
    with opened(tmp_path) as store:
        result = store.read(row().address)
        assert result is not None
        for name, values in columns.items():
            np.testing.assert_array_equal(result[name], values)
            assert result[name].dtype == values.dtype
        assert store.read(row("other").address) is None
        assert store.present("t", 0) == {("n", "e", "")}
        assert store.seconds("t", 0, ["e", "e", "absent"]) == 0.5
        assert store.seconds("t", 0, ["absent"]) == 0


def test_packing_is_canonical():
    a, b = np.arange(3), np.ones(2)
    assert pack({"a": a, "b": b}) == pack({"b": b, "a": a})
    assert unpack(pack({})) == {}


def test_a_failing_write_leaves_nothing(tmp_path):
    class Broken(dict):
        def __getitem__(self, key):
            raise RuntimeError("disk on fire")

    with opened(tmp_path, create=True) as store:
        bad = StoredShard(address=row("bad").address, columns=Broken(x=np.ones(1)), seconds=0)
        with pytest.raises(RuntimeError):
            store.write([row("good"), bad])
        assert store.present("t", 0) == set()


def test_objects_are_never_unpickled():
    with pytest.raises(ValueError, match="allow_pickle"):
        pack({"x": np.array([object()])})


def test_second_writer_is_told(tmp_path):
    code = "from evalsuite.records.store import opened\nfrom pathlib import Path\n"
    code += f"with opened(Path({str(tmp_path)!r})): pass"
    with opened(tmp_path, create=True):
        other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "another evalsuite process" in other.stderr


def test_missing_folder(tmp_path):
    with pytest.raises(UsageError, match=r"results\.sqlite"), opened(tmp_path / "nothing"):
        pass
    assert not (tmp_path / "nothing").exists()


def test_not_a_database(tmp_path):
    (tmp_path / "results.sqlite").write_bytes(b"hello, this is not a database at all" * 100)
    with pytest.raises(RefusedInputError, match="SQLite"), opened(tmp_path):
        pass


def test_other_version(tmp_path):
    with opened(tmp_path, create=True):
        pass
    with sqlite3.connect(tmp_path / "results.sqlite") as database:
        database.execute("UPDATE meta SET value = '\"evalsuite-store/99\"' WHERE key = 'schema'")
    database.close()
    with pytest.raises(RefusedInputError, match="evalsuite-store/99"), opened(tmp_path):
        pass


def test_labels_belong_to_shards(tmp_path):
    with opened(tmp_path, create=True) as store:
        store.set_labels({"a": [2, 0], "b": [1]})
        store.set_labels({"b": [1]})
        assert store.labels(["b", "a"]) == [1, 2, 0]
        assert store.labels([]) == []
        assert store.labels(["a", "c"]) is None
        store.set_shard_sizes("files", [("a", 2), ("b", 1)])
        assert store.shard_sizes("files") == [("a", 2), ("b", 1)]
        assert store.shard_sizes("others") is None


def before(path, tasks):
    """A store as version 1 wrote it: five examples, some shards computed."""
    database = sqlite3.connect(path)
    database.executescript(
        "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);"
        "CREATE TABLE examples (position INTEGER PRIMARY KEY, id TEXT NOT NULL, label INTEGER NOT NULL);"
        "CREATE TABLE tasks (name TEXT PRIMARY KEY, position INTEGER NOT NULL, facts TEXT NOT NULL);"
        "CREATE TABLE shards (task TEXT NOT NULL, network TEXT NOT NULL, examples TEXT NOT NULL, seed INTEGER NOT NULL,"
        " parent TEXT NOT NULL, n INTEGER NOT NULL, seconds REAL NOT NULL, observations BLOB NOT NULL,"
        " PRIMARY KEY (task, network, examples, seed, parent)) WITHOUT ROWID;"
        "INSERT INTO meta VALUES ('schema', '\"evalsuite-store/1\"');"
        "INSERT INTO examples VALUES (0,'i',7),(1,'j',8),(2,'k',9),(3,'l',7),(4,'m',6);"
    )
    for position, (name, shards, done) in enumerate(tasks):
        database.execute("INSERT INTO tasks VALUES (?, ?, ?)", (name, position, json.dumps({"shards": shards})))
        for shard, n in done.items():
            database.execute("INSERT INTO shards VALUES (?, 'n', ?, 0, '', ?, 1.0, x'00')", (name, shard, n))
    database.commit()
    database.close()


def test_a_store_of_the_version_before_is_brought_up_to_date(tmp_path):
    coarse, fine = ["abc", "de"], ["a", "b", "c"]
    tasks = [("clean", coarse, {"abc": 3, "de": 2}), ("certified", fine, {"a": 1, "b": 1})]
    before(tmp_path / "results.sqlite", tasks)
    for _ in range(2):  # the second time there is nothing left to do
        with opened(tmp_path) as store:
            assert store.labels(coarse) == [7, 8, 9, 7, 6]
            assert store.labels(["a", "b"]) == [7, 8]
            assert store.labels(fine) is None  # its third shard was never computed
            assert store.meta().document()["schema"] == "evalsuite-store/2"
            assert store.present("clean", 0) == {("n", "abc", ""), ("n", "de", "")}


def content(folder):
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}


def test_readers_need_no_lock_and_leave_nothing(tmp_path):
    with opened(tmp_path, create=True) as store:
        store.write([row()])
        (tmp_path / ".half.partial").write_text("being written")
        before = content(tmp_path)
        with reading(tmp_path) as read, reading(tmp_path) as again:
            assert read.present("t", 0) == again.present("t", 0) == {("n", "e", "")}
        assert content(tmp_path) == before
        store.write([row("later")])  # and the writer goes on
        with reading(tmp_path) as read:
            assert len(read.present("t", 0)) == 2
            with pytest.raises(sqlite3.OperationalError, match="readonly"):
                read.write([row("mine")])
    with pytest.raises(BusyError), opened(tmp_path), opened(tmp_path):
        pass


def test_a_store_of_the_version_before_is_read_as_it_lies(tmp_path):
    before(tmp_path / "results.sqlite", [("clean", ["abc", "de"], {"abc": 3, "de": 2})])
    lies = content(tmp_path)
    with reading(tmp_path) as store:
        assert store.labels(["abc", "de"]) == [7, 8, 9, 7, 6]
        assert store.present("clean", 0) == {("n", "abc", ""), ("n", "de", "")}
    assert content(tmp_path) == lies


def test_a_store_without_a_table_of_today_is_read(tmp_path):
    with opened(tmp_path, create=True) as store:
        store.write([row()])
    with sqlite3.connect(tmp_path / "results.sqlite") as database:
        database.execute("DROP TABLE pictures")
    database.close()
    lies = content(tmp_path)
    with reading(tmp_path) as store:
        assert store.pictures() == {}
        assert store.present("t", 0) == {("n", "e", "")}
    assert content(tmp_path) == lies


def test_what_a_killed_writer_left_half_written_is_not_read(tmp_path):
    with opened(tmp_path, create=True) as store:
        store.write([row()])
    # a transaction that no longer fits into the cache is on the disk before it is whole
    code = (
        "import os, sqlite3, sys\n"
        "database = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "database.execute('PRAGMA cache_size = 1')\n"
        "database.execute('BEGIN')\n"
        "database.execute('DELETE FROM shards')\n"
        "for k in range(200): database.execute('INSERT INTO pictures VALUES (?, zeroblob(9999))', (str(k),))\n"
        "os._exit(9)\n"
    )
    assert subprocess.run([sys.executable, "-c", code, tmp_path / "results.sqlite"], check=False).returncode == 9
    assert (tmp_path / "results.sqlite-journal").stat().st_size > 0
    lies = content(tmp_path)
    with reading(tmp_path) as store:
        assert store.present("t", 0) == {("n", "e", "")}
        assert store.pictures() == {}
    assert content(tmp_path) == lies
    with opened(tmp_path) as store:
        assert store.present("t", 0) == {("n", "e", "")}


def test_readers_are_told_what_is_no_store(tmp_path):
    with pytest.raises(UsageError, match=r"results\.sqlite"), reading(tmp_path):
        pass
    assert not list(tmp_path.iterdir())
    (tmp_path / "results.sqlite").write_bytes(b"hello, this is not a database at all" * 100)
    with pytest.raises(RefusedInputError, match="SQLite"), reading(tmp_path):
        pass


def in_the_database(folder, *statements):
    """Change a store behind evalsuite's back."""
    with sqlite3.connect(folder / "results.sqlite") as database:
        for statement in statements:
            database.execute(statement)
    database.close()


def test_damaged_observations_are_taken_out_all_at_once(tmp_path):
    with opened(tmp_path, create=True) as store:
        store.write([row(), row("second"), row("third")])
    in_the_database(tmp_path, "UPDATE shards SET observations = substr(observations, 5) WHERE examples != 'third'")
    lies = content(tmp_path)
    with (
        pytest.raises(RefusedInputError, match="the run's own command computes them again"),
        reading(tmp_path) as store,
    ):
        store.read(row().address)
    assert content(tmp_path) == lies
    with pytest.raises(RefusedInputError, match="they were taken out: the same command"), opened(tmp_path) as store:
        store.read(row().address)
    with opened(tmp_path) as store:
        assert store.present("t", 0) == {("n", "third", "")}
        assert store.read(row("third").address) is not None


RUN = {
    "id": "a",
    "created": "",
    "command": "",
    "versions": {},
    "device": "cpu",
    "cpu_threads": 1,
    "seconds": 0.0,
    "spec_digest": "s",
    "seed": 0,
    "margin": 0.05,
    "confidence": 0.95,
}
TASK = {
    "name": "clean",
    "kind": "clean",
    "title": "clean",
    "required": True,
    "margin": 0.05,
    "version": 1,
    "n": 1,
    "parameters": {},
    "readings": {},
    "note": None,
    "unavailable": None,
    "digest": "t",
    "shards": ["e"],
}
NETWORK = {
    "id": "a",
    "family": None,
    "role": "parent",
    "digest": "n",
    "pruner": None,
    "structure": None,
    "seed": 0,
    **dict.fromkeys(("target_ratio", "prune_ratio", "flop_reduction"), 0.0),
    **dict.fromkeys(("parameters", "nonzero", "prunable", "prunable_nonzero", "flops", "dense_flops"), 1),
    **dict.fromkeys(("latency_ms", "throughput_ms", "peak_megabytes", "uncounted", "file")),
    "megabytes": 1.0,
}
DAMAGE = {
    "facts": "UPDATE meta SET value = '{' WHERE key = 'run'",
    "facts that are too deep": "UPDATE meta SET value = printf('%.*c', 100000, '[') WHERE key = 'run'",
    "bytes for facts": "UPDATE meta SET value = x'ff00' WHERE key = 'run'",
    "text that is none": "UPDATE meta SET value = CAST(x'22ff22' AS TEXT) WHERE key = 'run'",
    "labels": "UPDATE labels SET labels = 'x'",
    "cuts": "UPDATE cuts SET shards = ''",
    "tasks": "UPDATE tasks SET facts = '{'",
    "networks": "UPDATE networks SET facts = '{'",
    "facts without a key": "UPDATE meta SET value = json_remove(value, '$.seed') WHERE key = 'run'",
    "facts of another type": "UPDATE meta SET value = json_set(value, '$.seed', 'x') WHERE key = 'run'",
    "no facts": "UPDATE meta SET value = 'null' WHERE key = 'run'",
    "labels of another type": "UPDATE labels SET labels = '[1.5]'",
    "cuts of another length": "UPDATE cuts SET shards = '[[1]]'",
    "a task without a key": "UPDATE tasks SET facts = json_remove(facts, '$.digest')",
    "a network of another type": "UPDATE networks SET facts = json_set(facts, '$.digest', json('[]'))",
    "a network that nothing can be sought by": "UPDATE networks SET facts = replace(facts, '\"n\"', '\"\\udcff\"')",
    "no prune ratio": "UPDATE networks SET facts = json_set(facts, '$.role', 'pruned', '$.prune_ratio', null)",
    "a network without a role": "UPDATE networks SET facts = json_set(facts, '$.role', 'queen')",
}


@pytest.mark.parametrize("statement", DAMAGE.values(), ids=DAMAGE)
def test_facts_that_cannot_be_read_say_what_to_do(tmp_path, statement):
    with opened(tmp_path, create=True) as store:
        store.set_meta(Meta(run=StoredRun.model_validate(RUN)))
        store.set_labels({"e": [1]})
        store.set_shard_sizes("files", [("e", 1)])
        store.set_tasks([StoredTask.model_validate(TASK)])
        store.add_network("made", StoredNetwork.model_validate(NETWORK))

    def look(store):
        return store.meta(), store.labels(["e"]), store.shard_sizes("files"), store.tasks(), store.network("made")

    with reading(tmp_path) as store:
        look(store)
    in_the_database(tmp_path, statement)
    with pytest.raises(RefusedInputError, match=r"damaged inside .* move the file away"), reading(tmp_path) as store:
        look(store)


def test_damage_is_told_at_whatever_query_it_shows(tmp_path):
    with opened(tmp_path, create=True) as store:
        store.write([row(str(k)) for k in range(300)])
    whole = (tmp_path / "results.sqlite").read_bytes()
    message = []
    for page in range(1, len(whole) // 4096):
        torn = bytearray(whole)
        torn[4096 * page : 4096 * (page + 1)] = b"\xa5" * 4096
        (tmp_path / "results.sqlite").write_bytes(torn)
        try:
            with opened(tmp_path) as store:
                store.present("t", 0)
                store.pictures()
                store.meta()
        except RefusedInputError as error:
            message.append(str(error))
    assert len(message) > 3
    assert all("damaged inside" in each or "taken out" in each or "other contents" in each for each in message)


@pytest.mark.parametrize("name", ["sly", "sqlitesly"])
def test_a_store_that_acts_by_itself_is_refused(tmp_path, name):
    with opened(tmp_path, create=True):
        pass
    sly = "CREATE TRIGGER NAME AFTER INSERT ON shards BEGIN DELETE FROM tasks; END"
    in_the_database(tmp_path, sly.replace("NAME", name))
    for use in (opened, reading):
        with pytest.raises(RefusedInputError, match=rf"other contents \({name}\)"), use(tmp_path):
            pass


def test_observations_that_unpack_to_more_than_any_are_not_unpacked():
    zeros = zlib.compress(bytes(2**27))
    with pytest.raises(ValueError, match="more than 67,108,864 bytes of one shard"):
        unpack(zeros)
    with pytest.raises(ValueError, match="cut short"):
        unpack(pack({"a": np.arange(1000)})[:-10])


def test_a_store_with_other_columns_is_refused(tmp_path):
    with opened(tmp_path, create=True):
        pass
    in_the_database(tmp_path, "ALTER TABLE shards RENAME COLUMN n TO m")
    with pytest.raises(RefusedInputError, match=r"other contents \(shards\)"), opened(tmp_path):
        pass


def test_a_write_ahead_log_that_others_switched_on_is_read_and_left_alone(tmp_path):
    with opened(tmp_path, create=True) as store:
        store.write([row()])
    # left by a process that was killed: the last rows stand in the log alone
    code = (
        "import os, sqlite3, sys\n"
        "database = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "database.execute('PRAGMA journal_mode = WAL')\n"
        "database.execute(\"INSERT INTO pictures VALUES ('t', x'00')\")\n"
        "os._exit(9)\n"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path / "results.sqlite"], check=False)
    assert (tmp_path / "results.sqlite-wal").stat().st_size > 0
    lies = content(tmp_path)
    with reading(tmp_path) as store:
        assert store.present("t", 0) == {("n", "e", "")}
        assert store.pictures() == {"t": b"\x00"}
    assert content(tmp_path) == lies


def test_a_folder_that_is_taken_away_meanwhile_is_told(tmp_path):
    run = tmp_path / "run"

    def work():
        with opened(run, create=True) as store:
            run.rename(tmp_path / "elsewhere")
            store.write([row()])

    with pytest.raises(UsageError, match="nobody takes the run folder away"):
        work()


def test_a_full_disk_is_told(tmp_path):
    with opened(tmp_path, create=True) as store:
        store.write([row()])
    messages = r"results\.sqlite: database or disk is full; .* make room on the disk: the same command continues then"

    def work():
        with opened(tmp_path) as store:
            store._database.execute("PRAGMA max_page_count = 1")
            store.write([row(str(k), x=np.random.default_rng(k).random(4000)) for k in range(20)])

    with pytest.raises(UsageError, match=messages):
        work()
    with opened(tmp_path) as store:
        assert store.present("t", 0) == {("n", "e", "")}
