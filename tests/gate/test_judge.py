"""What a policy demands, and what a run shows of it."""

import copy
import json
from dataclasses import replace

import pytest

from evalsuite.gate.checks import Check, GateResult, Outcome
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


# --- commensurate ratios


@pytest.mark.parametrize(
    ("task", "minimum", "outcome"),
    [
        ("clean", 0.7, "pass"),
        ("clean", 0.9, "incomplete"),  # the grid ends at 0.7
        ("corruption/fog/3", 0.3, "pass"),
        ("corruption/fog/3", 0.5, "pass"),  # 0.49998 is 0.5 but for a few weights
        ("corruption/fog/3", 0.6, "incomplete"),  # nothing between 0.5 and 0.7 was tested
        ("corruption/fog/3", 0.7, "fail"),
        ("corruption/fog/3", 0.8, "fail"),
        ("noise/uniform/0.1", 0.5, "incomplete"),  # ended by an open verdict
    ],
)
def test_commensurate_ratio(results: Results, task: str, minimum: float, outcome: str) -> None:
    check = only(gate(results, require(task, f"min_commensurate = {minimum}")))
    assert check.outcome == outcome
    assert (check.task, check.measure, check.network) == (task, "error", "m")
    assert (check.requirement, check.limit) == ("min_commensurate", f"{minimum:g}")
    assert f"required {minimum:g}" in check.message


def test_half_a_tenth_of_a_percent_is_all_the_slack_of_a_ratio(results: Results) -> None:
    fog = row(results, "potential", task="corruption/fog/3")
    for ratio, outcome in [(0.4996, "pass"), (0.4994, "incomplete")]:
        fog["commensurate"] = ratio
        assert only(gate(results, require("corruption/fog/3", "min_commensurate = 0.5"))).outcome == outcome


def test_a_potential_that_is_not_known_is_not_zero(results: Results) -> None:
    row(results, "potential", task="clean").update(commensurate=None, reason="1 of 3 networks are not evaluated yet")
    check = only(gate(results, require("clean", "min_commensurate = 0.1")))
    assert check.outcome == "incomplete"
    assert "not evaluated yet" in check.message


def test_a_missing_row_is_incomplete(results: Results) -> None:
    results["potential"] = []
    assert only(gate(results, require("clean", "min_commensurate = 0.1"))).outcome == "incomplete"


# --- losses


@pytest.mark.parametrize(
    ("most", "outcome"), [(0.17, "pass"), (0.16, "pass"), (0.15, "incomplete"), (0.14, "incomplete"), (0.13, "fail")]
)
def test_loss_is_judged_by_its_interval(results: Results, most: float, outcome: str) -> None:
    # the loss is 0.15, between 0.14 and 0.16; both ends count as shown
    check = only(gate(results, require("clean", f"max_loss = {most}")))
    assert check.outcome == outcome
    assert check.network == "m-0.3"  # the deployable network
    assert "0.140000 and 0.160000" in check.message


def test_a_loss_that_was_not_measured_is_incomplete(results: Results) -> None:
    result = row(results, "cells", task="clean", network="m-0.3")
    result.update(loss=None, low=None, high=None, n=None, reason="not evaluated yet")
    check = only(gate(results, require("clean", "max_loss = 1.0")))
    assert check.outcome == "incomplete"
    assert "not evaluated yet" in check.message


def test_an_attack_in_doubt_cannot_pass_but_a_broken_network_is_broken(results: Results) -> None:
    row(results, "cells", task="clean", network="m-0.3")["reason"] = "attack flagged: zero gradients"
    doubted = only(gate(results, require("clean", "max_loss = 0.5")))
    assert doubted.outcome == "incomplete"
    assert "zero gradients" in doubted.message
    assert only(gate(results, require("clean", "max_loss = 0.1"))).outcome == "fail"
    assert only(gate(results, require("clean", 'verdict = "commensurate"'))).outcome == "incomplete"
    assert only(gate(results, require("clean", "min_commensurate = 0.3"))).outcome == "incomplete"


def test_doubt_at_a_ratio_beyond_the_demand_does_not_matter(results: Results) -> None:
    row(results, "cells", task="clean", network="m-0.7")["reason"] = "attack flagged: zero gradients"
    assert only(gate(results, require("clean", "min_commensurate = 0.5"))).outcome == "pass"
    assert only(gate(results, require("clean", "min_commensurate = 0.6"))).outcome == "incomplete"


# --- verdicts of one network


@pytest.mark.parametrize(
    ("network", "task", "outcome"),
    [
        ("m-0.5", "corruption/fog/3", "pass"),
        ("m-0.7", "corruption/fog/3", "fail"),
        ("m-0.5", "noise/uniform/0.1", "incomplete"),
        ("parent", "clean", "incomplete"),  # there is no verdict on the parent
    ],
)
def test_verdict_of_a_named_network(results: Results, network: str, task: str, outcome: str) -> None:
    check = only(gate(results, require(task, 'verdict = "commensurate"', f'network = "{network}"')))
    assert (check.outcome, check.network) == (outcome, network)


def test_an_open_verdict_tells_what_would_settle_it(results: Results) -> None:
    text = require("noise/uniform/0.1", 'verdict = "commensurate"', 'network = "m-0.5"')
    assert "about 9000 examples would settle it" in only(gate(results, text)).message


def test_an_unknown_network_is_incomplete_and_the_known_are_told(results: Results) -> None:
    check = only(gate(results, require("clean", "max_loss = 0.5", 'network = "m-0.55"')))
    assert check.outcome == "incomplete"
    assert "m-0.3, m-0.5, m-0.7" in check.message


def test_the_parent_belongs_to_no_family(results: Results) -> None:
    assert only(gate(results, require("clean", "max_loss = 0.2", 'network = "parent"'))).outcome == "pass"
    check = only(gate(results, require("clean", "min_commensurate = 0.1", 'network = "parent"')))
    assert check.outcome == "incomplete"
    assert "no family" in check.message


# --- the deployable ratio


def deployable(minimum: float, terms: str = "") -> str:
    return f"[policy]\nmin_deployable = {minimum}\n{terms}\n"


def test_deployable_ratio(results: Results) -> None:
    passed = only(gate(results, deployable(0.3)))
    assert (passed.outcome, passed.network, passed.measure) == ("pass", "m", None)
    short = only(gate(results, deployable(0.5)))
    assert short.outcome == "incomplete"  # the binding task is open at 0.5
    assert "noise/uniform/0.1:error" in short.message


def test_a_deployable_ratio_ended_by_a_shown_failure_fails(results: Results) -> None:
    failure = {"ratio": 0.49998, "verdict": "not_commensurate"}
    row(results, "potential", task="noise/uniform/0.1")["first_failure"] = failure
    assert only(gate(results, deployable(0.5))).outcome == "fail"
    assert only(gate(results, deployable(0.4))).outcome == "incomplete"  # 0.4 was not tested


def test_only_the_binding_measure_can_fail_the_deployable_ratio(results: Results) -> None:
    rows = results["potential"]
    assert isinstance(rows, list)
    other = row(results, "potential", task="noise/uniform/0.1") | {"measure": "disagreement"}
    rows.append(other | {"first_failure": {"ratio": 0.49998, "verdict": "not_commensurate"}})
    cells = results["cells"]
    assert isinstance(cells, list)
    cells += [c | {"measure": "disagreement"} for c in cells if c["task"] == "noise/uniform/0.1"]
    assert only(gate(results, deployable(0.5))).outcome == "incomplete"


def test_a_run_need_not_list_its_families(results: Results) -> None:
    results["families"] = []
    assert only(gate(results, deployable(0.3, 'network = "m-0.5"'))).outcome == "pass"
    assert only(gate(results, deployable(0.3))).outcome == "pass"


def test_no_deployable_ratio_is_incomplete(results: Results) -> None:
    results["deployable"] = None
    results["families"] = []
    check = only(gate(results, deployable(0.1)))
    assert check.outcome == "incomplete"
    assert "lacks evidence" in check.message


def test_without_a_deployable_network_there_is_no_loss_to_judge(results: Results) -> None:
    results["deployable"] = None
    results["families"] = []
    assert only(gate(results, require("clean", "max_loss = 1.0"))).outcome == "incomplete"
    # but the only family's potential is known
    assert only(gate(results, require("clean", "min_commensurate = 0.5"))).outcome == "pass"


# --- several families


@pytest.fixture
def two_families(results: Results) -> Results:
    both = copy.deepcopy(results)
    for table in ("networks", "cells", "potential"):
        rows = both[table]
        assert isinstance(rows, list)
        text = json.dumps([r for r in rows if r.get("family") == "m" or str(r.get("network")).startswith("m-")])
        rows += json.loads(text.replace('"m-', '"r-').replace('"m"', '"r"'))
    families = both["families"]
    assert isinstance(families, list)
    families.append({"id": "r", "deployable": {"ratio": 0.0, "network": "parent", "family": "r"}})
    row(both, "potential", family="r", task="clean").update(
        commensurate=0.0, first_failure={"ratio": 0.30001, "verdict": "not_commensurate"}
    )
    return both


def test_the_family_that_goes_furthest_is_judged(two_families: Results) -> None:
    assert only(gate(two_families, require("clean", "min_commensurate = 0.5"))).network == "m"


def test_a_pattern_judges_every_family_that_matches(two_families: Results) -> None:
    result = gate(two_families, require("clean", "min_commensurate = 0.5", 'family = "*"'))
    assert [(c.network, c.outcome) for c in result.checks] == [("m", "pass"), ("r", "fail")]
    result = gate(two_families, deployable(0.3, 'family = "*"'))
    assert [(c.network, c.outcome) for c in result.checks] == [("m", "pass"), ("r", "incomplete")]
    result = gate(two_families, require("clean", "max_loss = 0.2", 'family = "*"'))
    # the parent is left where nothing is deployable, and it is not what is released
    assert [(c.network, c.outcome) for c in result.checks] == [("m-0.3", "pass"), (None, "incomplete")]


def test_a_pattern_that_matches_no_family_is_incomplete(two_families: Results) -> None:
    check = only(gate(two_families, require("clean", "min_commensurate = 0.5", 'family = "snip-*"')))
    assert check.outcome == "incomplete"
    assert "m, r" in check.message


# --- patterns


def test_a_pattern_holds_for_every_task_that_matches(results: Results) -> None:
    result = gate(results, require("*", "min_commensurate = 0.5"))
    assert [(c.task, str(c.outcome)) for c in result.checks] == [
        ("clean", "pass"),
        ("corruption/fog/3", "pass"),
        ("noise/uniform/0.1", "incomplete"),
    ]
    assert [c.task for c in gate(results, require("corruption/*/3", "max_loss = 1")).checks] == ["corruption/fog/3"]


@pytest.mark.parametrize("demand", ["min_commensurate = 0.1", "max_loss = 1.0", 'verdict = "commensurate"'])
def test_a_pattern_that_matches_no_task_is_incomplete(results: Results, demand: str) -> None:
    check = only(gate(results, require("adversarial/*", demand)))
    assert (check.outcome, check.planned) == (Outcome.INCOMPLETE, False)
    assert "clean, corruption/fog/3" in check.message


@pytest.mark.parametrize("demand", ["min_commensurate = 0.1", "max_loss = 1.0", 'verdict = "commensurate"'])
def test_a_measure_without_evidence_is_incomplete(results: Results, demand: str) -> None:
    check = only(gate(results, require("clean", f'measure = "eror"\n{demand}')))
    assert check.outcome == "incomplete"
    assert "measures of this task: error" in check.message


def test_a_planned_task_without_cells_is_incomplete(results: Results) -> None:
    tasks = results["tasks"]
    assert isinstance(tasks, list)
    tasks.append({"name": "adversarial/linf/0.03", "kind": "adversarial", "required": False})
    check = only(gate(results, require("adversarial/*", "max_loss = 1.0")))
    assert (check.outcome, check.planned) == (Outcome.INCOMPLETE, True)


def test_a_task_that_makes_no_sense_counts_only_by_its_own_name(results: Results) -> None:
    tasks = results["tasks"]
    assert isinstance(tasks, list)
    grey = {"name": "corruption/saturate/3", "kind": "corruption", "required": False}
    tasks.append(grey | {"unavailable": "images are grey"})
    result = gate(results, require("corruption/*", "max_loss = 1.0"))
    assert [c.task for c in result.checks] == ["corruption/fog/3"]
    named = only(gate(results, require("corruption/saturate/3", "max_loss = 1.0")))
    assert named.outcome == "incomplete"
    assert "images are grey" in named.message
    assert only(gate(results, require("corruption/sat*", "max_loss = 1.0"))).outcome == "incomplete"


def test_several_demands_in_one_requirement(results: Results) -> None:
    result = gate(results, require("clean", 'min_commensurate = 0.5\nmax_loss = 0.1\nverdict = "commensurate"'))
    assert [c.requirement for c in result.checks] == ["min_commensurate", "max_loss", "verdict"]
    assert [str(c.outcome) for c in result.checks] == ["pass", "fail", "pass"]
