"""The sentences a reader acts on, word for word."""

import pytest

from evalsuite.records.schema import parse_results
from evalsuite.report.content.gaps import gaps, not_evidence_for
from evalsuite.report.content.index import Index, indexed
from evalsuite.report.content.verdict import answer, binds, confidence_in_words, ended, headline, margin_in_words

Row = dict[str, object]


def plain(text: str) -> str:
    return text.replace("\N{NO-BREAK SPACE}", " ").replace("\N{NARROW NO-BREAK SPACE}", " ")


def subject(results: Row) -> Index:
    return indexed(parse_results(results))


def output(results: Row) -> tuple[str, list[str]]:
    result = answer(subject(results))
    return plain(result.headline), [plain(s) for s in result.sentences]


def test_deployable(tiny: Row) -> None:
    assert output(tiny) == (
        "Prune up to 62 %.",
        [
            (
                "On each of the 2 required tasks, every network tested up to this ratio is shown to be at most "
                "0.5 points worse than its parent, at 95 % confidence."
            ),
            (
                "At 71 % `corruption/fog/3` is no longer shown to be within 0.5 points of the parent; "
                "about 8 300 examples would settle it."
            ),
            "Judged by `clean` alone, it would have been 71 %.",
        ],
    )


def test_files_made_elsewhere_are_called_by_name(tiny: Row) -> None:
    tiny["families"][0] |= {"pruner": None}
    assert output(tiny)[0] == "`a` is shown to be deployable, with 62 % of its weights zero or gone."
    tiny["deployable"] |= {"ratio": 0.0, "network": "m"}
    tiny["potential"][1] |= {"commensurate": 0.0, "first_failure": {"ratio": 0.62, "verdict": "not_commensurate"}}
    assert output(tiny)[0] == "No candidate is shown to be deployable."


def test_shown_to_fail_reads_otherwise(tiny: Row) -> None:
    tiny["potential"][1]["first_failure"]["verdict"] = "not_commensurate"
    assert "At 71 % `corruption/fog/3` is shown to be more than 0.5 points worse than the parent." in output(tiny)[1]


def test_another_measure_binds(tiny: Row) -> None:
    tiny["potential"][1]["measure"] = "worst_class"
    tiny["deployable"]["binding_measure"] = "worst_class"
    assert any("At 71 % `corruption/fog/3:worst_class` is no longer" in s for s in output(tiny)[1])


def test_end_of_the_grid(tiny: Row) -> None:
    tiny["deployable"] |= {"ratio": 0.71, "network": "b", "binding_task": None, "binding_measure": None}
    tiny["potential"][1] |= {"commensurate": 0.71, "first_failure": None, "censored": True}
    sentences = output(tiny)[1]
    assert "No required task gave out: 71 % is the largest ratio tested, and the limit may lie higher." in sentences
    assert not any("Judged by" in s for s in sentences)


def test_none_is_deployable(tiny: Row) -> None:
    tiny["deployable"] |= {"ratio": 0.0, "network": "m"}
    tiny["potential"][1] |= {"commensurate": 0.0, "first_failure": {"ratio": 0.62, "verdict": "not_commensurate"}}
    assert output(tiny) == (
        "No pruned network is shown to be deployable.",
        [
            "None is shown to stay within 0.5 points of the parent on every required task.",
            "Already at 62 % `corruption/fog/3` is shown to be more than 0.5 points worse than the parent.",
            "Judged by `clean` alone, it would have been 71 %.",
        ],
    )


def test_a_measure_that_does_not_bind_is_not_blamed(tiny: Row) -> None:
    tiny["deployable"] |= {"ratio": 0.0, "network": "m"}
    fog = tiny["potential"][1] | {"commensurate": 0.0, "first_failure": {"ratio": 0.62, "verdict": "inconclusive"}}
    worse = {"measure": "disagreement", "first_failure": {"ratio": 0.62, "verdict": "not_commensurate"}}
    tiny["potential"] = [fog | worse, fog]
    assert output(tiny)[1][1].startswith("Already at 62 % `corruption/fog/3` is no longer shown")
    assert binds(subject(tiny), "corruption/fog/3", "error")
    assert not binds(subject(tiny), "corruption/fog/3", "disagreement")
    tiny["deployable"]["binding_measure"] = "disagreement"
    assert binds(subject(tiny), "corruption/fog/3", "disagreement")


def test_evidence_is_missing(tiny: Row) -> None:
    tiny["deployable"] = tiny["families"][0]["deployable"] = None
    tiny["cells"] = [c for c in tiny["cells"] if c["task"] == "clean"]
    tiny["potential"] = tiny["potential"][:1]
    tiny["tasks"][1]["unavailable"] = "its textures are not installed"
    status, sentences = output(tiny)
    assert status == "No verdict: required evidence is missing."
    assert sentences[0] == "1 required task has no evidence: `corruption/fog/3`."


def test_some_networks_are_not_evaluated(tiny: Row) -> None:
    tiny["deployable"] = tiny["families"][0]["deployable"] = None
    tiny["potential"][1] |= {"commensurate": None, "prune_potential": None, "first_failure": None}
    assert output(tiny)[1][0] == "Some networks have not been evaluated on every required task."


def test_nothing_is_required(tiny: Row) -> None:
    tiny["deployable"] = None
    for task in tiny["tasks"]:
        task["required"] = False
    assert output(tiny)[1] == ["No task is marked as required, so no ratio can be called deployable."]


def test_no_pruned_network(tiny: Row) -> None:
    tiny |= {"networks": tiny["networks"][:1], "cells": [], "potential": [], "families": [], "deployable": None}
    assert output(tiny)[0] == "No pruned network has been judged."


def test_several_families_each_say_where_they_fail(tiny: Row) -> None:
    tiny["deployable"] = None
    tiny["families"].append({"id": "random-0", "pruner": "random", "seed": 0, "deployable": None})
    tiny["networks"].append(tiny["networks"][1] | {"id": "c", "family": "random-0"})
    failing = tiny["potential"][1] | {"commensurate": 0.0, "first_failure": {"ratio": 0.62, "verdict": "inconclusive"}}
    tiny["potential"] = [failing, failing | {"family": "random-0"}]
    assert output(tiny)[1][1:] == [
        f"Family `{name}`: already at 62 % `corruption/fog/3` is no longer shown to be within 0.5 points of the parent."
        for name in ("magnitude-0", "random-0")
    ]


def test_margin_and_confidence(tiny: Row) -> None:
    assert plain(margin_in_words(subject(tiny))) == (
        "The margin is 0.5 points: out of 1000 examples, a pruned network may get at most 5 more wrong than its "
        "parent, counted on the same examples."
    )
    assert plain(confidence_in_words(subject(tiny))) == (
        "The confidence is 95 %: if a network were beyond the margin on some required task, the chance that a run like "
        "this one would call it deployable is at most 1 in 20."
    )
    tiny["run"] |= {"margin": 0.0, "confidence": 0.97}
    assert "no worse than its parent" in margin_in_words(subject(tiny))
    # 1 / 0.03 is no whole number
    assert plain(confidence_in_words(subject(tiny))).endswith("is at most 3 %.")


def test_confidence_over_families(tiny: Row) -> None:
    tiny["families"].append({"id": "random-0"})
    assert "not for the best one chosen afterwards" in confidence_in_words(subject(tiny))
    for potential in tiny["potential"]:
        potential["confidence"] = 0.975
    assert "Each of the 2 families is held to 97.5 %, so that this covers choosing the best." in plain(
        confidence_in_words(subject(tiny))
    )


def test_headline_for_a_terminal(tiny: Row) -> None:
    lines = headline(parse_results(tiny)).splitlines()
    assert lines[0] == "Prune up to 62 %."
    assert lines[2].startswith("At 71 % corruption/fog/3 is no longer shown")


def test_ending_in_a_table(tiny: Row) -> None:
    index = subject(tiny)
    clean, fog = index.results.potential
    assert ended(index, clean) == "end of the grid"
    assert plain(ended(index, fog)) == "71.0 %: not shown; about 8 300 examples would settle it"


def listed(results: Row) -> dict[str, tuple[str, ...]]:
    return {plain(gap.title): tuple(map(plain, gap.missing)) for gap in gaps(subject(results))}


def test_gaps_of_a_whole_run(tiny: Row) -> None:
    outcome = listed(tiny)
    assert outcome["1 verdict inconclusive on 1 required task"] == (
        "Most on `corruption/fog/3`. Half of them would be settled by about 8 300 examples.",
    )
    assert "Adversarial attacks: no such task was run." in outcome["Not asked"]
    assert not any("corruptions" in item for item in outcome["Not asked"])


def test_gaps_of_a_partial_run(tiny: Row) -> None:
    tiny["complete"] = False
    tiny["tasks"][0] |= {"unavailable": "no images", "flags": ["zero gradients"]}
    tiny["cells"][2] |= {"loss": None, "difference": None, "verdict": None, "reason": "not evaluated yet"}
    actual = listed(tiny)
    assert next(iter(actual)) == "The run is not finished"
    assert actual["1 task not available"] == ("`clean` (required): no images",)
    assert actual["Not measured"] == ("`corruption/fog/3` (1 cell): not evaluated yet",)
    assert actual["1 task with doubts about validity"] == ("`clean`: zero gradients",)


def test_a_task_without_cells_is_told(tiny: Row) -> None:
    tiny["cells"] = [c for c in tiny["cells"] if c["task"] == "clean"]
    assert listed(tiny)["Not measured"] == ("`corruption/fog/3`: no result is stored",)


@pytest.mark.parametrize(("kind", "requested"), [("adversarial", True), ("corruption", False)])
def test_not_evidence_for(tiny: Row, kind: str, requested: bool) -> None:
    tiny["tasks"][1]["kind"] = kind
    tiny["tasks"][1]["name"] = f"{kind}/x"
    for cell in tiny["cells"][2:]:
        cell["task"] = f"{kind}/x"
    message = not_evidence_for(subject(tiny))
    assert any("surviving one is not a proof" in line for line in message) is requested
    assert ("Adversarial attacks: no such task was run." in message) is not requested
