import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import linprog

from pruners._ellipsoid import bounding, combination, enclosure, sensitivities


def cloud(count: int, rank: int, seed: int = 0) -> NDArray[np.float64]:
    draws = np.random.default_rng(seed)
    # of different sizes in different directions, and heavy tails
    return draws.standard_t(3, (count, rank)) * np.arange(1, rank + 1)


@pytest.mark.parametrize("rank", [1, 2, 5])
def test_half_axes_lie_in_the_hull(rank: int) -> None:
    around = enclosure(cloud(60, rank))
    both = np.concatenate([around.coordinates, -around.coordinates])
    for axis in around.axes:
        # a program of its own: some convex combination of the points and their negatives is the axis
        feasible = linprog(
            np.zeros(len(both)),
            A_eq=np.vstack([both.T, np.ones(len(both))]),
            b_eq=np.append(axis, 1.0),
            bounds=(0, None),
        )
        assert feasible.status == 0


@pytest.mark.parametrize("rank", [2, 5])
def test_the_ellipsoid_contains_the_points_and_is_nearly_the_smallest(rank: int) -> None:
    around = enclosure(cloud(60, rank))
    inside = around.coordinates @ np.linalg.inv(around.axes)
    norms = np.linalg.norm(inside, axis=1)
    assert norms.max() == pytest.approx(around.factor)
    # John: the smallest enlargement is sqrt(r); here to 1 % of its square
    assert rank - 1e-9 <= around.factor**2 <= 1.01 * rank


def test_enlarged_axes_are_not_in_the_hull() -> None:
    around = enclosure(cloud(60, 5))
    for axis in around.axes:
        assert np.abs(combination(around.coordinates, axis)).sum() <= 1 + 1e-6
    outside = [np.abs(combination(around.coordinates, around.factor * axis)).sum() > 1 for axis in around.axes]
    assert any(outside)


def test_combination_by_hand() -> None:
    # (1, 1) = 1/2 (2, 0) + 1/2 (0, 2); (1, -1) needs the negative of the second
    points = np.array([[2.0, 0.0], [0.0, 2.0], [0.1, 0.1]])
    assert combination(points, np.array([1.0, 1.0])) == pytest.approx([0.5, 0.5, 0])
    assert combination(points, np.array([1.0, -1.0])) == pytest.approx([0.5, -0.5, 0])


@pytest.mark.parametrize("rank", [1, 3, 5, 8])
def test_a_few_points_bound_all_in_ten_thousand_directions(rank: int) -> None:
    points = cloud(200, rank, seed=rank)
    some = bounding(points)
    assert len(some) <= rank**2
    queries = np.random.default_rng(9).normal(size=(10_000, rank)) / np.arange(1, rank + 1)
    products = np.abs(points @ queries.T)
    ratio = products.max(0) / products[some].max(0)
    assert ratio.max() <= (1.01**0.5) * rank
    assert ratio.min() >= 1


def test_points_that_span_less_than_their_dimensions() -> None:
    flat = cloud(50, 2) @ np.random.default_rng(1).normal(size=(2, 7))
    around = enclosure(flat)
    assert around.coordinates.shape == (50, 2)
    assert len(bounding(flat)) <= 4


def test_sensitivities_on_a_line() -> None:
    # rank 1: each round peels off the longest point; two are left when fewer than 2 * 1 are: the last one, in round 4
    points = np.array([[3.0], [-5.0], [0.0], [1.0], [2.0]])
    assert sensitivities(points) == pytest.approx([1 / 2, 1, 0, 1 / 4, 1 / 3])


def test_sensitivities_bound_every_share() -> None:
    points = cloud(128, 3)
    result = sensitivities(points)
    products = np.abs(points @ np.random.default_rng(2).normal(size=(3, 5000)))
    shares = (products / products.sum(0)).max(1)
    assert (shares <= 1.01**0.5 * result).all()
    # and tell points apart: the largest is of round 1, the smallest of a late one
    assert result.max() == 3
    assert result.min() < 0.5


def test_nothing_but_zeros() -> None:
    assert sensitivities(np.zeros((4, 2))).tolist() == [0, 0, 0, 0]
