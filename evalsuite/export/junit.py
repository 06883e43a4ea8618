"""The gate's checks as junit.xml, for CI systems that show tests.

There is no standard; this is the subset that GitLab, Jenkins and GitHub's reporters agree on. They show a report but
do not obey it: the exit code is the verdict.
"""

from collections import Counter
from dataclasses import dataclass
from typing import final
from xml.etree import ElementTree as ET

from typing_extensions import override

from evalsuite.errors import UsageError
from evalsuite.export._base import Exporter
from evalsuite.gate.checks import Check, GateResult, Outcome
from evalsuite.printable import printable
from evalsuite.records.schema import Results

_ELEMENTS = {Outcome.FAIL: "failure", Outcome.INCOMPLETE: "error"}


@final
@dataclass(frozen=True)
class JUnit(Exporter):
    """The checks of a gate as tests."""

    @override
    def export(self, results: Results, verdict: GateResult | None = None) -> str:
        del results
        if verdict is None:
            raise UsageError("junit.xml shows a verdict: expected a gate's, got none; `evalsuite gate` writes it")
        return junit_xml(verdict)


def junit_xml(result: GateResult) -> str:
    """The text of junit.xml: the same bytes for the same checks.

    A demand that is not met is a failure, one without evidence an error, one on a task that the run never planned
    is skipped. Names are unique and hold no measured number, so a test keeps its history.
    """
    outcomes = Counter(_element(check) for check in result.checks)
    counts = {
        "tests": str(len(result.checks)),
        "failures": str(outcomes["failure"]),
        "errors": str(outcomes["error"]),
        "skipped": str(outcomes["skipped"]),
    }
    root = ET.Element("testsuites", {"name": printable(result.policy), **counts})
    suite = ET.SubElement(root, "testsuite", {"name": printable(result.policy), **counts})
    _properties(suite, result)
    counts_by_name: Counter[tuple[str, str]] = Counter()
    for check in result.checks:
        where, name = printable(f"evalsuite.{result.policy}.{check.network or 'none'}"), printable(_name(check))
        counts_by_name[where, name] += 1
        unique = name if counts_by_name[where, name] == 1 else f"{name} #{counts_by_name[where, name]}"
        case = ET.SubElement(suite, "testcase", {"classname": where, "name": unique, "time": "0"})
        message = printable(f"{check.requirement} {check.limit}: {check.message}")
        if element := _element(check):
            ET.SubElement(case, element, {"message": message, "type": check.requirement}).text = message
        ET.SubElement(case, "system-out").text = message
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _properties(suite: ET.Element, result: GateResult) -> None:
    """Which networks the verdict is about, and on which evidence it rests."""
    named = {f"evalsuite.{key}": digest for key, digest in result.digests.items()}
    for network in result.networks:
        texts = {"tensors": network.tensors, "sha256": network.sha256, "file": network.file}
        named |= {f"network.{network.id}.{key}": text for key, text in texts.items() if text is not None}
    if named:
        properties = ET.SubElement(suite, "properties")
        for name, value in named.items():
            ET.SubElement(properties, "property", {"name": printable(name), "value": printable(value)})


def _element(check: Check) -> str | None:
    if check.outcome is Outcome.INCOMPLETE and not check.planned:
        return "skipped"
    return _ELEMENTS.get(check.outcome)


def _name(check: Check) -> str:
    measure = f":{check.measure}" if check.measure else ""
    network = f" @{check.network}" if check.network else ""
    return f"{check.task}{measure} {check.requirement}{network}"
