"""Files are there whole or not at all."""

import os
from pathlib import Path

import pytest

from evalsuite.errors import UsageError
from evalsuite.files.atomic import check_writable, write_atomically, write_own


def test_whole_or_not_at_all(tmp_path):
    path = tmp_path / "deep" / "file"
    write_atomically(path, "one ✓")
    assert path.read_text(encoding="utf-8") == "one ✓"
    with pytest.raises(TypeError):
        write_atomically(path, 3)
    assert path.read_text(encoding="utf-8") == "one ✓"
    assert [p.name for p in path.parent.iterdir()] == ["file"]


def test_a_place_that_nobody_named_is_written_to_where_the_file_is_evalsuites(tmp_path):
    place = tmp_path / "page.html"
    write_own(place, "made by us: one", mark="made by us")
    write_own(place, "made by us: two", mark="made by us")
    assert place.read_text() == "made by us: two"
    (tmp_path / "empty.html").touch()
    write_own(tmp_path / "empty.html", "made by us", mark="made by us")
    (tmp_path / "mine.html").write_text("<p>mine")
    (tmp_path / "link.html").symlink_to(place)
    (tmp_path / "nowhere.html").symlink_to(tmp_path / "absent")
    os.mkfifo(tmp_path / "pipe.html")
    for name in ("mine", "link", "nowhere", "pipe"):
        with pytest.raises(UsageError, match=f"{name}.html: expected a file that evalsuite wrote"):
            write_own(tmp_path / f"{name}.html", "made by us: three", mark="made by us")
    assert (tmp_path / "mine.html").read_text() == "<p>mine"
    assert place.read_text() == "made by us: two"
    assert not (tmp_path / "absent").exists()


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
