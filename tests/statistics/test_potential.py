import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsuite.statistics.compare import Comparison, Verdict
from evalsuite.statistics.potential import Failure, Potential, potential

MARGIN = 0.005


def at(difference: float, half: float = 0.002) -> Comparison:
    """A comparison whose bounds are `half` away from its difference."""
    low, high = difference - half, difference + half
    verdict = Verdict.INCONCLUSIVE
    if high <= MARGIN:
        verdict = Verdict.COMMENSURATE
    elif low > MARGIN:
        verdict = Verdict.NOT_COMMENSURATE
    return Comparison(
        n=1000,
        loss=0.1,
        low=0.08,
        high=0.12,
        parent_loss=0.1 - difference,
        difference=difference,
        difference_low=low,
        difference_high=high,
        verdict=verdict,
        settles_at=None,
    )


GOOD, OPEN_WITHIN, OPEN_BEYOND, BAD = at(0.0), at(0.004), at(0.006), at(0.02)


def test_the_claim_ends_at_the_first_ratio_that_is_not_shown() -> None:
    # 0.6 is open but its mean is within the margin: it counts for the paper, not for us
    result = potential([0.2, 0.4, 0.6, 0.8], [GOOD, GOOD, OPEN_WITHIN, BAD], margin=MARGIN)
    assert result == Potential(
        prune_potential=0.6,
        commensurate=0.4,
        first_failure=Failure(ratio=0.6, verdict=Verdict.INCONCLUSIVE, difference_high=0.006),
        censored=False,
        nonmonotone=False,
    )


def test_the_paper_takes_the_largest_ratio_not_the_first_crossing() -> None:
    outcome = potential([0.2, 0.4, 0.6], [GOOD, BAD, GOOD], margin=MARGIN)
    assert outcome.prune_potential == 0.6
    assert outcome.commensurate == 0.2
    assert outcome.first_failure == Failure(ratio=0.4, verdict=Verdict.NOT_COMMENSURATE, difference_high=0.022)
    assert outcome.nonmonotone


def test_a_mean_that_requalifies_is_nonmonotone_even_if_nothing_is_shown() -> None:
    assert potential([0.2, 0.4, 0.6], [GOOD, OPEN_BEYOND, OPEN_WITHIN], margin=MARGIN).nonmonotone


def test_a_pass_after_an_open_ratio_is_nonmonotone() -> None:
    assert potential([0.2, 0.4], [OPEN_WITHIN, GOOD], margin=MARGIN).nonmonotone


def test_the_margin_itself_qualifies_as_in_the_paper() -> None:
    assert potential([0.5], [at(MARGIN)], margin=MARGIN).prune_potential == 0.5


def test_nothing_qualifies() -> None:
    actual = potential([0.2, 0.4], [BAD, BAD], margin=MARGIN)
    assert (actual.prune_potential, actual.commensurate, actual.censored, actual.nonmonotone) == (0, 0, False, False)


def test_a_claim_that_reaches_the_end_is_censored() -> None:
    computed = potential([0.2, 0.4], [GOOD, GOOD], margin=MARGIN)
    assert (computed.commensurate, computed.first_failure, computed.censored) == (0.4, None, True)


def test_networks_at_the_same_ratio_have_to_be_shown_all() -> None:
    result = potential([0.2, 0.4, 0.4], [GOOD, GOOD, BAD], margin=MARGIN)
    assert result.commensurate == 0.2
    assert potential([0.4, 0.4], [GOOD, BAD], margin=MARGIN).commensurate == 0


@given(st.lists(st.sampled_from([GOOD, OPEN_WITHIN, OPEN_BEYOND, BAD]), min_size=1, max_size=8))
def test_the_claim_from_its_definition(comparisons: list[Comparison]) -> None:
    ratios = [0.1 * (k + 1) for k in range(len(comparisons))]
    result = potential(ratios, comparisons, margin=MARGIN)
    claims = [r for k, r in enumerate(ratios) if all(c.verdict is Verdict.COMMENSURATE for c in comparisons[: k + 1])]
    assert result.commensurate == max(claims, default=0.0)
    assert result.commensurate <= result.prune_potential
    assert result.censored == (result.commensurate == ratios[-1])
    assert (result.first_failure is None) == result.censored


@pytest.mark.parametrize(
    ("ratios", "comparisons", "message"),
    [
        ([], [], "one or more ratios"),
        ([0.1], [GOOD, GOOD], "a comparison for each"),
        ([0.4, 0.2], [GOOD, GOOD], "increasing order"),
    ],
)
def test_bad_families_are_refused(ratios: list[float], comparisons: list[Comparison], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        potential(ratios, comparisons, margin=MARGIN)
