"""What must lie in one another, written down by hand."""

from types import SimpleNamespace as Namespace

import numpy as np
import pytest

from evalsuite.analysis.consistency import check_consistency
from evalsuite.extend import Stored
from evalsuite.records.schema import Invariant

N = 2000


class Evidence:
    """As much of a run's evidence as is read."""

    def __init__(self, right):
        self.networks = [Namespace(id="child")]
        self.tasks = [task(name, len(result)) for name, result in right.items()]
        self._right = right

    def stored(self, task, network):
        outcome = self._right[task.name]
        return Stored(columns={"prediction": np.where(outcome, 1, -1)}, to_parent={})

    def labels(self, task):
        return np.ones(task.n, np.int64)


def task(name, n):
    kind, *rest = name.split("/")
    parameters = {"norm": rest[0], "eps": float(rest[1])} if rest else {}
    return Namespace(name=name, kind=kind, parameters=parameters, unavailable=None, n=n)


def first(count, n=N):
    return np.arange(n) < count


def test_chains_are_compared_on_common_examples():
    requested = Evidence(
        {
            "clean": first(1800),
            "adversarial/linf/0.01": first(900, 1000),
            "bounds/linf/0.02": first(300, 500),
        }
    )
    actual = {(each.inner, each.outer): each for each in check_consistency(requested)}
    assert actual["bounds/linf/0.02", "adversarial/linf/0.01"] == Invariant(
        network="child",
        inner="bounds/linf/0.02",
        outer="adversarial/linf/0.01",
        n=500,
        inner_right=300,
        outer_right=500,
        violations=0,
        broken=False,
    )
    assert set(actual) == {
        ("bounds/linf/0.02", "adversarial/linf/0.01"),
        ("bounds/linf/0.02", "clean"),
        ("adversarial/linf/0.01", "clean"),
    }


@pytest.mark.parametrize("other", ["adversarial/l2/0.01", "adversarial/linf/0.03"])
def test_other_norms_and_larger_balls_say_nothing(other):
    assert check_consistency(Evidence({other: first(10), "bounds/linf/0.02": first(300)})) == ()


def test_one_certificate_that_is_broken_is_too_many():
    broken = first(300)
    broken[7] = False
    (computed,) = check_consistency(Evidence({"adversarial/linf/0.02": broken, "bounds/linf/0.02": first(300)}))
    assert (computed.violations, computed.broken) == (1, True)


@pytest.mark.parametrize(("wrong", "broken"), [(2, False), (3, True)])
def test_ties_are_allowed_for_two_in_two_thousand(wrong, broken):
    clean = first(N)
    clean[:wrong] = False
    (result,) = check_consistency(Evidence({"clean": clean, "adversarial/linf/0.02": first(1500)}))
    assert (result.violations, result.broken) == (wrong, broken)
