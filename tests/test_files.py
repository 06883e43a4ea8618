"""Files are there whole or not at all."""

from pathlib import Path

import pytest

from evalsuite.errors import UsageError
from evalsuite.files import check_writable, clear_partials, write_atomically


def test_whole_or_not_at_all(tmp_path):
    path = tmp_path / "deep" / "file"
    write_atomically(path, "one ✓")
    assert path.read_text(encoding="utf-8") == "one ✓"
    with pytest.raises(TypeError):
        write_atomically(path, 3)
    assert path.read_text(encoding="utf-8") == "one ✓"
    assert [p.name for p in path.parent.iterdir()] == ["file"]


def test_what_a_killed_process_left_is_removed(tmp_path):
    (tmp_path / "networks").mkdir()
    for name in (".results.json.0a1b2c3d.partial", "networks/.x.safetensors.00000000.partial"):
        (tmp_path / name).write_bytes(b"half")
    (tmp_path / ".keep").touch()
    clear_partials(tmp_path)
    assert sorted(p.name for p in tmp_path.rglob("*")) == [".keep", "networks"]


def test_a_file_that_can_be_written_is_not_touched(tmp_path):
    path = tmp_path / "deep" / "file"
    check_writable(path, "--out")
    assert list(path.parent.iterdir()) == []
    path.write_text("one", encoding="utf-8")
    check_writable(path, "--out")
    assert path.read_text(encoding="utf-8") == "one"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("name", ["", "..", ".", "folder", "file/x.safetensors", "n" * 300, "link"])
def test_what_cannot_be_written_is_refused_by_its_name(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("/dev/null")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UsageError, match="--out: expected") as refusal:
        check_writable(Path(name), "--out")
    assert str(Path(name)) in str(refusal.value)
    assert sorted(tmp_path.rglob("*")) == before
