"""What every policy demands of a run's inputs: a parent that is a standard, and nothing that is only assumed."""

from dataclasses import replace

import pytest

from evalsuite.gate.checks import GateResult
from evalsuite.gate.judge import apply_policy
from evalsuite.gate.policy import parse_policy
from evalsuite.records.schema import parse_results
from evalsuite.records.sealing import Backing

Results = dict[str, object]
PASSES = '[[require]]\ntask = "clean"\nmin_commensurate = 0.5\n'


def gate(results: Results, terms: str = "") -> GateResult:
    policy = parse_policy(f"[policy]\n{terms}\n{PASSES}", source="policy.toml")
    result = apply_policy(policy, parse_results(results), Backing(store=True))
    return replace(result, checks=tuple(check for check in result.checks if check.task != "evidence"))


def reading(basis: str, topic: str = "normalisation") -> Results:
    return {"topic": topic, "value": "none", "basis": basis, "reason": "", "option": "--normalise none"}


def standard(results: Results) -> Results:
    parent = results["parent"]
    assert isinstance(parent, dict)
    outcome: Results = parent["standard"]
    return outcome


def test_what_is_known_passes(results: Results) -> None:
    assert gate(results).exit_code == 0


@pytest.mark.parametrize("basis", ["assumed", "doubtful"])
def test_what_is_assumed_never_passes_and_the_option_is_told(results: Results, basis: str) -> None:
    results["readings"] = [reading("recorded", "weights"), reading(basis)]
    actual = gate(results)
    assert actual.exit_code == 3
    (check,) = [check for check in actual.checks if check.outcome == "incomplete"]
    assert "--normalise none" in check.message
    named = "normalisation" if basis == "assumed" else "doubtful normalisation"
    assert f'assumptions = ["{named}"]' in check.message


def test_a_policy_may_accept_an_assumption_by_its_topic(results: Results) -> None:
    results["readings"] = [reading("assumed"), reading("assumed", "class order")]
    assert gate(results, 'assumptions = ["normalisation"]').exit_code == 3
    assert gate(results, 'assumptions = ["normalisation", "class *"]').exit_code == 0
    assert gate(results, 'assumptions = ["*"]').exit_code == 0


def test_who_accepts_that_something_is_assumed_does_not_accept_that_it_is_contradicted(results: Results) -> None:
    results["readings"] = [reading("assumed"), reading("doubtful")]
    for patterns in ('["normalisation"]', '["*"]', '["*normal*"]'):
        assert gate(results, f"assumptions = {patterns}").exit_code == 3
    computed = gate(results, 'assumptions = ["normalisation", "doubtful normalisation"]')
    assert computed.exit_code == 0
    (check,) = [each for each in computed.checks if "readings" in each.message]
    assert "the policy accepts normalisation (assumed: none), normalisation (doubtful: none)" in check.message


def test_a_parent_that_is_no_standard_never_passes(results: Results) -> None:
    standard(results)["shown_better"] = False
    result = gate(results, 'assumptions = ["*"]')
    assert result.exit_code == 3
    assert any("no standard" in check.message for check in result.checks)


def test_results_that_say_nothing_of_their_inputs_do_not_pass(results: Results) -> None:
    del results["readings"]
    results["parent"] = {"id": "parent"}
    assert [str(check.outcome) for check in gate(results).checks] == ["incomplete", "incomplete", "pass"]


@pytest.mark.parametrize(("most", "code"), [(0.17, 0), (0.16, 0), (0.15, 3), (0.141, 3), (0.13, 1)])
def test_the_parents_own_loss_is_judged_by_its_interval(results: Results, most: float, code: int) -> None:
    assert gate(results, f"max_parent_loss = {most}").exit_code == code
