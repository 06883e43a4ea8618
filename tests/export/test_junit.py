from dataclasses import replace
from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from evalsuite.export.junit import junit_xml
from evalsuite.gate.checks import Check, GateResult, Outcome

CHECK = Check(
    requirement="max_loss",
    limit="0.2",
    task="corruption/fog/3",
    measure="error",
    network="m-0.5",
    outcome=Outcome.PASS,
    message="loss 0.1, at most 0.2 accepted",
)


def parsed(*checks: Check, policy: str = "release") -> ET.Element:
    return ET.fromstring(junit_xml(GateResult(policy=policy, checks=checks)))  # noqa: S314 - our own text


def test_each_outcome_has_its_element() -> None:
    root = parsed(
        CHECK,
        replace(CHECK, task="a", outcome=Outcome.FAIL),
        replace(CHECK, task="b", outcome=Outcome.INCOMPLETE),
        replace(CHECK, task="c", outcome=Outcome.INCOMPLETE, planned=False),
    )
    cases = root.findall("./testsuite/testcase")
    assert [[child.tag for child in case] for case in cases] == [
        ["system-out"],
        ["failure", "system-out"],
        ["error", "system-out"],
        ["skipped", "system-out"],
    ]
    for element in (root, root[0]):
        counts = {key: element.get(key) for key in ("tests", "failures", "errors", "skipped")}
        assert counts == {"tests": "4", "failures": "1", "errors": "1", "skipped": "1"}


def test_names_and_numbers() -> None:
    root = parsed(replace(CHECK, outcome=Outcome.FAIL))
    (case,) = root.findall("./testsuite/testcase")
    assert case.get("classname") == "evalsuite.release.m-0.5"
    assert case.get("name") == "corruption/fog/3:error max_loss @m-0.5"
    (failure,) = case.findall("failure")
    assert failure.get("message") == "max_loss 0.2: loss 0.1, at most 0.2 accepted"
    assert case.findtext("system-out") == "max_loss 0.2: loss 0.1, at most 0.2 accepted"


def test_a_name_does_not_depend_on_what_was_measured() -> None:
    one, other = parsed(CHECK), parsed(replace(CHECK, message="loss 0.3", outcome=Outcome.FAIL))
    assert one[0][0].get("name") == other[0][0].get("name")


def test_a_check_without_measure_or_network() -> None:
    root = parsed(replace(CHECK, task="deployable", requirement="min_deployable", measure=None, network=None))
    assert root[0][0].get("name") == "deployable min_deployable"
    assert root[0][0].get("classname") == "evalsuite.release.none"


def test_equal_demands_get_different_names() -> None:
    names = [case.get("name") for case in parsed(CHECK, CHECK, CHECK)[0]]
    assert len(set(names)) == 3


def test_no_checks_are_a_document_too() -> None:
    assert parsed()[0].get("tests") == "0"


anything = st.text(st.characters(exclude_categories=()), max_size=20)


@given(anything, anything, anything, anything, st.sampled_from(list(Outcome)))
def test_any_text_gives_xml_that_parses(policy: str, task: str, network: str, message: str, outcome: Outcome) -> None:
    bad = replace(CHECK, task=task, network=network, message=message, outcome=outcome)
    text = junit_xml(GateResult(policy=policy, checks=(bad, bad)))
    root = ET.fromstring(text)  # noqa: S314 - our own text
    text.encode("utf-8")
    cases = root.findall("./testsuite/testcase")
    assert len({(case.get("classname"), case.get("name")) for case in cases}) == 2
    assert {case.findtext("system-out") is not None for case in cases} == {True}


@given(st.text(st.characters(categories=("L", "M", "N", "P", "S", "Zs"), exclude_characters="\ufffe\uffff")))
def test_printable_text_arrives_unchanged(message: str) -> None:
    root = parsed(replace(CHECK, message=message))
    assert root[0][0].findtext("system-out") == f"max_loss 0.2: {message}"


def test_characters_that_are_not_drawn_are_spelled() -> None:
    root = parsed(replace(CHECK, message="a\x00b\x1b[31mc\ud800d\ufffee\u202e\n"))
    assert root[0][0].findtext("system-out") == r"max_loss 0.2: a\x00b\x1b[31mc\ud800d\ufffee\u202e\n"


def test_the_same_checks_give_the_same_bytes() -> None:
    result = GateResult(policy="p", checks=(CHECK, CHECK))
    assert junit_xml(result) == junit_xml(result)
