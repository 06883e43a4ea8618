import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import gammaln
from scipy.stats import binom, norm

from evalsuite.statistics import proportion, tango

pytestmark = pytest.mark.slow

# Tables (both, first only, second only, neither) with published limits, to the digits that were published.
PUBLISHED = [
    # Tango 1998, (4, 9, 3, 16) and (43, 0, 1, 0), as reproduced in the tests of the R package ratesci
    ((9, 3, 32), 0.95, (-0.027, 0.390), 3),
    ((0, 1, 44), 0.90, (-0.096, 0.037), 3),
    # Agresti and Min 2005: (53, 16, 8, 9)
    ((16, 8, 86), 0.95, (-0.020, 0.207), 3),
    # Fagerland, Lydersen and Laake 2014, table V, airway hyper-responsiveness: (1, 1, 7, 12)
    ((1, 7, 21), 0.95, (-0.517, -0.026), 3),
    # Tang, Li and Tang 2010: (8, 3, 1, 2)
    ((3, 1, 14), 0.95, (-0.1670, 0.4327), 4),
    # R package PropCIs 0.3, scoreci.mp(25, 28, 618), whose difference is (second - first) / n
    ((28, 25, 618), 0.90, (-0.0148, 0.0247), 4),
]


@st.composite
def tables(draw: st.DrawFn, most: int = 400) -> tuple[int, int, int]:
    n = draw(st.integers(1, most))
    n10 = draw(st.integers(0, n))
    return n10, draw(st.integers(0, n - n10)), n


confidences = st.sampled_from([0.8, 0.9, 0.95, 0.99])


@pytest.mark.parametrize(("table", "confidence", "limits", "digits"), PUBLISHED)
def test_published_examples(
    table: tuple[int, int, int], confidence: float, limits: tuple[float, float], digits: int
) -> None:
    result = tango.interval(*table, confidence=confidence)
    assert (round(result.low, digits), round(result.high, digits)) == limits


def statistic_by_search(n10: int, n01: int, n: int, difference: float) -> float:
    """The score statistic from its definition: the restricted likelihood is maximised on a fine grid of q01."""
    low, high = max(0.0, -difference), (1 - difference) / 2
    for _ in range(12):  # each round narrows the grid a hundredfold
        q01 = np.linspace(low, high, 401)
        cells = np.stack([q01 + difference, q01, 1 - 2 * q01 - difference])
        counts = np.array([n10, n01, n - n10 - n01])[:, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            likelihood = np.where(counts > 0, counts * np.log(np.maximum(cells, 0)), 0.0).sum(0)
        best = int(np.argmax(likelihood))
        low, high = q01[max(best - 2, 0)], q01[min(best + 2, 400)]
    q = float(q01[best])
    return (n10 - n01 - n * difference) / math.sqrt(n * (2 * q + difference - difference**2))


@pytest.mark.parametrize("table", [(9, 3, 32), (1, 7, 21), (5, 0, 60), (0, 5, 60), (2, 2, 9), (40, 12, 900)])
def test_bounds_are_where_the_score_from_the_definition_crosses(table: tuple[int, int, int]) -> None:
    z = norm.ppf(0.95)
    high, low = tango.upper(*table, confidence=0.95), tango.lower(*table, confidence=0.95)
    assert statistic_by_search(*table, high) == pytest.approx(-z, abs=1e-5)
    assert statistic_by_search(*table, low) == pytest.approx(z, abs=1e-5)
    # by exhaustive search over differences: exactly those between the bounds are not rejected
    for difference in np.linspace(-0.95, 0.95, 77):
        rejected = abs(statistic_by_search(*table, difference)) > z
        assert rejected == (not low <= difference <= high)


@settings(max_examples=60)
@given(tables(), st.floats(-0.95, 0.95))
def test_statistic_agrees_with_the_definition(table: tuple[int, int, int], difference: float) -> None:
    if abs(difference) > 1e-3:
        expected = statistic_by_search(*table, difference)
        assert tango.score(*table, difference) == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_at_difference_zero_it_is_mcnemar() -> None:
    # McNemar's z without continuity correction, (b - c) / sqrt(b + c)
    assert tango.score(16, 8, 86, 0.0) == pytest.approx(8 / math.sqrt(24), rel=1e-12)


@pytest.mark.parametrize("n", [1, 10, 538, 10_000, 1_000_000])
def test_without_discordant_pairs_the_bound_has_a_closed_form(n: int) -> None:
    # q01 = 0 and the equation n d = z sqrt(n d (1 - d)) gives d = z² / (n + z²)
    z2 = norm.ppf(0.95) ** 2
    assert tango.upper(0, 0, n, confidence=0.95) == pytest.approx(z2 / (n + z2), rel=1e-12)
    assert tango.lower(0, 0, n, confidence=0.95) == -tango.upper(0, 0, n, confidence=0.95)


@pytest.mark.parametrize("n", [1, 5, 200])
def test_when_every_pair_is_lost_the_lower_bound_has_a_closed_form(n: int) -> None:
    # q01 = (1 - d) / 2, the variance n (1 - d)(1 + d), and n (1 - d) = z² (1 + d) gives d = (n - z²) / (n + z²)
    z2 = norm.ppf(0.95) ** 2
    assert tango.upper(n, 0, n, confidence=0.95) == 1
    assert tango.lower(n, 0, n, confidence=0.95) == pytest.approx((n - z2) / (n + z2), rel=1e-12)


@given(st.integers(1, 500), st.data(), confidences)
def test_against_a_parent_that_never_fails_the_upper_bound_is_wilsons(
    n: int, data: st.DataObject, confidence: float
) -> None:
    lost = data.draw(st.integers(0, n))
    expected = proportion.wilson(lost, n, confidence=2 * confidence - 1).high  # two-sided: the same upper limit
    assert tango.upper(lost, 0, n, confidence=confidence) == pytest.approx(expected, rel=1e-9)


@given(tables(), confidences)
def test_exchanging_the_pair_mirrors_the_interval(table: tuple[int, int, int], confidence: float) -> None:
    n10, n01, n = table
    one, other = tango.interval(n10, n01, n, confidence=confidence), tango.interval(n01, n10, n, confidence=confidence)
    assert (one.low, one.high) == (-other.high, -other.low)


@given(tables(), confidences)
def test_the_estimate_lies_inside_and_the_interval_inside_its_range(
    table: tuple[int, int, int], confidence: float
) -> None:
    outcome = tango.interval(*table, confidence=confidence)
    assert -1 <= outcome.low <= (table[0] - table[1]) / table[2] <= outcome.high <= 1


@given(tables())
def test_more_confidence_is_wider(table: tuple[int, int, int]) -> None:
    narrow, wide = tango.upper(*table, confidence=0.9), tango.upper(*table, confidence=0.99)
    assert narrow <= wide
    assert narrow < wide or narrow == 1


@given(tables(), st.integers(2, 50))
def test_the_score_grows_with_the_root_of_the_sample(table: tuple[int, int, int], k: int) -> None:
    n10, n01, n = table
    assert tango.score(k * n10, k * n01, k * n, 0.05) == pytest.approx(
        math.sqrt(k) * tango.score(n10, n01, n, 0.05), rel=1e-9, abs=1e-9
    )


def non_coverage(n: int, p10: float, p01: float, confidence: float) -> tuple[float, float]:
    """Exact probability that the upper bound is below, and the lower above, the true difference: by enumeration."""
    below = above = 0.0
    true = p10 - p01
    cells = np.log(np.array([p10, p01, 1 - p10 - p01]))
    for n10 in range(n + 1):
        for n01 in range(n - n10 + 1):
            counts = np.array([n10, n01, n - n10 - n01])
            chance = math.exp(gammaln(n + 1) - gammaln(counts + 1).sum() + counts @ cells)
            below += chance * (tango.upper(n10, n01, n, confidence=confidence) < true)
            above += chance * (tango.lower(n10, n01, n, confidence=confidence) > true)
    return below, above


@pytest.mark.parametrize(("p10", "p01"), [(0.3, 0.2), (0.2, 0.2), (0.4, 0.1), (0.15, 0.35)])
def test_coverage_by_exact_enumeration(p10: float, p01: float) -> None:
    # a score interval is close to nominal, not conservative: 5 % a side, here between 2.5 % and 7 % at 25 pairs
    below, above = non_coverage(25, p10, p01, 0.95)
    assert 0.025 < below < 0.07
    assert 0.025 < above < 0.07


def chance_to_call_commensurate(n: int, margin: float, p01: float) -> float:
    """Exact probability of upper <= margin where the true difference is the margin (the bound grows with n10)."""
    p10 = p01 + margin
    total = 0.0
    for n01 in range(40):
        most = -1
        while tango.upper(most + 1, n01, n, confidence=0.95) <= margin:
            most += 1
        for n10 in range(most + 1):
            rest = n - n10 - n01
            logs = gammaln(n + 1) - gammaln(n10 + 1) - gammaln(n01 + 1) - gammaln(rest + 1)
            total += math.exp(logs + n10 * math.log(p10) + n01 * math.log(p01) + rest * math.log1p(-p10 - p01))
    return total


@pytest.mark.parametrize("n", [600, 1000, 2000])
@pytest.mark.parametrize("p01", [0.0005, 0.002, 0.005])
def test_the_error_of_a_commensurate_verdict_at_the_default_margin(n: int, p01: float) -> None:
    # docs/statistics.md: 5.2 % or less but for the worst cases
    assert chance_to_call_commensurate(n, 0.005, p01) <= 0.0515


@pytest.mark.parametrize(("k", "n", "error"), [(0, 539, 0.067), (1, 894, 0.062), (2, 1206, 0.060), (7, 2579, 0.057)])
def test_the_error_is_largest_where_k_lost_examples_just_pass_and_none_can_be_won(k: int, n: int, error: float) -> None:
    # docs/statistics.md gives these as the worst cases: the chance of at most k events of probability 0.005 among n
    assert tango.upper(k, 0, n, confidence=0.95) <= 0.005 < tango.upper(k, 0, n - 1, confidence=0.95)
    assert binom.cdf(k, n, 0.005) == pytest.approx(error, abs=0.0006)


@pytest.mark.parametrize("counts", [(-1, 0, 5), (0, -1, 5), (3, 3, 5), (0, 0, 0)])
def test_impossible_counts_are_refused(counts: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="expected n10"):
        tango.upper(*counts, confidence=0.95)


@pytest.mark.parametrize("confidence", [0.5, 1.0, 0.0, math.nan])
def test_impossible_confidence_is_refused(confidence: float) -> None:
    with pytest.raises(ValueError, match=r"expected 0\.5 < confidence < 1"):
        tango.upper(1, 1, 10, confidence=confidence)


def test_an_interval_takes_as_much_work_whatever_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tens of thousands of cells take seconds: two bounds of sixty halvings each."""
    variance, evaluations = tango._variance, 0

    def counted(*arguments: float) -> float:
        nonlocal evaluations
        evaluations += 1
        return variance(*arguments)

    monkeypatch.setattr(tango, "_variance", counted)
    for counts in ((0, 0, 1), (300, 77, 10_000), (5, 0, 10**9)):
        evaluations = 0
        tango.interval(*counts, confidence=0.95)
        assert 0 < evaluations <= 130, counts
