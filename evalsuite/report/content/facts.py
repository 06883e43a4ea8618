"""Facts beside the verdict: the parent's own quality, and what the deployable ratio is about."""

from dataclasses import dataclass
from typing import final

from evalsuite.records.schema import Standard
from evalsuite.report.content import formats
from evalsuite.report.content.index import Index


@final
@dataclass(frozen=True, kw_only=True)
class Fact:
    """A label and what stands under it; names between backticks."""

    label: str
    value: str


def facts(index: Index) -> tuple[Fact, ...]:
    """The parent's own quality first, then what the deployable ratio is about."""
    end, standard = index.results.deployable, index.results.parent.standard
    rows = [] if standard is None else [standard_fact(standard)]
    if end is None or not end.ratio:
        return tuple(rows)
    if end.binding_task is not None:
        rows.append(Fact(label="Binding task", value=formats.read_as(end.binding_task, end.binding_measure)))
    clean = next((group.tasks[0].name for group in index.groups if group.kind == "clean"), None)
    reached = None if clean is None else index.reached(end.family, clean)
    if reached is not None and reached.commensurate is not None:
        rows.append(Fact(label="By clean test data alone", value=formats.share(reached.commensurate)))
    network = index.network(end.network)
    if network is not None and network.flop_reduction is not None:
        # a masked network multiplies by its zeros all the same, unless the hardware knows better
        masked = network.structure == "weights"
        label = "FLOPs saved, where zeros are skipped" if masked else "FLOPs saved at that ratio"
        rows.append(Fact(label=label, value=formats.share(network.flop_reduction)))
    if network is not None:
        rows.append(Fact(label="Network", value=formats.name(network.id)))
    return tuple(rows)


def standard_fact(standard: Standard) -> Fact:
    """How the parent itself does on clean data."""
    low, high = (formats.share(1 - value) for value in (standard.high, standard.low))
    label = f"Parent's {standard.score_title} on clean data ({low} to {high}, n = {formats.count(standard.n)})"
    return Fact(label=label, value=formats.share(1 - standard.loss))
