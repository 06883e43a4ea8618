import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import brentq
from scipy.stats import bootstrap, norm

from evalsuite.statistics import betting

values = arrays(np.float64, st.integers(1, 60), elements=st.floats(0, 1))


def closed_form_for_constant(constant: float, n: int, confidence: float) -> float:
    """The upper bound for n equal values, term by term from the paper's formulas, without arrays."""
    alpha = 1 - confidence

    def capital(mean: float) -> float:
        total, best, squares, observed, variance = 1.0, 1.0, 0.0, 0.0, 0.25
        for t in range(1, n + 1):
            bet = min(math.sqrt(2 * math.log(1 / alpha) / (n * variance)), 0.75 / (1 - mean))
            total *= 1 - bet * (constant - mean)
            best = max(best, total)
            observed += constant
            squares += (constant - (0.5 + observed) / (t + 1)) ** 2
            variance = (0.25 + squares) / (t + 1)
        return best - 1 / alpha

    return 1.0 if capital(1 - 1e-12) < 0 else brentq(capital, 0.0, 1 - 1e-12)


@pytest.mark.parametrize("constant", [0.0, 0.2, 0.5, 0.9])
@pytest.mark.parametrize("n", [1, 20, 300])
def test_constant_values(constant: float, n: int) -> None:
    result = betting.upper(np.full(n, constant), confidence=0.95)
    assert result == pytest.approx(closed_form_for_constant(constant, n, 0.95), abs=1e-9)


def test_no_difference_at_all_is_worked_out_by_hand() -> None:
    # Differences of 0 in [-1, 1] are 1/2 in [0, 1]: every plug-in mean is 1/2, so after t values the variance is
    # 1 / (4 (t + 1)) and bet t + 1 is sqrt(8 (t + 1) log 20 / n), cut at 0.75 / (1 - m). For n = 1000 that is cut from
    # t = 93 on, so the capital is close to (1 + 1.5 (m - 1/2))^1000 = 20: m - 1/2 = 0.0020, a difference of 0.004.
    bound = betting.upper(np.zeros(1000), confidence=0.95, support=(-1, 1))
    assert bound == pytest.approx(0.0040, rel=0.05)


@settings(max_examples=40)
@given(values)
def test_the_bound_is_where_a_grid_of_candidate_means_says(x: np.ndarray) -> None:
    n, goal = len(x), math.log(20)
    recorded = np.arange(2, n + 2)
    variance = (0.25 + ((x - (0.5 + x.cumsum()) / recorded) ** 2).cumsum()) / recorded
    bets = np.sqrt(2 * goal / (n * np.concatenate([[0.25], variance[:-1]])))
    grid = np.linspace(0, 1, 2001)[:-1]
    stakes = np.minimum(bets[None], 0.75 / (1 - grid[:, None]))
    capital = np.cumprod(1 - stakes * (x[None] - grid[:, None]), axis=1).max(axis=1)
    kept = grid[capital < 20]
    bound = betting.upper(x, confidence=0.95)
    assert kept.max() <= bound + 1e-9
    assert bound <= kept.max() + 1 / 2000 + 1e-9


@settings(max_examples=40)
@given(values)
def test_lower_mirrors_upper_and_both_are_in_range(x: np.ndarray) -> None:
    low, high = betting.lower(x, confidence=0.9), betting.upper(x, confidence=0.9)
    assert 0 <= low <= high <= 1
    assert low == pytest.approx(1 - betting.upper(1 - x, confidence=0.9), abs=1e-9)


@settings(max_examples=40)
@given(values, st.floats(-3, 3), st.floats(0.1, 5))
def test_the_support_only_rescales(x: np.ndarray, start: float, width: float) -> None:
    moved = np.clip(start + width * x, start, start + width)
    bound = betting.upper(moved, confidence=0.95, support=(start, start + width))
    assert bound == pytest.approx(start + width * betting.upper(x, confidence=0.95), abs=1e-6)


@settings(max_examples=30)
@given(values)
def test_more_confidence_is_wider(x: np.ndarray) -> None:
    narrow, wide = betting.interval(x, confidence=0.8), betting.interval(x, confidence=0.99)
    assert wide.low <= narrow.low
    assert narrow.high <= wide.high


@pytest.mark.parametrize(
    ("name", "mean"), [("beta", 1 / 3), ("bernoulli", 0.1), ("uniform", 0.5), ("rare", 0.01), ("sparse", 0.02)]
)
def test_coverage(name: str, mean: float) -> None:
    draw = np.random.default_rng(7)
    rows = {
        "beta": lambda: draw.beta(1, 2, 150),
        "bernoulli": lambda: (draw.random(150) < 0.1).astype(float),
        "uniform": lambda: draw.random(150),
        "rare": lambda: (draw.random(150) < 0.01).astype(float),
        "sparse": lambda: np.where(draw.random(150) < 0.04, draw.random(150), 0.0),
    }[name]
    trials = [rows() for _ in range(400)]
    missed_above = np.mean([betting.upper(x, confidence=0.95) < mean for x in trials])
    missed_below = np.mean([betting.lower(x, confidence=0.95) > mean for x in trials])
    # at most 5 % is guaranteed; 400 trials at exactly 5 % would show more than 7.7 % once in a hundred
    assert missed_above <= 0.077
    assert missed_below <= 0.077


def test_it_is_not_needlessly_wide() -> None:
    # beside the normal approximation and the bootstrap, which guarantee nothing: wider, by less than 1.8 times
    x = np.random.default_rng(1).beta(2, 6, 2000)
    normal = norm.ppf(0.95) * x.std() / math.sqrt(len(x))
    half = (betting.upper(x, confidence=0.95) - betting.lower(x, confidence=0.95)) / 2
    assert normal < half < 1.8 * normal
    resampled = bootstrap((x,), np.mean, confidence_level=0.9, n_resamples=500, rng=np.random.default_rng(2))
    assert betting.lower(x, confidence=0.95) < resampled.confidence_interval.low
    assert resampled.confidence_interval.high < betting.upper(x, confidence=0.95)


def test_inputs_are_left_alone() -> None:
    x = np.random.default_rng(0).random(20)
    before = x.copy()
    betting.interval(x, confidence=0.95)
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("x", [[], [0.5, 1.1], [-0.1], [math.nan], [[0.5]]])
def test_values_outside_the_support_are_refused(x: list[float]) -> None:
    with pytest.raises(ValueError, match="expected one or more values in"):
        betting.upper(np.array(x), confidence=0.95)


def test_impossible_confidence_is_refused() -> None:
    with pytest.raises(ValueError, match="confidence"):
        betting.upper(np.zeros(3), confidence=0.5)
