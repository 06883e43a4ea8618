"""What a run understood of its inputs: said before any work, kept with the results, refused where it is only assumed.

The parent is judged here, before anything is pruned: a parent that is no better than an answer that takes no network
is no standard, and hours of work on its descendants would show nothing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from fnmatch import fnmatchcase
from typing import Protocol, cast

from evalsuite.data import Examples
from evalsuite.errors import RefusedInputError
from evalsuite.facts import Meta, ReadingFacts, StandardFacts
from evalsuite.inputs import Inputs
from evalsuite.interpretation import Interpretation, refuse_unconfirmed
from evalsuite.progress import Reporter
from evalsuite.standard import doubts, sentence, standard
from evalsuite.store import Store

_CAUSES = (
    "the usual causes: images normalised otherwise than in training (--normalise), outputs that stand for other "
    "classes (--classes), images of another size, crop or range (?size=, ?crop=, ?scale= behind --data), other weights "
    "than the trained ones (--weights, --arch). --accept-parent goes on, with every verdict inconclusive"
)


class Caution(Protocol):
    """What may be assumed."""

    @property
    def strict(self) -> bool:
        """Whether nothing may be assumed of the inputs."""

    @property
    def accepted(self) -> Sequence[str]:
        """Patterns of topics that may be assumed even so."""

    @property
    def accept_parent(self) -> bool:
        """Whether a parent that is no standard may be used."""


def understand(
    inputs: Inputs, examples: Examples, store: Store, caution: Caution, reporter: Reporter, *, confidence: float
) -> None:
    """Say what was understood, judge the parent, and write both down.

    Args:
        inputs: The parent and its data.
        examples: The run's held-out examples.
        store: Of the run; the parent's facts stand in it.
        caution: What may be assumed.
        reporter: Hears every line.
        confidence: Of the run's claims.

    Raises:
        RefusedInputError: Something is assumed that must not be, or the parent is no standard.
    """
    refuse_unconfirmed(_open(inputs.interpretations, caution))
    facts = store.meta()["parent"]
    judged, suspicions = facts["standard"], _suspicions(store)
    if judged is None:
        judged = standard(inputs.parent.network, examples, inputs.dataset, confidence=confidence).facts()
        suspicions = doubts(inputs.parent, examples, inputs.dataset, confidence=confidence)
    readings = (*inputs.interpretations, *suspicions)
    store.set_meta(
        Meta(
            parent={**facts, "standard": judged},
            readings=[cast("ReadingFacts", asdict(reading)) for reading in readings],
        )
    )
    for line in lines(readings, judged, inputs.dataset.shape):
        reporter.say(line)
    refuse_unconfirmed(_open(suspicions, caution))
    if not judged["shown_better"]:
        _no_standard(sentence(judged, inputs.dataset.shape), suspicions, caution, reporter)


def lines(readings: Iterable[Interpretation], judged: StandardFacts, shape: Sequence[int]) -> list[str]:
    """A table of what was understood, one line each, the parent's figures first."""
    rows = [("parent", sentence(judged, shape), "measured", "")]
    rows += [(each.topic, each.value, _source(each), each.option) for each in readings]
    width = max(len(topic) for topic, *_ in rows)
    return [
        f"  {topic:{width}}  {value}  [{source}]" + (f"  {option}" if option and source[:1] in "ad" else "")
        for topic, value, source, option in rows
    ]


def _source(reading: Interpretation) -> str:
    return f"{reading.basis}: {reading.reason}" if reading.reason else reading.basis


def _open(readings: Iterable[Interpretation], caution: Caution) -> list[Interpretation]:
    """What must not be assumed."""
    if not caution.strict:
        return []
    return [each for each in readings if not any(fnmatchcase(each.topic, pattern) for pattern in caution.accepted)]


def _suspicions(store: Store) -> tuple[Interpretation, ...]:
    """What was found doubtful when the parent was judged."""
    rows = store.meta().get("readings", [])
    return tuple(
        Interpretation(**row) for row in rows if row["basis"] == "doubtful" and row["reason"].startswith("tried")
    )


def _no_standard(figures: str, suspicions: Sequence[Interpretation], caution: Caution, reporter: Reporter) -> None:
    told = f"expected a parent that is shown to be better than a trivial answer, got {figures}"
    if caution.accept_parent:
        reporter.say(f"warning: {told}; every verdict is inconclusive")
        return
    hints = "".join(f"; {each.value}: {each.option}" for each in suspicions)
    raise RefusedInputError(f"{told}{hints}; {_CAUSES}")
