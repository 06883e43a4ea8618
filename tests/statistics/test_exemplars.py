import numpy as np
import pytest
from scipy import stats

from evalsuite.statistics import proportion
from evalsuite.statistics.exemplars import exemplars


def test_by_hand() -> None:
    # three pruned networks, six examples: all agree with the parent; all against it; two of three against it; no two
    # agree; two of three agree with it; two of three abstain
    parent = np.array([0, 0, 1, 1, 2, 2])
    children = np.array([[0, 1, 2, 0, 2, -1], [0, 1, 2, 1, 2, -1], [0, 1, 1, 2, 0, 2]])
    labels = np.array([0, 0, 2, 1, 0, 2])
    result = exemplars(children, parent, labels, confidence=0.95)
    assert result.positions.tolist() == [1, 2, 5]
    assert (result.n, result.networks, result.share) == (6, 3, 0.5)
    interval = proportion.clopper_pearson(3, 6, confidence=0.95)
    assert (result.low, result.high) == (interval.low, interval.high)
    # of the three the parent is right on the first and third, the pruned networks on the second
    assert result.parent_error == pytest.approx(1 / 3)
    assert result.child_error == pytest.approx(2 / 3)
    # elsewhere the parent errs on the fifth of the first, fourth and fifth
    assert result.parent_error_elsewhere == pytest.approx(1 / 3)


def test_the_mode_is_scipys() -> None:
    draw = np.random.default_rng(0)
    children, parent, labels = draw.integers(4, size=(9, 300)), draw.integers(4, size=300), draw.integers(4, size=300)
    mode, count = stats.mode(children, axis=0)
    outcome = exemplars(children, parent, labels, confidence=0.95)
    assert outcome.positions.tolist() == np.flatnonzero((mode != parent) & (count > 4.5)).tolist()


def test_an_even_split_is_no_agreement() -> None:
    actual = exemplars(np.array([[1], [0]]), np.array([0]), np.array([0]), confidence=0.95)
    assert actual.positions.tolist() == []
    assert actual.parent_error is None
    assert actual.child_error is None
    assert actual.low == 0.0


def test_one_network_and_nothing_but_exemplars() -> None:
    computed = exemplars(np.array([[1, 1]]), np.array([0, 0]), np.array([0, 1]), confidence=0.9)
    assert computed.share == 1.0
    assert computed.parent_error_elsewhere is None


@pytest.mark.parametrize(
    ("children", "parent", "labels"),
    [((0, 3), (3,), (3,)), ((2, 0), (0,), (0,)), ((3,), (3,), (3,)), ((2, 3), (2,), (2,)), ((2, 3), (3,), (4,))],
)
def test_shapes_that_make_no_sense_are_refused(
    children: tuple[int, ...], parent: tuple[int, ...], labels: tuple[int, ...]
) -> None:
    shapes = (np.zeros(shape, dtype=np.int64) for shape in (children, parent, labels))
    with pytest.raises(ValueError, match="expected predictions"):
        exemplars(*shapes, confidence=0.95)
