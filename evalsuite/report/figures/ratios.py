"""Commensurate prune ratios by task: rows of the bar chart, and the same as a table."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import final

from evalsuite.records.schema import Deployable, Potential, Task
from evalsuite.report.content import formats
from evalsuite.report.content.index import FamilyResults, Index
from evalsuite.report.content.verdict import ended
from evalsuite.report.figures.bars import Bar, BarRow

_MOST_ROWS = 44


@final
@dataclass(frozen=True, kw_only=True)
class Subject:
    """What one row of the chart sums up: a task and a measure, or several levels of the same shift."""

    label: str
    tasks: tuple[Task, ...]
    measure: str
    required: bool


@final
@dataclass(frozen=True, kw_only=True)
class TaskReach:
    """One row of the table: a task and measure, and for each family what was reached."""

    task: str
    required: bool
    families: tuple[str, ...]
    ending: str


def chart_rows(index: Index) -> tuple[BarRow, ...]:
    """Rows by kind; with very many tasks, levels of one shift share a row."""
    by_shift = sum(len(g.tasks) for g in index.groups) > _MOST_ROWS
    rows: list[BarRow] = []
    for group in index.groups:
        headed = len(index.groups) > 1 and len(group.tasks) > 1
        subjects = _subjects(index, group.tasks, by_shift=by_shift, headed=headed)
        if headed:
            rows.append(BarRow(label=group.kind))
        rows.extend(
            BarRow(label=a.label, required=a.required, bars=tuple(_bar(index, line, a) for line in index.lines))
            for a in subjects
        )
    return tuple(rows)


def table_rows(index: Index, measure: str | None = None) -> tuple[TaskReach, ...]:
    """One row a task, by the shown measure or by `measure`; tasks without it are left out."""
    rows = []
    for group in index.groups:
        for task in group.tasks:
            if measure is not None and measure not in index.measures.get(task.name, ()):
                continue
            reached = [index.reached(line.family.id, task.name, measure) for line in index.lines]
            alone = reached[0] if len(reached) == 1 else None
            rows.append(
                TaskReach(
                    task=formats.name(task.name) if measure else formats.read_as(task.name, index.shown(task.name)),
                    required=task.required,
                    families=tuple(map(_reach, reached)),
                    ending=task.unavailable or (ended(index, alone) if alone else ""),
                )
            )
    return tuple(rows)


def finding(index: Index) -> str:
    """The caption's sentence: what binds, and how the other tasks stand to it."""
    limit = index.results.deployable
    family = limit.family if limit and limit.family else index.lines[0].family.id if index.lines else ""
    ratios = [
        p.commensurate
        for t in index.results.tasks
        if (p := index.reached(family, t.name)) and p.commensurate is not None
    ]
    if not ratios:
        return "No task has a commensurate ratio to show."
    ends = f"{formats.share(min(ratios))} to {formats.share(max(ratios))}"
    spread = f"Over {formats.many(len(ratios), 'task')} it runs from {ends}"
    spread += f", with a median of {formats.share(median(ratios))}."
    if limit is None or limit.binding_task is None:
        return f"The commensurate ratio by task. {spread}"
    who = f" for family {formats.name(family)}" if len(index.lines) > 1 else ""
    binding = formats.read_as(limit.binding_task, limit.binding_measure)
    if not limit.ratio:
        return f"{binding} gives out at the smallest ratio tested{who}. {spread}"
    return f"{binding} sets the deployable ratio{who} at {formats.share(limit.ratio)}. {spread}"


def family_limit(index: Index, line: FamilyResults) -> Deployable | None:
    """The deployable ratio of a family."""
    overall = index.results.deployable
    return line.family.deployable or (overall if overall is not None and overall.family == line.family.id else None)


def stem(task: Task) -> tuple[str, str | None]:
    """`corruption/fog/3` → (`corruption/fog`, `3`): the shift, and how strong it is. Options stay with the shift."""
    path, mark, options = task.name.partition("?")
    head, _, tail = path.rpartition("/")
    return (head + mark + options, tail) if head and tail.replace(".", "", 1).isdigit() else (task.name, None)


def _subjects(index: Index, tasks: Sequence[Task], *, by_shift: bool, headed: bool) -> list[Subject]:
    alone = [
        Subject(label=_label(t, m, headed=headed), tasks=(t,), measure=m, required=t.required)
        for t in tasks
        for m in (index.shown(t.name), *_binding(index, t))
    ]
    if not by_shift:
        return alone
    stems: dict[str, list[Task]] = {}
    for task in tasks:
        stems.setdefault(stem(task)[0], []).append(task)
    rows: list[Subject] = []
    for name, members in stems.items():
        if len(members) == 1:
            rows.extend(a for a in alone if a.tasks == tuple(members))
            continue
        label = f"{_short(name, members[0].kind) if headed else name} ({stem(members[0])[1]} … {stem(members[-1])[1]})"
        shown = index.shown(members[0].name)
        rows.append(
            Subject(label=label, tasks=tuple(members), measure=shown, required=any(t.required for t in members))
        )
        rows.extend(a for a in alone if a.tasks[0] in members and a.measure != shown)
    return rows


def _binding(index: Index, task: Task) -> tuple[str, ...]:
    """Measures other than the shown one that bind on this task in some family."""
    ends = [line.family.deployable for line in index.lines] + [index.results.deployable]
    measures = [d.binding_measure for d in ends if d is not None and d.binding_task == task.name]
    return tuple(dict.fromkeys(m for m in measures if m is not None and m != index.shown(task.name)))


def _bar(index: Index, line: FamilyResults, subject: Subject) -> Bar:
    reached = [r for t in subject.tasks if (r := index.reached(line.family.id, t.name, subject.measure)) is not None]
    claimed = [r for r in reached if r.commensurate is not None]
    if not claimed:
        return Bar(commensurate=None)
    lowest = min(claimed, key=lambda r: r.commensurate or 0.0)
    ends = family_limit(index, line)
    return Bar(
        commensurate=lowest.commensurate,
        potential=lowest.prune_potential,
        censored=lowest.censored,
        binding=ends is not None
        and ends.binding_task in {t.name for t in subject.tasks}
        and ends.binding_measure in {None, subject.measure},
        levels=tuple(r.commensurate for r in claimed if r.commensurate is not None) if len(subject.tasks) > 1 else (),
    )


def _reach(reached: Potential | None) -> str:
    if reached is None or reached.commensurate is None:
        return formats.NOTHING
    marks = " →" * reached.censored + " ↺" * reached.nonmonotone
    return f"{formats.ratio(reached.commensurate)} ({formats.ratio(reached.prune_potential)}){marks}"


def _label(task: Task, measure: str, *, headed: bool) -> str:
    name = _short(task.name, task.kind) if headed else task.name
    return name if measure == "error" else f"{name}:{measure}"


def _short(name: str, kind: str) -> str:
    return name.removeprefix(f"{kind}/")
