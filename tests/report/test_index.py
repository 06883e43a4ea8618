"""Lookups over results, whose texts may be shown."""

from evalsuite.records.schema import parse_results
from evalsuite.report.content.index import indexed

Row = dict[str, object]


def test_characters_that_no_page_can_hold(tiny: Row) -> None:
    tiny["tasks"][0]["title"] = "a\x00b\x1b[31m\ud800\u202e\n"
    tiny["run"]["versions"] = {"\x1b": "\x1b"}
    shown = indexed(parse_results(tiny)).results
    assert shown.tasks[0].title == r"a\x00b\x1b[31m\ud800\u202e\n"
    assert shown.run.versions == {r"\x1b": r"\x1b"}


def test_index_orders_and_finds(tiny: Row) -> None:
    tiny["networks"].reverse()
    tiny["tasks"].reverse()
    tiny["cells"].insert(0, tiny["cells"][0] | {"measure": "disagreement"})
    result = indexed(parse_results(tiny))
    assert [n.id for n in result.lines[0].networks] == ["a", "b"]
    assert [g.kind for g in result.groups] == ["clean", "corruption"]
    assert result.measures["clean"] == ("error", "disagreement")
    cell = result.cell("clean", "b")
    assert cell is not None
    assert cell.difference == 0.001
    assert result.cell("clean", "nobody") is None


def test_families_that_are_not_listed_are_seen(tiny: Row) -> None:
    outcome = indexed(parse_results(tiny | {"families": []}))
    assert [line.family.id for line in outcome.lines] == ["magnitude-0"]
