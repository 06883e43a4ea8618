"""What fuzzing found in paths, names and small files: each is one line now, or is read as it was meant."""

import json
import sqlite3
import struct

import numpy as np
import pytest
import torch

from evalsuite.cli._streams import disk_error
from evalsuite.config.spec import read_config
from evalsuite.data._class_folders import class_folders
from evalsuite.data._stack import stacked
from evalsuite.errors import RefusedInputError, UsageError
from evalsuite.files.given_paths import exists, expanded, is_file
from evalsuite.inputs.class_order import names_given
from evalsuite.networks.checkpoints._records import class_names
from evalsuite.networks.checkpoints.header import decode
from evalsuite.parts.data_names import existing_path, parse_data_name

NOBODY = "~no-such-user-anywhere"
DEEP = 100_000


def test_the_home_of_a_user_whom_nobody_knows_is_a_name_like_any_other(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert expanded("~/x") == tmp_path / "x"
    assert str(expanded(f"{NOBODY}/x")) == f"{NOBODY}/x"  # as shells leave it
    monkeypatch.chdir(tmp_path)
    (tmp_path / NOBODY).mkdir()
    assert existing_path(NOBODY) is not None
    assert parse_data_name(f"npz:{NOBODY}/a.npz?scale=3").option("scale") == "3"


def test_what_can_be_no_path_is_none(tmp_path):
    for text in ("x" * 300, "/".join(["x"] * 5000)):
        assert not is_file(tmp_path / text)
        assert not exists(tmp_path / text)
        assert existing_path(text) is None
    with pytest.raises(UsageError, match="null character"):
        expanded("a\0b")
    (tmp_path / "a").touch()
    assert is_file(tmp_path / "a")
    assert exists(tmp_path)
    assert not is_file(tmp_path)


def test_more_names_of_outputs_than_a_file_name_has_letters():
    names = tuple(f"class-{k}" for k in range(1000))
    assert names_given(",".join(names)) == names


@pytest.mark.parametrize("text", ["[" * DEEP, '{"a":' * DEEP])
def test_json_that_is_nested_for_ever(text, tmp_path):
    (tmp_path / "file.json").write_text(text)
    with pytest.raises(RefusedInputError, match=r"file\.json"):
        names_given(str(tmp_path / "file.json"))
    (tmp_path / "photos" / "cat").mkdir(parents=True)
    with pytest.raises(RefusedInputError, match=r"file\.json"):
        class_folders(tmp_path / "photos", ("cat",), (3, 4, 4), mapping=tmp_path / "file.json")
    with pytest.raises(RefusedInputError, match="header"):
        decode(text, tmp_path / "own.safetensors")


@pytest.mark.parametrize("text", [f"seed = {'9' * 5000}", f"tasks = {'[' * DEEP}", "ratios = [0.5", "a = 1\na = 2"])
def test_run_files_that_are_no_toml(text, tmp_path):
    (tmp_path / "run.toml").write_text(text)
    with pytest.raises(UsageError, match=r"run\.toml is not TOML"):
        read_config(tmp_path / "run.toml")


def test_numbers_too_long_to_be_read_are_no_numbers_of_classes(tmp_path):
    long = "9" * 5000
    assert class_names({long: "cat", "1": "dog"}) is None
    assert class_names({"0": "cat", "1": "dog"}) == ("cat", "dog")
    (tmp_path / "photos" / "cat").mkdir(parents=True)
    (tmp_path / "map.json").write_text(json.dumps({"cat": long}))
    with pytest.raises(UsageError, match=r"map\.json: cat: expected classes by name"):
        class_folders(tmp_path / "photos", ("0", "1"), (3, 4, 4), mapping=tmp_path / "map.json")


def npy(header):
    """A numpy file with such a header and 12 bytes."""
    text = header.encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + bytes(12)


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '|u1', 'fortran_order': False, 'shape': (1, 2, 2, 3)",  # no end: tokenize.TokenError
        "{'descr': '|u1', 'fortran_order': False, 'shape': (18446744073709551616, 2, 2, 3)}",  # OverflowError
        "{'descr': '|u1', 'fortran_order': False, 'shape': (True, 'a', 2, 3)}",
        "{'descr': [('a', '|O')], 'fortran_order': False, 'shape': (1, 2, 2, 3)}",
        "{'descr': '<u3', 'fortran_order': False, 'shape': (1, 2, 2, 3)}",
        "(" * 9000,
    ],
)
def test_arrays_whose_header_makes_no_sense(header, tmp_path):
    (tmp_path / "fog.npy").write_bytes(npy(header))
    np.save(tmp_path / "labels.npy", np.zeros(1, dtype=np.int64))
    for images, labels in (("fog.npy", "labels.npy"), ("labels.npy", "fog.npy")):
        with pytest.raises(RefusedInputError, match=r"\.npy"):
            stacked(tmp_path / images, tmp_path / labels)
    (tmp_path / "fog.npy").write_bytes(npy("{'descr': '|u1', 'fortran_order': False, 'shape': (1, 2, 2, 3)}"))
    assert torch.equal(stacked(tmp_path / "fog.npy", tmp_path / "labels.npy").labels, torch.zeros(1, dtype=torch.int64))


def test_an_error_of_sqlite_without_a_code_is_no_error_of_the_disk():
    """Raised by the module itself, it has none: asking for it took down the last line of defence, with exit code 1."""
    database = sqlite3.connect(":memory:")
    with pytest.raises(sqlite3.OperationalError) as raised:
        database.execute("SELECT CAST(x'ff' AS TEXT)").fetchone()
    assert disk_error(raised.value) is None
    database.close()
