"""Folders as they are found: what systems leave in them, how splits and classes are called, which sizes photos have."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import InterpolationMode, functional

from evalsuite.data import Dataset, load
from evalsuite.data._class_folders import class_folders
from evalsuite.data._preparation import Preparation
from evalsuite.errors import RefusedInputError, UsageError
from evalsuite.interpretation import Interpretation
from evalsuite.tasks._photo_outliers import photos as outliers
from evalsuite.tasks.shift import Shift

pytestmark = pytest.mark.slow

CLASSES = ("one", "three", "two", "zero")


def photo(path: Path, seed: int, size: tuple[int, int] = (12, 12), kind: str | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, format=kind)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Two photos of each of four classes in train and in test."""
    root = tmp_path / "photos"
    for place, (part, name) in enumerate((p, c) for p in ("train", "test") for c in CLASSES):
        for number in range(2):
            photo(root / part / name / f"{number}.png", 10 * place + number)
    return root


def readings(dataset: Dataset, topic: str) -> list[Interpretation]:
    return [each for each in dataset.interpretations if each.topic == topic]


def reading(dataset: Dataset, topic: str) -> Interpretation:
    (result,) = readings(dataset, topic)
    return result


def hidden_photo(root: Path) -> None:
    (root / "test" / "zero" / "._0.png").write_bytes(b"\0\5\x16\7Mac OS X")
    (root / "test" / ".thumbnails").mkdir()
    photo(root / "test" / ".thumbnails" / "0.png", 99)


def archive_of_a_mac(root: Path) -> None:
    for part in ("train", "test"):
        (root / part / "__MACOSX" / "zero").mkdir(parents=True)
        (root / part / "__MACOSX" / "zero" / "._0.png").write_bytes(b"\0\5\x16\7")


def what_systems_leave(root: Path) -> None:
    for name in ("Thumbs.db", "desktop.ini", ".DS_Store"):
        (root / "test" / "zero" / name).write_bytes(b"x")
    for name in (".ipynb_checkpoints", "@eaDir"):
        (root / "test" / name).mkdir()


@pytest.mark.parametrize("litter", [hidden_photo, archive_of_a_mac, what_systems_leave])
def test_what_systems_leave_is_no_photo_and_no_class(tree: Path, litter) -> None:
    before = load(f"folder:{tree}").test.ids
    litter(tree)
    after = load(f"folder:{tree}")
    assert (after.classes, after.test.ids) == (CLASSES, before)
    assert not readings(after, "left-out files")


@pytest.mark.parametrize("suffix", ["jfif", "JPEG", "jpe", "gif", "avif", "jp2", "webp", ""])
def test_photos_are_read_whatever_their_suffix(tree: Path, suffix: str) -> None:
    kind = {"": "PNG", "jfif": "JPEG", "jpe": "JPEG", "jp2": "JPEG2000"}.get(suffix, suffix.upper())
    (tree / "test" / "two" / "0.png").unlink()
    photo(tree / "test" / "two" / ("0" + suffix and f"0.{suffix}" if suffix else "0"), 7, kind=kind)
    assert load(f"folder:{tree}").test.labels.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]


def test_other_files_are_counted(tree: Path) -> None:
    for name in ("a.heic", "b.HEIC", "notes.txt"):
        (tree / "test" / "two" / name).write_bytes(b"x")
    (tree / "train" / "one" / "notes").write_bytes(b"x")
    photo(tree / "test" / "stray.png", 77)
    training, held_out = readings(load(f"folder:{tree}"), "left-out files")
    assert held_out.value == "4 beside 8 held-out photos: .heic 2, .txt 1, .png 1"
    assert (held_out.basis, held_out.reason) == ("measured", "in 'two', 'test itself'")
    assert training.value == "1 beside 8 training photos: without a suffix 1"


def test_a_class_of_which_nothing_can_be_read_is_refused(tree: Path) -> None:
    for file in (tree / "test" / "two").iterdir():
        file.rename(file.with_suffix(".heic"))
    with pytest.raises(
        RefusedInputError, match=r"photos that can be read .* in .*test/two, got only \.heic 2: convert"
    ):
        load(f"folder:{tree}")


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("Train", "Test"),
        ("training", "testing"),
        ("TRAINING", "val"),
        ("train", "valid"),
        ("train", "Validation"),
        ("training_set", "test_set"),
        ("trainset", "testdata"),
        ("Train_images", "Test_images"),
        ("images_train", "images_test"),
        ("TrainImages", "TestImages"),
        ("train1", "test1"),
        ("train-new", "val (final)"),
        ("TrainSet2", "TestSet2"),
        ("all.train.jpg", "all.test.jpg"),
        ("2024_train_cropped", "2024_eval_resized"),
    ],
)
def test_splits_go_by_many_names(tree: Path, train: str, test: str) -> None:
    before = load(f"folder:{tree}")
    assert before.train is not None
    expected = before.train.ids, before.test.ids
    (tree / "train").rename(tree / train)
    (tree / "test").rename(tree / test)
    outcome = load(f"folder:{tree}")
    assert outcome.classes == CLASSES
    assert outcome.train is not None
    assert (outcome.train.ids, outcome.test.ids) == expected
    assert reading(outcome, "held-out photos").value == test


@pytest.mark.parametrize("names", [("train_station", "test_tube"), ("train_test", "trainer"), ("test drive", "detest")])
def test_a_name_with_another_word_is_a_class(tree: Path, names: tuple[str, str]) -> None:
    for before, name in zip(CLASSES, names, strict=False):
        (tree / "test" / before).rename(tree / name)
    shutil.rmtree(tree / "train")
    shutil.rmtree(tree / "test")
    actual = load(f"folder:{tree}")
    assert actual.train is None
    assert set(actual.classes) == set(names)


@pytest.mark.parametrize("others", [("train1", "train2"), ("train", "train-new"), ("Train_images", "images_train")])
def test_several_folders_of_a_split_are_not_chosen_from(tree: Path, others: tuple[str, str]) -> None:
    (tree / "train").rename(tree / "old")
    for name in others:
        shutil.copytree(tree / "old", tree / name)
    shutil.rmtree(tree / "old")
    with pytest.raises(UsageError, match=r"one folder of the train split .* put the class folders into a folder"):
        load(f"folder:{tree}")


def test_a_split_of_two_names_is_refused(tree: Path) -> None:
    shutil.copytree(tree / "train", tree / "Training")
    with pytest.raises(UsageError, match=r"one folder of the train split in .*, got Training and train"):
        load(f"folder:{tree}")


def test_a_test_set_without_labels_leaves_the_validation_set(tree: Path) -> None:
    expected = load(f"folder:{tree}").test.ids
    (tree / "test").rename(tree / "val")
    photo(tree / "test" / "0.png", 55)
    computed = load(f"folder:{tree}")
    assert computed.test.ids == expected
    assert reading(computed, "held-out photos").reason == "test has no folders of the classes"
    shutil.rmtree(tree / "test")
    photo(tree / "test" / "images" / "0.png", 55)
    assert load(f"folder:{tree}").test.ids == expected
    shutil.rmtree(tree / "val")
    photo(tree / "val" / "images" / "0.png", 56)  # as Tiny ImageNet keeps them
    with pytest.raises(UsageError, match=r"one folder a class, as in .*train, in .*test or .*val, got 'images' in"):
        load(f"folder:{tree}")


def test_of_two_labelled_splits_it_is_the_test_set(tree: Path) -> None:
    expected = load(f"folder:{tree}").test.ids
    for number, name in enumerate(CLASSES):
        photo(tree / "val" / name / "0.png", 70 + number)
    result = load(f"folder:{tree}")
    assert result.test.ids == expected
    assert reading(result, "held-out photos").reason == "val is left alone"


def test_training_photos_alone_are_refused_and_a_class_called_train_too(tree: Path) -> None:
    shutil.rmtree(tree / "test")
    photo(tree / "bus" / "0.png", 1)
    with pytest.raises(UsageError, match=r"test or val beside train in .*, got 'bus'; where 'train' is a class, put"):
        load(f"folder:{tree}")
    # in a split it is a class like others
    photo(tree / "vehicles" / "test" / "train" / "0.png", 1)
    photo(tree / "vehicles" / "test" / "bus" / "0.png", 2)
    assert load(f"folder:{tree / 'vehicles'}").classes == ("bus", "train")


def test_splits_below_the_classes_are_refused(tmp_path: Path) -> None:
    for kind in ("bottle", "cable"):
        for part in ("train", "test"):
            photo(tmp_path / "photos" / kind / part / "good" / "0.png", len(kind + part))
    with pytest.raises(UsageError, match=r"got train and test within .*bottle: folder:.*bottle takes that one alone"):
        load(f"folder:{tmp_path / 'photos'}")


@pytest.mark.parametrize(("train", "test"), [("zero", "Zero"), ("z\u00e9ro", "ze\u0301ro")])
def test_classes_that_are_spelled_in_two_ways_are_refused(tree: Path, train: str, test: str) -> None:
    (tree / "train" / "zero").rename(tree / "train" / train)
    (tree / "test" / "zero").rename(tree / "test" / test)
    with pytest.raises(UsageError, match=f"spelled as those of .*, got '{test}' for '{train}': rename"):
        load(f"folder:{tree}")


def test_a_class_without_held_out_photos_is_doubtful(tree: Path) -> None:
    shutil.rmtree(tree / "test" / "two")
    result = reading(load(f"folder:{tree}"), "classes without held-out photos")
    assert (result.value, result.basis) == ("'two'", "doubtful")


def test_links_are_followed_and_broken_ones_refused(tree: Path, tmp_path: Path) -> None:
    expected = load(f"folder:{tree}").test.ids
    linked = tmp_path / "linked"
    (linked / "test").mkdir(parents=True)
    (linked / "train").symlink_to(tree / "train")
    for name in CLASSES:
        (linked / "test" / name).symlink_to(tree / "test" / name)
    assert load(f"folder:{linked}").test.ids == expected
    (tree / "test" / "two" / "up").symlink_to(tree / "test" / "two")  # a circle
    assert load(f"folder:{tree}").test.ids == expected
    (tree / "test" / "two" / "9.png").symlink_to(tmp_path / "nowhere.png")
    with pytest.raises(RefusedInputError, match="file that can be read"):
        load(f"folder:{tree}")


@pytest.mark.parametrize("name", ["z\u00e9ro \u00fcn\u00ef", "\u4e8c", "trois'\"&<b>", "a?b=c"])
def test_classes_and_folders_of_any_name(tree: Path, name: str) -> None:
    for part in ("train", "test"):
        (tree / part / "zero").rename(tree / part / name)
    tree.rename(tree.parent / name)
    result = load(f"folder:{tree.parent / name}")
    assert name in result.classes
    assert load(f"folder:{tree.parent / name}?size=12").test.ids == result.test.ids


# which class has which number


def numbered(root: Path, names: list[str]) -> str:
    for seed, name in enumerate(names):
        photo(root / name / "0.png", seed)
    return f"folder:{root}"


@pytest.mark.parametrize(
    ("names", "expected", "basis"),
    [
        ([str(k) for k in range(12)], [str(k) for k in range(12)], "assumed"),
        ([str(k) for k in range(1, 13)], [str(k) for k in range(1, 13)], "assumed"),
        ([f"{k:02d}" for k in range(12)], [f"{k:02d}" for k in range(12)], "recorded"),
        (["2", "0", "1"], ["0", "1", "2"], "recorded"),
        (["5", "3"], ["3", "5"], "assumed"),
        (["bee", "ant"], ["ant", "bee"], "assumed"),
        (["ant"], ["ant"], "measured"),
        (["n02", "n01"], ["n01", "n02"], "assumed"),
        (["s10", "s9"], ["s10", "s9"], "doubtful"),
    ],
)
def test_class_folders_are_numbered(tmp_path: Path, names: list[str], expected: list[str], basis: str) -> None:
    result = load(numbered(tmp_path, names))
    assert list(result.classes) == expected
    order = reading(result, "class order")
    assert order.basis == basis
    # each photo has the label of its own folder's name
    paths = [Path(path).parent.name for path in result.test.images.paths]
    assert [result.classes[label] for label in result.test.labels.tolist()] == paths
    if basis in {"assumed", "doubtful"}:
        assert "?order=" in order.option


def test_the_order_can_be_told(tmp_path: Path) -> None:
    name = numbered(tmp_path / "photos", [str(k) for k in range(11)])
    assert load(f"{name}?order=text").classes == ("0", "1", "10", *"23456789")
    assert load(f"{name}?order=number").classes == (*"0123456789", "10")
    for order in ("text", "number"):
        assert reading(load(f"{name}?order={order}"), "class order").basis == "given"
    assert load(numbered(tmp_path / "steps", ["s10", "s9"]) + "?order=number").classes == ("s9", "s10")
    listed = tmp_path / "classes.txt"
    listed.write_text("\n".join(["11", *map(str, range(10, -1, -1))]) + "\n", encoding="utf-16")
    result = load(f"{name}?classes={listed}")
    assert result.classes == ("11", "10", *"9876543210")
    assert reading(result, "classes without held-out photos").basis == "given"


@pytest.mark.parametrize(
    ("names", "options", "message"),
    [
        (["1", "2", "10"], "", r"from 0 or 1 without a gap in .*, got '1', '2', '10': add \?order=number"),
        (["1", "01"], "", "of different numbers"),
        (["ant", "2"], "?order=number", "class folders with a number each"),
        (["ant", "bee"], "?order=alphabet", "order to be one of text, number, got 'alphabet'"),
        (["ant", "bee"], "?classes=nowhere.txt", "a text file with a class a line, got 'nowhere.txt'"),
        (["ant", "bee"], "?order=text&classes=x", r"one of \?order= and \?classes=, got both"),
    ],
)
def test_orders_that_cannot_be_known(tmp_path: Path, names: list[str], options: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load(numbered(tmp_path, names) + options)


def test_a_list_of_other_classes_is_refused(tmp_path: Path) -> None:
    listed = tmp_path / "classes.txt"
    name = f"{numbered(tmp_path / 'photos', ['ant', 'bee'])}?classes={listed}"
    listed.write_text("ant\n")
    with pytest.raises(UsageError, match=r"to be listed in .*, got also 'bee'"):
        load(name)
    listed.write_text("ant\nant\nbee\n")
    with pytest.raises(RefusedInputError, match="every class once"):
        load(name)


def test_folders_of_a_shifted_set_are_matched_by_value(tmp_path: Path) -> None:
    numbered(tmp_path, ["02", "1"])
    shape = (3, 12, 12)
    assert class_folders(tmp_path, [str(k) for k in range(12)], shape).labels.tolist() == [2, 1]
    # classes that are called 1 to 12: the folder 1 is the first
    assert class_folders(tmp_path, [str(k) for k in range(1, 13)], shape).labels.tolist() == [1, 0]
    numbered(tmp_path, ["0"])
    with pytest.raises(UsageError, match="got '0'"):
        class_folders(tmp_path, [str(k) for k in range(1, 13)], shape)


# which size images have, and what is resized


def sized(root: Path, *sizes: tuple[int, int]) -> tuple[str, list[Image.Image]]:
    for seed, size in enumerate(sizes):
        photo(root / "ant" / f"{seed}.png", seed, size)
    return f"folder:{root}", [Image.open(root / "ant" / f"{seed}.png").convert("RGB") for seed in range(len(sizes))]


def by_hand(image: Image.Image, shorter: int, size: int, how: InterpolationMode) -> torch.Tensor:
    resized = functional.resize(image, shorter, interpolation=how)
    return functional.pil_to_tensor(functional.center_crop(resized, [size] * 2))


def eight_bit(dataset: Dataset) -> torch.Tensor:
    return (dataset.test.pixels(range(len(dataset.test))) * 255).round().to(torch.uint8)


@pytest.mark.parametrize("options", ["", "?size=32"])
def test_photos_that_all_have_the_size_are_taken_as_they_are(tmp_path: Path, options: str) -> None:
    name, images = sized(tmp_path, (32, 32), (32, 32))
    result = load(name + options)
    assert torch.equal(eight_bit(result), torch.stack([functional.pil_to_tensor(image) for image in images]))
    assert reading(result, "resizing").value == "none: all 2 photos that were looked at have 32 x 32 pixels"
    assert reading(result, "image size").basis == ("given" if options else "assumed")
    # what the network is used to is for photos that have to be resized
    assert torch.equal(eight_bit(load(name + options, crop=0.5, interpolation="nearest")), eight_bit(result))


def test_where_one_has_another_size_all_are_resized_alike(tmp_path: Path) -> None:
    name, images = sized(tmp_path, (32, 32), (50, 41))
    result = load(f"{name}?size=32")
    # 32 of 256/224 times as many pixels
    expected = [by_hand(image, round(32 * 256 / 224), 32, InterpolationMode.BILINEAR) for image in images]
    assert torch.equal(eight_bit(result), torch.stack(expected))
    messages = reading(result, "resizing")
    assert messages.value.startswith("the shorter side to 37 pixels (bilinear), of which the centre of 32 is kept")
    assert messages.value.endswith("1 of 2 photos have 32 x 32 already")
    assert (messages.basis, messages.option[:6]) == ("assumed", "?crop=")


@pytest.mark.parametrize("how", ["nearest", "bilinear", "bicubic", "lanczos", "box", "hamming"])
def test_share_and_interpolation_by_option_or_by_the_network(tmp_path: Path, how: str) -> None:
    name, images = sized(tmp_path, (48, 40), (50, 41))
    expected = torch.stack([by_hand(image, 36, 32, InterpolationMode(how)) for image in images])
    given = load(f"{name}?size=32&crop=0.89&interpolation={how}")  # 32 / 0.89 = 35.96
    assert torch.equal(eight_bit(given), expected)
    assert reading(given, "resizing").basis == "given"
    # a library that resizes to 36 pixels and keeps 32 of them
    custom = load(name, size=32, crop=32 / 36, interpolation=how, basis="recorded")
    assert torch.equal(eight_bit(custom), expected)
    assert [reading(custom, topic).basis for topic in ("image size", "resizing")] == ["recorded", "recorded"]
    stronger = load(f"{name}?crop=1.0", size=32, crop=0.5, interpolation=how)
    assert torch.equal(
        eight_bit(stronger), torch.stack([by_hand(image, 32, 32, InterpolationMode(how)) for image in images])
    )


def test_where_the_network_takes_another_size_than_all_photos_have_it_is_told(tmp_path: Path) -> None:
    name, _ = sized(tmp_path, (32, 32), (32, 32))
    sentence = reading(load(name, size=48, basis="assumed"), "image size")
    assert (sentence.value, sentence.basis, sentence.option) == ("48 x 48 pixels", "assumed", "?size=32")
    assert sentence.reason == "what the network takes; the photos have 32 x 32"
    assert reading(load(name, size=32, basis="assumed"), "image size").reason == "what the network takes"


def test_a_share_that_is_given_holds_for_photos_of_the_size_too(tmp_path: Path) -> None:
    name, (image,) = sized(tmp_path, (32, 32))
    expected = by_hand(image, 40, 32, InterpolationMode.BILINEAR)
    assert torch.equal(eight_bit(load(f"{name}?size=32&crop=0.8"))[0], expected)


def test_the_usual_share_resizes_as_256_to_224() -> None:
    usual = Preparation()
    assert usual.crop == 0.875
    assert all(usual.resized(size) == round(size * 256 / 224) for size in range(1, 2049))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("?size=32&crop=0", "crop to be a share above 0 and at most 1, got 0"),
        ("?size=32&crop=1.5", "at most 1, got 1.5"),
        ("?size=32&interpolation=cubic", "interpolation to be one of nearest, bilinear, bicubic"),
        ("?size=32&scale=0", "scale to be the value that is white"),
        ("", r"expected \?size=PIXELS behind folder:.*, got 48 x 40 in all"),
    ],
)
def test_sizes_that_make_no_sense(tmp_path: Path, options: str, message: str) -> None:
    name, _ = sized(tmp_path, (48, 40))
    with pytest.raises(UsageError, match=message):
        load(name + options)


def test_photos_of_a_shifted_set_are_prepared_as_those_of_the_data(tmp_path: Path) -> None:
    _, images = sized(tmp_path, (32, 32), (50, 41))
    expected = torch.stack([by_hand(image, 40, 32, InterpolationMode.BICUBIC) for image in images])
    prepared = Preparation(crop=0.8, interpolation="bicubic")
    assert torch.equal(
        class_folders(tmp_path, ("ant",), (3, 32, 32), preparation=prepared).images[torch.arange(2)], expected
    )
    data = load(f"folder:{tmp_path}?size=32&crop=0.8&interpolation=bicubic")
    shifted = Shift(layout="folder", at=str(tmp_path)).examples(data)
    assert torch.equal((shifted.pixels([0, 1]) * 255).round().to(torch.uint8), expected)


def test_outliers_are_photos_too(tmp_path: Path) -> None:
    photo(tmp_path / "a" / "0.jfif", 0, kind="JPEG")
    photo(tmp_path / "1.png", 1)
    (tmp_path / "._1.png").write_bytes(b"\0\5\x16\7")
    (tmp_path / "notes.txt").write_text("x")
    assert [path.name for path in outliers(str(tmp_path))] == ["1.png", "0.jfif"]
