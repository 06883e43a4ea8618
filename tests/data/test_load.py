import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import evalsuite.parts.registry
from evalsuite.data import Dataset, Examples, Source, load
from evalsuite.errors import RefusedInputError, UnknownNameError, UsageError
from evalsuite.parts.registry import find, names

FACTORIES = """
import torch
from evalsuite.data import Dataset, Examples


class Pairs:
    classes = ["off", "on"]

    def __init__(self, images):
        self.images = images

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return self.images[index], index % 2


def levels(*values):
    return torch.tensor(values).view(-1, 1, 1, 1).expand(-1, 1, 2, 2)


def pair():
    return Pairs(levels(0.0, 0.5, 1.0)), Pairs(levels(0.25, 0.5, 0.75))


def held_out():
    return None, Pairs(levels(0.25, 0.5))


def eight_bit():
    return None, Pairs((levels(0.0, 1.0) * 255).to(torch.uint8))


def whole():
    images = levels(0.1, 0.2, 0.3, 0.4)
    everything = Examples.from_labels(images, torch.tensor([0, 1, 2, 0]))
    return Dataset(name="?", classes=("a", "b", "c"), shape=(1, 2, 2), train=everything.select([0, 1]),
                   test=everything.select([2, 3]), mean=(0.5,), std=(0.5,))


def too_bright():
    return None, Pairs(levels(0.0, 255.0))


def not_a_number():
    return None, Pairs(levels(0.0, float("nan")))


def nothing():
    return None, Pairs([])


def lists():
    return None, [([0.0], 0)]


def sizes():
    return None, [(torch.zeros(1, 2, 2), 0), (torch.zeros(1, 2, 3), 0)]


def flat():
    return None, [(torch.zeros(2, 2), 0)]


def a_number():
    return 7


SHAPE = 3
"""


@pytest.fixture
def own_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    package = tmp_path / "house"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "sets.py").write_text(FACTORIES)
    (package / "broken.py").write_text("import a_module_that_is_not_there\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "house"]:
        del sys.modules[name]


def test_every_source_is_found_by_its_file() -> None:
    expected = {"digits", "fashion_mnist", "mnist", "cifar10", "cifar100", "svhn", "folder", "npz"}
    assert expected <= set(names("evalsuite.data"))
    for name in expected:
        assert issubclass(find("evalsuite.data", name, Source), Source)


def test_a_name_may_be_typed_with_underscores_but_is_spelled_with_dashes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "evalsuite.data._by_name.find", lambda _package, _name, base: find("evalsuite.data", "digits", base)
    )
    for name in ("fashion-mnist", "fashion_mnist"):
        assert load(name).name == "fashion-mnist"


@pytest.mark.parametrize(
    ("name", "meant"),
    [("fashon-mnist", "fashion-mnist"), ("cifar-10", "cifar10"), ("foldr:photos", "folder"), ("cifar", "cifar10")],
)
def test_the_nearest_names_are_told(name: str, meant: str) -> None:
    with pytest.raises(UnknownNameError, match=f"data set.*Did you mean .*'{meant}'"):
        load(name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("folder", "expected folder:PATH as a data set, got 'folder'"),
        ("npz:", "expected npz:PATH as a data set, got 'npz:'"),
        ("digits:3", "expected digits as a data set, got 'digits:3'"),
        ("digits?size=3", r"option of the data set digits \(none\), got 'size=3'"),
        ("", "expected the name of a data set, got ''"),
        (":", "expected the name of a data set"),
    ],
)
def test_what_is_missing_or_too_much_is_told(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load(name)


def test_a_question_mark_in_a_path_is_part_of_the_path(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"got '.*what\?'"):
        load(f"folder:{tmp_path}/what?")


@pytest.mark.usefixtures("own_modules")
def test_a_pair_of_torchs_data_sets() -> None:
    result = load("house.sets:pair")
    assert (result.name, result.classes, result.shape) == ("house.sets:pair", ("off", "on"), (1, 2, 2))
    assert result.overlap == 1
    assert result.test.labels.tolist() == [0, 0]
    assert result.test.pixels([0, 1])[:, 0, 0, 0].tolist() == [0.25, 0.75]
    # of 0, 1/2, 1: mean 1/2, variance (1/4 + 0 + 1/4) / 3 = 1/6
    assert result.mean == pytest.approx((0.5,))
    assert result.std == pytest.approx((6**-0.5,))
    (order,) = [each for each in result.interpretations if each.topic == "class order"]
    assert (order.value, order.basis) == ("the numbers in test of house.sets:pair", "assumed")


@pytest.mark.usefixtures("own_modules")
def test_held_out_alone_and_8_bit() -> None:
    assert load("house.sets:held_out").train is None
    assert load("house.sets:eight_bit").test.pixels([0, 1])[:, 0, 0, 0].tolist() == [0.0, 1.0]


@pytest.mark.usefixtures("own_modules")
def test_a_whole_data_set() -> None:
    outcome = load("house.sets:whole")
    assert isinstance(outcome, Dataset)
    assert (outcome.name, outcome.overlap, outcome.mean) == ("house.sets:whole", 0, (0.5,))


@pytest.mark.usefixtures("own_modules")
@pytest.mark.parametrize(
    ("factory", "message"),
    [
        ("house.sets:missing", "house.sets to define a function 'missing'"),
        ("house.sets:SHAPE", "define a function 'SHAPE', got 3"),
        ("house.sets:a_number", "Dataset or a pair .*, got int"),
        ("house.sets:nothing", "hold examples, got none"),
        ("house.sets:lists", "tensors, got list: add a transform"),
        ("house.sets:sizes", r"of one size, got one of \(1, 2, 3\)"),
        ("house.sets:flat", r"of one size, got one of \(2, 2\)"),
        (
            "house.nowhere:pair",
            r"house.nowhere to be a module that can be imported .*, got ModuleNotFoundError: No module named",
        ),
        ("house.broken:pair", "a_module_that_is_not_there"),
    ],
)
def test_factories_that_do_not_fit(factory: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load(factory)


@pytest.mark.usefixtures("own_modules")
@pytest.mark.parametrize(("factory", "got"), [("too_bright", "0.0 to 255.0"), ("not_a_number", "nan")])
def test_images_outside_0_to_1_are_refused(factory: str, got: str) -> None:
    with pytest.raises(RefusedInputError, match=rf"in \[0, 1\] or uint8, got values from .*{got}"):
        load(f"house.sets:{factory}")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes": ("a", "b")}, "from 0 to 1, got labels from 0 to 2"),
        ({"shape": (1, 2, 3)}, r"to be \(1, 2, 3\), got \(1, 2, 2\)"),
        (
            {"test": Examples.from_labels(torch.zeros(0, 1, 2, 2), torch.zeros(0))},
            "test of .* to hold examples, got none",
        ),
    ],
)
def test_a_source_whose_examples_contradict_it_is_refused(
    monkeypatch: pytest.MonkeyPatch, change: dict[str, object], message: str
) -> None:
    examples = Examples.from_labels(torch.zeros(3, 1, 2, 2), torch.arange(3))
    facts = {"name": "x", "classes": ("a", "b", "c"), "shape": (1, 2, 2), "train": None, "test": examples}
    made = Dataset(**{**facts, "mean": (0.0,), "std": (1.0,), **change})
    monkeypatch.setattr("evalsuite.data._load.from_factory", lambda *_: made)
    with pytest.raises(RefusedInputError, match=message):
        load("json:made")


def test_third_party_sources_are_found_by_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    class Point:
        name = "my_set"
        dist, value = None, "somewhere:Digits"

        def load(self) -> type[Source]:
            return find("evalsuite.data", "digits", Source)

    monkeypatch.setattr(
        evalsuite.parts.registry, "_entries", lambda package: {"my_set": Point()} if package == "evalsuite.data" else {}
    )
    assert len(load("my-set").test) == 600
