from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from evalsuite.data import _arrays, load
from evalsuite.errors import RefusedInputError, UsageError

pytestmark = pytest.mark.slow

Array = np.ndarray[tuple[int, ...], np.dtype[np.generic]]
Save = Callable[..., str]


def rgb(n: int, seed: int = 0, size: tuple[int, int] = (5, 6)) -> Array:
    return np.random.default_rng(seed).integers(0, 256, (n, *size, 3), dtype=np.uint8)


@pytest.fixture
def saved(tmp_path: Path) -> Save:
    def save(**arrays: Array) -> str:
        np.savez(tmp_path / "set.npz", **arrays)
        return f"npz:{tmp_path / 'set.npz'}"

    return save


def test_training_and_held_out_examples(saved: Save) -> None:
    name = saved(x_test=rgb(3), y_test=np.array([2, 0, 1], dtype=np.int8), x_train=rgb(5, 1), y_train=np.arange(5))
    result = load(name)
    assert (result.name, result.shape, len(result.classes)) == (name, (3, 5, 6), 5)
    assert result.test.labels.tolist() == [2, 0, 1]
    np.testing.assert_array_equal(np.round(result.test.pixels([1]).numpy()[0] * 255), rgb(3)[1].transpose(2, 0, 1))
    np.testing.assert_allclose(result.mean, (rgb(5, 1) / 255).mean((0, 1, 2)), rtol=1e-5)


@pytest.mark.parametrize(
    ("stored", "shape"),
    [
        (rgb(3), (3, 5, 6)),
        (rgb(3).transpose(0, 3, 1, 2), (3, 5, 6)),
        (rgb(3)[..., 0], (1, 5, 6)),
        (rgb(3)[..., :1], (1, 5, 6)),
        (rgb(3)[..., :1].transpose(0, 3, 1, 2), (1, 5, 6)),
    ],
)
def test_axes_are_told_apart_by_the_number_of_channels(saved: Save, stored: Array, shape: tuple[int, ...]) -> None:
    outcome = load(saved(x_test=stored, y_test=np.arange(3)))
    assert outcome.shape == shape
    expected = rgb(3)[..., : shape[0]].transpose(0, 3, 1, 2) / 255
    np.testing.assert_allclose(outcome.test.pixels([0, 1, 2]).numpy(), expected, atol=1e-7)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ">f4", ">f8"])
def test_floats_in_0_to_1(saved: Save, dtype: str) -> None:
    values = np.array([0.0, 0.5, 1.0]).reshape(3, 1, 1).repeat(4, 1).repeat(4, 2)
    actual = load(saved(x_test=values.astype(dtype), y_test=np.arange(3)))
    assert actual.test.pixels([0, 1, 2])[:, 0, 0, 0].tolist() == [0.0, 0.5, 1.0]


def test_ids_are_the_same_for_uint8_and_float(saved: Save) -> None:
    as_bytes = load(saved(x_test=rgb(3), y_test=np.arange(3))).test.ids
    assert load(saved(x_test=rgb(3) / 255, y_test=np.arange(3))).test.ids == as_bytes


def test_held_out_alone_has_neutral_statistics(saved: Save) -> None:
    computed = load(saved(x_test=rgb(3), y_test=np.arange(3)))
    assert (computed.train, computed.mean, computed.std) == (None, (0.0,) * 3, (1.0,) * 3)


def test_names_of_classes(saved: Save) -> None:
    result = load(saved(x_test=rgb(2), y_test=np.array([0, 0]), classes=np.array(["cat", "dog", "emu"])))
    assert result.classes == ("cat", "dog", "emu")


GOOD = {"x_test": rgb(3), "y_test": np.arange(3)}
TOO_BRIGHT = np.full((3, 4, 4), 1.5)
NOT_A_NUMBER = np.full((3, 4, 4), np.nan)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x_test": rgb(3)}, "arrays x_test and y_test in .*, got 'x_test'"),
        ({**GOOD, "x_train": rgb(2)}, "both x_train and y_train"),
        ({**GOOD, "x_test": rgb(2)}, "as many images as labels, .* got 2 and 3"),
        ({"x_test": rgb(0), "y_test": np.arange(0)}, "at least one"),
        ({**GOOD, "x_test": TOO_BRIGHT}, r"in \[0, 1\], got values from 1.5 to 1.5"),
        ({**GOOD, "x_test": TOO_BRIGHT - 1.6}, r"in \[0, 1\], got values from -0.1"),
        ({**GOOD, "x_test": NOT_A_NUMBER}, "to hold finite numbers, got NaN or infinity: repair"),
        ({**GOOD, "x_test": rgb(3).astype(np.int64)}, "uint8, or float in .*, got int64"),
        ({**GOOD, "x_test": rgb(3)[0]}, "as many images as labels"),
        ({**GOOD, "x_test": rgb(3)[:, 0, 0]}, r"got the shape \(3, 3\)"),
        ({**GOOD, "x_test": np.zeros((3, 4, 4, 2))}, r"got the shape \(3, 4, 4, 2\)"),
        ({**GOOD, "x_test": np.zeros((3, 3, 4, 3))}, r"got the shape \(3, 3, 4, 3\)"),
        ({**GOOD, "y_test": np.eye(3) / 2}, r"class numbers .*, got float64 of shape \(3, 3\)"),
        ({**GOOD, "y_test": np.array([0.0, 1.5, 2.0])}, "class numbers .*, got float64 .* with the value 1.5"),
        ({**GOOD, "y_test": np.array([0, -1, 2])}, "class numbers .* from -1"),
        ({**GOOD, "x_train": rgb(3, 1, (9, 9)), "y_train": np.arange(3)}, "images of one size"),
        ({**GOOD, "classes": np.array(["only"])}, "labels of test of .* from 0 to 0, got labels from 0 to 2"),
    ],
)
def test_what_is_refused(saved: Save, arrays: dict[str, Array], message: str) -> None:
    with pytest.raises(RefusedInputError, match=message):
        load(saved(**arrays))


def test_pickled_objects_are_refused_unread(saved: Save) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return (pytest.fail, ("unpickled",))

    objects = np.array([Trap(), None, None], dtype=object)
    with pytest.raises(RefusedInputError, match="plain numpy arrays"):
        load(saved(x_test=rgb(3), y_test=objects))


@pytest.mark.parametrize("content", [b"", b"not an archive", b"PK\x03\x04 cut short"])
def test_damaged_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "set.npz").write_bytes(content)
    with pytest.raises(RefusedInputError, match="plain numpy arrays"):
        load(f"npz:{tmp_path / 'set.npz'}")


def test_a_file_cut_short_is_refused(saved: Save) -> None:
    path = Path(saved(**GOOD).removeprefix("npz:"))
    whole = path.read_bytes()
    for kept in (len(whole) // 2, len(whole) - 10):
        path.write_bytes(whole[:kept])
        with pytest.raises(RefusedInputError, match="plain numpy arrays"):
            load(f"npz:{path}")


def test_a_single_array_is_no_archive(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", rgb(3))
    with pytest.raises(RefusedInputError, match="got a single array"):
        load(f"npz:{tmp_path / 'x.npy'}")


def test_a_missing_file_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        load(f"npz:{tmp_path / 'nothing.npz'}")


def test_held_out_images_that_are_trained_on_are_left_out(saved: Save) -> None:
    test = rgb(4)
    train = np.concatenate([test[[2, 0]], rgb(3, 1)])
    result = load(saved(x_test=test, y_test=np.array([0, 1, 2, 3]), x_train=train, y_train=np.zeros(5, dtype=int)))
    assert result.overlap == 2
    assert result.test.labels.tolist() == [1, 3]
    assert torch.equal((result.test.pixels([1]) * 255).round()[0], torch.from_numpy(test[3]).permute(2, 0, 1).float())
    with pytest.raises(RefusedInputError, match="all 4 stand in both"):
        load(saved(x_test=test, y_test=np.arange(4), x_train=test, y_train=np.arange(4)))


WHITE = np.full((2, 4, 4), 255, dtype=np.uint8)
LEVELS = np.arange(32).reshape(2, 4, 4) % 17


@pytest.mark.parametrize(
    ("stored", "scale", "expected"),
    [
        (LEVELS.astype(np.uint8), "16", LEVELS / 16),
        (LEVELS.astype(np.uint8), "255", LEVELS / 255),
        ((LEVELS > 8).astype(np.uint8), "1", LEVELS > 8),
        (LEVELS > 8, "", LEVELS > 8),
        ((LEVELS * 4000).astype(np.uint16), "65535", LEVELS * 4000 / 65535),
        ((LEVELS * 15).astype(np.int64), "255", LEVELS * 15 / 255),
        (LEVELS * 15.0, "255", LEVELS * 15 / 255),
        ((LEVELS / 16).astype(np.float16), "", LEVELS / 16),
        (LEVELS / 16 / 255, "1", LEVELS / 16 / 255),
    ],
)
def test_what_is_white_can_be_told(saved: Save, stored: Array, scale: str, expected: Array) -> None:
    name = saved(x_test=stored, y_test=np.arange(2)) + (f"?scale={scale}" if scale else "")
    result = load(name)
    np.testing.assert_allclose(result.test.pixels([0, 1])[:, 0].numpy(), expected, atol=1e-7 if scale else 1e-3)
    (messages,) = [each for each in result.interpretations if each.topic == "pixel values"]
    assert messages.basis == ("given" if scale else "recorded")


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        (LEVELS.astype(np.uint8), r"none above 16: add \?scale=VALUE .* which may be 16, or 255 where they are that"),
        ((LEVELS > 8).astype(np.uint8), r"white in uint8, got none above 1: add \?scale=VALUE .* which may be 1,"),
        ((LEVELS / 16 / 255).astype(np.float32), r"about 1, which is white in floats, got none above 0\.003922"),
        ((LEVELS * 4000).astype(np.uint16), r"got uint16 up to 64000: say by \?scale=VALUE behind npz:PATH"),
        (LEVELS.astype(np.int8), "got int8"),
        (LEVELS.astype(str), "uint8, or float in .*, got <U"),
        (LEVELS.astype(complex), "got complex128"),
    ],
)
def test_what_is_white_cannot_be_guessed(saved: Save, stored: Array, message: str) -> None:
    with pytest.raises(RefusedInputError, match=message):
        load(saved(x_test=stored, y_test=np.arange(2)))


@pytest.mark.parametrize(
    ("highest", "dtype", "basis"),
    [
        (199, np.uint8, "assumed"),
        (127, np.uint8, "assumed"),
        (200, np.uint8, "recorded"),
        (0.5, np.float32, "assumed"),
        (0.79, np.float32, "recorded"),
    ],
)
def test_white_is_assumed_where_no_value_comes_near_it(
    saved: Save, highest: float, dtype: type[np.generic], basis: str
) -> None:
    images = np.zeros((2, 4, 4), dtype=dtype)
    images[1, 2, 3] = highest
    arrays = {"x_test": images, "y_test": np.arange(2)}
    name = saved(**arrays)
    (sentence,) = [each for each in load(name).interpretations if each.topic == "pixel values"]
    assert (sentence.basis, f"{highest:g}" in sentence.reason) == (basis, basis == "assumed")
    assert sentence.option == ("?scale=VALUE" if basis == "assumed" else "")
    white = 255 if dtype == np.uint8 else 1
    (sentence,) = [each for each in load(f"{name}?scale={white}").interpretations if each.topic == "pixel values"]
    assert sentence.basis == "given"
    # dark held-out examples beside bright ones of the same type are no reason to doubt
    bright = np.full((2, 4, 4), white, dtype=dtype)
    name = saved(**arrays, x_train=bright, y_train=np.arange(2))
    assert [e.basis for e in load(name).interpretations if e.topic == "pixel values"] == ["recorded"]


def test_arrays_of_two_types_are_told_apart(saved: Save) -> None:
    bright, dark = np.full((2, 4, 4), 1.0), np.full((2, 4, 4), 100, dtype=np.uint8)
    name = saved(x_test=dark, y_test=np.arange(2), x_train=bright, y_train=np.arange(2))
    result = [(e.value, e.basis) for e in load(name).interpretations if e.topic == "pixel values"]
    assert result == [("255 is white", "assumed"), ("1 is white", "recorded")]


def test_a_wrong_scale_is_refused(saved: Save) -> None:
    with pytest.raises(RefusedInputError, match=r"in \[0, 8\], got values from 0 to 16"):
        load(saved(x_test=LEVELS.astype(np.uint8), y_test=np.arange(2)) + "?scale=8")
    with pytest.raises(UsageError, match="value that is white, above 0, got -1"):
        load(saved(x_test=WHITE, y_test=np.arange(2)) + "?scale=-1")


@pytest.mark.parametrize(
    ("stored", "wording"),
    [
        (np.array([2, 0, 1]), "numbers"),
        (np.array([[2], [0], [1]], dtype=np.uint8), "numbers in a column"),
        (np.array([2.0, 0.0, 1.0], dtype=np.float32), "numbers"),
        (np.eye(3)[[2, 0, 1]], "where the one stands in each row of 3"),
        (np.eye(3, dtype=bool)[[2, 0, 1]], "where the one stands in each row of 3"),
        (np.eye(4, dtype=np.int64)[[2, 0, 1]], "where the one stands in each row of 4"),
    ],
)
def test_labels_of_every_kind(saved: Save, stored: Array, wording: str) -> None:
    result = load(saved(x_test=rgb(3), y_test=stored, x_train=rgb(3, 1), y_train=stored))
    assert result.test.labels.tolist() == [2, 0, 1]
    assert result.train.labels.tolist() == [2, 0, 1]
    assert [each.value for each in result.interpretations if each.topic == "labels"] == [wording]


def test_boolean_labels_are_two_classes(saved: Save) -> None:
    assert load(saved(x_test=rgb(3), y_test=np.array([True, False, True]))).test.labels.tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.array([0.0, np.nan, 1.0]), "with the value nan"),
        (np.array([0.0, np.inf, 1.0]), "with the value inf"),
        (np.array(["0", "1", "2"]), "got <U1 of shape"),
        (np.array([[1, 0], [1, 1], [0, 1]]), r"got int64 of shape \(3, 2\)"),
        (np.array([0, 1, 2], dtype=complex), "got complex128"),
    ],
)
def test_labels_that_are_none(saved: Save, labels: Array, message: str) -> None:
    with pytest.raises(RefusedInputError, match=message):
        load(saved(x_test=rgb(3), y_test=labels))


def test_which_output_has_which_label_is_assumed_with_and_without_names(saved: Save) -> None:
    for arrays in (GOOD, {**GOOD, "classes": np.array(["cat", "dog", "eel"])}):
        (order,) = [each for each in load(saved(**arrays)).interpretations if each.topic == "class order"]
        assert (order.value, order.basis) == ("the numbers in y_test", "assumed")
        assert order.option.startswith("--classes data")


def test_names_of_classes_as_bytes_and_none(saved: Save) -> None:
    names = np.array([b"cat", "süß".encode(), b"dog"])
    result = load(saved(**{**GOOD, "classes": names}))
    assert result.classes == ("cat", "süß", "dog")
    (messages,) = [each for each in result.interpretations if each.topic == "class names"]
    assert (messages.value, messages.basis) == ("'cat', 'süß', 'dog'", "recorded")
    (messages,) = [each for each in load(saved(**GOOD)).interpretations if each.topic == "class names"]
    assert (messages.value, messages.basis) == ("numbers only: '0', '1', '2'", "measured")
    for bad, message in ((np.array(["a", "a", "b"]), "different names"), (np.array([["a", "b", "c"]]), "a name each")):
        with pytest.raises(RefusedInputError, match=message):
            load(saved(**{**GOOD, "classes": bad}))


def test_a_label_beyond_all_classes_is_refused_before_they_are_named(tmp_path: Path) -> None:
    path = tmp_path / "gigantic.npz"
    np.savez(path, x_test=np.zeros((2, 4, 4), np.uint8), y_test=np.array([0, 10**12]))
    with pytest.raises(RefusedInputError, match="got 1000000000000"):
        load(f"npz:{path}")


@pytest.mark.parametrize(
    ("values", "query", "message"),
    [
        ([0, 300, 4095], "", "got uint16 up to 4095: say by .scale=VALUE"),
        ([0.0, float("nan"), 1.0], "", "got NaN or infinity"),
        ([0.0, float("inf"), 1.0], "", "got NaN or infinity"),
        ([-1.9, 0.1, 2.3], "", "before they are normalised, and say --normalise"),
        ([0.0, 100.0, 255.0], "", "got values from 0.0 to 255.0: say .scale=VALUE"),
        ([0, 300, 4095], "?scale=255", r"in \[0, 255\], got values from 0 to 4095"),
    ],
)
def test_every_kind_of_odd_values_has_its_way_out(saved: Save, values: list[float], query: str, message: str) -> None:
    images = np.array(values, np.uint16 if isinstance(values[1], int) else np.float32)
    stored = images.reshape(3, 1, 1).repeat(4, 1).repeat(4, 2)
    with pytest.raises(RefusedInputError, match=message):
        load(saved(x_test=stored, y_test=np.arange(3)) + query)


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "|O"}, {"dtype": "<f4"}, {"dtype": "no type"}, {"dtype": "(2,)<i4"}, {"shape": [5]}, {"shape": [-4]},
        {"shape": [2**62, 2**62]}, {"shape": ["4"]}, {"values": "text"}, {"values": None}, {"name": 1},
    ],
)  # fmt: skip
def test_arrays_of_a_reader_that_was_taken_over_are_refused(
    saved: Save, monkeypatch: pytest.MonkeyPatch, entry: dict[str, object]
) -> None:
    whole = {"name": "x_test", "dtype": "|u1", "shape": [4], "values": memoryview(bytes(4)), **entry}
    path = Path(saved(x_test=rgb(1), y_test=np.arange(1)).removeprefix("npz:"))
    if entry.get("dtype") == "<f4":
        whole["values"] = memoryview(bytes(3))
    monkeypatch.setattr(_arrays, "run_apart", lambda *_, **__: {"names": ["x_test"], "arrays": [whole]})
    with pytest.raises(RefusedInputError, match="plain numpy arrays"):
        _arrays.read_archive(path, {"x_test"})
