"""Where robust accuracy lies, and contradictions that nobody may overlook."""

from collections.abc import Sequence

from evalsuite.records.schema import parse_results
from evalsuite.report.page import Picture, render


def rendered(document: dict[str, object], pictures: Sequence[Picture] = ()) -> str:
    """The page of these results, read as a file is."""
    return render(parse_results(document), pictures)


def with_pair(results, violations):
    tasks = [dict(results["tasks"][0]) for _ in range(2)]
    tasks[0] |= {"name": "bounds/linf/0.02", "kind": "bounds"}
    tasks[1] |= {"name": "adversarial/linf/0.02", "kind": "adversarial"}
    pair = {"network": "m-0.3", "inner": "bounds/linf/0.02", "outer": "adversarial/linf/0.02", "n": 500}
    pair |= {"inner_right": 310, "outer_right": 405, "violations": violations, "broken": violations > 0}
    return results | {"tasks": [*results["tasks"], *tasks], "invariants": [pair]}


def test_lower_and_upper_end_are_told(tiny):
    html = rendered(with_pair(tiny, 0))
    assert "Between certificate and attack" in html
    assert "62 %" in html.replace("\N{NARROW NO-BREAK SPACE}", " ").replace("\N{NO-BREAK SPACE}", " ")
    assert "81 %" in html.replace("\N{NARROW NO-BREAK SPACE}", " ").replace("\N{NO-BREAK SPACE}", " ")
    assert "contradict" not in html


def test_contradictions_come_first(tiny):
    html = rendered(with_pair(tiny, 3))
    assert "Results contradict each other" in html
    assert "3 of 500 examples are right on" in html


def test_without_bounds_there_is_no_section(tiny):
    assert "Between certificate and attack" not in rendered(tiny)
