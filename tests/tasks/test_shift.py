"""Sets on disk, written here in the formats in which they are published, and broken ones."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms
from torchvision.datasets import ImageFolder

from evalsuite.config.settings import EvaluationSettings
from evalsuite.corruptions import COMMON
from evalsuite.data import Dataset, Examples
from evalsuite.errors import EvalsuiteError, RefusedInputError, UsageError
from evalsuite.evaluation.examples import examples_for, prepare_examples
from evalsuite.parts.names import part_name
from evalsuite.records.store import opened
from evalsuite.tasks._names import digest, expand, parse
from evalsuite.tasks.shift import Shift

SIDE = 8
CLASSES = ("ant", "bee", "cat")


def dataset(**changed):
    images = torch.zeros(6, 3, SIDE, SIDE, dtype=torch.uint8)
    test = Examples.from_labels(images, torch.arange(6) % 3)
    made = Dataset(
        name="toy", classes=CLASSES, shape=(3, SIDE, SIDE), train=None, test=test, mean=(0.5,) * 3, std=(0.5,) * 3
    )
    return replace(made, **changed)


def pixels(n, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, SIDE, SIDE, 3), dtype=np.uint8)


@pytest.fixture
def cifar_c(tmp_path):
    """Two corruptions of four images: as CIFAR-10-C, in small."""
    root = tmp_path / "CIFAR-10-C"
    root.mkdir()
    for seed, corruption in enumerate(("fog", "snow")):
        np.save(root / f"{corruption}.npy", pixels(20, seed))
    np.save(root / "labels.npy", np.tile(np.array([2, 0, 1, 1], np.uint8), 5))
    return root


class Constant(torch.nn.Module):
    """Always says the same class."""

    def __init__(self, says):
        super().__init__()
        self.says = says

    def forward(self, images):
        return torch.nn.functional.one_hot(torch.full((len(images),), self.says), 3).float()


def test_a_severity_is_its_fifth_of_the_file(cifar_c):
    for severity in (1, 3, 5):
        result = parse(f"shift/cifar-c/snow/{severity}?at={cifar_c}").examples(dataset())
        rows = np.load(cifar_c / "snow.npy")[(severity - 1) * 4 : severity * 4]
        assert result.labels.tolist() == [2, 0, 1, 1]
        np.testing.assert_array_equal((result.pixels(range(4)) * 255).round().numpy(), rows.transpose(0, 3, 1, 2))


def test_files_are_mapped_not_read(cifar_c):
    outcome = Shift(layout="cifar-c", corruption="fog", severity=2, at=str(cifar_c)).examples(dataset())
    assert isinstance(outcome.images.rows, np.memmap)
    assert len(outcome) == len(outcome.images) == 4


@pytest.mark.parametrize("release", ["v4", "v6"])
def test_cifar_10_1(tmp_path, release):
    images = pixels(5, 3)
    np.save(tmp_path / f"cifar10.1_{release}_data.npy", images)
    np.save(tmp_path / f"cifar10.1_{release}_labels.npy", np.array([0, 1, 2, 0, 1], np.int32))
    task = parse(f"shift/cifar-10.1?at={tmp_path}&release={release}")
    actual = task.examples(dataset())
    assert actual.labels.tolist() == [0, 1, 2, 0, 1]
    assert torch.equal((actual.pixels([4]) * 255).round().byte(), torch.from_numpy(images[4:].transpose(0, 3, 1, 2)))
    assert task.title() == f"CIFAR-10.1 {release}"


def test_grey_stacks_need_no_axis_of_channels(tmp_path):
    np.save(tmp_path / "fog.npy", np.arange(5 * 4, dtype=np.uint8).reshape(5, 2, 2))
    np.save(tmp_path / "labels.npy", np.zeros(5, np.int64))
    computed = Shift(layout="cifar-c", corruption="fog", severity=5, at=str(tmp_path)).examples(dataset())
    assert (computed.pixels([0]) * 255).round().flatten().tolist() == [16, 17, 18, 19]


def test_npz(tmp_path):
    path = tmp_path / "night.npz"
    np.savez(path, x_test=pixels(3), y_test=[0, 1, 2])
    assert parse(f"shift/npz?at={path}").examples(dataset()).labels.tolist() == [0, 1, 2]
    np.savez(path, x_test=pixels(3), y_test=[0, 1, 2], classes=["bee", "ant", "cat"])
    with pytest.raises(UsageError, match=r"to be those of toy \(ant, bee, cat"):
        parse(f"shift/npz?at={path}").examples(dataset())


def photo(path, seed=0, size=(SIDE, SIDE), colour=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    Image.fromarray(rows if colour is None else np.full_like(rows, colour)).save(path)
    return rows


def test_imagenet_c_is_corruption_severity_class_image(tmp_path):
    rows = [photo(tmp_path / "fog" / "3" / kind / f"{k}.png", 7 * k) for k, kind in enumerate(("bee", "cat"))]
    photo(tmp_path / "fog" / "4" / "ant" / "0.png", 99)
    result = parse(f"shift/imagenet-c/fog/3?at={tmp_path}").examples(dataset())
    assert result.labels.tolist() == [1, 2]
    # photos of the right size are taken as they are: a second resizing would be another corruption
    np.testing.assert_array_equal((result.pixels([0, 1]) * 255).round().numpy(), np.stack(rows).transpose(0, 3, 1, 2))


def test_imagenet_c_is_read_as_torchvision_reads_class_folders(tmp_path):
    for k, kind in enumerate(("bee", "ant", "cat", "bee")):
        photo(tmp_path / "fog" / "3" / kind / f"{k}.png", k, size=(40 + k, 30))
    theirs = ImageFolder(
        tmp_path / "fog" / "3",
        transforms.Compose(
            [transforms.Resize(round(SIDE * 256 / 224)), transforms.CenterCrop(SIDE), transforms.ToTensor()]
        ),
    )
    result = parse(f"shift/imagenet-c/fog/3?at={tmp_path}").examples(dataset())
    assert result.labels.tolist() == theirs.targets
    assert torch.equal(result.pixels(range(4)), torch.stack([image for image, _ in theirs]))


def test_observations_are_the_networks_predictions(cifar_c):
    task = Shift(layout="cifar-c", corruption="fog", severity=2, at=str(cifar_c))
    batch = task.examples(dataset()).batch(0, 4)
    one, two = task.observe([Constant(0), Constant(2)], batch, seed=0).networks
    assert one["prediction"].tolist() == [0] * 4
    assert two["prediction"].tolist() == [2] * 4
    assert {"truth", "squares"} <= one.keys()


def test_any_of_several_classes_is_accepted(tmp_path):
    for k, folder in enumerate(("insect", "pet")):
        photo(tmp_path / "photos" / folder / "0.png", k)
    (tmp_path / "overlap.json").write_text(json.dumps({"insect": ["bee", "ant"], "pet": 2, "never seen": "cat"}))
    task = parse(f"shift/folder?at={tmp_path}/photos&classes={tmp_path}/overlap.json")
    batch = task.examples(dataset()).batch(0, 2)
    assert batch.labels.tolist() == [1, 2]
    observed = task.observe([Constant(0), Constant(1), Constant(2)], batch, seed=0).networks
    # the photo of an insect is right as ant and as bee; that of a pet only as cat
    assert [o["prediction"].tolist() for o in observed] == [[1, 0], [1, 1], [2, 2]]
    assert not {"truth", "squares"} & observed[0].keys()
    # another set of accepted classes is another example
    (tmp_path / "overlap.json").write_text(json.dumps({"insect": "bee", "pet": 2}))
    again = task.examples(dataset()).batch(0, 2)
    assert again.labels.tolist() == batch.labels.tolist()
    assert again.ids[0] != batch.ids[0]
    assert again.ids[1] == batch.ids[1]


def test_names_come_back_and_lists_stand_for_their_corruptions(cifar_c):
    for text in (f"shift/cifar-c/fog/3?at={cifar_c}", "shift/npz?at=a/b.npz", "shift/folder?at=x&border=2"):
        assert part_name(parse(text)) == text
    assert len(expand(["shift/cifar-c/common/1-5?at=d"])) == 75
    assert [t.corruption for t in expand(["shift/imagenet-c/common/3?at=d"])] == list(COMMON)
    # where a set stands is not what it is
    assert digest(parse("shift/npz?at=a.npz")) == digest(parse(f"shift/cifar-c/fog/3?at={cifar_c}"))


def test_only_the_chosen_examples_are_taken(cifar_c, tmp_path):
    task = Shift(layout="cifar-c", corruption="fog", severity=2, at=str(cifar_c))
    judging = EvaluationSettings(tasks=(task,), examples=3)
    with opened(tmp_path / "run", create=True) as store:
        result = prepare_examples(judging, dataset(), dataset().test, store)
        (cut,) = result.shards[part_name(task)]
        assert store.labels([cut.examples]) == result.for_task(task).labels.tolist()
    assert cut.stop == 3
    # the same images of every corruption and severity: labels decide which are chosen
    other = replace(task, corruption="snow", severity=5)
    assert torch.equal(
        examples_for(task, judging, dataset(), dataset().test).positions,
        examples_for(other, judging, dataset(), dataset().test).positions,
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("shift", "shift/LAYOUT/CORRUPTION/SEVERITY"),
        ("shift/cifar?at=d", "cifar-c, imagenet-c, cifar-10.1, npz, folder"),
        ("shift/npz", "at=PATH"),
        ("shift/cifar-c/fog?at=d", "CORRUPTION/SEVERITY"),
        ("shift/cifar-c/fog/6?at=d", "from 1 to 5, got 6"),
        ("shift/npz/fog/3?at=d", "got the corruption 'fog'"),
        ("shift/npz?at=d&border=2", "for folders only"),
        ("shift/cifar-10.1?at=d&release=v5", "v4, v6"),
        ("shift/folder?at=d&border=-1", "at least 0"),
    ],
)
def test_names_that_are_refused(text, message):
    with pytest.raises(UsageError, match=message):
        parse(text)


def cut_short(root):
    path = root / "fog.npy"
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize(
    ("change", "messages"),
    [
        (lambda r: (r / "labels.npy").unlink(), r"labels\.npy, got fog\.npy, snow\.npy in"),
        (lambda r: (r / "fog.npy").unlink(), r"fog\.npy, got labels\.npy, snow\.npy in"),
        (cut_short, r"fog\.npy to be a whole numpy file"),
        (lambda r: (r / "fog.npy").write_bytes(b"not numpy at all"), r"fog\.npy to be a whole numpy file"),
        (lambda r: np.save(r / "fog.npy", np.array([{}])), r"fog\.npy to be a whole numpy file"),
        (lambda r: np.save(r / "fog.npy", pixels(21)), r"fog\.npy .* n a multiple of 5, got uint8 of shape \(21"),
        (lambda r: np.save(r / "fog.npy", pixels(20) / 255), r"fog\.npy .* of uint8, .* got float64"),
        (lambda r: np.save(r / "fog.npy", pixels(20).reshape(20, -1)), r"fog\.npy .* got uint8 of shape \(20, 192\)"),
        (lambda r: np.save(r / "fog.npy", pixels(20)[:, :0]), r"fog\.npy .* got uint8 of shape \(20, 0, 8"),
        (lambda r: np.save(r / "fog.npy", pixels(15)), r"labels\.npy to hold 15 class numbers"),
        (
            lambda r: np.save(r / "labels.npy", np.full(20, 0.5)),
            r"labels\.npy to hold class numbers.* with the value 0\.5",
        ),
        (lambda r: np.save(r / "labels.npy", np.zeros(19, int)), r"labels\.npy to hold 20 class numbers.* \(19,\)"),
        (
            lambda r: np.save(r / "fog.npy", pixels(20) // 16),
            r"of 4 images of .*fog\.npy up to .* none above 15: store them with 255",
        ),
        (lambda r: np.save(r / "labels.npy", np.full(20, 3)), "labels from 0 to 2, the classes of toy"),
        (lambda r: np.save(r / "fog.npy", pixels(20)[:, :4]), r"images of \(3, 8, 8\), as those of toy"),
    ],
)
def test_broken_stacks(cifar_c, change, messages):
    change(cifar_c)
    task = Shift(layout="cifar-c", corruption="fog", severity=2, at=str(cifar_c))
    with pytest.raises(EvalsuiteError, match=messages) as caught:
        examples_for(task, EvaluationSettings(tasks=(task,)), dataset(), dataset().test)
    assert "\n" not in str(caught.value)


def test_what_is_not_there(tmp_path):
    with pytest.raises(UsageError, match="nothing there"):
        parse("shift/folder?at=/no/such/place").examples(dataset())
    photo(tmp_path / "fog" / "3" / "ant" / "0.png")
    with pytest.raises(UsageError, match=r"snow/3 with one folder a class, got fog in"):
        parse(f"shift/imagenet-c/snow/3?at={tmp_path}").examples(dataset())
    with pytest.raises(UsageError, match="expected the set's path"):
        parse("shift/npz?at=/no/such.npz").files()


def test_photos_that_cannot_be_read(tmp_path):
    photo(tmp_path / "ant" / "0.png")
    (tmp_path / "bee").mkdir()
    (tmp_path / "bee" / "1.png").write_bytes((tmp_path / "ant" / "0.png").read_bytes()[:60])
    result = parse(f"shift/folder?at={tmp_path}").examples(dataset())
    with pytest.raises(RefusedInputError, match=r"bee/1\.png to be an image"):
        result.ids  # noqa: B018
