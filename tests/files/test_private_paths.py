"""What others are shown says nothing of where files lie."""

import pytest

from evalsuite.files.private_paths import portable, without_folders, without_folders_in


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/home/me/data/photos", ".../photos"),
        ("folder:/home/me/photos?size=64&classes=/home/me/a.txt", "folder:.../photos?size=64&classes=.../a.txt"),
        ("shift/npz?at=/srv/night.npz", "shift/npz?at=.../night.npz"),
        ("evalsuite sweep --ckpt=/home/me/m.pt --data '/home/al ice/x y.npz'", None),
        ("expected /home/me/a.npz, got /home/me/b.npz", "expected .../a.npz, got .../b.npz"),
        ("in /a/b and /c d/e: f", "in .../b and .../e: f"),
        ("'/data/my,set (v2)/x'", "'.../x'"),
        ("file:///home/me/x", "file://.../x"),
        ("--ckpt /secret.safetensors --out /q6.html", "--ckpt .../secret.safetensors --out .../q6.html"),
        ("/home/me/photos/", ".../photos"),
        *((text, text) for text in ("corruption/fog/3", "linf/8/255", "1 / 255", "/", "a /b", "https://a.b/c/d")),
        *((text, text) for text in ("../here/x", "./here/x", "~/here/x", "n/a", "photos/test", "a and/or b/c")),
    ],
)
def test_paths_in_texts(text: str, shown: str | None) -> None:
    result = without_folders_in(text)
    if shown is None:
        assert result == "evalsuite sweep --ckpt=.../m.pt --data '.../x y.npz'"
    else:
        assert result == shown


def test_paths_that_end_alike_stay_apart() -> None:
    names = ["at=/a/x/photos", "at=/a/y/photos", "at=/b/y/other", "at=/a/x/photos"]
    document = {"tasks": [{"name": name} for name in names], "cells": {names[0]: 1.5, names[2]: None}, "n": 3}
    assert without_folders(document) == {
        "tasks": [{"name": name} for name in ("at=.../x/photos", "at=.../y/photos", "at=.../other", "at=.../x/photos")],
        "cells": {"at=.../x/photos": 1.5, "at=.../other": None},
        "n": 3,
    }


@pytest.mark.parametrize(
    ("name", "portable_name"),
    [
        ("folder:/home/me/project/photos?size=3", "folder:photos?size=3"),
        ("csv:/home/me/project/a.csv?test=/srv/b.csv", "csv:a.csv?test=.../b.csv"),
        ("folder:/home/me/projects/photos", "folder:.../photos"),
        ("folder:/srv/home/me/project/photos", "folder:.../photos"),
        ("folder:photos", "folder:photos"),
        ("digits", "digits"),
    ],
)
def test_names_that_are_handed_on(name: str, portable_name: str) -> None:
    assert portable(name, "/home/me/project") == portable_name


def test_what_holds_no_path_is_the_same() -> None:
    document = {"a": [1, "x", None]}
    assert without_folders(document) is document
