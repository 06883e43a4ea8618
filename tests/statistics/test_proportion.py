from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from evalsuite.statistics import proportion


@given(st.integers(1, 300), st.data(), st.sampled_from([0.8, 0.95, 0.99]))
def test_both_agree_with_scipy(n: int, data: st.DataObject, confidence: float) -> None:
    k = data.draw(st.integers(0, n))
    exact = binomtest(k, n).proportion_ci(confidence, method="exact")
    result = proportion.clopper_pearson(k, n, confidence=confidence)
    assert (result.low, result.high) == pytest.approx((exact.low, exact.high), rel=1e-9, abs=1e-12)
    score = binomtest(k, n).proportion_ci(confidence, method="wilson")
    result = proportion.wilson(k, n, confidence=confidence)
    assert (result.low, result.high) == pytest.approx((score.low, score.high), rel=1e-9, abs=1e-12)


def test_newcombe_1998() -> None:
    # R. G. Newcombe, Statistics in Medicine 17 (1998), 857-872, table I: 15 of 148, 0 of 20, 1 of 29
    for k, n, wilson, exact in [
        (15, 148, (0.0624, 0.1605), (0.0578, 0.1617)),
        (0, 20, (0.0, 0.1611), (0.0, 0.1684)),
        (1, 29, (0.0061, 0.1718), (0.0009, 0.1776)),
    ]:
        score, clopper = proportion.wilson(k, n, confidence=0.95), proportion.clopper_pearson(k, n, confidence=0.95)
        assert (round(score.low, 4), round(score.high, 4)) == wilson
        assert (round(clopper.low, 4), round(clopper.high, 4)) == exact


def test_nothing_seen_is_the_rule_of_three() -> None:
    # one side at 97.5 %: 1 - 0.025^(1/n)
    assert proportion.clopper_pearson(0, 50, confidence=0.95).high == pytest.approx(1 - 0.025 ** (1 / 50), rel=1e-12)
    assert proportion.clopper_pearson(50, 50, confidence=0.95).low == pytest.approx(0.025 ** (1 / 50), rel=1e-12)


@pytest.mark.parametrize("p", [0.01, 0.1, 0.5, 0.93])
def test_clopper_pearson_covers_by_exact_enumeration(p: float) -> None:
    n = 40
    missed = 0.0
    for k in range(n + 1):
        outcome = proportion.clopper_pearson(k, n, confidence=0.9)
        missed += float(binom.pmf(k, n, p)) * (not outcome.low <= p <= outcome.high)
    assert missed <= 0.1


@pytest.mark.parametrize("interval", [proportion.clopper_pearson, proportion.wilson])
def test_impossible_arguments_are_refused(interval: Callable[..., proportion.Interval]) -> None:
    for k, n in [(-1, 5), (6, 5), (0, 0)]:
        with pytest.raises(ValueError, match="expected 0 <= successes <= n"):
            interval(k, n, confidence=0.95)
    with pytest.raises(ValueError, match="confidence"):
        interval(1, 2, confidence=1.0)
