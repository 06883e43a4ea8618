"""Evidence that is not good enough, is missing or makes no sense never passes; what failed wins."""

import copy
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsuite.errors import RefusedInputError
from evalsuite.gate.checks import Check, GateResult, Outcome, as_dict
from evalsuite.gate.judge import apply_policy
from evalsuite.gate.policy import parse_policy
from evalsuite.records.schema import parse_results
from evalsuite.records.sealing import Backing

Results = dict[str, object]


def gate(results: Results, text: str) -> GateResult:
    """What the policy itself demands; what every policy demands of inputs and evidence is tested beside."""
    actual = apply_policy(parse_policy(text, source="policy.toml"), parse_results(results), Backing(store=True))
    return replace(actual, checks=tuple(check for check in actual.checks if check.task not in {"inputs", "evidence"}))


def only(result: GateResult) -> Check:
    (check,) = result.checks
    return check


def row(results: Results, table: str, **keys: object) -> Results:
    """The one row of a table with these values."""
    rows = results[table]
    assert isinstance(rows, list)
    (computed,) = [r for r in rows if all(r[k] == v for k, v in keys.items())]
    return computed


def require(task: str, demand: str, terms: str = "") -> str:
    return f'[policy]\nname = "release"\n{terms}\n[[require]]\ntask = "{task}"\n{demand}\n'


def deployable(minimum: float, terms: str = "") -> str:
    return f"[policy]\nmin_deployable = {minimum}\n{terms}\n"


# --- what evidence is good enough


@pytest.mark.parametrize(
    ("terms", "outcome"),
    [
        ("margin = 0.005", "pass"),
        ("margin = 0.01", "pass"),  # shown with a narrower margin: more than is asked for
        ("margin = 0.001", "incomplete"),
        ("confidence = 0.95", "pass"),
        ("confidence = 0.9", "pass"),
        ("confidence = 0.99", "incomplete"),
        ("min_examples = 5000", "pass"),
        ("min_examples = 5001", "incomplete"),
    ],
)
@pytest.mark.parametrize("demand", ["min_commensurate = 0.5", 'verdict = "commensurate"'])
def test_evidence_has_to_be_what_the_policy_asks_for(results: Results, terms: str, outcome: str, demand: str) -> None:
    assert only(gate(results, require("clean", demand, terms))).outcome == outcome


def test_the_same_holds_for_the_deployable_ratio(results: Results) -> None:
    for terms in ("margin = 0.001", "confidence = 0.99", "min_examples = 5001"):
        assert only(gate(results, deployable(0.3, terms))).outcome == "incomplete"
    for terms in ("margin = 0.005", "confidence = 0.95", "min_examples = 5000"):
        assert only(gate(results, deployable(0.3, terms))).outcome == "pass"


def test_a_loss_does_not_depend_on_the_margin(results: Results) -> None:
    assert only(gate(results, require("clean", "max_loss = 0.2", "margin = 0.001"))).outcome == "pass"
    assert only(gate(results, require("clean", "max_loss = 0.2", "confidence = 0.99"))).outcome == "incomplete"
    assert only(gate(results, require("clean", "max_loss = 0.2", "min_examples = 6000"))).outcome == "incomplete"


def test_failing_evidence_that_is_not_good_enough_is_incomplete(results: Results) -> None:
    text = require("corruption/fog/3", "min_commensurate = 0.7", "min_examples = 6000")
    assert only(gate(results, text)).outcome == "incomplete"


def test_a_run_that_does_not_tell_its_margin_is_not_accepted(results: Results) -> None:
    row(results, "potential", task="clean")["margin"] = None
    assert only(gate(results, require("clean", "min_commensurate = 0.5", "margin = 0.1"))).outcome == "incomplete"
    assert only(gate(results, require("clean", "min_commensurate = 0.5"))).outcome == "pass"


def test_without_a_row_of_its_own_a_cell_was_made_as_the_run_was(results: Results) -> None:
    results["potential"] = []
    for terms, outcome in [
        ("margin = 0.005", "pass"),
        ("margin = 0.001", "incomplete"),
        ("confidence = 0.95", "pass"),
        ("confidence = 0.96", "incomplete"),
    ]:
        assert only(gate(results, require("clean", 'verdict = "commensurate"', terms))).outcome == outcome
    run = results["run"]
    assert isinstance(run, dict)
    run["confidence"] = 0.99  # of the run as a whole, not of a family's claims
    demand = 'verdict = "commensurate"'
    assert only(gate(results, require("clean", demand, "confidence = 0.96"))).outcome == "incomplete"
    del run["margin"]
    with pytest.raises(RefusedInputError, match=r"run\.margin"):
        gate(results, require("clean", demand, "margin = 0.005"))


def test_a_confidence_made_by_division_is_not_refused_for_its_last_bit(results: Results) -> None:
    row(results, "potential", task="clean")["confidence"] = math.nextafter(0.95, 0)
    assert only(gate(results, require("clean", "min_commensurate = 0.5", "confidence = 0.95"))).outcome == "pass"


# --- the outcome of all


def check(outcome: Outcome) -> Check:
    return Check(
        requirement="max_loss", limit="0.2", task="clean", measure="error", network="m", outcome=outcome, message="x"
    )


@given(st.lists(st.sampled_from(list(Outcome))))
def test_failure_wins_over_incomplete_wins_over_pass(outcomes: list[Outcome]) -> None:
    result = GateResult(policy="p", checks=tuple(check(o) for o in outcomes))
    if Outcome.FAIL in outcomes:
        expected = (Outcome.FAIL, 1)
    elif Outcome.INCOMPLETE in outcomes or not outcomes:
        expected = (Outcome.INCOMPLETE, 3)
    else:
        expected = (Outcome.PASS, 0)
    assert (result.outcome, result.exit_code) == expected


def test_as_dict_is_json(results: Results) -> None:
    result = json.loads(json.dumps(as_dict(gate(results, require("*", "min_commensurate = 0.5")))))
    assert (result["policy"], result["outcome"], result["exit_code"]) == ("release", "incomplete", 3)
    assert [c["outcome"] for c in result["checks"]] == ["pass", "pass", "incomplete"]


def test_results_are_left_alone_and_can_be_read_from_json(results: Results) -> None:
    before = copy.deepcopy(results)
    gate(results, require("*", "min_commensurate = 0.5"))
    assert results == before
    again = json.loads(json.dumps(results))
    assert gate(again, require("*", "max_loss = 0.2")) == gate(results, require("*", "max_loss = 0.2"))


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (lambda r: r.pop("cells"), "cells"),
        (lambda r: r["cells"][0].update(high=math.nan), "cells.0.high"),
        (lambda r: r["cells"][0].update(verdict="fine"), "cells.0.verdict"),
        (lambda r: r["cells"][0].update(n="5000"), "cells.0.n"),
        (lambda r: r.update(potential={}), "potential"),
    ],
)
def test_results_that_make_no_sense_are_refused(
    results: Results, change: Callable[[Results], None], place: str
) -> None:
    change(results)
    with pytest.raises(RefusedInputError, match=place.replace(".", r"\.")) as refused:
        gate(results, require("clean", "max_loss = 1.0"))
    assert refused.value.exit_code == 4


def removals(results: Results) -> Iterator[Results]:
    """The results with one row, or one figure of a row, missing."""
    for table in ("networks", "tasks", "cells", "potential", "families"):
        rows = results[table]
        assert isinstance(rows, list)
        for k, entry in enumerate(rows):
            yield {**results, table: rows[:k] + rows[k + 1 :]}
            for key, value in entry.items():
                names = {"id", "role", "name", "task", "measure", "network", "family", "required", "reason", "kind"}
                if key not in names and not isinstance(value, bool):
                    yield {**results, table: [*rows[:k], {**entry, key: None}, *rows[k + 1 :]]}


def test_taking_evidence_away_never_makes_a_pass_of_anything_else(results: Results) -> None:
    terms = 'margin = 0.005\nconfidence = 0.95\nmin_examples = 5000\nmin_deployable = 0.5\nfamily = "m"'
    demand = 'min_commensurate = 0.5\nmax_loss = 0.2\nverdict = "commensurate"'
    for task in ("clean", "corruption/fog/3", "noise/uniform/0.1"):
        policy = require(task, demand, terms)
        before = {(c.requirement, c.task): c.outcome for c in gate(results, policy).checks}
        for poorer in removals(results):
            for result in gate(poorer, policy).checks:
                assert result.outcome is not Outcome.PASS or before[result.requirement, result.task] is Outcome.PASS


@pytest.mark.parametrize("subject", ["m-0.3", "parent"])
@pytest.mark.parametrize("holds", [True, False])
def test_a_shipped_file_that_is_another_network_fails_every_policy(results: Results, subject: str, holds: bool) -> None:
    wrong = 0 if holds else 7
    shipped = {"id": "app.onnx", "of": subject, "n": 100, "disagreements": wrong, "holds": holds}
    shipped["verdict"] = "same predictions" if holds else "differs"
    result = gate(results | {"shipped": [shipped]}, require("clean", 'verdict = "commensurate"'))
    check = next(each for each in result.checks if each.requirement == "shipped")
    assert (check.network, str(check.outcome)) == (subject, "pass" if holds else "fail")
    assert f"app.onnx, shipped as {subject}: {wrong} of 100 examples" in check.message
    assert result.exit_code == (0 if holds else 1)
