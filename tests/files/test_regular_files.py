"""Only files are read as files."""

import os
import socket
from pathlib import Path

import pytest

from evalsuite.errors import RefusedInputError, UsageError
from evalsuite.files.regular_files import opened, read_regular, size_of
from evalsuite.files.trees import walk

pytestmark = pytest.mark.slow


def test_a_file_is_read_whole_through_links(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")
    assert read_regular(tmp_path / "link", "a file") == b"content"
    assert read_regular(tmp_path / "link", "a file", first=3) == b"con"
    assert size_of(tmp_path / "link", "a file") == 7
    with opened(tmp_path / "file", "a file") as file:
        assert file.read() == b"content"
    with pytest.raises(RefusedInputError, match=r"a file of at most 0 MB, got one of 0\.0 MB"):
        read_regular(tmp_path / "file", "a file", most=6)


def test_what_is_no_file_is_named_and_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    Path("zero").symlink_to("/dev/zero")
    Path("loop").symlink_to("loop")
    Path("folder").mkdir()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
    kinds = {"pipe": "a named pipe", "zero": "a device", "folder": "a folder", "socket": "a socket"}
    for name, kind in {**kinds, "loop": "Too many levels", "none": "No such file", "a\0b": "null"}.items():
        for read in (read_regular, size_of):
            with pytest.raises(UsageError, match=rf"expected a table, got .*: .*{kind}"):
                read(Path(name), "a table")


def test_links_to_folders_are_followed_and_not_for_ever(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "0.png").touch()
    for number in range(3):
        (tmp_path / "a" / f"up{number}").symlink_to("..")
    (tmp_path / "c").symlink_to("b")
    (tmp_path / "b" / "gone.png").symlink_to("nowhere")
    assert [(at.relative_to(tmp_path).as_posix(), names) for at, names in walk(tmp_path)] == [
        (".", []), ("a", ["0.png"]), ("b", ["0.png", "gone.png"]), ("c", ["0.png", "gone.png"]),
    ]  # fmt: skip


def test_folders_within_folders_have_no_end_but_the_path_s(tmp_path: Path) -> None:
    levels = [tmp_path]
    while len(levels) < 1100:
        levels.append(levels[-1] / "d")
        levels[-1].mkdir()
    try:
        (levels[-1] / "0.png").touch()
        assert walk(tmp_path)[-1] == (levels[-1], ["0.png"])
    finally:
        (levels[-1] / "0.png").unlink()
        for level in levels[:0:-1]:
            level.rmdir()
