import numpy as np
import pytest

from evalsuite.extend import Annotations, Stored
from evalsuite.measures.softmax_distance import SoftmaxDistance


def annotations(n: int) -> Annotations:
    return Annotations(labels=np.zeros(n, dtype=np.int64))


def stored(distance: object) -> Stored:
    return Stored(columns={}, to_parent={"softmax_distance": np.array(distance, dtype=np.float32)})


def test_opposite_one_hot_outputs_are_at_distance_one() -> None:
    # ||(1, 0) - (0, 1)||_2 = sqrt 2, and (1, 0) against (0.5, 0.5) is sqrt(0.25 + 0.25) = sqrt 2 / 2
    paired = SoftmaxDistance()(stored([np.sqrt(2), np.sqrt(2) / 2, 0.0]), stored([]), annotations(3), {})
    np.testing.assert_allclose(paired.child, [1.0, 0.5, 0.0], atol=1e-7)
    assert paired.child.max() <= 1
    np.testing.assert_array_equal(paired.parent, np.zeros(3))


def test_rounding_to_32_bits_never_leaves_the_unit_interval() -> None:
    above = np.nextafter(np.float32(np.sqrt(2)), np.float32(2))
    assert float(above) / np.sqrt(2) > 1
    assert SoftmaxDistance()(stored([above]), stored([]), annotations(1), {}).child[0] == 1


def test_several_draws_give_their_mean() -> None:
    paired = SoftmaxDistance()(stored([[0.0, np.sqrt(2)], [0.0, 0.0]]), stored([]), annotations(2), {})
    assert paired.child == pytest.approx([0.5, 0.0], abs=1e-7)
