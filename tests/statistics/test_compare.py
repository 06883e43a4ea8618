import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalsuite.statistics import betting, proportion, tango
from evalsuite.statistics.compare import Comparison, Verdict, compare

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Pairs:
    child: npt.NDArray[np.float64]
    parent: npt.NDArray[np.float64]
    groups: npt.NDArray[np.int64] | None = None


def binary(both: int, lost: int, won: int, neither: int) -> Pairs:
    """Counts of examples that fail with both networks, with the child only, with the parent only, with none."""
    child = [1.0] * both + [1.0] * lost + [0.0] * won + [0.0] * neither
    parent = [1.0] * both + [0.0] * lost + [1.0] * won + [0.0] * neither
    return Pairs(np.array(child), np.array(parent))


def joined(*parts: Pairs) -> Pairs:
    return Pairs(
        np.concatenate([p.child for p in parts]),
        np.concatenate([p.parent for p in parts]),
        np.concatenate([np.full(len(p.child), k) for k, p in enumerate(parts)]),
    )


def mixed(n: int, rise: float, seed: int = 0) -> Pairs:
    """Losses in (0, 1), the child's higher by about `rise`."""
    draw = np.random.default_rng(seed)
    parent = draw.beta(2, 6, n)
    return Pairs(np.clip(parent + rise + draw.normal(0, 0.02, n), 0, 1), parent)


def test_binary_losses_are_judged_by_tango_and_clopper_pearson() -> None:
    result = compare(binary(90, 30, 20, 860), margin=0.005, confidence=0.95)
    interval = proportion.clopper_pearson(120, 1000, confidence=0.95)
    assert result == Comparison(
        n=1000,
        loss=0.12,
        low=pytest.approx(interval.low, abs=1e-12),
        high=pytest.approx(interval.high, abs=1e-12),
        parent_loss=0.11,
        difference=pytest.approx(0.01),
        difference_low=pytest.approx(tango.lower(30, 20, 1000, confidence=0.95), abs=1e-12),
        difference_high=pytest.approx(tango.upper(30, 20, 1000, confidence=0.95), abs=1e-12),
        verdict=Verdict.INCONCLUSIVE,
        settles_at=result.settles_at,
    )


def test_the_worked_example_of_the_documentation() -> None:
    # docs/statistics.md: 10 000 images, 40 lost and 30 won; b = 19990 * 0.005 - 70 = 29.95, c = 30 * 0.004975 = 0.14925
    outcome = compare(binary(400, 40, 30, 9530), margin=0.005, confidence=0.95)
    root = math.sqrt(29.95**2 + 8 * 10_000 * 0.14925)
    q01 = 2 * 0.14925 / (29.95 + root)
    score = (10 - 50) / math.sqrt(10_000 * (2 * q01 + 0.004975))
    assert tango.score(40, 30, 10_000, 0.005) == pytest.approx(score, rel=1e-9)
    assert round(score, 2) == -4.18
    assert (round(outcome.difference_low, 4), round(outcome.difference_high, 4)) == (-0.0004, 0.0024)
    assert outcome.verdict is Verdict.COMMENSURATE
    assert outcome.settles_at is None
    # with a tenth of the examples the score is -4.18 / sqrt(10) = -1.32, and 1000 (1.645 / 1.32)² examples settle it
    small = compare(binary(40, 4, 3, 953), margin=0.005, confidence=0.95)
    assert (small.verdict, small.settles_at) == (Verdict.INCONCLUSIVE, 1546)
    assert (round(small.difference_low, 4), round(small.difference_high, 4)) == (-0.004, 0.0062)


@pytest.mark.parametrize(
    ("pairs", "verdict"),
    [
        (binary(0, 0, 0, 10_000), Verdict.COMMENSURATE),
        (binary(0, 0, 0, 538), Verdict.INCONCLUSIVE),  # z² / (n + z²) <= 0.005 needs n >= 538.4
        (binary(0, 0, 0, 539), Verdict.COMMENSURATE),
        (binary(0, 200, 0, 9800), Verdict.NOT_COMMENSURATE),
        (binary(0, 0, 200, 9800), Verdict.COMMENSURATE),
        (binary(5, 1, 1, 5), Verdict.INCONCLUSIVE),
        (binary(1, 0, 0, 0), Verdict.INCONCLUSIVE),
    ],
)
def test_verdicts(pairs: Pairs, verdict: Verdict) -> None:
    assert compare(pairs, margin=0.005, confidence=0.95).verdict is verdict


counts = st.tuples(*[st.integers(0, 80)] * 4).filter(lambda c: sum(c) > 0)


@settings(max_examples=80)
@given(counts, st.sampled_from([-0.02, 0.0, 0.005, 0.1]), st.sampled_from([0.9, 0.95]))
def test_verdict_bounds_and_score_say_the_same(c: tuple[int, int, int, int], margin: float, confidence: float) -> None:
    actual = compare(binary(*c), margin=margin, confidence=confidence)
    assert actual.difference_low <= actual.difference <= actual.difference_high
    assert actual.low <= actual.loss <= actual.high
    z = float(proportion.normal_quantile(confidence))
    score = tango.score(c[1], c[2], sum(c), margin)
    if abs(abs(score) - z) > 1e-6:
        expected = Verdict.COMMENSURATE if score <= -z else Verdict.NOT_COMMENSURATE if score >= z else None
        assert actual.verdict is (expected or Verdict.INCONCLUSIVE)
    assert (actual.settles_at is None) == (actual.verdict is not Verdict.INCONCLUSIVE or actual.difference == margin)


@settings(max_examples=60)
@given(counts, st.sampled_from([0.005, 0.05]))
def test_the_sample_that_settles(c: tuple[int, int, int, int], margin: float) -> None:
    computed = compare(binary(*c), margin=margin, confidence=0.95)
    if computed.settles_at is None:
        return
    assert computed.settles_at > computed.n
    # a whole multiple of the sample at or above it is settled, one clearly below it is not
    times = math.ceil(computed.settles_at / computed.n * (1 + 1e-9))
    if times * computed.n <= 100_000:
        more = compare(binary(*[times * k for k in c]), margin=margin, confidence=0.95)
        assert more.verdict is not Verdict.INCONCLUSIVE
    fewer = math.floor(0.99 * computed.settles_at / computed.n)
    if 1 <= fewer * computed.n <= 100_000:
        less = compare(binary(*[fewer * k for k in c]), margin=margin, confidence=0.95)
        assert less.verdict is Verdict.INCONCLUSIVE


def test_no_number_of_examples_settles_a_difference_that_is_the_margin() -> None:
    result = compare(binary(0, 5, 0, 995), margin=0.005, confidence=0.95)
    assert result.verdict is Verdict.INCONCLUSIVE
    assert result.settles_at is None


def test_other_losses_are_judged_by_betting_in_a_shuffled_order() -> None:
    pairs = mixed(400, 0.01)
    result = compare(pairs, margin=0.05, confidence=0.95)
    order = np.random.default_rng(0).permutation(400)
    change = (pairs.child - pairs.parent)[order]
    assert result.difference_high == betting.upper(change, confidence=0.95, support=(-1, 1))
    assert result.difference_low == pytest.approx(betting.lower(change, confidence=0.95, support=(-1, 1)), abs=1e-12)
    assert result.high == betting.interval(pairs.child[order], confidence=0.95).high
    assert result.low == pytest.approx(betting.interval(pairs.child[order], confidence=0.95).low, abs=1e-12)
    assert result.verdict is Verdict.COMMENSURATE


def test_betting_covers_data_that_are_sorted() -> None:
    # sorted by loss, the second half is all worse than the first: unshuffled bets on the first half would lose it
    draw = np.random.default_rng(5)
    missed = 0
    for _ in range(200):
        change = np.sort(np.where(draw.random(300) < 0.1, draw.random(300), 0.0))
        missed += compare(Pairs(change, np.zeros(300)), margin=0.0, confidence=0.95).difference_high < 0.05
    assert missed <= 16  # 5 % of 200, and 3.3 % more for chance


@pytest.mark.parametrize("rise", [0.0, 0.045, 0.055, 0.2])
def test_betting_verdicts_and_the_sample_that_settles(rise: float) -> None:
    few = mixed(60, rise)
    result = compare(few, margin=0.05, confidence=0.95)
    many = mixed(5000, rise)
    settled = compare(many, margin=0.05, confidence=0.95).verdict
    assert settled is (Verdict.COMMENSURATE if rise < 0.05 else Verdict.NOT_COMMENSURATE)
    if result.verdict is Verdict.INCONCLUSIVE:
        assert result.settles_at is not None
        times = math.ceil(result.settles_at / result.n)
        more = Pairs(np.tile(few.child, times), np.tile(few.parent, times))
        assert compare(more, margin=0.05, confidence=0.95).verdict is not Verdict.INCONCLUSIVE


def test_one_fractional_loss_is_enough_to_leave_tango() -> None:
    pairs = binary(1, 0, 0, 1999)
    half = Pairs(np.where(np.arange(2000) == 0, 0.5, pairs.child), pairs.parent)
    assert compare(pairs, margin=0.005, confidence=0.95).difference_high == tango.upper(0, 0, 2000, confidence=0.95)
    assert compare(half, margin=0.005, confidence=0.95).difference_high > tango.upper(0, 0, 2000, confidence=0.95)


def test_groups_show_the_worst_of_each_figure() -> None:
    quiet, hurt, hard = binary(10, 5, 5, 980), binary(20, 40, 10, 930), binary(300, 10, 20, 670)
    result = compare(joined(quiet, hurt, hard), margin=0.005, confidence=0.95)
    third = 1 - 0.05 / 3
    assert result.n == 3000
    assert result.loss == pytest.approx(0.31)  # the child's worst group is the third,
    assert result.parent_loss == pytest.approx(0.32)
    assert result.difference == pytest.approx(0.03)  # the one that rises most the second
    assert result.difference_high == tango.upper(40, 10, 1000, confidence=0.95)
    assert result.difference_low == pytest.approx(tango.lower(40, 10, 1000, confidence=third), abs=1e-12)
    assert result.low == pytest.approx(proportion.clopper_pearson(310, 1000, confidence=third).low, abs=1e-12)
    assert result.high == pytest.approx(proportion.clopper_pearson(310, 1000, confidence=0.95).high, abs=1e-12)
    assert result.verdict is Verdict.NOT_COMMENSURATE
    assert result.group == (0, 1)


def test_one_group_is_no_group() -> None:
    pairs = binary(5, 3, 2, 90)
    grouped = Pairs(pairs.child, pairs.parent, np.zeros(100, dtype=np.int64))
    one, other = compare(pairs, margin=0.01, confidence=0.9), compare(grouped, margin=0.01, confidence=0.9)
    assert one == replace(other, low=one.low, difference_low=one.difference_low, group=None)
    assert (one.low, one.difference_low) == pytest.approx((other.low, other.difference_low), abs=1e-12)


def test_a_small_group_keeps_the_verdict_open() -> None:
    large, small = binary(0, 0, 0, 5000), binary(0, 0, 0, 20)
    assert compare(large, margin=0.005, confidence=0.95).verdict is Verdict.COMMENSURATE
    result = compare(joined(large, small), margin=0.005, confidence=0.95)
    assert result.verdict is Verdict.INCONCLUSIVE
    # the small group needs 538.4 (rounded up: 539) examples where it has 20, so the whole set has to grow 26.95 times
    assert result.settles_at == math.ceil(5020 * 539 / 20)


def test_two_lost_examples_of_a_small_group_prove_nothing() -> None:
    result = compare(joined(binary(0, 0, 0, 5000), binary(0, 2, 0, 3)), margin=0.005, confidence=0.95)
    assert result.verdict is Verdict.INCONCLUSIVE


def test_all_groups_have_to_settle_within_the_margin() -> None:
    # 538.4 examples without a change settle a group: 100 have to grow 5.39 times, 200 only 2.695 times
    result = compare(joined(binary(0, 0, 0, 200), binary(0, 0, 0, 100)), margin=0.005, confidence=0.95)
    assert result.settles_at == math.ceil(300 * 539 / 100)


def test_one_group_beyond_the_margin_settles_the_claim() -> None:
    # differences of 0.06 and 0.08 against the margin 0.05: the larger is shown first, at a third of the error
    parts = [binary(0, 8, 2, 90), binary(0, 10, 2, 88), binary(0, 0, 0, 30)]
    result = compare(joined(*parts), margin=0.05, confidence=0.95)
    assert result.verdict is Verdict.INCONCLUSIVE
    z = float(proportion.normal_quantile(1 - 0.05 / 3))
    growths = [(z / tango.score(n10, 2, 100, 0.05)) ** 2 for n10 in (8, 10)]
    assert growths[1] < growths[0]
    assert result.settles_at == pytest.approx(230 * growths[1], abs=3)
    times = math.ceil(growths[1])
    grown = [binary(0, times * 8, times * 2, times * 90), binary(0, times * 10, times * 2, times * 88)]
    after = compare(joined(*grown, binary(0, 0, 0, times * 30)), margin=0.05, confidence=0.95)
    assert after.verdict is Verdict.NOT_COMMENSURATE


def test_error_over_groups_is_controlled_by_simulation() -> None:
    # ten classes, all exactly at the margin: the chance that any lower bound passes it stays near 5 %, and the chance
    # that the largest upper bound does not is far below
    draw = np.random.default_rng(3)
    verdicts = []
    for _ in range(120):
        parts = []
        for _ in range(10):
            lost, won, rest = draw.multinomial(300, [0.10, 0.05, 0.85])
            parts.append(binary(0, lost, won, rest))
        verdicts.append(compare(joined(*parts), margin=0.05, confidence=0.95).verdict)
    assert verdicts.count(Verdict.NOT_COMMENSURATE) <= 14  # 5 % of 120 is 6; more than 14 once in a thousand
    assert verdicts.count(Verdict.COMMENSURATE) == 0


def test_group_numbers_need_not_be_contiguous() -> None:
    pairs = joined(binary(0, 0, 0, 600), binary(0, 0, 0, 600))
    assert pairs.groups is not None
    spread = Pairs(pairs.child, pairs.parent, pairs.groups * 7 - 3)
    result = compare(spread, margin=0.005, confidence=0.95)
    assert result.group == (0, -3)
    assert replace(result, group=(0, 0)) == compare(pairs, margin=0.005, confidence=0.95)


@settings(max_examples=40)
@given(counts, st.integers(0, 2**32 - 1))
def test_the_order_of_examples_does_not_matter_for_counts(c: tuple[int, int, int, int], seed: int) -> None:
    pairs = binary(*c)
    order = np.random.default_rng(seed).permutation(len(pairs.child))
    shuffled = Pairs(pairs.child[order], pairs.parent[order])
    assert compare(pairs, margin=0.005, confidence=0.95) == compare(shuffled, margin=0.005, confidence=0.95)


def test_inputs_are_left_alone() -> None:
    pairs = joined(mixed(50, 0.1), mixed(60, 0.0))
    before = [pairs.child.copy(), pairs.parent.copy()]
    compare(pairs, margin=0.005, confidence=0.95)
    np.testing.assert_array_equal(pairs.child, before[0])
    np.testing.assert_array_equal(pairs.parent, before[1])


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (Pairs(np.zeros(0), np.zeros(0)), "n >= 1 examples"),
        (Pairs(np.zeros(2), np.zeros(3)), "same n >= 1 examples"),
        (Pairs(np.zeros((2, 1)), np.zeros((2, 1))), "same n >= 1 examples"),
        (Pairs(np.zeros(2), np.zeros(2), np.zeros(3, dtype=np.int64)), "one group for each of 2"),
        (Pairs(np.array([1.5]), np.zeros(1)), "losses in"),
        (Pairs(np.zeros(1), np.array([math.nan])), "losses in"),
    ],
)
def test_losses_that_make_no_sense_are_refused(pairs: Pairs, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        compare(pairs, margin=0.005, confidence=0.95)


def test_margin_and_confidence_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="margin"):
        compare(binary(1, 1, 1, 1), margin=1.0, confidence=0.95)
    with pytest.raises(ValueError, match="confidence"):
        compare(binary(1, 1, 1, 1), margin=0.0, confidence=95)


def test_overlapping_groups_count_every_example_once() -> None:
    one, two = binary(5, 3, 0, 92), binary(5, 9, 0, 86)
    both = joined(one, two)
    assert both.groups is not None
    ways = np.stack([both.groups, np.where(np.arange(200) < 150, 0, -1)], axis=1)
    result = compare(replace(both, groups=ways), margin=0.08, confidence=0.95)
    assert result.n == 200
    assert result.difference == 0.09
    assert result.group == (0, 1)
    # three groups: 9 of 100 stands beside 3 of 100 and, the second way, 12 of 150
    rises = (both.child - both.parent)[:150]
    third = tango.lower(int(rises.sum()), 0, 150, confidence=1 - 0.05 / 3)
    assert result.difference_low == max(tango.lower(9, 0, 100, confidence=1 - 0.05 / 3), third)
    assert result.settles_at is not None
    assert result.settles_at > 200


def test_examples_without_any_group_are_refused() -> None:
    pairs = replace(binary(1, 1, 1, 1), groups=np.full((4, 2), -1))
    with pytest.raises(ValueError, match="in one group at least"):
        compare(pairs, margin=0.1, confidence=0.95)
