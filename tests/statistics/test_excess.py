import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalsuite.statistics.excess import Regression, excess_error, regress, standard_error


def test_excess_error_by_hand() -> None:
    # parent: 0.30 - 0.10 = 0.20; first network: 0.50 - 0.15 = 0.35; second: 0.25 - 0.10 = 0.15
    result = excess_error(
        shifted=np.array([[0.4, 0.6], [0.2, 0.3]]),
        nominal=np.array([[0.15], [0.1]]),
        parent_shifted=np.array([0.2, 0.4]),
        parent_nominal=np.array([0.1]),
    )
    assert result == pytest.approx([0.15, -0.05])


def test_the_parent_has_none() -> None:
    shifted, nominal = np.array([0.2, 0.5, 0.3]), np.array([0.1, 0.2])
    outcome = excess_error(shifted=shifted[None], nominal=nominal[None], parent_shifted=shifted, parent_nominal=nominal)
    assert outcome == pytest.approx([0.0])


def test_slope_is_least_squares_through_the_origin() -> None:
    draw = np.random.default_rng(0)
    ratios, excess = draw.random(30), draw.normal(size=30)
    actual = regress(ratios, excess, np.repeat([0, 1, 2], 10), generator=draw, resamples=50)
    (expected,), *_ = np.linalg.lstsq(ratios[:, None], excess, rcond=None)
    assert actual.slope == pytest.approx(expected, rel=1e-9)


def test_seeds_are_resampled_whole() -> None:
    # two seeds on exact lines of slope 0.1 and 0.3, at the same ratios: a resample is (0, 0), (0, 1), (1, 0) or
    # (1, 1), its slope 0.1, 0.2 or 0.3, and the 95 % band reaches from 0.1 to 0.3. Points one by one would average.
    ratios = np.tile(np.linspace(0.1, 0.9, 9), 2)
    seeds = np.repeat([3, 8], 9)
    excess = ratios * np.where(seeds == 3, 0.1, 0.3)
    computed = regress(ratios, excess, seeds, generator=np.random.default_rng(0), resamples=2000)
    assert computed == Regression(slope=pytest.approx(0.2), slope_low=pytest.approx(0.1), slope_high=pytest.approx(0.3))


@settings(max_examples=20)
@given(st.floats(-2, 2))
def test_an_exact_line_has_a_band_of_no_width(slope: float) -> None:
    ratios = np.tile([0.2, 0.5, 0.9], 3)
    result = regress(ratios, slope * ratios, np.repeat([0, 1, 2], 3), generator=np.random.default_rng(1), resamples=100)
    assert (result.slope, result.slope_low, result.slope_high) == pytest.approx((slope,) * 3, abs=1e-12)


def test_the_band_covers_the_true_slope_of_dependent_points() -> None:
    # each seed has its own slope; a bootstrap of single points would take the 20 points of a seed for 20 facts
    draw, missed, widths = np.random.default_rng(4), 0, []
    for _ in range(100):
        slopes = draw.normal(0.1, 0.05, 20)
        ratios = np.tile(np.linspace(0.05, 0.95, 20), 20)
        seeds = np.repeat(np.arange(20), 20)
        result = regress(ratios, ratios * slopes[seeds], seeds, generator=draw, resamples=300)
        assert result.slope_low is not None
        assert result.slope_high is not None
        missed += not result.slope_low <= 0.1 <= result.slope_high
        widths.append(result.slope_high - result.slope_low)
    assert missed <= 15
    # the standard error of the mean of 20 slopes, 0.05 / sqrt(20), to both sides
    assert np.mean(widths) == pytest.approx(2 * 1.96 * 0.05 / np.sqrt(20), rel=0.1)


def test_one_seed_has_a_slope_and_no_band() -> None:
    result = regress(np.array([0.5]), np.array([0.1]), np.array([0]), generator=np.random.default_rng(0))
    assert result == Regression(slope=0.2, slope_low=None, slope_high=None)


def test_the_same_generator_gives_the_same_band() -> None:
    draw = np.random.default_rng(0)
    ratios, excess, seeds = draw.random(12), draw.random(12), np.repeat([0, 1, 2, 3], 3)
    one = regress(ratios, excess, seeds, generator=np.random.default_rng(5), resamples=200)
    assert one == regress(ratios, excess, seeds, generator=np.random.default_rng(5), resamples=200)


def test_bad_clouds_are_refused() -> None:
    draw = np.random.default_rng(0)
    with pytest.raises(ValueError, match="one shape"):
        regress(np.ones(3), np.ones(2), np.zeros(3, dtype=np.int64), generator=draw)
    with pytest.raises(ValueError, match="a ratio above 0"):
        regress(np.zeros(3), np.ones(3), np.zeros(3, dtype=np.int64), generator=draw)


def test_standard_error_of_a_sum_of_means() -> None:
    # variances with n - 1: 4/3 of (0, 0, 2, 2) and 2 of (1, 3); sqrt(4/3 / 4 + 2 / 2)
    assert standard_error([np.array([0.0, 0.0, 2.0, 2.0]), np.array([1.0, 3.0])]) == pytest.approx(np.sqrt(4 / 3))
    for bad in ([], [np.array([1.0])]):
        with pytest.raises(ValueError, match="two or more"):
            standard_error(bad)
