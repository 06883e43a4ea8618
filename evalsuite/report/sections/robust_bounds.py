"""Section: where the robust accuracy of each network lies, between certificate and attack."""

from dataclasses import dataclass
from typing import final

from typing_extensions import override

from evalsuite.records.schema import Invariant, Results
from evalsuite.report.content import formats
from evalsuite.report.sections._base import Contents, Section, Values


@final
@dataclass(frozen=True, kw_only=True)
class BoundsRow:
    """A network on the same examples under a certificate and an attack, and the shares between which it is robust."""

    network: str
    certificate: str
    attack: str
    examples: str
    at_least: str
    at_most: str


@final
@dataclass(frozen=True)
class RobustBounds(Section):
    """Robust accuracy, between what is certified and what an attack left."""

    id = "between"
    title = "Between certificate and attack"
    order = 60

    @override
    def applies(self, contents: Contents) -> bool:
        return bool(_pairs(contents.index.results))

    @override
    def values(self, contents: Contents) -> Values:
        return {"rows": tuple(map(_row, _pairs(contents.index.results)))}


def _pairs(results: Results) -> list[Invariant]:
    kinds = {task.name: task.kind for task in results.tasks}
    return [
        each
        for each in results.invariants
        if kinds.get(each.inner) == "bounds" and kinds.get(each.outer) == "adversarial"
    ]


def _row(pair: Invariant) -> BoundsRow:
    return BoundsRow(
        network=pair.network,
        certificate=formats.name(pair.inner),
        attack=formats.name(pair.outer),
        examples=formats.count(pair.n),
        at_least=formats.share(pair.inner_right / pair.n),
        at_most=formats.share(pair.outer_right / pair.n),
    )
