"""Reports what a run understood of its inputs: before any work, with the results; refused where it is only assumed.

The parent is judged here, before anything is pruned: a parent that is no better than an answer that takes no network
is no standard, and hours of work on its descendants would show nothing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Final, Protocol, final

from evalsuite.data import Examples
from evalsuite.errors import RefusedInputError, UsageError
from evalsuite.inputs.read import Inputs
from evalsuite.inputs.standard import doubts, sentence, standard
from evalsuite.interpretation import Interpretation, accepted, refuse_unconfirmed
from evalsuite.networks import repeatable
from evalsuite.process.culprit import built_in
from evalsuite.process.third_party_code import others_code
from evalsuite.progress import Reporter
from evalsuite.records.schema import Reading, Standard
from evalsuite.records.store import Store
from evalsuite.records.stored import Meta

_FEW: Final = 32
_AT_THE_EDGE, _EDGE_SHARE = 1.5, 0.002
"""So many of the examples, or so large a share, may be seen otherwise by another machine."""
_CAUSES: Final = (
    "the usual causes: fewer examples than show anything (--examples), "
    "images normalised otherwise than in training (--normalise), outputs that stand for other "
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


@final
@dataclass(frozen=True, kw_only=True)
class Understanding:
    """What is known of the inputs.

    Attributes:
        standard: How the parent itself does.
        readings: Everything that had to be known, and where the answers come from.
        shape: (channels, height, width) of the images.
    """

    standard: Standard
    readings: tuple[Interpretation, ...]
    shape: tuple[int, int, int]

    @property
    def doubtful(self) -> tuple[Interpretation, ...]:
        """What contradicts something else that is known."""
        return tuple(each for each in self.readings if each.basis == "doubtful")

    def rows(self) -> list[tuple[str, str, str, str]]:
        """Topic, what was taken, where from, and the option that confirms or changes it; the parent first."""
        rows = [("parent", sentence(self.standard, self.shape), "measured", "")]
        return [*rows, *((each.topic, each.value, _source(each), _option(each)) for each in self.readings)]


def examine(inputs: Inputs, examples: Examples, *, confidence: float) -> Understanding:
    """Judge the parent on `examples`, and try other readings of it; every reading of the inputs stands beside.

    Args:
        inputs: The parent and its data.
        examples: Held-out ones.
        confidence: Of every claim about the parent, in (0.5, 1).
    """
    with others_code("judging it on clean examples", networks={"parent": inputs.parent.network}):
        judged = standard(inputs.parent.network, examples, inputs.dataset, confidence=confidence)
        suspicions = (
            *doubts(inputs.parent, examples, inputs.dataset, confidence=confidence),
            *_of_outputs(inputs, examples),
        )
    return Understanding(standard=judged, readings=(*inputs.interpretations, *suspicions), shape=inputs.dataset.shape)


def _of_outputs(inputs: Inputs, examples: Examples) -> tuple[Interpretation, ...]:
    """Whether the parent has one answer to an image."""
    if len(examples) < 2:
        return ()
    few = examples.pixels(range(min(_FEW, len(examples)))).to(inputs.device)
    return tuple(
        Interpretation(topic="outputs", value=doubt, basis="doubtful", reason=f"tried on {len(few)} examples")
        for doubt in repeatable.doubts(inputs.parent.network, few)
    )


def understand(
    inputs: Inputs,
    examples: Examples,
    store: Store,
    caution: Caution,
    reporter: Reporter,
    *,
    confidence: float,
    others: Sequence[Interpretation] = (),
) -> None:
    """Say what was understood, judge the parent, and write both down.

    Args:
        inputs: The parent and its data.
        examples: The run's held-out examples.
        store: Of the run; the parent stands in it. What was judged before is not judged again.
        caution: What may be assumed.
        reporter: Hears every line.
        confidence: Of the run's claims.
        others: Readings of further networks.

    Raises:
        RefusedInputError: Something is assumed that must not be, or the parent is no standard.
    """
    refuse_unconfirmed(_forbidden((*inputs.interpretations, *others), caution))
    parent = store.meta().parent
    assert parent is not None  # noqa: S101 - a run writes its parent down when it begins
    judged = parent.standard
    if judged is None:
        understanding = examine(inputs, examples, confidence=confidence)
    else:
        if not built_in(inputs.parent.network):
            _check_as_before(judged, inputs, examples, confidence)
        readings = (*inputs.interpretations, *_tried(store))
        understanding = Understanding(standard=judged, readings=readings, shape=inputs.dataset.shape)
    understanding = replace(understanding, readings=(*understanding.readings, *others))
    store.set_meta(
        Meta(
            parent=parent.model_copy(update={"standard": understanding.standard}),
            readings=tuple(map(_stored, understanding.readings)),
        )
    )
    for line in lines(understanding):
        reporter.say(line)
    check(understanding, caution, reporter)


def _check_as_before(judged: Standard, inputs: Inputs, examples: Examples, confidence: float) -> None:
    """Make sure that code of others does with the run's examples what it did when the run began.

    Raises:
        UsageError: It does not.
    """
    if judged.n != len(examples):
        return
    with others_code("judging the parent", networks={"parent": inputs.parent.network}):
        now = standard(inputs.parent.network, examples, inputs.dataset, confidence=confidence)
    # other kernels and threads may see an example at the edge of two classes otherwise
    if abs(now.loss - judged.loss) * now.n > max(_AT_THE_EDGE, _EDGE_SHARE * now.n):
        raise UsageError(
            f"expected the parent of before, got one with the same weights whose code computes something else: its "
            f"mean loss on the run's {now.n} examples was {judged.loss:.4g} and is {now.loss:.4g}; figures of "
            f"before would stand for it: choose another --out"
        )


def add_readings(readings: Sequence[Interpretation], store: Store, reporter: Reporter) -> None:
    """Say and write down what came to be known while the networks were made."""
    before = store.meta().readings or ()
    fresh = [reading for reading in readings if _stored(reading) not in before]
    store.set_meta(Meta(readings=(*before, *map(_stored, fresh))))
    for reading in fresh:
        reporter.say(f"  {reading.sentence()}")


def check(understanding: Understanding, caution: Caution, reporter: Reporter) -> None:
    """Refuse to go on with what must not be assumed, or with a parent that is no standard.

    Raises:
        RefusedInputError: The readings that are open, or the parent's figures and what may be the matter.
    """
    refuse_unconfirmed(_forbidden(understanding.readings, caution))
    if understanding.standard.shown_better:
        return
    figures = sentence(understanding.standard, understanding.shape)
    message = f"expected a parent that is shown to be better than a trivial answer, got {figures}"
    if caution.accept_parent:
        reporter.say(f"warning: {message}; every verdict is inconclusive")
        return
    listed = [f"{each.value}: {each.option}" if each.option else each.value for each in understanding.doubtful]
    sizes = [
        f"{each.value} ({each.reason}): {each.option}"
        for each in understanding.readings
        if (each.topic, each.basis) == ("image size", "assumed")
    ]
    hints = "".join(f"; {each}" for each in (*listed, *sizes))
    raise RefusedInputError(f"{message}{hints}; {_CAUSES}")


def lines(understanding: Understanding) -> list[str]:
    """One line a reading, the parent's figures first."""
    rows = understanding.rows()
    width = max(len(topic) for topic, *_ in rows)
    return [
        f"  {topic:{width}}  {value}  [{source}]" + f"  {option}" * bool(option)
        for topic, value, source, option in rows
    ]


def _source(reading: Interpretation) -> str:
    return f"{reading.basis}: {reading.reason}" if reading.reason else reading.basis


def _option(reading: Interpretation) -> str:
    return "" if reading.confirmed else reading.option


def _forbidden(readings: Iterable[Interpretation], caution: Caution) -> list[Interpretation]:
    """What must not be assumed."""
    if not caution.strict:
        return []
    return [each for each in readings if not accepted(each.topic, each.basis, caution.accepted)]


def _tried(store: Store) -> tuple[Interpretation, ...]:
    """What was found doubtful when the parent was judged on examples, in an earlier part of the run."""
    return tuple(
        Interpretation(topic=each.topic, value=each.value, basis=each.basis, reason=each.reason, option=each.option)
        for each in store.meta().readings or ()
        if each.basis == "doubtful" and each.reason.startswith("tried")
    )


def _stored(reading: Interpretation) -> Reading:
    return Reading.model_validate(asdict(reading))
