"""The store: what goes in comes out, all or nothing, one writer at a time."""

import sqlite3
import subprocess
import sys

import numpy as np
import pytest

from evalsuite.errors import RefusedInputError, UsageError
from evalsuite.store import Address, Row, opened, pack, unpack


def row(examples="e", **columns):
    address = Address(task="t", network="n", examples=examples, seed=0)
    return Row(address=address, columns=columns or {"prediction": np.arange(3)}, seconds=0.5)


def test_arrays_survive(tmp_path):
    columns = {"a": np.arange(6, dtype=np.int32).reshape(3, 2), "b": np.array([0.5, np.nan, np.inf], np.float32)}
    with opened(tmp_path, create=True) as store:
        store.write([row(**columns)])
    with opened(tmp_path) as store:
        found = store.read(row().address)
        assert found is not None
        for name, values in columns.items():
            np.testing.assert_array_equal(found[name], values)
            assert found[name].dtype == values.dtype
        assert store.read(row("other").address) is None
        assert store.present("t", 0) == {("n", "e", "")}
        assert store.seconds("t", 0) == 0.5


def test_packing_is_canonical():
    a, b = np.arange(3), np.ones(2)
    assert pack({"a": a, "b": b}) == pack({"b": b, "a": a})
    assert unpack(pack({})) == {}


def test_a_failing_write_leaves_nothing(tmp_path):
    class Broken(dict):
        def __getitem__(self, key):
            raise RuntimeError("disk on fire")

    with opened(tmp_path, create=True) as store:
        bad = Row(address=row("bad").address, columns=Broken(x=np.ones(1)), seconds=0)
        with pytest.raises(RuntimeError):
            store.write([row("good"), bad])
        assert store.present("t", 0) == set()


def test_objects_are_never_unpickled():
    with pytest.raises(ValueError, match="allow_pickle"):
        pack({"x": np.array([object()])})


def test_second_writer_is_told(tmp_path):
    code = f"from evalsuite.store import opened\nfrom pathlib import Path\nwith opened(Path({str(tmp_path)!r})): pass"
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
