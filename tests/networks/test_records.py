import pytest
import torch

from evalsuite.networks.checkpoints._records import class_names, records

WEIGHTS = {"fc.weight": torch.ones(3, 4), "fc.bias": torch.ones(3)}


@pytest.mark.parametrize(
    "value",
    [
        ["cat", "dog", "eel"],
        ("cat", "dog", "eel"),
        {"dog": 1, "cat": 0, "eel": 2},
        {0: "cat", 2: "eel", 1: "dog"},
        {"0": "cat", "1": "dog", "2": "eel"},
    ],
)
def test_names_of_classes_in_the_order_of_their_numbers(value: object) -> None:
    assert class_names(value) == ("cat", "dog", "eel")


@pytest.mark.parametrize(
    "value", [10, "cat", ["cat"], ["cat", "cat"], ["cat", 1], {"cat": 0, "dog": 2}, {"cat": 0, "dog": 0}, {}, None]
)
def test_other_values_are_no_names(value: object) -> None:
    assert class_names(value) is None


def test_they_are_found_beside_the_weights_and_in_what_is_kept_with_them() -> None:
    result = records({"state_dict": WEIGHTS, "classes": ["a", "b", "c"], "meta": {"class_to_idx": {"b": 0, "a": 1}}})
    assert result.classes == {"classes": ("a", "b", "c"), "meta.class_to_idx": ("b", "a")}


@pytest.mark.parametrize(
    ("beside", "expected"),
    [
        ({"mean": [0.3], "std": [0.4]}, {"mean": ((0.3,), (0.4,))}),
        ({"mean": torch.tensor([0.25, 0.5]), "std": (1, 0.5)}, {"mean": ((0.25, 0.5), (1.0, 0.5))}),
        ({"config": {"mean": [0.3], "std": [0.4]}}, {"config.mean": ((0.3,), (0.4,))}),
        ({"normalize": {"mean": 0.3, "std": 0.4}}, {"normalize.mean": ((0.3,), (0.4,))}),
        ({"pixel_mean": 0.3, "pixel_std": 0.4}, {"pixel_mean": ((0.3,), (0.4,))}),
        # of results, of answers, of nobody knows what
        ({"metrics": {"mean": [0.3], "std": [0.4]}}, {}),
        ({"target": {"mean": [0.3], "std": [0.4]}}, {}),
        ({"mean": 0.3, "std": 0.4}, {}),
        ({"mean": [0.3], "std": [0.4, 0.5]}, {}),
        ({"mean": [0.3]}, {}),
    ],
)
def test_a_normalisation_of_the_images(beside: dict[str, object], expected: dict[str, object]) -> None:
    assert records({"state_dict": WEIGHTS, **beside}).statistics == expected


def test_what_stands_among_weights_is_sorted_out_with_them() -> None:
    assert records({**WEIGHTS, "mean": torch.tensor([0.3]), "std": torch.tensor([0.4])}).statistics == {}
