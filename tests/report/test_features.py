"""The matrix of informative features on the page."""

import re
from collections.abc import Sequence

import pytest

from evalsuite.extend import Contents
from evalsuite.records.schema import parse_results
from evalsuite.report.content.index import indexed
from evalsuite.report.page import Picture, render
from evalsuite.report.sections.features import Features


def rendered(document: dict[str, object], pictures: Sequence[Picture] = ()) -> str:
    """The page of these results, read as a file is."""
    return render(parse_results(document), pictures)


Row = dict[str, object]
NAME = "features/0.1"


def pair(subject: str, to: str, value: float | None) -> Row:
    expected = value is not None
    return {
        "task": NAME, "pixels_from": subject, "seen_by": to, "n": 250 if expected else None, "value": value,
        "low": value - 0.05 if expected else None, "high": value + 0.04 if expected else None, "confidence": 0.95,
        "reason": None if expected else "not evaluated yet",
    }  # fmt: skip


@pytest.fixture
def with_features(tiny: Row) -> Row:
    """A parent, two pruned networks and a separate one; that one is shown the parent's pixels only."""
    task = {**tiny["tasks"][0], "name": NAME, "kind": "features", "title": "the 10 % of pixels", "required": False}
    separate = {**tiny["networks"][1], "id": "separate", "role": "control", "family": None, "prune_ratio": 0.0}
    confidences = {("m", "m"): 0.93, ("a", "a"): 0.9, ("b", "b"): 1.0}
    values = {(subject, to): 0.5 for subject in "mab" for to in "mab"} | {
        ("m", "a"): 0.78,
        ("m", "b"): 0.0,
        ("b", "a"): None,
    }
    rows = [
        pair(subject, to, value) for (subject, to), value in {**values, **confidences, ("m", "separate"): 0.2}.items()
    ]
    networks = [*tiny["networks"], separate]
    return {**tiny, "tasks": [*tiny["tasks"], task], "networks": networks, "features": rows}


def matrices(results: Row) -> list[object]:
    """What the section shows, one a task."""
    return list(Features().values(Contents(index=indexed(parse_results(results))))["matrices"])


def test_rows_are_where_pixels_come_from_and_columns_who_sees_them(with_features: Row) -> None:
    (matrix,) = matrices(with_features)
    assert matrix.labels == ("m", "62.0\N{NO-BREAK SPACE}%", "71.0\N{NO-BREAK SPACE}%")
    result = {row.label: [(f.shade, f.text) for f in row.fields] for row in matrix.rows}
    assert result["m"] == [("f8", "93"), ("f7", "78"), ("f0", "0")]
    assert result[matrix.labels[1]] == [("f4", "50"), ("f8", "90"), ("f4", "50")]
    assert result[matrix.labels[2]] == [("f4", "50"), (None, "–"), ("f8", "100")]
    assert matrix.left_out == ("separate",)


def test_the_sentence_and_the_table(with_features: Row) -> None:
    (matrix,) = matrices(with_features)
    text = matrix.finding.replace("\N{NO-BREAK SPACE}", " ")
    assert text == (
        "On its own pixels the parent gives the true class 93 % on average; pruned networks give it 0 % to 78 % there; "
        "controls give it 20 % there."
    )
    rows = [(p.pixels_from, p.seen_by, p.examples, p.confidence, p.interval, p.note) for p in matrix.pairs]
    assert ("m", "a", "250", "78.00", "[73.00, 82.00]", "–") in rows
    assert ("b", "a", "–", "–", "–", "not evaluated yet") in rows


def test_several_families_are_told_apart(with_features: Row) -> None:
    other = {**with_features["networks"][1], "id": "c", "family": "taylor-0"}
    (matrix,) = matrices({**with_features, "networks": [*with_features["networks"], other]})
    assert matrix.labels == ("m", "a", "b")


def test_the_page_has_the_section_only_where_there_is_something(with_features: Row) -> None:
    page = rendered(with_features)
    assert page.count('id="features"') == page.count('href="#features"') == 1
    assert len(re.findall(r'<td class="f\d">', page)) == 8
    assert "no result is stored" not in page
    with_features["features"] = []
    page = rendered(with_features)
    assert "Informative features" not in page
    assert "no result is stored" in page
