"""The paired bootstrap: scipy's BCa to the last digit, and how often its bounds hold where the truth is known."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import bootstrap

from evalsuite.statistics.bootstrap import RESAMPLES, Spread, bca, compare_sampled
from evalsuite.statistics.compare import Verdict

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Means:
    """The simplest figure: a weighted mean."""

    losses: Array
    parents: Array
    child_excess: float = 0.0
    parent_excess: float = 0.0

    @property
    def n(self) -> int:
        return len(self.losses)

    @property
    def child(self) -> Callable[[Array], Array]:
        return lambda weights: weights @ self.losses / weights.sum(1)

    @property
    def parent(self) -> Callable[[Array], Array]:
        return lambda weights: weights @ self.parents / weights.sum(1)


def skewed(n: int, rise: float = 0.1, seed: int = 0) -> Means:
    draw = np.random.default_rng(seed)
    parents = draw.exponential(1.0, n)
    return Means(parents + rise * draw.exponential(1.0, n), parents)


@pytest.mark.parametrize("probability", [0.025, 0.05, 0.5, 0.95, 0.99])
def test_percentiles_are_scipys(probability: float) -> None:
    # scipy's own resamples, and the jackknife over single examples
    values = np.random.default_rng(1).gamma(0.7, size=45)
    alternative = "less" if probability > 0.5 else "greater"
    level = probability if probability > 0.5 else 1 - probability
    reference = bootstrap(
        (values,), lambda x, axis: x.var(axis=axis), n_resamples=999, confidence_level=level, method="BCa",
        alternative=alternative, rng=np.random.default_rng(2),
    )  # fmt: skip
    spread = Spread(
        estimate=float(values.var()),
        resampled=reference.bootstrap_distribution,
        left_out=np.array([np.delete(values, k).var() for k in range(45)]),
    )
    interval = reference.confidence_interval
    assert bca(spread, probability) == pytest.approx(interval.high if probability > 0.5 else interval.low, abs=1e-12)


def test_a_whole_comparison_is_near_scipys_paired_bootstrap() -> None:
    means = skewed(150, rise=1.0)
    result = compare_sampled(means, margin=1.2, confidence=0.95, top=math.inf)

    def difference(child: Array, parent: Array, axis: int = -1) -> Array:
        return child.mean(axis=axis) - parent.mean(axis=axis)

    reference = bootstrap(
        (means.losses, means.parents), difference, n_resamples=RESAMPLES, paired=True, confidence_level=0.9,
        method="BCa", rng=np.random.default_rng(3),
    )  # fmt: skip
    interval, error = reference.confidence_interval, reference.standard_error
    # two sets of 1000 resamples: a 5 % quantile of each has a standard error of 0.07 standard errors of the mean
    assert result.difference_low == pytest.approx(interval.low, abs=0.3 * error)
    assert result.difference_high == pytest.approx(interval.high, abs=0.3 * error)
    assert result.difference == pytest.approx((means.losses - means.parents).mean())
    assert result.loss == pytest.approx(means.losses.mean())
    assert result.parent_loss == pytest.approx(means.parents.mean())
    assert result.low < result.loss < result.high
    assert result.n == 150


def test_pairing_leaves_out_what_both_networks_share() -> None:
    # each mean has a standard error of 3 / sqrt(400) = 0.15, the difference one of 0.3 / sqrt(400) = 0.015
    means = skewed(400)
    outcome = compare_sampled(Means(3 * means.losses, 3 * means.parents), margin=0.5, confidence=0.95, top=math.inf)
    assert outcome.difference_high - outcome.difference_low == pytest.approx(2 * 1.645 * 0.015, rel=0.2)


def test_groups_of_the_jackknife_say_what_single_examples_say() -> None:
    # 2000 examples leave out 10 at a time: the bounds hardly move when they are in another order, that is other groups
    means = skewed(2000, rise=1.0)
    moved = np.random.default_rng(4).permutation(2000)
    one = compare_sampled(means, margin=0.5, confidence=0.95, top=math.inf)
    two = compare_sampled(Means(means.losses[moved], means.parents[moved]), margin=0.5, confidence=0.95, top=math.inf)
    width = one.difference_high - one.difference_low
    assert one.difference_high == pytest.approx(two.difference_high, abs=0.15 * width)


def test_what_a_figure_may_be_too_high_moves_the_bounds() -> None:
    # the network's may be lower than it looks, and so may the parent's: then the difference is larger than it looks
    means = skewed(100, rise=1.0)
    plain = compare_sampled(means, margin=1.0, confidence=0.95, top=math.inf)
    moved = compare_sampled(
        Means(means.losses, means.parents, child_excess=0.2, parent_excess=0.1), margin=1.0, confidence=0.95,
        top=math.inf,
    )  # fmt: skip
    assert moved.low == pytest.approx(plain.low - 0.2)
    assert moved.high == plain.high
    assert moved.difference_low == pytest.approx(plain.difference_low - 0.2)
    assert moved.difference_high == pytest.approx(plain.difference_high + 0.1)
    assert moved.difference == plain.difference


def test_the_same_figures_give_the_same_bounds_again() -> None:
    first, again = (compare_sampled(skewed(60), margin=0.1, confidence=0.9, top=math.inf) for _ in range(2))
    assert first == again


@pytest.mark.parametrize(
    ("margin", "verdict"),
    [(0.2, Verdict.COMMENSURATE), (0.02, Verdict.NOT_COMMENSURATE), (0.101, Verdict.INCONCLUSIVE)],
)
def test_verdicts(margin: float, verdict: Verdict) -> None:
    actual = compare_sampled(skewed(500), margin=margin, confidence=0.95, top=math.inf)
    assert actual.verdict is verdict
    if verdict is Verdict.INCONCLUSIVE:
        assert actual.settles_at is not None
        assert actual.settles_at > 500
    else:
        assert actual.settles_at is None


def test_that_many_examples_do_settle_it() -> None:
    means = skewed(500, rise=1.0)
    computed = compare_sampled(means, margin=1.0, confidence=0.95, top=math.inf)
    assert computed.verdict is Verdict.INCONCLUSIVE
    times = math.ceil((computed.settles_at or 0) / 500) + 1
    more = Means(np.tile(means.losses, times), np.tile(means.parents, times))
    assert compare_sampled(more, margin=1.0, confidence=0.95, top=math.inf).verdict is not Verdict.INCONCLUSIVE


@pytest.mark.parametrize("n", [1, 10, 300, 1000])
def test_no_difference_at_all_shows_no_more_than_n_examples_can(n: int) -> None:
    # if a share s of all data differed, n examples would all miss it with probability (1 - s)^n = 1 - confidence
    same = Means(np.full(n, 0.2), np.full(n, 0.2))
    result = compare_sampled(same, margin=0.004, confidence=0.95)
    assert (1 - result.difference_high) ** n == pytest.approx(0.05)
    assert result.difference_low == -result.difference_high
    assert result.verdict is (Verdict.COMMENSURATE if n == 1000 else Verdict.INCONCLUSIVE)


def test_shares_stay_shares() -> None:
    result = compare_sampled(Means(np.ones(5), np.zeros(5)), margin=0.1, confidence=0.95)
    assert (result.loss, result.high, result.difference_high) == (1.0, 1.0, 1.0)
    assert compare_sampled(Means(np.zeros(5), np.ones(5)), margin=0.1, confidence=0.95).low == 0.0


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="n >= 1"):
        compare_sampled(Means(np.zeros(0), np.zeros(0)), margin=0.1, confidence=0.95)
    with pytest.raises(ValueError, match="finite"):
        compare_sampled(Means(np.array([0.1, math.nan]), np.zeros(2)), margin=0.1, confidence=0.95)
    with pytest.raises(ValueError, match="margin"):
        compare_sampled(skewed(5), margin=-1.0, confidence=0.95)
    with pytest.raises(ValueError, match="confidence"):
        compare_sampled(skewed(5), margin=0.1, confidence=0.4)


def test_bounds_hold_as_often_as_they_say_for_a_skewed_mean() -> None:
    # 400 samples of 100: the truth 0.1 lies beyond a bound of 95 % in 5 % of them, with a standard error of 1.1 %
    outside = np.zeros(2)
    for seed in range(400):
        result = compare_sampled(skewed(100, seed=seed), margin=0.1, confidence=0.95, top=math.inf)
        outside += [result.difference_low > 0.1, result.difference_high < 0.1]
    assert (outside / 400 < 0.05 + 3 * 0.011).all()
