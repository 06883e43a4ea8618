"""Names of classes decide which output stands for which class."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from evalsuite.data import Dataset, Examples
from evalsuite.errors import RefusedInputError, UsageError
from evalsuite.inputs.class_order import TOPIC, in_network_order, names_given


def dataset(*classes: str) -> Dataset:
    images, labels = torch.rand(6, 1, 2, 2), torch.arange(6) % len(classes)
    examples = Examples.from_labels(images, labels)
    return Dataset(name="d", classes=classes, shape=(1, 2, 2), train=examples, test=examples, mean=(0.0,), std=(1.0,))


def named(data: Dataset) -> list[str]:
    return [data.classes[label] for label in data.test.labels.tolist()]


def basis(data: Dataset) -> str:
    (reading,) = [each for each in data.interpretations if each.topic == TOPIC]
    return reading.basis


def test_the_same_names_in_another_order_are_renumbered() -> None:
    data = dataset("cat", "dog", "eel")
    result = in_network_order(data, ("eel", "cat", "dog"), None)
    assert result.classes == ("eel", "cat", "dog")
    assert named(result) == named(data)  # every example keeps its class, under the number that the network gives it
    assert result.test.labels.tolist() == [1, 2, 0, 1, 2, 0]
    assert result.train is not None
    assert result.train.labels.tolist() == [1, 2, 0, 1, 2, 0]
    assert basis(result) == "measured"


def test_spelling_does_not_matter_but_meaning_does() -> None:
    data = dataset("t_shirt/top", "Ankle Boot")
    assert in_network_order(data, ("Ankle boot", "T-shirt/top"), None).test.labels.tolist()[:2] == [1, 0]
    with pytest.raises(UsageError, match="'Sandal'"):
        in_network_order(dataset("Sandal", "Ankle boot"), ("Ankle boot", "T-shirt/top"), None)


def test_data_may_have_fewer_classes_than_the_network() -> None:
    outcome = in_network_order(dataset("dog", "cat"), ("ant", "cat", "dog"), None)
    assert outcome.classes == ("ant", "cat", "dog")
    assert outcome.test.labels.tolist()[:2] == [2, 1]
    (reading,) = [each for each in outcome.interpretations if each.topic == TOPIC]
    assert "no examples of 'ant'" in reading.value


def test_numbers_say_nothing_so_the_order_is_assumed() -> None:
    assert basis(in_network_order(dataset("zero", "one"), ("0", "1"), None)) == "assumed"
    assert basis(in_network_order(dataset("0", "1"), ("0", "1"), None)) == "recorded"


BY_TEXT = ("0", "1", "10", "11", "2", "3")
BY_NUMBER = ("0", "1", "2", "3", "10", "11")


def test_names_that_are_numbers_are_matched_where_they_are_the_same() -> None:
    # as a network of torchvision's ImageFolder, judged on the same folders in the order of their numbers
    data = dataset(*BY_NUMBER)
    actual = in_network_order(data, BY_TEXT, None)
    assert actual.test.labels.tolist() == [0, 1, 4, 5, 2, 3]
    assert named(actual) == named(data)
    assert basis(actual) == "measured"


def test_counted_classes_are_not_matched() -> None:
    counted = replace(dataset("0", "1", "2"), counted=True)
    computed = in_network_order(counted, ("0", "2", "1"), None)
    assert computed.test.labels.tolist() == counted.test.labels.tolist()
    assert basis(computed) == "assumed"
    # the network may have been trained on data without names
    computed = in_network_order(dataset("0", "2", "1"), ("0", "1", "2"), None)
    assert computed.test.labels.tolist()[:3] == [0, 2, 1]
    assert basis(computed) == "assumed"


def test_the_user_can_say_what_the_outputs_stand_for(tmp_path: Path) -> None:
    data = dataset("cat", "dog")
    assert basis(in_network_order(data, None, "data")) == "given"
    assert in_network_order(data, None, "dog,cat").test.labels.tolist()[:2] == [1, 0]
    for number, text in enumerate(
        (
            "dog\ncat\n",
            json.dumps(["dog", "cat"]),
            json.dumps({"dog": 0, "cat": 1}),
            json.dumps({"0": "dog", "1": "cat"}),
        )
    ):
        path = tmp_path / f"{number}.txt"
        for encoding in ("utf-8", "utf-8-sig"):
            path.write_text(text, encoding=encoding)
            assert names_given(str(path)) == ("dog", "cat")


@pytest.mark.parametrize("text", ["cat", "cat,cat", "cat,,dog"])
def test_names_that_are_no_list_of_classes_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--classes"):
        names_given(text)


@pytest.mark.parametrize("text", ['{"0": "a", "2": "b"}', '{"a": 0, "b": 2}', '["a"', '{"a": "b", "c": "d"}'])
def test_files_that_are_no_list_of_classes_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "classes.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RefusedInputError, match=r"classes\.json"):
        names_given(str(path))


def test_without_names_what_the_source_says_stands() -> None:
    data = dataset("cat", "dog")
    assert in_network_order(data, None, None) is data
