"""Every exporter writes what a run has said, and every section of the page shows it."""

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from evalsuite.errors import UsageError
from evalsuite.extend import Exporter
from evalsuite.gate.checks import GateResult
from evalsuite.parts.registry import find, names
from evalsuite.records.schema import Results, parse_results
from evalsuite.report.page import SECTIONS, render, sections

PACKAGE = "evalsuite.export"
STUDY = Path(__file__).parents[2] / "reports/robust-families/ibp/results.json"
VERDICT = GateResult(policy="release", checks=())


@pytest.fixture(scope="module")
def results() -> Results:
    return parse_results(json.loads(STUDY.read_text()))


@pytest.mark.parametrize("name", names(PACKAGE))
def test_the_same_results_give_the_same_text(results: Results, name: str) -> None:
    exporter = find(PACKAGE, name, Exporter)()
    text = exporter.export(results, VERDICT)
    assert text.strip()
    assert exporter.export(results, VERDICT) == text


def test_json_says_what_results_say(results: Results) -> None:
    assert json.loads(find(PACKAGE, "json", Exporter)().export(results)) == json.loads(STUDY.read_text())


def test_a_format_of_verdicts_needs_one(results: Results) -> None:
    junit = find(PACKAGE, "junit", Exporter)()
    assert ET.fromstring(junit.export(results, VERDICT)).get("name") == "release"  # noqa: S314 - our own text
    with pytest.raises(UsageError, match="`evalsuite gate` writes it"):
        junit.export(results)


def test_every_section_has_its_place_and_its_anchor(results: Results) -> None:
    assert len(sections()) == len(names(SECTIONS))
    assert len({section.id for section in sections()}) == len({section.order for section in sections()}) > 10
    page = render(results)
    places = []
    for section in sections():
        shown = f'<h2 id="{section.id}">{section.title}</h2>'
        assert page.count(shown) == page.count(f'<li><a href="#{section.id}">') <= 1
        places.append(page.find(shown))
    present = [place for place in places if place >= 0]
    assert len(present) > 8
    assert present == sorted(present)
