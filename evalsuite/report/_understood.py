"""What was understood of the inputs: the parent's own quality, and every reading with where it comes from."""

from dataclasses import dataclass
from typing import final

from evalsuite.records.schema import Reading, Results, Standard
from evalsuite.report import _words as words

_BASES = {
    "given": "given by an option",
    "recorded": "recorded in the file",
    "measured": "measured",
    "assumed": "assumed",
    "doubtful": "doubtful",
}


@final
@dataclass(frozen=True, kw_only=True)
class Row:
    """One reading as the page shows it; `open` where nobody confirmed it."""

    topic: str
    value: str
    source: str
    option: str
    open: bool


def rows(results: Results) -> tuple[Row, ...]:
    """All readings, those that nobody confirmed first; none in results of versions that did not tell them."""
    readings = results.readings or ()
    return tuple(map(_row, sorted(readings, key=lambda each: each.basis not in {"doubtful", "assumed"})))


def summary(results: Results) -> str:
    """How much of it is certain, in a sentence."""
    if results.readings is None:
        return "These results come from a version that did not say what it assumed."
    unconfirmed = [each for each in results.readings if each.basis in {"assumed", "doubtful"}]
    if not unconfirmed:
        return "Nothing was assumed: everything was given, stands in the files, or was measured."
    topics = words.listed(list(dict.fromkeys(each.topic for each in unconfirmed)))
    number = words.many(len(unconfirmed), "reading is", "readings are")
    return f"{number} not confirmed by anybody: {topics}. A gate does not pass on them unless its policy accepts them."


def parent(standard: Standard) -> tuple[str, str]:
    """A label and the figure: how the parent itself does on clean data."""
    low, high = (words.share(1 - value) for value in (standard.high, standard.low))
    label = f"Parent's {standard.score_title} on clean data ({low} to {high}, n = {words.count(standard.n)})"
    return label, words.share(1 - standard.loss)


def _row(reading: Reading) -> Row:
    source = _BASES[reading.basis] + (f": {reading.reason}" if reading.reason else "")
    unconfirmed = reading.basis in {"assumed", "doubtful"}
    return Row(
        topic=reading.topic,
        value=reading.value,
        source=source,
        option=reading.option if unconfirmed else "",
        open=unconfirmed,
    )
