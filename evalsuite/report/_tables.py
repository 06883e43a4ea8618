"""Plain tables of the report: networks, averages, tasks, and every cell."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev
from typing import final

from evalsuite.records.schema import Average, Cell, Latency, Network, Results, Task, Unit
from evalsuite.report import _words as words
from evalsuite.report._index import Index
from evalsuite.report._map import SIGNS

Row = tuple[str, ...]
OTHERS = "parent and controls"
MOST_CELLS = 5_000


@final
@dataclass(frozen=True, kw_only=True)
class Block:
    """Rows under one heading, e.g. the cells of one task and measure."""

    heading: str
    name: str
    rows: tuple[Row, ...]


@final
@dataclass(frozen=True, kw_only=True)
class CellTable:
    """All cells of one family (or of parent and controls), by task and measure."""

    title: str
    count: int
    blocks: tuple[Block, ...]


def networks(results: Results) -> tuple[Row, ...]:
    """id, prune ratio, FLOP reduction, parameters, non-zero, FLOPs, dense FLOPs, size, peak, latency, large batch."""
    return tuple(_network(n) for n in results.networks)


def latency_note(results: Results) -> str:
    """How latency was measured."""
    firsts = [
        next((timed for n in results.networks if (timed := getattr(n, key)) is not None), None)
        for key in ("latency_ms", "throughput_ms")
    ]
    told = [_timed(first) for first in firsts if first is not None]
    if not told:
        return "Latency was not measured."
    where = results.run.device or "the device of the run"
    return (
        f"Latency: median {' and '.join(told)}, with its interval, in milliseconds, on {where}; in every round all "
        "networks are timed, in a random order. Those that run the same program, as masked ones do, share one figure."
    )


def _timed(first: Latency) -> str:
    batch = f"batches of {words.count(first.batch)}" if first.batch else "one batch size"
    return f"over {words.many(first.n, 'round')} of {batch}" if first.n else f"of {batch}"


def averages(results: Results) -> tuple[Row, ...]:
    """family, set, measure, number of tasks, average, minimum; then mean ± s.d. over the seeds of each pruner."""
    rows = [
        (a.family, a.set, a.measure, words.count(a.n), words.ratio(a.average), words.ratio(a.minimum))
        for a in results.averages
    ]
    pruners = {f.id: f.pruner for f in results.families}
    seeds: dict[tuple[str, str, str], list[Average]] = {}
    for a in results.averages:
        seeds.setdefault((pruners.get(a.family) or a.family, a.set, a.measure), []).append(a)
    for (pruner, name, measure), members in seeds.items():
        if len(members) > 1:
            title = f"{pruner}, mean ± s.d. of {len(members)} seeds"
            spread = (_spread(m.average for m in members), _spread(m.minimum for m in members))
            rows.append((title, name, measure, words.count(members[0].n), *spread))
    return tuple(rows)


def tasks(results: Results) -> tuple[Row, ...]:
    """name, what it asks, required, n, version, seconds, parameters, note."""
    return tuple(_task(t) for t in results.tasks)


def cells(index: Index) -> tuple[CellTable, ...]:
    """Every cell, parent and controls last; where there are very many, only those of the measures in the charts."""
    whole = len(index.results.cells) <= MOST_CELLS
    tables = [_cell_table(index, line.family.id, line.networks, whole=whole) for line in index.lines]
    others = tuple(n for n in index.results.networks if n.role != "pruned")
    tables.append(_cell_table(index, OTHERS, others, whole=whole))
    return tuple(t for t in tables if t.count)


def facts(pairs: Mapping[str, object] | None) -> str:
    """`key value, key value`; nested values are written as Python does."""
    return ", ".join(f"{k} {_plain(v)}" for k, v in (pairs or {}).items()) or words.NOTHING


def _plain(value: object) -> str:
    if value is None:
        return words.NOTHING
    return (
        f"{value:g}"
        if isinstance(value, float)
        else " ".join(map(_plain, value))
        if isinstance(value, tuple)
        else str(value)
    )


def _network(n: Network) -> Row:
    kind = {"parent": " (parent)", "control": " (control)", "shipped": " (shipped)", "pruned": ""}[n.role]
    return (
        f"{n.id}{kind}", words.ratio(n.prune_ratio), words.ratio(n.flop_reduction), words.size(n.parameters),
        words.size(n.nonzero), words.size(n.flops), words.size(n.dense_flops), words.figure(n.megabytes),
        words.figure(n.peak_megabytes), _latency(n.latency_ms), _latency(n.throughput_ms),
    )  # fmt: skip


def _latency(timed: Latency | None) -> str:
    if timed is None or timed.median is None:
        return words.NOTHING
    return f"{words.figure(timed.median)} [{words.figure(timed.low)}, {words.figure(timed.high)}]"


def _spread(values: Iterable[float | None]) -> str:
    known = [v for v in values if v is not None]
    return f"{words.ratio(fmean(known))} ± {100 * pstdev(known):.1f}" if known else words.NOTHING


def _task(t: Task) -> Row:
    note = "; ".join(filter(None, (t.unavailable and f"not available: {t.unavailable}", t.note, *t.flags)))
    return (
        t.name, t.title or t.kind, "required" if t.required else "", words.count(t.n),
        words.NOTHING if t.version is None else str(t.version), words.duration(t.seconds), facts(t.parameters), note,
    )  # fmt: skip


def _cell_table(index: Index, title: str, judged: tuple[Network, ...], *, whole: bool) -> CellTable:
    blocks = []
    for task in index.results.tasks:
        for measure in index.measures.get(task.name, ())[: None if whole else 1]:
            found = [(n, c) for n in judged if (c := index.cell(task.name, n.id, measure)) is not None]
            if found:
                blocks.append(_block(index, task, measure, found))
    return CellTable(title=title, count=sum(len(b.rows) for b in blocks), blocks=tuple(blocks))


def _block(index: Index, task: Task, measure: str, found: Sequence[tuple[Network, Cell]]) -> Block:
    """What is the same in every row stands in the heading."""
    heading, unit = words.read_as(task.name, measure), index.unit(measure)
    examples = {c.n for _, c in found if c.n is not None}
    parents = {c.parent_loss for _, c in found if c.parent_loss is not None}
    same = [] if unit == "share" else [f"in {unit}"]
    same += [f"n = {words.count(n)}" for n in examples if len(examples) == 1]
    same += [f"parent {words.loss(p, unit)}" for p in parents if len(parents) == 1]
    return Block(
        heading=", ".join([heading, *same]),
        name=heading.strip("`"),
        rows=tuple(_cell(n, c, index.margin(task.name), unit, n_differs=len(examples) > 1) for n, c in found),
    )


def _cell(network: Network, cell: Cell, margin: float, unit: Unit, *, n_differs: bool) -> Row:
    """ratio, loss with interval, difference with interval, verdict and what there is to say about it."""
    who = words.ratio(network.prune_ratio) if network.role == "pruned" else network.id
    settles = cell.verdict == "inconclusive" and cell.settles_at is not None
    said = (
        SIGNS[cell.verdict],
        f"n ≈ {words.rough(cell.settles_at)} would settle it" if settles and cell.settles_at is not None else "",
        f"n = {words.count(cell.n)}" if n_differs else "",
        f"most in {cell.group}" if cell.group is not None else "",
        cell.reason,
    )
    return (
        who,
        _with(words.loss(cell.loss, unit), words.span(cell.low, cell.high, unit)),
        _with(
            words.points(cell.difference, unit=unit),
            words.interval(cell.difference_low, cell.difference_high, margin, unit),
        ),
        " ".join(filter(None, said)) or words.NOTHING,
    )


def _with(value: str, interval: str) -> str:
    return value if interval == words.NOTHING else f"{value} {interval}"
