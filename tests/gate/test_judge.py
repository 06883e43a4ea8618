import copy
import json
import math
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsuite.errors import RefusedInputError
from evalsuite.gate.checks import Check, GateResult, Outcome, as_dict
from evalsuite.gate.judge import judge
from evalsuite.gate.policy import parse_policy

Results = dict[str, object]


def cell(task: str, network: str, verdict: str | None, **figures: object) -> Results:
    plain: Results = {
        "task": task,
        "measure": "error",
        "network": network,
        "n": 5000,
        "loss": 0.15,
        "low": 0.14,
        "high": 0.16,
        "difference": 0.001,
        "difference_low": -0.002,
        "difference_high": 0.004,
        "verdict": verdict,
        "settles_at": 9000 if verdict == "inconclusive" else None,
        "reason": None,
    }
    return plain | figures


def potential(
    family: str, task: str, ratio: float | None, failure: tuple[float, str] | None, **more: object
) -> Results:
    plain: Results = {
        "family": family,
        "task": task,
        "measure": "error",
        "margin": 0.005,
        "confidence": 0.95,
        "prune_potential": ratio,
        "commensurate": ratio,
        "first_failure": None if failure is None else {"ratio": failure[0], "verdict": failure[1]},
        "censored": failure is None,
        "nonmonotone": False,
        "reason": None if ratio is not None else "1 of 3 networks are not evaluated yet",
    }
    return plain | more


@pytest.fixture
def results() -> Results:
    """One family at 0.3, 0.5 and 0.7: fog is shown up to 0.5 and not at 0.7, clean to the end, noise open at 0.5."""
    ratios = {"m-0.3": 0.30001, "m-0.5": 0.49998, "m-0.7": 0.7}
    verdicts = {
        "clean": ["commensurate"] * 3,
        "corruption/fog/3": ["commensurate", "commensurate", "not_commensurate"],
        "noise/uniform/0.1": ["commensurate", "inconclusive", "inconclusive"],
    }
    held = {"ratio": 0.30001, "network": "m-0.3", "family": "m", "binding_task": "noise/uniform/0.1"}
    deployable = {**held, "binding_measure": "error"}
    return {
        "schema": "evalsuite-results/1",
        "run": {"id": "r", "margin": 0.005, "confidence": 0.95, "confidence_each": 0.95},
        "networks": [
            {"id": "parent", "role": "parent", "family": None, "prune_ratio": 0.0},
            *({"id": name, "role": "pruned", "family": "m", "prune_ratio": ratio} for name, ratio in ratios.items()),
        ],
        "tasks": [{"name": task, "kind": "x", "required": True, "unavailable": None} for task in verdicts],
        "cells": [
            *(cell(task, "parent", None) for task in verdicts),
            *(cell(t, n, v) for t, row in verdicts.items() for n, v in zip(ratios, row, strict=True)),
        ],
        "potential": [
            potential("m", "clean", 0.7, None),
            potential("m", "corruption/fog/3", 0.49998, (0.7, "not_commensurate")),
            potential("m", "noise/uniform/0.1", 0.30001, (0.49998, "inconclusive")),
        ],
        "families": [{"id": "m", "pruner": "magnitude", "seed": 0, "deployable": deployable}],
        "deployable": deployable,
    }


def gate(results: Results, text: str) -> GateResult:
    return judge(parse_policy(text, source="policy.toml"), results)


def only(result: GateResult) -> Check:
    (check,) = result.checks
    return check


def row(results: Results, table: str, **keys: object) -> Results:
    """The one row of a table with these values."""
    rows = results[table]
    assert isinstance(rows, list)
    (found,) = [r for r in rows if all(r[k] == v for k, v in keys.items())]
    return found


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
    found = row(results, "cells", task="clean", network="m-0.3")
    found.update(loss=None, low=None, high=None, n=None, reason="not evaluated yet")
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
    failure = (0.49998, "not_commensurate")
    rows.append(potential("m", "noise/uniform/0.1", 0.30001, failure, measure="disagreement"))
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
    found = gate(two_families, require("clean", "min_commensurate = 0.5", 'family = "*"'))
    assert [(c.network, c.outcome) for c in found.checks] == [("m", "pass"), ("r", "fail")]
    found = gate(two_families, deployable(0.3, 'family = "*"'))
    assert [(c.network, c.outcome) for c in found.checks] == [("m", "pass"), ("r", "incomplete")]
    found = gate(two_families, require("clean", "max_loss = 0.2", 'family = "*"'))
    assert [c.network for c in found.checks] == ["m-0.3", "parent"]


def test_a_pattern_that_matches_no_family_is_incomplete(two_families: Results) -> None:
    check = only(gate(two_families, require("clean", "min_commensurate = 0.5", 'family = "snip-*"')))
    assert check.outcome == "incomplete"
    assert "m, r" in check.message


# --- patterns


def test_a_pattern_holds_for_every_task_that_matches(results: Results) -> None:
    found = gate(results, require("*", "min_commensurate = 0.5"))
    assert [(c.task, str(c.outcome)) for c in found.checks] == [
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
    tasks.append({"name": "adversarial/linf/0.03", "required": False})
    check = only(gate(results, require("adversarial/*", "max_loss = 1.0")))
    assert (check.outcome, check.planned) == (Outcome.INCOMPLETE, True)


def test_a_task_that_makes_no_sense_counts_only_by_its_own_name(results: Results) -> None:
    tasks = results["tasks"]
    assert isinstance(tasks, list)
    tasks.append({"name": "corruption/saturate/3", "required": False, "unavailable": "images are grey"})
    found = gate(results, require("corruption/*", "max_loss = 1.0"))
    assert [c.task for c in found.checks] == ["corruption/fog/3"]
    named = only(gate(results, require("corruption/saturate/3", "max_loss = 1.0")))
    assert named.outcome == "incomplete"
    assert "images are grey" in named.message
    assert only(gate(results, require("corruption/sat*", "max_loss = 1.0"))).outcome == "incomplete"


def test_several_demands_in_one_requirement(results: Results) -> None:
    found = gate(results, require("clean", 'min_commensurate = 0.5\nmax_loss = 0.1\nverdict = "commensurate"'))
    assert [c.requirement for c in found.checks] == ["min_commensurate", "max_loss", "verdict"]
    assert [str(c.outcome) for c in found.checks] == ["pass", "fail", "pass"]


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
    results["run"] = {"confidence": 0.99, "confidence_each": 0.95}
    for terms in ("margin = 0.005", "confidence = 0.96"):
        assert only(gate(results, require("clean", 'verdict = "commensurate"', terms))).outcome == "incomplete"


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
    found = json.loads(json.dumps(as_dict(gate(results, require("*", "min_commensurate = 0.5")))))
    assert (found["policy"], found["outcome"], found["exit_code"]) == ("release", "incomplete", 3)
    assert [c["outcome"] for c in found["checks"]] == ["pass", "pass", "incomplete"]


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
                names = {"id", "name", "task", "measure", "network", "family", "required", "reason"}
                if key not in names and not isinstance(value, bool):
                    yield {**results, table: [*rows[:k], {**entry, key: None}, *rows[k + 1 :]]}


def test_taking_evidence_away_never_makes_a_pass_of_anything_else(results: Results) -> None:
    terms = 'margin = 0.005\nconfidence = 0.95\nmin_examples = 5000\nmin_deployable = 0.5\nfamily = "m"'
    demand = 'min_commensurate = 0.5\nmax_loss = 0.2\nverdict = "commensurate"'
    for task in ("clean", "corruption/fog/3", "noise/uniform/0.1"):
        policy = require(task, demand, terms)
        before = {(c.requirement, c.task): c.outcome for c in gate(results, policy).checks}
        for poorer in removals(results):
            for found in gate(poorer, policy).checks:
                assert found.outcome is not Outcome.PASS or before[found.requirement, found.task] is Outcome.PASS


@pytest.mark.parametrize("of", ["m-0.3", "parent"])
@pytest.mark.parametrize("holds", [True, False])
def test_a_shipped_file_that_is_another_network_fails_every_policy(results: Results, of: str, holds: bool) -> None:
    wrong = 0 if holds else 7
    shipped = {"id": "app.onnx", "of": of, "n": 100, "disagreements": wrong, "holds": holds, "verdict": "ignored"}
    found = gate(results | {"shipped": [shipped]}, require("clean", 'verdict = "commensurate"'))
    check = next(each for each in found.checks if each.requirement == "shipped")
    assert (check.network, str(check.outcome)) == (of, "pass" if holds else "fail")
    assert f"app.onnx, shipped as {of}: {wrong} of 100 examples" in check.message
    assert found.exit_code == (0 if holds else 1)
