"""Extreme points of a set in every direction, by Löwner's ellipsoid and Carathéodory's theorem.

For points P (n, d) a subset S with max over P of |p.x| <= C max over S of |q.x| for every x, a coreset for the largest
product. With M = sum of u_i p_i p_i^T, u_i >= 0 of sum 1, the ellipsoid {x: x^T M^-1 x <= 1} lies in the hull of P and
-P, whatever u: in direction y it reaches sqrt(sum of u_i (p_i.y)^2) <= max |p_i.y|. The u of the smallest ellipsoid
around them makes it large: enlarged by sqrt(k), k = max p_i^T M^-1 p_i, it contains P, and k comes down to the rank r.
Its half axes v_1, ..., v_r lie in the hull, so each is a combination of few points, together S. For p in P, then,

    |p.x| <= sqrt(k) sqrt(x^T M x) <= sqrt(k r) max |v_i.x| <= sqrt(k r) max over S of |q.x|.
"""

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

_SLACK = 1.01
_ROUNDS = 2000


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class Enclosure:
    """The smallest ellipsoid around points and their negatives, to 1 % of its squared size.

    Attributes:
        coordinates: (n, r), the points in coordinates of the space they span.
        axes: (r, r), one half axis a row, in these coordinates, of the ellipsoid shrunken into the hull.
        factor: How much it has to be enlarged to contain the points.
    """

    coordinates: NDArray[np.float64]
    axes: NDArray[np.float64]
    factor: float


def enclosure(points: NDArray[np.float64]) -> Enclosure:
    """The ellipsoid of `points` (n, d), not all zero.

    By the multiplicative rule u_i <- u_i (p_i^T M^-1 p_i) / r (Silvey, Titterington and Torsney 1978).
    """
    left, sizes, _ = np.linalg.svd(points, full_matrices=False)
    # ellipsoid and hull go with every linear map: in these coordinates M starts as the identity / n
    coordinates = left[:, sizes > 1e-10 * sizes[0]]
    count, rank = coordinates.shape
    shares = np.full(count, 1 / count)
    for _ in range(_ROUNDS):
        moment = coordinates.T @ (shares[:, None] * coordinates)
        reach = np.einsum("ij,ji->i", coordinates, np.linalg.solve(moment, coordinates.T))
        if reach.max() <= _SLACK * rank:
            break
        shares = shares * reach / (shares @ reach)
    moment = coordinates.T @ (shares[:, None] * coordinates)
    reach = np.einsum("ij,ji->i", coordinates, np.linalg.solve(moment, coordinates.T))
    values, vectors = np.linalg.eigh(moment)
    axes = (vectors * np.sqrt(values)).T
    return Enclosure(coordinates=coordinates, axes=axes, factor=float(np.sqrt(reach.max())))


def combination(points: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Coefficients (n,) with coefficients @ points = target whose absolute values have the smallest sum.

    At most as many are not zero as the points have dimensions: the solution is a vertex. Their sum is at most 1 if and
    only if `target` lies in the hull of the points and their negatives.

    Args:
        points: (n, r), of rank r.
        target: (r,).

    Raises:
        ValueError: `target` is no combination of the points.
    """
    count = len(points)
    columns = np.concatenate([points, -points]).T
    solution = linprog(np.ones(2 * count), A_eq=columns, b_eq=target, bounds=(0, None), method="highs-ds")
    if solution.x is None:
        raise ValueError(f"expected a target in the span of the points, got {solution.message}")
    return np.asarray(solution.x[:count] - solution.x[count:], dtype=np.float64)


def bounding(points: NDArray[np.float64]) -> NDArray[np.int64]:
    """Indices, at most r^2, of points with max |p.x| over all <= about r times the max over them, for every x.

    Args:
        points: (n, d), not all zero, of rank r.
    """
    around = enclosure(points)
    chosen: set[int] = set()
    for axis in around.axes:
        chosen |= set(np.flatnonzero(combination(around.coordinates, axis)).tolist())
    return np.array(sorted(chosen), dtype=np.int64)


def sensitivities(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """For each point a bound, up to a common factor, on its share of the sum of |p.x| over all points, for any x.

    Bounding subsets are peeled off one after the other: a point of round i is dominated, up to a factor r, by each of
    the i disjoint subsets so far, hence its share is at most r / i. The peeling ends with fewer than 2 r^2 points left.

    Args:
        points: (n, d) of rank r; a point that is zero has sensitivity 0.
    """
    bounds = np.zeros(len(points))
    left = np.flatnonzero((points != 0).any(1))
    rank = np.linalg.matrix_rank(points) if len(left) else 0
    number = 1
    while len(left) >= max(2 * rank**2, 1):
        some = bounding(points[left])
        bounds[left[some]] = rank / number
        left = np.delete(left, some)
        number += 1
    bounds[left] = rank / number
    return bounds
