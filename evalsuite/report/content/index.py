"""Lookups over results: cells by their three names, tasks by kind, families in order of prune ratio."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar, final

from evalsuite.printable import printable
from evalsuite.records.schema import Cell, Family, Network, Part, Potential, Results, Task, Unit


@final
@dataclass(frozen=True, kw_only=True)
class FamilyResults:
    """A family and its pruned networks, in order of prune ratio."""

    family: Family
    networks: tuple[Network, ...]


@final
@dataclass(frozen=True, kw_only=True)
class Group:
    """Tasks of one kind, in the order in which they were asked."""

    kind: str
    tasks: tuple[Task, ...]


@final
@dataclass(frozen=True, kw_only=True)
class Index:
    """Lookups over one set of results.

    Attributes:
        results: What is looked up.
        lines: Families in their order.
        groups: Tasks by kind, `clean` first.
        controls: Networks that are neither the parent nor pruned.
        measures: For each task the measures that were read off it; the first is the one that the charts show.
        cells: By (task, measure, network).
        potential: By (family, task, measure).
    """

    results: Results
    lines: tuple[FamilyResults, ...]
    groups: tuple[Group, ...]
    controls: tuple[Network, ...]
    measures: Mapping[str, tuple[str, ...]]
    cells: Mapping[tuple[str, str, str], Cell]
    potential: Mapping[tuple[str, str, str], Potential]

    def shown(self, task: str) -> str:
        """The measure by which charts show `task`: its error where there is one."""
        return next(iter(self.measures.get(task, ())), "error")

    def cell(self, task: str, network: str, measure: str | None = None) -> Cell | None:
        """The cell of a network on a task, by the shown measure unless told otherwise."""
        return self.cells.get((task, measure or self.shown(task), network))

    def reached(self, family: str, task: str, measure: str | None = None) -> Potential | None:
        """How far a family came on a task, by the shown measure unless told otherwise."""
        return self.potential.get((family, task, measure or self.shown(task)))

    def unit(self, measure: str) -> Unit:
        """What the figures of a measure are in; shares where the results do not say."""
        return next((m.unit for m in self.results.measures if m.name == measure), "share")

    def named(self, task: str, measure: str) -> str:
        """What stands over a chart: the task, the measure where it is not the error, the unit where it is no share."""
        unit = self.unit(measure)
        return f"{task if measure == 'error' else f'{task}:{measure}'}{'' if unit == 'share' else f', {unit}'}"

    def says(self, measure: str) -> str:
        """A measure's name and, where the results tell it, what it means."""
        title = next((m.title for m in self.results.measures if m.name == measure), None)
        name = measure.replace("_", " ")
        unit = "" if self.unit(measure) == "share" else f", in {self.unit(measure)}"
        return f"{name}{unit}" if title is None or title == name else f"{name} ({title}{unit})"

    def task(self, name: str) -> Task | None:
        """The task of that name."""
        return next((t for t in self.results.tasks if t.name == name), None)

    def margin(self, task: str) -> float:
        """The margin at which `task` is judged."""
        task_facts = self.task(task)
        return self.results.run.margin if task_facts is None or task_facts.margin is None else task_facts.margin

    def network(self, name: str | None) -> Network | None:
        """The network of that id."""
        return next((n for n in self.results.networks if n.id == name), None)


def indexed(results: Results) -> Index:
    """Build the lookups, of results whose texts may be shown anywhere: a file's name may hold anything."""
    results = _printable(results)
    pruned = [n for n in results.networks if n.role == "pruned"]
    families = {f.id: f for f in results.families}
    named = dict.fromkeys([*families, *(n.family for n in pruned if n.family is not None)])
    lines = [
        FamilyResults(
            family=families.get(name, Family(id=name)),
            networks=tuple(sorted((n for n in pruned if n.family == name), key=_order)),
        )
        for name in named
    ]
    kinds = sorted(dict.fromkeys(t.kind for t in results.tasks), key=lambda kind: kind != "clean")
    return Index(
        results=results,
        lines=tuple(lines),
        groups=tuple(Group(kind=k, tasks=tuple(t for t in results.tasks if t.kind == k)) for k in kinds),
        controls=tuple(n for n in results.networks if n.role == "control"),
        measures=_measures(results),
        cells={(c.task, c.measure, c.network): c for c in results.cells},
        potential={(p.family, p.task, p.measure): p for p in results.potential},
    )


_Part = TypeVar("_Part", bound=Part)


def _printable(part: _Part) -> _Part:
    return part.model_copy(update={name: _shown(value) for name, value in part if value is not None})


def _shown(value: object) -> object:
    match value:
        case str():
            return printable(value)
        case Part():
            return _printable(value)
        case Mapping():
            return {_shown(key): _shown(each) for key, each in value.items()}
        case list() | tuple():
            return tuple(map(_shown, value))
        case _:
            return value


def _order(network: Network) -> float:
    ratio = network.target_ratio if network.prune_ratio is None else network.prune_ratio
    return 2.0 if ratio is None else ratio


def _measures(results: Results) -> dict[str, tuple[str, ...]]:
    names_by_task: dict[str, dict[str, None]] = {}
    for cell in results.cells:
        names_by_task.setdefault(cell.task, {})[cell.measure] = None
    for reached in results.potential:
        names_by_task.setdefault(reached.task, {})[reached.measure] = None
    return {task: tuple(sorted(names, key=lambda m: m != "error")) for task, names in names_by_task.items()}
