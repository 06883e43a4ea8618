"""Section 1: how far each task lets one prune - rows of the bar chart, and the same as a table."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import final

from evalsuite.records.schema import Deployable, Potential, Task
from evalsuite.report import _words as words
from evalsuite.report._bars import Bar, Row
from evalsuite.report._index import Index, Line
from evalsuite.report.verdict import ended

_MOST_ROWS = 44


@final
@dataclass(frozen=True, kw_only=True)
class Asked:
    """What one row of the chart sums up: a task and a measure, or several levels of the same shift."""

    label: str
    tasks: tuple[Task, ...]
    measure: str
    required: bool


@final
@dataclass(frozen=True, kw_only=True)
class Reach:
    """One row of the table: a task and measure, and for each family what was reached."""

    task: str
    required: bool
    families: tuple[str, ...]
    ending: str


def chart_rows(index: Index) -> tuple[Row, ...]:
    """Rows by kind; with very many tasks, levels of one shift share a row."""
    together = sum(len(g.tasks) for g in index.groups) > _MOST_ROWS
    rows: list[Row] = []
    for group in index.groups:
        headed = len(index.groups) > 1 and len(group.tasks) > 1
        asked = _asked(index, group.tasks, together=together, headed=headed)
        if headed:
            rows.append(Row(label=group.kind))
        rows.extend(
            Row(label=a.label, required=a.required, bars=tuple(_bar(index, line, a) for line in index.lines))
            for a in asked
        )
    return tuple(rows)


def table_rows(index: Index, measure: str | None = None) -> tuple[Reach, ...]:
    """One row a task, by the shown measure or by `measure`; tasks without it are left out."""
    rows = []
    for group in index.groups:
        for task in group.tasks:
            if measure is not None and measure not in index.measures.get(task.name, ()):
                continue
            reached = [index.reached(line.family.id, task.name, measure) for line in index.lines]
            alone = reached[0] if len(reached) == 1 else None
            rows.append(
                Reach(
                    task=words.name(task.name) if measure else words.read_as(task.name, index.shown(task.name)),
                    required=task.required,
                    families=tuple(map(_reach, reached)),
                    ending=task.unavailable or (ended(index, alone) if alone else ""),
                )
            )
    return tuple(rows)


def finding(index: Index) -> str:
    """The caption's sentence: what binds, and how the other tasks stand to it."""
    found = index.results.deployable
    family = found.family if found and found.family else index.lines[0].family.id if index.lines else ""
    known = [
        p.commensurate
        for t in index.results.tasks
        if (p := index.reached(family, t.name)) and p.commensurate is not None
    ]
    if not known:
        return "No task has a commensurate ratio to show."
    spread = (
        f"Over {words.many(len(known), 'task')} it runs from {words.share(min(known))} to {words.share(max(known))}"
    )
    spread += f", with a median of {words.share(median(known))}."
    if found is None or found.binding_task is None:
        return f"The commensurate ratio by task. {spread}"
    who = f" for family {words.name(family)}" if len(index.lines) > 1 else ""
    binding = words.read_as(found.binding_task, found.binding_measure)
    if not found.ratio:
        return f"{binding} gives out at the smallest ratio tested{who}. {spread}"
    return f"{binding} sets the deployable ratio{who} at {words.share(found.ratio)}. {spread}"


def measure_finding(index: Index, measure: str) -> str:
    """What a measure adds: where it gives out first and last."""
    reached = [
        (p.commensurate, p.task) for p in index.results.potential if p.measure == measure and p.commensurate is not None
    ]
    if not reached:
        return "no verdict."
    (low, first), (high, last) = min(reached), max(reached)
    if low == high:
        return f"commensurate to {words.share(low)} on every task."
    ends = f"{words.share(low)} on {words.name(first)} and {words.share(high)} on {words.name(last)}"
    return f"commensurate to between {ends}."


def end(index: Index, line: Line) -> Deployable | None:
    """The deployable ratio of a family."""
    overall = index.results.deployable
    return line.family.deployable or (overall if overall is not None and overall.family == line.family.id else None)


def parent_loss(index: Index, line: Line, task: Task) -> str:
    """The parent's loss on a task, in percent or the measure's unit."""
    cells = [index.cell(task.name, n.id) for n in line.networks]
    known = next((c.parent_loss for c in cells if c is not None and c.parent_loss is not None), None)
    return words.loss(known, index.unit(index.shown(task.name)))


def stem(task: Task) -> tuple[str, str | None]:
    """`corruption/fog/3` → (`corruption/fog`, `3`): the shift, and how strong it is. Options stay with the shift."""
    path, mark, options = task.name.partition("?")
    head, _, tail = path.rpartition("/")
    return (head + mark + options, tail) if head and tail.replace(".", "", 1).isdigit() else (task.name, None)


def _asked(index: Index, tasks: Sequence[Task], *, together: bool, headed: bool) -> list[Asked]:
    alone = [
        Asked(label=_label(t, m, headed=headed), tasks=(t,), measure=m, required=t.required)
        for t in tasks
        for m in (index.shown(t.name), *_binding(index, t))
    ]
    if not together:
        return alone
    stems: dict[str, list[Task]] = {}
    for task in tasks:
        stems.setdefault(stem(task)[0], []).append(task)
    rows: list[Asked] = []
    for name, members in stems.items():
        if len(members) == 1:
            rows.extend(a for a in alone if a.tasks == tuple(members))
            continue
        label = f"{_short(name, members[0].kind) if headed else name} ({stem(members[0])[1]} … {stem(members[-1])[1]})"
        shown = index.shown(members[0].name)
        rows.append(Asked(label=label, tasks=tuple(members), measure=shown, required=any(t.required for t in members)))
        rows.extend(a for a in alone if a.tasks[0] in members and a.measure != shown)
    return rows


def _binding(index: Index, task: Task) -> tuple[str, ...]:
    """Measures other than the shown one that bind on this task in some family."""
    ends = [line.family.deployable for line in index.lines] + [index.results.deployable]
    measures = [d.binding_measure for d in ends if d is not None and d.binding_task == task.name]
    return tuple(dict.fromkeys(m for m in measures if m is not None and m != index.shown(task.name)))


def _bar(index: Index, line: Line, asked: Asked) -> Bar:
    reached = [r for t in asked.tasks if (r := index.reached(line.family.id, t.name, asked.measure)) is not None]
    known = [r for r in reached if r.commensurate is not None]
    if not known:
        return Bar(commensurate=None)
    lowest = min(known, key=lambda r: r.commensurate or 0.0)
    ends = end(index, line)
    return Bar(
        commensurate=lowest.commensurate,
        potential=lowest.prune_potential,
        censored=lowest.censored,
        binding=ends is not None
        and ends.binding_task in {t.name for t in asked.tasks}
        and ends.binding_measure in {None, asked.measure},
        levels=tuple(r.commensurate for r in known if r.commensurate is not None) if len(asked.tasks) > 1 else (),
    )


def _reach(reached: Potential | None) -> str:
    if reached is None or reached.commensurate is None:
        return words.NOTHING
    marks = " →" * reached.censored + " ↺" * reached.nonmonotone
    return f"{words.ratio(reached.commensurate)} ({words.ratio(reached.prune_potential)}){marks}"


def _label(task: Task, measure: str, *, headed: bool) -> str:
    name = _short(task.name, task.kind) if headed else task.name
    return name if measure == "error" else f"{name}:{measure}"


def _short(name: str, kind: str) -> str:
    return name.removeprefix(f"{kind}/")
