import numpy as np

from evalsuite.extend import Annotations, Stored
from evalsuite.measures.error import Error

LABELS = np.array([0, 1, 2, 3])


def stored(prediction: object, **columns: object) -> Stored:
    everything = {"prediction": np.array(prediction)} | {name: np.array(column) for name, column in columns.items()}
    return Stored(columns=everything, to_parent={})


def test_a_wrong_prediction_loses_one_and_an_abstention_is_wrong() -> None:
    paired = Error()(stored([0, 1, 0, -1]), stored([0, 0, 2, 3]), Annotations(labels=LABELS), {})
    np.testing.assert_array_equal(paired.child, [0, 0, 1, 1])
    np.testing.assert_array_equal(paired.parent, [0, 1, 0, 0])
    assert paired.groups is None
    assert paired.child.dtype == np.float64


def test_several_draws_give_their_mean() -> None:
    draws = [[0, 0, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0], [3, 3, 3, -1]]
    paired = Error()(stored(draws), stored(draws), Annotations(labels=LABELS), {})
    np.testing.assert_array_equal(paired.child, [0, 0.5, 1, 0.25])


def test_certified_counts_only_right_predictions_with_the_asked_radius() -> None:
    child = stored([0, 1, 0, 3], radius=[0.5, 0.49, 0.9, 0.7])
    paired = Error()(child, child, Annotations(labels=LABELS), {"radius": 0.5})
    np.testing.assert_array_equal(paired.child, [0, 1, 1, 0])


def test_a_radius_counts_only_where_it_is_stored_and_asked_for() -> None:
    child = stored([0, 1, 2, 3], radius=[0.0, 0.0, 0.0, 0.0])
    np.testing.assert_array_equal(Error()(child, child, Annotations(labels=LABELS), {}).child, np.zeros(4))
    plain = stored([0, 1, 2, 3])
    np.testing.assert_array_equal(Error()(plain, plain, Annotations(labels=LABELS), {"radius": 0.5}).child, np.zeros(4))


def test_one_example_and_none() -> None:
    one = stored([1])
    np.testing.assert_array_equal(Error()(one, one, Annotations(labels=np.array([1])), {}).child, [0.0])
    none = stored(np.zeros(0, dtype=np.int64))
    assert Error()(none, none, Annotations(labels=np.zeros(0, dtype=np.int64)), {}).child.shape == (0,)


def test_inputs_are_left_alone() -> None:
    child = stored([0, 1, 0, -1], radius=[1.0, 1.0, 1.0, 1.0])
    before = {name: column.copy() for name, column in child.columns.items()}
    labels = LABELS.copy()
    Error()(child, child, Annotations(labels=labels), {"radius": 0.5})
    np.testing.assert_array_equal(labels, LABELS)
    for name, column in before.items():
        np.testing.assert_array_equal(child.columns[name], column)


def test_it_binds_required_tasks() -> None:
    assert Error.required
