"""Section: what was understood of the inputs - the parent's own quality, and every reading with where it comes from."""

from dataclasses import dataclass
from typing import final

from typing_extensions import override

from evalsuite.records.schema import Reading
from evalsuite.report.content import formats
from evalsuite.report.content.facts import standard_fact
from evalsuite.report.sections._base import Contents, Section, Values

_BASES = {
    "given": "given by an option",
    "recorded": "recorded in the file",
    "measured": "measured",
    "assumed": "assumed",
    "doubtful": "doubtful",
}


@final
@dataclass(frozen=True, kw_only=True)
class ReadingRow:
    """One reading as the page shows it; `open` where nobody confirmed it."""

    topic: str
    value: str
    source: str
    option: str
    open: bool


@final
@dataclass(frozen=True)
class Understood(Section):
    """What was understood of the inputs."""

    id = "understood"
    title = "What was understood"
    order = 130

    @override
    def values(self, contents: Contents) -> Values:
        results = contents.index.results
        standard = results.parent.standard
        readings = sorted(results.readings or (), key=_is_confirmed)
        return {
            "summary": _summary(results.readings),
            "parent": None if standard is None else standard_fact(standard),
            "standard": standard,
            "readings": tuple(map(_row, readings)),
        }


def _is_confirmed(reading: Reading) -> bool:
    return reading.basis not in {"doubtful", "assumed"}


def _summary(readings: tuple[Reading, ...] | None) -> str:
    """How much of it is certain, in a sentence."""
    if readings is None:
        return "These results come from a version that did not say what it assumed."
    unconfirmed = [each for each in readings if not _is_confirmed(each)]
    if not unconfirmed:
        return "Nothing was assumed: everything was given, stands in the files, or was measured."
    topics = formats.listed(list(dict.fromkeys(each.topic for each in unconfirmed)))
    number = formats.many(len(unconfirmed), "reading is", "readings are")
    return f"{number} not confirmed by anybody: {topics}. A gate does not pass on them unless its policy accepts them."


def _row(reading: Reading) -> ReadingRow:
    unconfirmed = not _is_confirmed(reading)
    return ReadingRow(
        topic=reading.topic,
        value=reading.value,
        source=_BASES[reading.basis] + (f": {reading.reason}" if reading.reason else ""),
        option=reading.option if unconfirmed else "",
        open=unconfirmed,
    )
