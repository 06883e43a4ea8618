"""The same command on exchanged data is never "finished before", whatever kind of source the data come from."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from evalsuite.cli._rerun import request_digest
from evalsuite.config.spec import resolve
from evalsuite.networks.checkpoints.checkpoint import Checkpoint, write


def photo(path: Path, shade: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (4, 4), shade).save(path)


def bitmap(path: Path, shade: int) -> None:
    """All shades take as many bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (4, 4), shade).save(path, format="BMP")


@pytest.fixture
def house(lenet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder with inputs of every kind."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("EVALSUITE_DATA", str(tmp_path / "archives"))
    monkeypatch.chdir(tmp_path)
    for place in ("photos/test/ant/0.bmp", "elsewhere/1.bmp", "single/2.bmp", "small/a.bmp"):
        bitmap(tmp_path / place, 7)
    (tmp_path / "photos" / "test" / "bee").symlink_to(tmp_path / "elsewhere")
    for place in ("JPEGImages/x.jpg", "SegmentationClass/x.png"):
        photo(tmp_path / "VOCdevkit" / "VOC2012" / place)
    lists = tmp_path / "VOCdevkit" / "VOC2012" / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    for name in ("order.txt", "set.npz", "a.csv", "b.csv", "map.json", "slices.csv", "names.txt", "early.pt"):
        (tmp_path / name).write_text("0123456789")
    for place in (lists / "val.txt", tmp_path / "other.pt", tmp_path / "package" / "t10k-labels-idx1-ubyte.gz"):
        place.parent.mkdir(exist_ok=True)
        place.write_text("0123456789")
    raw = tmp_path / "archives" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    (raw / "t10k-labels-idx1-ubyte").write_text("0123456789")
    cifar = tmp_path / "cifar-c"
    cifar.mkdir()
    (cifar / "fog.npy").write_text("0123456789")
    described = Checkpoint(network=lenet, arch="lenet5", class_count=10, shape=(1, 8, 8), data="npz:set.npz")
    write(tmp_path / "net.safetensors", described)
    return tmp_path


CLEAN = ("clean",)
CASES = {
    "csv": ({"data": "csv:a.csv?target=y"}, "a.csv"),
    "csv, held-out rows": ({"data": "csv:~/a.csv?target=y&test=b.csv"}, "b.csv"),
    "npz": ({"data": "npz:~/set.npz"}, "set.npz"),
    "npz that the checkpoint names": ({}, "set.npz"),
    "folder": ({"data": "folder:photos"}, "photos/test/ant/0.bmp"),
    "a linked class": ({"data": "folder:photos"}, "elsewhere/1.bmp"),
    "an order of classes": ({"data": "folder:photos?classes=~/order.txt"}, "order.txt"),
    "super-resolution": ({"data": "super-resolution:~/small?size=2"}, "small/a.bmp"),
    "voc, masks": ({"data": "voc:~"}, "VOCdevkit/VOC2012/SegmentationClass/x.png"),
    "voc, list": ({"data": "voc:."}, "VOCdevkit/VOC2012/ImageSets/Segmentation/val.txt"),
    "mnist": ({"data": "mnist"}, "archives/MNIST/raw/t10k-labels-idx1-ubyte"),
    "fashion-mnist": ({"data": "fashion-mnist?package=package"}, "package/t10k-labels-idx1-ubyte.gz"),
    "classes": ({"data": "digits", "classes": "~/names.txt"}, "names.txt"),
    "slices": ({"data": "digits", "slices": "slices.csv"}, "slices.csv"),
    "checkpoint": ({"data": "digits", "ckpt": "early.pt"}, "early.pt"),
    "early": ({"data": "digits", "early": "early.pt"}, "early.pt"),
    "separate": ({"data": "digits", "separate": "other.pt"}, "other.pt"),
    "shifted archive": ({"data": "digits", "tasks": (*CLEAN, "shift/npz?at=~/set.npz")}, "set.npz"),
    "shifted photos": ({"data": "digits", "tasks": ("shift/folder?at=photos/test",)}, "elsewhere/1.bmp"),
    "class mapping": ({"data": "digits", "tasks": ("shift/folder?at=photos/test&classes=~/map.json",)}, "map.json"),
    "corrupted set": ({"data": "digits", "tasks": ("shift/cifar-c/fog/3?at=cifar-c",)}, "cifar-c/fog.npy"),
    "outliers": ({"data": "digits", "tasks": (*CLEAN, "ood/folder?at=single")}, "single/2.bmp"),
}


def in_place(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def by_another_file(path: Path) -> None:
    other = path.with_name("incoming")
    other.write_bytes(path.read_bytes())
    in_place(other)
    other.replace(path)


def finished(options: dict[str, object]) -> str | None:
    return request_digest(resolve({"ckpt": "net.safetensors", "tasks": CLEAN, **options}))


@pytest.mark.parametrize("exchange", [in_place, by_another_file])
@pytest.mark.parametrize("case", CASES)
def test_an_exchange_of_the_same_size_and_date_is_noticed(
    house: Path, case: str, exchange: Callable[[Path], None]
) -> None:
    options, place = CASES[case]
    path = house / place
    first, before = finished(options), path.stat()
    assert first is not None
    assert finished(options) == first
    exchange(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert finished(options) != first


@pytest.mark.parametrize("case", ["folder", "npz", "shifted photos", "voc, masks"])
def test_content_counts_where_no_clock_tells(house: Path, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on disks whose stamps stay, or with a clock that was set back."""
    plain = Path.stat

    def frozen(self: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        fields = list(plain(self, follow_symlinks=follow_symlinks))
        fields[1] = 1
        fields[7:10] = [0, 0, 0]
        return os.stat_result(fields)

    monkeypatch.setattr(Path, "stat", frozen)
    options, place = CASES[case]
    first = finished(options)
    in_place(house / place)
    assert finished(options) not in {first, None}


@pytest.mark.parametrize("case", ["folder", "shifted photos"])
def test_a_link_that_leads_to_another_class_is_noticed(house: Path, case: str) -> None:
    options, _ = CASES[case]
    first = finished(options)
    bitmap(house / "aside" / "1.bmp", 7)
    link = house / "photos" / "test" / "bee"
    link.unlink()
    link.symlink_to(house / "aside")
    assert finished(options) not in {first, None}


@pytest.mark.parametrize("case", ["folder", "shifted photos", "outliers", "super-resolution", "voc, masks"])
def test_what_is_added_or_taken_away_is_noticed(house: Path, case: str) -> None:
    options, place = CASES[case]
    observed = [finished(options)]
    bitmap((house / place).with_name("new.bmp"), 7)
    observed.append(finished(options))
    (house / place).unlink()
    observed.append(finished(options))
    assert len(set(observed)) == 3
    assert None not in observed


def test_a_class_without_a_photo_is_noticed(house: Path) -> None:
    options, _ = CASES["folder"]
    first = finished(options)
    (house / "photos" / "test" / "cat").mkdir()
    assert finished(options) not in {first, None}


def test_what_lies_beside_is_no_part_of_data_without_a_path(house: Path) -> None:
    first = finished({"data": "digits"})
    (house / "reports").mkdir()
    assert finished({"data": "digits"}) == first


@pytest.mark.parametrize(
    "options",
    [
        {"data": "mydata:make"},
        {"data": "digits", "arch": "mynets:small?width=8"},
        {"data": "my-set"},
        {"data": "digits", "tasks": ("my_task/3",)},
        {"data": "digits", "tasks": ("corruption/my_fog/3",)},
        {"data": "digits", "tasks": ("corruption/all/3",)},
        {"data": "digits", "tasks": ("adversarial/linf/0.1?attack=my-attack",)},
        {"data": "digits", "pruner": ("my-pruner?a=b",)},
        {"data": "digits", "measures": ("my_measure",)},
        {"data": "digits", "measures": ("all",)},
        {"data": "digits", "retrain": "my_recipe"},
        {"data": "digits", "regularise": ("my_rule",)},
    ],
)
def test_of_others_code_nothing_is_finished_before(
    house: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, object]
) -> None:
    named = ("set", "task", "fog", "attack", "pruner", "measure", "recipe", "rule")
    monkeypatch.setattr("evalsuite.cli._rerun.third_party", lambda: frozenset(f"my_{name}" for name in named))
    assert finished(options) is None
    assert finished({"data": "digits"}) is not None


@pytest.mark.parametrize(("content", "whole"), [(b"\x08\x07location\x12\x01w", False), (b"\x08\x07graph", True)])
def test_a_network_that_leans_on_other_files_is_never_finished_before(house: Path, content: bytes, whole: bool) -> None:
    (house / "net.onnx").write_bytes(content)
    spec = resolve({"ckpt": "net.safetensors", "data": "digits", "tasks": CLEAN})
    assert (request_digest(spec, {"a": house / "net.onnx"}) is not None) == whole
    assert request_digest(spec, {"a": house / "net.safetensors"}) is not None
