"""Mean corruption errors and excess error on the page."""

import re
from collections.abc import Sequence

import pytest

from evalsuite.extend import Contents
from evalsuite.records.schema import Task, parse_results
from evalsuite.report.content.index import indexed
from evalsuite.report.figures import Curve, Step, trend_panel
from evalsuite.report.figures.ratios import stem
from evalsuite.report.page import Picture, render
from evalsuite.report.sections.aggregates import Aggregates


def rendered(document: dict[str, object], pictures: Sequence[Picture] = ()) -> str:
    """The page of these results, read as a file is."""
    return render(parse_results(document), pictures)


Row = dict[str, object]


@pytest.fixture
def with_aggregates(tiny: Row) -> Row:
    """The small results with figures over many tasks."""
    networks = [n for n in tiny["networks"] if n["role"] == "pruned"]
    tiny["aggregates"] = [
        {"name": name, "set": "corruption", "baseline": "parent", "family": n["family"], "network": n["id"],
         "n": 500, "value": value + 0.1 * k, "low": value, "high": value + 0.3, "confidence": 0.95, "reason": None}
        for name, value in (("mce", 1.05), ("relative_mce", 1.2))
        for k, n in enumerate(networks)
    ]  # fmt: skip
    tiny["aggregates"][-1] |= {"n": None, "value": None, "low": None, "high": None, "reason": "no clean losses"}
    tiny["excess"] = [
        {"family": n["family"], "network": n["id"], "prune_ratio": n["prune_ratio"], "tasks": 19, "n": 500,
         "value": 0.01 * k - 0.002, "low": -0.01, "high": 0.03, "confidence": 0.95, "reason": None}
        for k, n in enumerate(networks)
    ]  # fmt: skip
    tiny["excess_lines"] = [
        {"pruner": "magnitude", "points": 2, "seeds": 1, "slope": 0.0207, "low": None, "high": None, "reason": "one"}
    ]
    return tiny


def test_rows_say_value_interval_and_n(with_aggregates: Row) -> None:
    values = Aggregates().values(Contents(index=indexed(parse_results(with_aggregates))))
    first, *_, last = values["corruption"]
    assert first.beside == "`corruption` beside the parent"
    assert (first.examples, first.mce, first.relative_mce) == (
        "500",
        "105.00 [105.00, 135.00]",
        "120.00 [120.00, 150.00]",
    )
    assert (last.relative_mce, last.note) == ("–", "no clean losses")
    row = values["excess"][0]
    assert (row.tasks, row.examples, row.excess) == ("19", "500", "−0.20 [−1.00, +3.00]")
    (line,) = values["slopes"]
    assert (line.pruner, line.networks, line.seeds, line.slope) == ("magnitude", "2", "1", "+2.07")
    assert [panel.name for panel in values["panels"]] == [
        "mCE, `corruption`, beside the parent",
        "relative mCE, `corruption`, beside the parent",
        "Difference in excess error",
    ]


def test_the_page_has_the_section_only_where_there_is_something(with_aggregates: Row) -> None:
    page = rendered(with_aggregates)
    assert page.count('id="together"') == page.count('href="#together"') == 1
    assert len(re.findall('id="mce-[01]-title"|id="excess-title"', page)) == 3
    with_aggregates |= {key: [] for key in ("aggregates", "excess", "excess_lines")}
    assert "together" not in rendered(with_aggregates)


def test_a_trend_shows_everything_and_its_line() -> None:
    steps = (Step(ratio=0.5, loss=-0.02, low=-0.05, high=0.01), Step(ratio=0.9, loss=0.04, low=0.0, high=0.08))
    curve = Curve(family="a", steps=steps)
    (axes,) = trend_panel([curve], level=0.0, trends=[(0, 0.03, 0.01, 0.06)]).axes
    low, high = axes.get_ylim()
    assert low < -0.05
    assert high > 0.08
    assert any(t < 0 for t in axes.get_yticks())
    lines = [list(line.get_ydata()) for line in axes.lines if list(line.get_xdata()) == [0, 1]]
    assert [0.0, 0.03] in lines
    assert len(axes.collections) == 1  # the band of the line; points have bars
    (axes,) = trend_panel([curve], level=1.0).axes
    assert [0.0, 0.5, 0.9] in [list(line.get_xdata()) for line in axes.lines]


def test_nothing_is_drawn_of_nothing(tiny: Row) -> None:
    contents = Contents(index=indexed(parse_results(tiny)))
    assert not Aggregates().applies(contents)
    assert all(value == () for value in Aggregates().values(contents).values())


@pytest.mark.parametrize(
    ("name", "result"),
    [
        ("corruption/fog/3", ("corruption/fog", "3")),
        ("shift/cifar-c/fog/3?at=data/2024/10", ("shift/cifar-c/fog?at=data/2024/10", "3")),
        ("shift/npz?at=data/10", ("shift/npz?at=data/10", None)),
        ("clean", ("clean", None)),
    ],
)
def test_levels_are_told_from_paths(name: str, result: tuple[str, str | None]) -> None:
    assert stem(Task(name=name, kind="k", required=True)) == result
