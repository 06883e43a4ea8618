"""What a file may name as its data: nothing that runs code, nothing that lies elsewhere."""

import os
from pathlib import Path

import pytest

from evalsuite.errors import RefusedInputError
from evalsuite.parts.recorded_data import check_recorded


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder beside one that is not to be read."""
    work = tmp_path / "work"
    (work / "photos").mkdir(parents=True)
    (work / "what?is=this").mkdir()
    (work / "table.csv").write_text("a,b\n")
    (tmp_path / "private").mkdir()
    (work / "link").symlink_to(tmp_path / "private")
    (work / "circle").symlink_to(work / "circle")
    monkeypatch.chdir(work)
    return work


@pytest.mark.parametrize(
    "name",
    [
        *("digits", "fashion-mnist", "fashion_mnist", "diabetes?raw=true", "folder:photos?size=32", "npz:not/yet.npz"),
        *("folder:what?is=this", "csv:table.csv?target=b&test=table.csv", "voc:photos?year=2007"),
    ],
)
def test_a_registered_data_set_below_the_working_folder_is_taken(work: Path, name: str) -> None:
    assert check_recorded(name, Path("m.safetensors")) == name


def test_an_absolute_path_below_the_working_folder_is_taken(work: Path) -> None:
    assert check_recorded(f"folder:{work}/photos", Path("m")) == f"folder:{work}/photos"


@pytest.mark.parametrize(
    "name",
    [
        *("payload:run", "code:interact", "os:abort", "a.b:c", "payload", "", ":", "?", "Digits", "folder.x:y"),
        *("torchvision.datasets:FakeData", "digits\n:x", "evalsuite.data.digits:Digits"),
    ],
)
def test_code_and_unknown_names_are_refused_with_the_option(work: Path, name: str) -> None:
    with pytest.raises(RefusedInputError, match="expected a registered data set in its header") as refused:
        check_recorded(name, Path("m.safetensors"))
    assert "--data " in str(refused.value)
    assert "m.safetensors" in str(refused.value)


@pytest.mark.parametrize(
    "name",
    [
        *("folder:/etc", "folder:/", "npz:/dev/stdin", "npz:~/x.npz", "npz:~root/x", "folder:.."),
        *("folder:photos/../..", "folder:link", "folder:link/below", "folder:circle"),
        *("csv:table.csv?target=b&test=/etc/passwd", "folder:.../photos", "npz:.../x.npz?scale=1"),
        *("folder:photos?classes=../classes.txt", "folder:photos?size=3&classes=~/classes.txt", "voc:photos?a=b?/etc"),
        *("fashion-mnist?package=/srv/mnist", "super-resolution:/net/host/share", "folder:a\0b", "csv:" + "x" * 5000),
    ],
)
def test_paths_that_lead_elsewhere_are_refused_with_the_option(work: Path, name: str) -> None:
    with pytest.raises(RefusedInputError, match="expected data below the working folder in its header") as refused:
        check_recorded(name, Path("m.safetensors"))
    assert "say it yourself: --data " in str(refused.value)


def test_a_pipe_is_not_read(work: Path) -> None:
    os.mkfifo(work / "pipe.npz")
    with pytest.raises(RefusedInputError, match="working folder"):
        check_recorded("npz:pipe.npz", Path("m"))


def test_nothing_outside_is_looked_at(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []

    def noted(self: Path, *, follow_symlinks: bool = True) -> bool:
        looked.append(str(self))
        return False

    monkeypatch.setattr(Path, "exists", noted)
    with pytest.raises(RefusedInputError):
        check_recorded("folder:/net/host/share?size=3", Path("m"))
    assert looked == []  # a look at an automatic mount is a connection to another machine
