"""Code that users name by hand: from the working folder, and its errors in one line."""

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from evalsuite.data import load
from evalsuite.errors import EvalsuiteError, RefusedInputError, UnknownNameError, UsageError
from evalsuite.parts.importing import import_users_module, is_module
from evalsuite.process.third_party_code import users_code

SOURCE = """
import torch
from evalsuite.data import Dataset, Examples


class Pairs:
    def __init__(self, images, labels):
        self.images, self.labels = images, labels

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        if self.labels[index] == "broken":
            raise OSError("disk is away")
        return self.images[index], self.labels[index]


IMAGES = torch.linspace(0, 1, 3 * 3 * 8 * 8).view(3, 3, 8, 8)


def good():
    import beside
    print("reading")
    return None, Pairs(IMAGES, [0, torch.tensor(1), torch.tensor([2])])


def raises():
    raise ValueError("no such\\n  disk")


def exits():
    raise SystemExit(3)


def part():
    return None, Pairs(IMAGES, [0, 1, "broken"])


def fractions():
    return None, Pairs(IMAGES, [0.0, 1.0, 2.0])


def one_hot():
    return None, Pairs(IMAGES, list(torch.eye(3)))


def channels_last():
    return None, Pairs(IMAGES.permute(0, 2, 3, 1), [0, 1, 2])


def whole_numbers():
    return None, Pairs((IMAGES * 255).long(), [0, 1, 2])


def dark():
    return None, Pairs((IMAGES * 16).to(torch.uint8), [0, 1, 2])


def half_dark():
    return None, Pairs((IMAGES * 127).to(torch.uint8), [0, 1, 2])


def twice_divided():
    return None, Pairs(IMAGES / 255, [0, 1, 2])


def train_of_another_kind():
    return 7, Pairs(IMAGES, [0, 1, 2])


def of_numpy():
    examples = Examples(images=IMAGES.numpy(), labels=torch.arange(3), positions=torch.arange(3))
    return dataset(examples)


def of_float_labels():
    return dataset(Examples(images=IMAGES, labels=torch.tensor([0.0, 0.5, 1.0]), positions=torch.arange(3)))


def of_fractions():
    return dataset(Examples.from_labels(IMAGES, torch.tensor([0.0, 0.5, 1.0])))


def dataset(examples):
    return Dataset(name="x", classes=("a", "b", "c"), shape=(3, 8, 8), train=None, test=examples, mean=(0.0,) * 3,
                   std=(1.0,) * 3)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working folder that Python does not look into by itself, as for the installed command."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry not in {"", str(tmp_path)}])
    (tmp_path / "mine.py").write_text(SOURCE)
    (tmp_path / "beside.py").write_text("")
    (tmp_path / "failing.py").write_text("x = 1\nraise RuntimeError('not today')\n")
    (tmp_path / "leaving.py").write_text("import sys\nsys.exit(2)\n")
    (tmp_path / "misspelt.py").write_text("def f(:\n")
    (tmp_path / "photos").mkdir()
    yield tmp_path
    for name in ("mine", "beside", "failing", "leaving", "misspelt"):
        sys.modules.pop(name, None)


def test_modules_of_the_working_folder_are_found_and_the_path_is_as_before(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = list(sys.path)
    result = load("mine:good")
    assert result.test.labels.tolist() == [0, 1, 2]
    assert torch.equal(result.test.pixels([1])[0], torch.linspace(0, 1, 576).view(3, 3, 8, 8)[1])
    assert sys.path == before
    # stdout belongs to results
    assert capsys.readouterr() == ("", "reading\n")


def test_a_factory_of_dark_images_is_doubted(folder: Path) -> None:
    assert not [each for each in load("mine:good").interpretations if each.topic == "pixel values"]
    (messages,) = [each for each in load("mine:half_dark").interpretations if each.topic == "pixel values"]
    assert (messages.value, messages.basis) == ("255 is white", "assumed")
    assert "127" in messages.reason


def test_what_is_a_module(folder: Path) -> None:
    assert is_module("mine")
    assert is_module("json")
    assert not is_module("photos")  # a folder without code
    assert not is_module("nothing_like_it")
    assert not is_module("not-a-name")
    with pytest.raises(UnknownNameError, match="name of a data set, got 'photos'"):
        load("photos:make")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("failing", r"expected failing to be a module .*, got RuntimeError: not today \(failing.py, line 2\); --debug"),
        ("leaving", r"got SystemExit: 2 \(leaving.py, line 2\); --debug"),
        ("misspelt", r"got SyntaxError: .*misspelt.py, line 1\); --debug"),
        ("absent", r"got ModuleNotFoundError: No module named 'absent'; --debug"),
        ("mine.inner", "got ModuleNotFoundError: No module named 'mine.inner'; 'mine' is not a package; --debug"),
    ],
)
def test_modules_that_cannot_be_imported(folder: Path, name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        import_users_module(name)


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        (
            "raises",
            r"expected mine:raises to run .*, got ValueError: no such \(mine.py, line \d+, in raises\); --debug",
        ),
        ("exits", "got SystemExit: 3"),
        ("part", r"expected test of mine:part to hold pairs .*, got OSError: disk is away \(mine.py"),
        ("fractions", r"labels of test of mine:fractions to be whole numbers, got 0\.0"),
        ("one_hot", r"to be whole numbers, got tensor\(\[1\., 0\., 0\.\]\)"),
        ("channels_last", r"to be \(c, h, w\), got \(8, 8, 3\), which looks like \(h, w, c\)"),
        ("whole_numbers", r"to be uint8 or float in \[0, 1\], got int64"),
        ("dark", "up to about 255, which is white in uint8, got none above 16: divide"),
        ("twice_divided", r"up to about 1, which is white in floats, got none above 0\.003922"),
        ("train_of_another_kind", "train of .* to be a data set of .* or None, got int"),
        ("of_numpy", "expected mine:of_numpy to return a data set whose examples can be read, got AttributeError"),
        ("of_float_labels", "labels of test of mine:of_float_labels to be whole numbers, got float32"),
        ("of_fractions", "labels to be whole numbers, got 0.5"),
    ],
)
def test_factories_that_do_not_fit_are_one_line(folder: Path, factory: str, message: str) -> None:
    with pytest.raises(EvalsuiteError, match=message) as caught:
        load(f"mine:{factory}")
    assert "\n" not in str(caught.value)


def test_our_own_errors_pass_through() -> None:
    with pytest.raises(RefusedInputError, match=r"^as it is$"), users_code("expected x"):
        raise RefusedInputError("as it is")
    # whatever runs in the background ignores it
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with pytest.raises(KeyboardInterrupt), users_code("expected x"):
        signal.raise_signal(signal.SIGINT)
    signal.signal(signal.SIGINT, before)
    # not of the one who sits before the machine
    with pytest.raises(UsageError, match="expected x, got KeyboardInterrupt"), users_code("expected x"):
        raise KeyboardInterrupt
