"""Gaps of the evidence: what is unavailable, undecided, doubtful or was never asked."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from evalsuite.report.content import formats
from evalsuite.report.content.index import Index
from evalsuite.report.content.shipped import differing
from evalsuite.report.content.verdict import answered, binds

_FIELDS: tuple[tuple[frozenset[str], str, str], ...] = (
    (
        frozenset({"corruption"}),
        "Common corruptions (weather, blur, noise, compression): no such task was run.",
        "Corruptions, severities and combinations of them other than those listed.",
    ),
    (
        frozenset({"noise"}),
        "Random noise on the input: no such task was run.",
        "Noise of another kind or strength than listed.",
    ),
    (
        frozenset({"adversarial"}),
        "Adversarial attacks: no such task was run.",
        "Attacks that are stronger, adaptive or bounded in another norm than listed: surviving one is not a proof.",
    ),
    (
        frozenset({"certified", "smoothing", "bounds"}),
        "Certified robustness: no such task was run.",
        "Certificates at other radii or norms; one from smoothing holds for the smoothed network, at its confidence.",
    ),
    (
        frozenset({"ood", "shift"}),
        "Out-of-distribution data: no such task was run.",
        "Unknown inputs of another origin than those listed.",
    ),
)
_ALWAYS = (
    "Data that are not drawn like the held-out examples: another sensor, site, season or population.",
    "Prune ratios between and beyond the ones tested, other pruning methods, and other parents.",
    "The parent itself: commensurate means “not worse than the parent”, not “good enough”.",
    "Conformity with any standard. The report states facts that an assurance argument may use.",
)
_NOT_EXPORTED = (
    "The network after export, quantisation or another compiler: only the tensors with the digests below were run."
)
_EXPORTED = (
    "Other files than the shipped ones with the digests below, and these on other hardware or with another library."
)


@final
@dataclass(frozen=True, kw_only=True)
class Gap:
    """One kind of missing evidence.

    Attributes:
        title: What is missing, with its count.
        missing: One line each; names between backticks.
    """

    title: str
    missing: tuple[str, ...]


def gaps(index: Index) -> tuple[Gap, ...]:
    """Everything the run set out to say and does not, the most serious first."""
    candidates = (
        _contradicted(index),
        _other_files(index),
        _unfinished(index),
        _unavailable(index),
        _silent(index),
        _undecided(index),
        _flagged(index),
        _absent(index),
    )
    return tuple(gap for gap in candidates if gap is not None)


def not_evidence_for(index: Index) -> tuple[str, ...]:
    """What a reader must not take these results for."""
    kinds = {t.kind for t in index.results.tasks if answered(index, t)}
    kinds |= {t.name.partition("/")[0] for t in index.results.tasks if answered(index, t)}
    tested = _EXPORTED if index.results.shipped else _NOT_EXPORTED
    return (*(present if kinds & names else absent for names, absent, present in _FIELDS), *_ALWAYS, tested)


def _contradicted(index: Index) -> Gap | None:
    items = tuple(
        f"{each.network}: {formats.count(each.violations)} of {formats.count(each.n)} examples are right on "
        f"{formats.name(each.inner)} and wrong on {formats.name(each.outer)}, which asks for less"
        for each in index.results.invariants
        if each.broken
    )
    return Gap(title="Results contradict each other: nothing here is to be relied on", missing=items) if items else None


def _other_files(index: Index) -> Gap | None:
    items = differing(index.results)
    return Gap(title="Shipped files that are other networks than the tested ones", missing=items) if items else None


def _unfinished(index: Index) -> Gap | None:
    if index.results.complete:
        return None
    return Gap(title="The run is not finished", missing=("The same command continues it; figures may still change.",))


def _unavailable(index: Index) -> Gap | None:
    tasks = sorted((t for t in index.results.tasks if t.unavailable is not None), key=lambda t: not t.required)
    items = tuple(f"{formats.name(t.name)}{' (required)' * t.required}: {t.unavailable}" for t in tasks)
    return Gap(title=f"{formats.many(len(items), 'task')} not available", missing=items) if items else None


def _silent(index: Index) -> Gap | None:
    available = {t.name for t in index.results.tasks if t.unavailable is None}
    reasons: dict[str, Counter[str]] = {}
    for cell in index.results.cells:
        if cell.loss is None and cell.task in available:
            reasons.setdefault(cell.reason or "no reason was recorded", Counter())[cell.task] += 1
    items = [
        f"{formats.listed(list(map(formats.name, tasks)), most=4)} ({formats.many(tasks.total(), 'cell')}): {reason}"
        for reason, tasks in reasons.items()
    ]
    stored = {c.task for c in index.results.cells} | {f.task for f in index.results.features}
    items += [
        f"parameters and FLOPs of {formats.name(n.id)}: {n.uncounted}" for n in index.results.networks if n.uncounted
    ]
    lost = [formats.name(t.name) for t in index.results.tasks if t.name in available - stored]
    if lost and index.lines:
        items.append(f"{formats.listed(lost, most=4)}: no result is stored")
    return Gap(title="Not measured", missing=tuple(items)) if items else None


def _undecided(index: Index) -> Gap | None:
    pruned = {n.id for line in index.lines for n in line.networks}
    undecided = [c for c in index.results.cells if c.verdict == "inconclusive" and c.network in pruned]
    open_cells = [c for c in undecided if binds(index, c.task, c.measure)]
    if not open_cells:
        return None
    by_task = Counter(c.task for c in open_cells)
    names = formats.listed([formats.name(task) for task, _ in by_task.most_common()], most=5)
    title = f"{formats.many(len(open_cells), 'verdict')} inconclusive on {formats.many(len(by_task), 'required task')}"
    needed = [c.settles_at for c in open_cells if c.settles_at is not None]
    more = f" Half of them would be settled by about {formats.rough(_median(needed))} examples." if needed else ""
    return Gap(title=title, missing=(f"Most on {names}.{more}",))


def _flagged(index: Index) -> Gap | None:
    items = tuple(f"{formats.name(t.name)}: {'; '.join(t.flags)}" for t in index.results.tasks if t.flags)
    return Gap(title=f"{formats.many(len(items), 'task')} with doubts about validity", missing=items) if items else None


def _absent(index: Index) -> Gap | None:
    kinds = {t.kind for t in index.results.tasks} | {t.name.partition("/")[0] for t in index.results.tasks}
    items = tuple(absent for names, absent, _ in _FIELDS if not kinds & names)
    return Gap(title="Not asked", missing=items) if items else None


def _median(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2]
