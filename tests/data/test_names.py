"""What a name of data means, before any data are read: its parts, its files, what was meant instead."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from evalsuite.data import Source, load
from evalsuite.data._by_name import data_files, source_named
from evalsuite.errors import UsageError
from evalsuite.parts.data_names import parse_data_name
from evalsuite.parts.registry import names


def parts(name: str) -> tuple[str, str, tuple[str, ...]]:
    parsed = parse_data_name(name)
    return parsed.kind, parsed.argument, parsed.options


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("digits", ("digits", "", ())),
        ("sample-photos?size=8&factor=3", ("sample-photos", "", ("size=8", "factor=3"))),
        ("folder:photos?size=8", ("folder", "photos", ("size=8",))),
        ("folder:what?", ("folder", "what?", ())),
        ("mydata:make", ("mydata", "make", ())),
        ("npz:C:\\data\\x.npz?scale=16", ("npz", "C:\\data\\x.npz", ("scale=16",))),
        ("csv:a.csv?target=y&test=C:\\b.csv", ("csv", "a.csv", ("target=y", "test=C:\\b.csv"))),
    ],
)
def test_parts_of_names(name: str, expected: tuple[str, str, tuple[str, ...]]) -> None:
    assert parts(name) == expected


def test_a_path_may_look_like_options(tmp_path: Path) -> None:
    odd = tmp_path / "what?a=b"
    odd.mkdir()
    assert parts(f"folder:{odd}") == ("folder", str(odd), ())
    assert parts(f"folder:{odd}?size=3") == ("folder", str(odd), ("size=3",))
    (tmp_path / "t.csv").touch()
    assert parts(f"csv:{tmp_path}/t.csv?target=y&test={tmp_path}/b?c.csv") == (
        "csv",
        f"{tmp_path}/t.csv",
        ("target=y", f"test={tmp_path}/b?c.csv"),
    )


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("photos", "folder:photos"),
        ("./photos/", "folder:./photos/"),
        ("photos?size=32", r"folder:photos\?size=32"),
        ("set.npz", "npz:set.npz"),
        ("~/set.npz", "npz:~/set.npz"),
        ("table.csv", r"csv:table.csv\?target=COLUMN"),
    ],
)
def test_a_path_without_its_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, meant: str) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "photos").mkdir()
    for file in ("set.npz", "table.csv"):
        (tmp_path / file).touch()
    with pytest.raises(UsageError, match=f"did you mean {meant}\\?$"):
        load(name)


def test_a_folder_in_place_of_a_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"path of a file, got .*: a folder"):
        load(f"npz:{tmp_path}")


def test_a_trailing_slash_and_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    np.savez(tmp_path / "set.npz", x_test=np.full((1, 4, 4), 200, np.uint8), y_test=np.array([0]))
    for name in ("npz:~/set.npz", f"npz:{tmp_path}/set.npz/"):
        assert len(load(name).test) == 1
        assert data_files(name) == (tmp_path / "set.npz",)


def photo(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (24, 24, 3), dtype=np.uint8)).save(path)
    return path


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder with data of every kind that lies in files."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("EVALSUITE_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    photo(tmp_path / "elsewhere" / "0.png", 0)
    (tmp_path / "photos" / "test").mkdir(parents=True)
    (tmp_path / "photos" / "test" / "ant").symlink_to(tmp_path / "elsewhere")
    photo(tmp_path / "photos" / "test" / "bee" / "1.png", 1)
    photo(tmp_path / "photos" / "test" / ".hidden" / "2.png", 2)
    (tmp_path / "order.txt").write_text("bee\nant\n")
    np.savez(tmp_path / "set.npz", x_test=np.full((1, 4, 4), 200, np.uint8), y_test=np.array([0]))
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("a,y\n" + "".join(f"{k},{k}\n" for k in range(12)))
    for folder, suffix in (("JPEGImages", "jpg"), ("SegmentationClass", "png")):
        photo(tmp_path / "VOCdevkit" / "VOC2007" / folder / f"x.{suffix}")
    (tmp_path / "cache" / "evalsuite" / "data" / "MNIST" / "raw").mkdir(parents=True)
    (tmp_path / "cache" / "evalsuite" / "data" / "MNIST" / "raw" / "t10k-labels-idx1-ubyte").touch()
    return tmp_path


NAMES = {
    "folder:~/photos": ["photos/test/ant/0.png", "photos/test/bee/1.png"],
    "folder:~/photos?classes=order.txt": ["order.txt", "photos/test/ant/0.png", "photos/test/bee/1.png"],
    "npz:~/set.npz": ["set.npz"],
    "csv:~/a.csv?target=y": ["a.csv"],
    "csv:~/a.csv?target=y&test=~/b.csv": ["a.csv", "b.csv"],
    "super-resolution:~/elsewhere?size=8": ["elsewhere/0.png"],
    "voc:~?year=2007": ["VOCdevkit/VOC2007/JPEGImages/x.jpg", "VOCdevkit/VOC2007/SegmentationClass/x.png"],
    "mnist": ["cache/evalsuite/data/MNIST/raw/t10k-labels-idx1-ubyte"],
    "fashion-mnist?package=elsewhere": ["elsewhere/0.png"],
    "digits": [],
    "diabetes": [],
    "sample-photos?size=8": [],
    "cifar10": [],
    "cifar100": [],
    "svhn": [],
}


@pytest.mark.parametrize("name", NAMES)
def test_the_files_of_every_source(house: Path, name: str) -> None:
    result = data_files(name)
    assert result is not None
    assert sorted(str((house / path).relative_to(house)) for path in result) == sorted(NAMES[name])
    # the source tells the same, once it is built
    source = source_named(name)
    assert isinstance(source, Source)
    assert source.files() == result


def test_no_source_is_forgotten() -> None:
    kinds, every = (
        {parse_data_name(name).kind for name in NAMES},
        {n.replace("_", "-") for n in names("evalsuite.data")},
    )
    assert kinds <= every
    # a source that reads files has its place in the table; data that are drawn or come with a library need none
    assert {kind: data_files(kind) for kind in every - kinds} == dict.fromkeys(every - kinds, ())


def test_of_a_factory_and_of_unknown_names_nothing_can_be_told() -> None:
    assert data_files("mydata:make") is None
    assert data_files("nothing") is None


def test_files_are_told_without_torch(house: Path) -> None:
    code = (
        "import sys; from evalsuite.data._by_name import data_files; "
        f"print([str(data_files(name)) for name in {list(NAMES)!r}]); sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "photos/test/ant/0.png" in done.stdout


@pytest.mark.parametrize("name", ["digits", "diabetes", "sample-photos", "npz:~/set.npz", "folder:~/photos?size=24"])
def test_every_source_tells_how_it_was_read(house: Path, name: str) -> None:
    readings = load(name).interpretations
    assert readings
    for each in readings:
        assert each.topic
        assert each.value
        assert "\n" not in each.sentence()
    topics = [each.topic for each in readings]
    assert len(topics) == len(set(topics))
