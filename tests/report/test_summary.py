import re

from evalsuite.export.markdown import summary
from evalsuite.records.schema import parse_results

Row = dict[str, object]


def summarised(document: Row) -> str:
    """The summary of these results, read as a file is."""
    return summary(parse_results(document))


def plain(text: str) -> str:
    return text.replace("\N{NO-BREAK SPACE}", " ").replace("\N{NARROW NO-BREAK SPACE}", " ")


def test_word_for_word(tiny: Row) -> None:
    assert plain(summarised(tiny)).split("\n") == [
        "## Prune up to 62 %.",
        "",
        "`m` on `digits`, margin 0.5 points, confidence 95 %.",
        "",
        (
            "On each of the 2 required tasks, every network tested up to this ratio is shown to be at most "
            "0.5 points worse than its parent, at 95 % confidence."
        ),
        "",
        (
            "At 71 % `corruption/fog/3` is no longer shown to be within 0.5 points of the parent; about 8 "
            "300 examples would settle it."
        ),
        "",
        "Judged by `clean` alone, it would have been 71 %.",
        "",
        "**Not covered**",
        "",
        (
            "- 1 verdict inconclusive on 1 required task: Most on `corruption/fog/3`. Half of them would be "
            "settled by about 8 300 examples."
        ),
        "- Not asked: Random noise on the input: no such task was run.",
        "- Not asked: Adversarial attacks: no such task was run.",
        "- Not asked: Certified robustness: no such task was run.",
        "- Not asked: Out-of-distribution data: no such task was run.",
        "",
        "Commensurate prune ratio, and prune potential in parentheses:",
        "",
        "| Task | Required | `magnitude-0` |",
        "|---|---|--:|",
        "| `clean` | yes | 71.0 % (71.0 %) → |",
        "| `corruption/fog/3` | yes | 62.0 % (71.0 %) |",
        "",
        "Reproduce:",
        "",
        "```",
        "evalsuite sweep --ckpt m.pt",
        "```",
        "",
    ]


def test_stays_short(made) -> None:
    families = [(p, s) for p in ("magnitude", "taylor") for s in range(3)]
    results = made(severities=(1, 2, 3, 4, 5), ratios=(0.5, 0.9), families=families, measures=("error",))
    for task in results["tasks"]:
        task["flags"] = ["doubt"]
    lines = summarised(results).splitlines()
    assert len([line for line in lines if not line.startswith("|")]) <= 60
    assert len([line for line in lines if line.startswith("|")]) <= 330
    assert len(summarised(results).encode()) < 900_000
    assert "| `taylor-2` |" in summarised(results)


def test_hostile_names_do_not_leave_their_place(tiny: Row) -> None:
    evil = "<img src=x> | `a` [b](javascript:c) *d* _e_ \n# f"
    tiny["tasks"][1] |= {"name": evil, "unavailable": evil}
    tiny["cells"] = tiny["cells"][:2]
    tiny["potential"][1]["task"] = tiny["deployable"]["binding_task"] = evil
    tiny["run"]["command"] = f"x ``` {evil}"
    output = summarised(tiny)
    outside = re.sub(r"(?s)(`{4,}).*?\1|`[^`\n]*`", "", output)
    assert "<img" not in outside
    assert "[b](" not in outside
    assert "\n# f" not in output
    rows = [line for line in output.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {4}


def test_nothing_to_tell(tiny: Row) -> None:
    bare = tiny | {"networks": [], "cells": [], "potential": [], "families": [], "deployable": None, "tasks": []}
    assert summarised(bare).startswith("## No pruned network has been judged.\n")
    assert "| Task |" not in summarised(bare)


def test_not_measured_is_a_dash(tiny: Row) -> None:
    tiny["potential"] = tiny["potential"][:1]
    assert "| `corruption/fog/3` | yes | – |" in summarised(tiny)
