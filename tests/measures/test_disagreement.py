import numpy as np

from evalsuite.extend import Annotations, Stored
from evalsuite.measures.disagreement import Disagreement


def test_share_of_draws_that_differ_whatever_the_label() -> None:
    child = Stored(columns={"prediction": np.array([[1, 1], [2, 0], [-1, -1], [3, 2]])}, to_parent={})
    parent = Stored(columns={"prediction": np.array([[1, 1], [2, 2], [-1, -1], [2, 3]])}, to_parent={})
    paired = Disagreement()(child, parent, Annotations(labels=np.array([0, 2, 1, 3])), {})
    np.testing.assert_array_equal(paired.child, [0, 0.5, 0, 1])
    np.testing.assert_array_equal(paired.parent, np.zeros(4))
    assert paired.groups is None


def test_one_prediction_an_example() -> None:
    child = Stored(columns={"prediction": np.array([0, -1, 2])}, to_parent={})
    parent = Stored(columns={"prediction": np.array([0, 1, 2])}, to_parent={})
    np.testing.assert_array_equal(
        Disagreement()(child, parent, Annotations(labels=np.array([1, 1, 1])), {}).child, [0, 1, 0]
    )


def test_the_parent_agrees_with_itself() -> None:
    parent = Stored(columns={"prediction": np.arange(5)}, to_parent={})
    paired = Disagreement()(parent, parent, Annotations(labels=np.zeros(5, dtype=np.int64)), {})
    np.testing.assert_array_equal(paired.child, paired.parent)
