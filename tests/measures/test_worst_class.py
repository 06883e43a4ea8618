import numpy as np
import pytest
from sklearn.metrics import recall_score

from evalsuite.extend import Annotations, Stored
from evalsuite.measures.error import Error
from evalsuite.measures.worst_class import WorstClass
from evalsuite.statistics.compare import compare


def test_losses_are_those_of_error_and_groups_are_the_classes() -> None:
    labels = np.array([0, 0, 1, 2])
    child = Stored(columns={"prediction": np.array([0, 1, 1, -1])}, to_parent={})
    parent = Stored(columns={"prediction": np.array([0, 0, 0, 2])}, to_parent={})
    paired, plain = (
        WorstClass()(child, parent, Annotations(labels=labels), {}),
        Error()(child, parent, Annotations(labels=labels), {}),
    )
    np.testing.assert_array_equal(paired.child, plain.child)
    np.testing.assert_array_equal(paired.parent, plain.parent)
    assert paired.groups is not None
    np.testing.assert_array_equal(paired.groups, labels)


def test_the_worst_class_is_the_one_whose_recall_falls_most() -> None:
    drawn = np.random.default_rng(3)
    labels = drawn.integers(0, 5, 900)
    text = [np.where(drawn.random(900) < right, labels, drawn.integers(0, 5, 900)) for right in (0.7, 0.9)]
    child, parent = (Stored(columns={"prediction": each}, to_parent={}) for each in text)
    fallen = np.subtract(*(recall_score(labels, each, average=None) for each in reversed(text)))
    result = compare(WorstClass()(child, parent, Annotations(labels=labels), {}), margin=0.1, confidence=0.95)
    assert result.group == (0, int(fallen.argmax()))
    assert result.difference == pytest.approx(fallen.max(), abs=1e-12)


def test_groups_are_a_copy_of_the_labels() -> None:
    labels = np.array([0, 1])
    stored = Stored(columns={"prediction": np.array([0, 1])}, to_parent={})
    groups = WorstClass()(stored, stored, Annotations(labels=labels), {}).groups
    assert groups is not None
    groups[0] = 7
    np.testing.assert_array_equal(labels, [0, 1])


def test_a_certified_task_is_read_at_its_radius() -> None:
    stored = Stored(columns={"prediction": np.array([0, 1]), "radius": np.array([0.2, 0.6])}, to_parent={})
    paired = WorstClass()(stored, stored, Annotations(labels=np.array([0, 1])), {"radius": 0.5})
    np.testing.assert_array_equal(paired.child, [1, 0])


def test_it_does_not_bind_unless_told() -> None:
    assert not WorstClass.required
