from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms
from torchvision.datasets import ImageFolder

from evalsuite.data import check_disjoint, load
from evalsuite.errors import RefusedInputError, UsageError


def photo(path: Path, seed: int, size: tuple[int, int] = (40, 30)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for place, (part, kind) in enumerate((p, k) for p in ("train", "test") for k in ("bee", "ant", "10", "9")):
        for number in range(2):
            photo(
                tmp_path / part / kind / f"{number}.png",
                10 * place + number,
                size=(40 + 5 * number, 30 - 7 * place // 4),
            )
    return tmp_path


def test_images_are_what_torchvision_makes_of_them(tree: Path) -> None:
    result = load(f"folder:{tree}?size=28")
    # 28 * 256 / 224 = 32
    usual = transforms.Compose([transforms.Resize(32), transforms.CenterCrop(28), transforms.PILToTensor()])
    for part, examples in (("train", result.train), ("test", result.test)):
        reference = ImageFolder(str(tree / part), usual)
        assert list(result.classes) == reference.classes
        assert examples.labels.tolist() == reference.targets
        expected = torch.stack([image for image, _ in reference])
        torch.testing.assert_close((examples.pixels(range(8)) * 255).round().to(torch.uint8), expected, rtol=0, atol=0)
    assert result.shape == (3, 28, 28)
    assert result.mean == (0.485, 0.456, 0.406)


def test_one_channel_is_luminance_with_statistics_of_its_own(tree: Path) -> None:
    outcome = load(f"folder:{tree}?size=16&channels=1")
    assert outcome.shape == (1, 16, 16)
    pixels = outcome.train.pixels(range(8)).numpy()
    assert outcome.mean == pytest.approx((pixels.mean(),), rel=1e-5)
    assert outcome.std == pytest.approx((pixels.std(),), rel=1e-4)


def test_photos_of_several_sizes_need_one_to_be_told(tree: Path) -> None:
    with pytest.raises(
        UsageError, match=r"expected \?size=PIXELS behind folder:.*, got 8 sizes from 40 x 18 to 45 x 23"
    ):
        load(f"folder:{tree / 'test'}")
    assert load(f"folder:{tree / 'test'}", size=24).test.pixels([3]).shape == (1, 3, 24, 24)
    assert load(f"folder:{tree / 'test'}?size=12", size=24).shape == (3, 12, 12)


def test_a_single_tree_is_held_out(tree: Path) -> None:
    actual = load(f"folder:{tree / 'train'}?size=8")
    assert actual.train is None
    assert len(actual.test) == 8


def test_val_will_do_for_test(tree: Path) -> None:
    (tree / "test").rename(tree / "val")
    assert len(load(f"folder:{tree}?size=8").test) == 8


def test_test_alone_is_held_out(tree: Path) -> None:
    (tree / "train").rename(tree / "elsewhere")
    computed = load(f"folder:{tree}?size=8")
    assert (computed.train, len(computed.test)) == (None, 8)


def test_classes_of_which_nothing_is_held_out_keep_their_number(tree: Path) -> None:
    (tree / "test" / "9").rename(tree / "test" / ".hidden")
    result = load(f"folder:{tree}?size=8")
    assert result.classes == ("10", "9", "ant", "bee")
    assert result.test.labels.tolist() == [0, 0, 2, 2, 3, 3]


def test_the_same_file_in_both_is_left_out(tree: Path) -> None:
    (tree / "test" / "bee" / "copy.png").write_bytes((tree / "train" / "ant" / "0.png").read_bytes())
    result = load(f"folder:{tree}?size=8")
    assert (result.overlap, len(result.test)) == (1, 8)
    check_disjoint(result.train, result.test)


def test_nothing_is_decoded_before_it_is_asked_for(tree: Path) -> None:
    (tree / "test" / "ant" / "1.png").write_bytes(b"damaged")
    result = load(f"folder:{tree}?size=8")
    position = 5  # 10/0 10/1 9/0 9/1 ant/0 ant/1
    assert len(result.test.batch(0, 5).ids) == 5
    with pytest.raises(RefusedInputError, match=r"ant/1\.png to be an image"):
        result.test.batch(position, 6)


def test_an_image_cut_short_is_refused(tree: Path) -> None:
    path = tree / "test" / "10" / "0.png"
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(RefusedInputError, match="to be an image"):
        load(f"folder:{tree}?size=8")


def test_the_order_asked_for_is_kept(tree: Path) -> None:
    images = load(f"folder:{tree}?size=8").test
    torch.testing.assert_close(images.pixels([5, 1]), images.pixels(range(8))[[5, 1]], rtol=0, atol=0)
    assert images.pixels([]).shape == (0, 3, 8, 8)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda tree: (tree / "test").rename(tree / "other"), "test or val beside train"),
        (lambda tree: photo(tree / "test" / "wasp" / "0.png", 99), r"got also \['wasp'\]"),
        (
            lambda tree: (tree / "test").rename(tree / "train" / "deep") and (tree / "test").mkdir(),
            "one folder a class",
        ),
    ],
)
def test_trees_of_another_kind(tree: Path, spoil: Callable[[Path], object], message: str) -> None:
    spoil(tree)
    with pytest.raises(UsageError, match=message):
        load(f"folder:{tree}")


def test_class_folders_without_images(tmp_path: Path) -> None:
    (tmp_path / "ant").mkdir()
    (tmp_path / "ant" / "notes.txt").write_text("no image")
    with pytest.raises(UsageError, match="got none"):
        load(f"folder:{tmp_path}")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("size=0", "size to be at least 1, got 0"),
        ("channels=2", "channels to be 1 or 3, got 2"),
        ("size=big", "size to be of type int, got 'big'"),
        ("colour=1", r"option of the data set folder \(alpha, channels, .*, size\), got 'colour=1'"),
        ("size=8&size=9", "got 'size=9'"),
        ("path=elsewhere", "got 'path=elsewhere'"),
    ],
)
def test_options(tree: Path, options: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load(f"folder:{tree}?{options}")
