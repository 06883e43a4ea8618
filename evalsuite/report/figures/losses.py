"""Panels of loss against prune ratio: small multiples, one a task or a shift."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from matplotlib.figure import Figure

from evalsuite.records.schema import Cell, Task
from evalsuite.report.content import formats
from evalsuite.report.content.index import FamilyResults, Group, Index
from evalsuite.report.figures import embed
from evalsuite.report.figures.curves import SMALLEST_SCALE, Curve, Step, loss_panel
from evalsuite.report.figures.ratios import stem

_MOST_PANELS = 40
_BELOW, _ABOVE = (1.5, 5.0), (2.5, 8.0)
_FEW = 2


@final
@dataclass(frozen=True, kw_only=True)
class Panel:
    """A panel: its figure, and what it shows in a sentence."""

    task: str
    finding: str
    svg: str


@final
@dataclass(frozen=True, kw_only=True)
class Panels:
    """The panels of one kind of task; `left_out` counts tasks that only the table shows."""

    kind: str
    panels: tuple[Panel, ...]
    left_out: int


def panels(index: Index) -> tuple[Panels, ...]:
    """Panels by kind; with very many tasks, of each shift only the level that gives out first.

    Kinds with one or two panels share a heading, so that they share a row.
    """
    drawn = [(g, tuple(t for t in chosen(index, g) if _has_curve(index, t))) for g in index.groups]
    few = [(g, tasks) for g, tasks in drawn if 0 < len(tasks) <= _FEW]
    parts = [(few, "")] if few else []
    parts += [([(g, tasks)], f"{g.kind}/") for g, tasks in drawn if len(tasks) > _FEW]
    reach = _reach_of_panels(index, [t for _, tasks in drawn for t in tasks])
    groups_of_panels = []
    for k, (groups, prefix) in enumerate(parts):
        shown = [t for _, tasks in groups for t in tasks]
        made = tuple(_panel(index, t, prefix, reach, key=f"loss-{k}-{i}") for i, t in enumerate(shown))
        left_out = sum(len(g.tasks) - len(chosen(index, g)) for g, _ in groups)
        groups_of_panels.append(Panels(kind=", ".join(g.kind for g, _ in groups), panels=made, left_out=left_out))
    return tuple(groups_of_panels)


def chosen(index: Index, group: Group) -> tuple[Task, ...]:
    """All tasks of the group, or with very many tasks the level of each shift that gives out first."""
    if sum(len(g.tasks) for g in index.groups) <= _MOST_PANELS:
        return group.tasks
    stems: dict[str, list[Task]] = {}
    for task in group.tasks:
        stems.setdefault(stem(task)[0], []).append(task)
    return tuple(min(reversed(members), key=lambda t: _reach(index, t)) for members in stems.values())


def _reach_of_panels(index: Index, tasks: Sequence[Task], measure: str | None = None) -> tuple[float, float]:
    """Margins below and above the parent that hold the bands of all panels, within reason."""
    cells = [index.cell(t.name, n.id, measure) for t in tasks for line in index.lines for n in line.networks]
    scaled = [(c, max(index.margin(c.task), SMALLEST_SCALE)) for c in cells if c is not None]
    low = min((c.difference_low / scale for c, scale in scaled if c.difference_low is not None), default=0.0)
    high = max((c.difference_high / scale for c, scale in scaled if c.difference_high is not None), default=0.0)
    return (float(np.clip(-low, *_BELOW)), float(np.clip(high, *_ABOVE)))


def _reach(index: Index, task: Task) -> float:
    """The least any family reaches; tasks without an answer come last."""
    reached = [index.reached(line.family.id, task.name) for line in index.lines]
    return min((r.commensurate for r in reached if r is not None and r.commensurate is not None), default=2.0)


def _has_curve(index: Index, task: Task) -> bool:
    cells = [index.cell(task.name, n.id) for line in index.lines for n in line.networks]
    return any(c is not None and c.loss is not None for c in cells)


def _panel(index: Index, task: Task, prefix: str, reach: tuple[float, float], *, key: str) -> Panel:
    measure = index.shown(task.name)
    name, finding = index.named(task.name, measure), _finding(index, task)
    svg = embed.inline(_figure(index, task, measure, reach), key=key, title=f"{name}: {finding}")
    return Panel(task=formats.name(name.removeprefix(prefix)), finding=finding, svg=svg)


def figure(index: Index, task: Task, measure: str) -> Figure:
    """The panel of one task as `measure` reads it, with room for all of its bands."""
    return _figure(index, task, measure, _reach_of_panels(index, [task], measure))


def _figure(index: Index, task: Task, measure: str, reach: tuple[float, float]) -> Figure:
    curves = tuple(_curve(index, line, task, measure, look) for look, line in enumerate(index.lines))
    cells = [index.cell(task.name, n.id, measure) for line in index.lines for n in line.networks]
    parent = next((c.parent_loss for c in cells if c is not None and c.parent_loss is not None), None)
    controls = [
        (n.prune_ratio or 0.0, c.loss)
        for n in index.controls
        if (c := index.cell(task.name, n.id, measure)) and c.loss is not None
    ]
    return loss_panel(
        curves,
        parent=parent,
        margin=index.margin(task.name),
        controls=controls,
        reach=reach,
        unit=index.unit(measure),
    )


def _curve(index: Index, line: FamilyResults, task: Task, measure: str, look: int) -> Curve:
    steps = tuple(
        _step(cell, n.prune_ratio)
        for n in line.networks
        if n.prune_ratio is not None and (cell := index.cell(task.name, n.id, measure)) is not None
    )
    return Curve(family=line.family.id, look=look, steps=steps)


def _step(cell: Cell, ratio: float) -> Step:
    """The paired interval, set on the parent's level: what the verdict is read off."""

    def raised(bound: float | None) -> float | None:
        return None if bound is None or cell.parent_loss is None else cell.parent_loss + bound

    return Step(
        ratio=ratio,
        loss=cell.loss,
        low=raised(cell.difference_low),
        high=raised(cell.difference_high),
        shown=cell.verdict == "commensurate",
    )


def _finding(index: Index, task: Task) -> str:
    reached = [index.reached(line.family.id, task.name) for line in index.lines]
    ratios = sorted(r.commensurate for r in reached if r is not None and r.commensurate is not None)
    if not ratios:
        return "no verdict"
    if ratios[-1] == 0:
        return "not shown at any ratio"
    if len(ratios) == 1 or formats.share(ratios[0]) == formats.share(ratios[-1]):
        return f"commensurate to {formats.share(ratios[0])}"
    return f"commensurate to {formats.share(ratios[0]).split()[0]}–{formats.share(ratios[-1])}"
