import numpy as np
import pytest

from evalsuite.statistics.compare import Verdict
from evalsuite.statistics.deployable import Claim, deployable, over_tasks
from evalsuite.statistics.potential import Failure, Potential


def claim(task: str, ratio: float, failed_high: float | None) -> Claim:
    failure = None
    if failed_high is not None:
        failure = Failure(ratio=ratio + 0.1, verdict=Verdict.INCONCLUSIVE, difference_high=failed_high)
    held = Potential(
        prune_potential=0.9, commensurate=ratio, first_failure=failure, censored=failure is None, nonmonotone=False
    )
    return Claim(task=task, measure="error", potential=held)


def test_the_smallest_claim_binds() -> None:
    claims = [claim("clean", 0.8, 0.01), claim("noise", 0.3, 0.006), claim("fog", 0.5, 0.3)]
    result = deployable(claims)
    assert result.ratio == 0.3
    assert result.binding is claims[1]


def test_of_equal_claims_the_worst_next_step_binds() -> None:
    claims = [claim("clean", 0.3, 0.02), claim("noise", 0.3, 0.09), claim("fog", 0.3, None), claim("snow", 0.3, 0.09)]
    assert deployable(claims).binding is claims[1]


def test_a_task_that_allows_nothing_sets_zero() -> None:
    claims = [claim("clean", 0.8, 0.01), claim("attack", 0.0, 0.4)]
    outcome = deployable(claims)
    assert (outcome.ratio, outcome.binding) == (0.0, claims[1])


def test_where_all_reach_the_end_of_the_grid_nothing_binds() -> None:
    actual = deployable([claim("clean", 0.9, None), claim("noise", 0.9, None)])
    assert (actual.ratio, actual.binding) == (0.9, None)


def test_no_claims_are_no_evidence() -> None:
    with pytest.raises(ValueError, match="one or more claims"):
        deployable([])


def test_average_and_minimum_over_tasks() -> None:
    # seeds: means 0.6 and 0.4, minima 0.2 and 0.1; std with n in the denominator: 0.1 and 0.05
    computed = over_tasks(np.array([[0.2, 1.0], [0.7, 0.1]]))
    assert (computed.average.mean, computed.average.std) == pytest.approx((0.5, 0.1))
    assert (computed.minimum.mean, computed.minimum.std) == pytest.approx((0.15, 0.05))


def test_one_seed_has_no_spread() -> None:
    result = over_tasks(np.array([[0.2, 0.4]]))
    assert (result.average.std, result.minimum.std) == (0, 0)


@pytest.mark.parametrize("shape", [(0, 2), (2, 0), (3,)])
def test_potentials_of_no_seed_or_task_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected potentials of shape"):
        over_tasks(np.zeros(shape))
