"""The answer in plain sentences: how far to prune, what gives out first, and how sure that is."""

from dataclasses import dataclass, replace
from typing import Literal, final

from evalsuite.records.schema import Deployable, Network, Potential, Results, Standard, Task
from evalsuite.report.content import formats
from evalsuite.report.content.index import FamilyResults, Index, indexed
from evalsuite.report.content.shipped import differing, sentence

_MOST_WARNINGS = 3


@final
@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the first screen says; names stand between backticks.

    Attributes:
        status: `deployable`, `none` (every family gives out at once), `incomplete` (required evidence is missing)
            or `empty` (no pruned network).
        headline: One sentence.
        sentences: What it rests on and where it ends.
        warnings: What has to be known before any of it.
    """

    status: Literal["deployable", "none", "incomplete", "empty"]
    headline: str
    sentences: tuple[str, ...]
    warnings: tuple[str, ...] = ()


def answer(index: Index) -> Answer:
    """The verdict over all families."""
    standard = index.results.parent.standard
    if standard is not None and not standard.shown_better and any(line.networks for line in index.lines):
        return _no_standard(index)
    verdict, shipped = _answer(index), tuple(map(sentence, index.results.shipped))
    end = index.results.deployable
    other = verdict.status == "deployable" and end is not None and differing(index.results, end.network)
    headline = f"{verdict.headline} The shipped file is another network." if other else verdict.headline
    # a file that differs comes before what does not hold for it
    sentences = (*shipped, *verdict.sentences)
    return replace(verdict, headline=headline, sentences=sentences, warnings=_warnings(index))


def _warnings(index: Index) -> tuple[str, ...]:
    """The first few as sentences."""
    return tuple(f"Warning: {text.rstrip('.')}." for text in index.results.warnings[:_MOST_WARNINGS])


def _no_standard(index: Index) -> Answer:
    """Nothing can be held to a parent that is no better than an answer that takes no network."""
    return Answer(
        status="none",
        headline="Nothing is decided: the parent itself is no standard.",
        sentences=("Being as good as a network that is not shown to be better than a trivial answer means nothing.",),
        warnings=_warnings(index),
    )


def _answer(index: Index) -> Answer:
    """The verdict on the tested networks."""
    limit = index.results.deployable
    if limit is not None and limit.ratio:
        return Answer(
            status="deployable",
            headline=_advice(index, limit),
            sentences=(*_ground(index), *_end(index, limit), *_clean_alone(index, limit.family, limit.ratio)),
        )
    if limit is not None and limit.binding_task is None and limit.network not in {None, index.results.parent.id}:
        return Answer(
            status="deployable",
            headline=f"{formats.name(limit.network or '')} is shown to be deployable.",
            sentences=("None of its weights is zero.", *_ground(index)),
        )
    if not any(line.networks for line in index.lines) and _uncounted(index):
        return _uncounted_answer(index)
    if not any(line.networks for line in index.lines):
        return _parent_alone(index)
    failures = [_at_once(index, line) for line in index.lines if line.networks]
    if required(index) and (limit is not None or None not in failures):
        lacking = [t for t in required(index) if not answered(index, t)]
        return Answer(
            status="none",
            headline=f"No {_kind(index)} is shown to be deployable.",
            sentences=(
                f"None is shown to stay within {margins(index)} of the parent on every required task.",
                *[f for f in failures if f is not None][:3],
                *_clean_alone(index, limit.family if limit else index.lines[0].family.id, 0.0),
                *([_without(lacking)] if lacking else []),
            ),
        )
    return Answer(status="incomplete", headline="No verdict: required evidence is missing.", sentences=_lacking(index))


def _parent_alone(index: Index) -> Answer:
    """The figures of the one network that there is."""
    nothing = "These results hold no pruned network, so there is nothing to compare with the parent."
    standard = index.results.parent.standard
    if standard is None:
        return Answer(status="empty", headline="No pruned network has been judged.", sentences=(nothing,))
    right, low, high = (formats.share(1 - loss) for loss in (standard.loss, standard.high, standard.low))
    score = standard.score_title[:1].upper() + standard.score_title[1:]
    figures = [f"{low} to {high}, n = {formats.count(standard.n)}.", _beside(standard)]
    for task in index.results.tasks:
        cell = index.cell(task.name, index.results.parent.id, index.shown(task.name))
        if cell is not None and cell.loss is not None and task.kind != "clean":
            figures.append(f"{formats.name(task.name)}: {index.shown(task.name)} {formats.share(cell.loss, 3)}.")
    return Answer(status="empty", headline=f"{score} {right}.", sentences=(*figures, nothing))


def _beside(standard: Standard) -> str:
    trivial = f"{standard.trivial}: {formats.share(1 - standard.trivial_loss, 3)}"
    return f"A trivial answer, {trivial}." + (
        "" if standard.shown_better else " The network is not shown to be better."
    )


def _advice(index: Index, limit: Deployable) -> str:
    """What to do with a network that is shown to be deployable: of files made elsewhere, which one to take."""
    ratio = formats.share(limit.ratio or 0)
    if _kind(index) == "candidate" and limit.network is not None:
        return f"{formats.name(limit.network)} is shown to be deployable, with {ratio} of its weights zero or gone."
    return f"Prune up to {ratio}."


def _kind(index: Index) -> str:
    """What the judged networks are: made by pruners, or files made elsewhere."""
    return "candidate" if all(line.family.pruner is None for line in index.lines) else "pruned network"


def _uncounted(index: Index) -> list[Network]:
    return [n for n in index.results.networks if n.role == "control" and n.uncounted is not None]


def _uncounted_answer(index: Index) -> Answer:
    """Networks without a prune ratio are no family: each is held against the parent by itself."""
    good: list[str] = []
    sentences: list[str] = []
    for network in _uncounted(index):
        open_tasks = [t for t in required(index) if not _shown(index, t, network)]
        name = formats.name(network.id)
        if open_tasks or not required(index):
            tasks = formats.listed([formats.name(t.name) for t in open_tasks])
            sentences.append(f"{name} is not shown to stay within {margins(index)} of the parent on {tasks}.")
        else:
            good.append(name)
            sentences.append(f"{name} is shown to stay within {margins(index)} of the parent on every required task.")
        sentences.append(f"It has no prune ratio: {network.uncounted}.")
    headline = f"{formats.listed(good)} {'is' if len(good) == 1 else 'are'} shown to be deployable."
    return Answer(
        status="deployable" if good else "none",
        headline=headline if good else "No network is shown to be deployable.",
        sentences=tuple(sentences),
    )


def _shown(index: Index, task: Task, network: Network) -> bool:
    """Whether a network is commensurate on a task by all measures that bind, and by one at least."""
    binding = {measure.name for measure in index.results.measures if measure.required} or {index.shown(task.name)}
    cells = [index.cell(task.name, network.id, measure) for measure in binding]
    verdicts = [cell.verdict for cell in cells if cell is not None]
    return bool(verdicts) and all(verdict == "commensurate" for verdict in verdicts)


def headline(results: Results) -> str:
    """The verdict as plain text for a terminal, one sentence a line."""
    verdict = answer(indexed(results))
    text = "\n".join((verdict.headline, *verdict.warnings, *verdict.sentences))
    return text.replace("`", "").replace("\N{NO-BREAK SPACE}", " ").replace("\N{NARROW NO-BREAK SPACE}", " ")


def required(index: Index) -> list[Task]:
    """The tasks that bind the deployable ratio."""
    return [t for t in index.results.tasks if t.required]


def binds(index: Index, task: str, measure: str) -> bool:
    """Whether the deployable ratio may rest on this: a required task, by the shown measure or one that binds."""
    ends = [line.family.deployable for line in index.lines] + [index.results.deployable]
    measures = {index.shown(task), *(e.binding_measure for e in ends if e is not None and e.binding_task == task)}
    return measure in measures and any(t.name == task for t in required(index))


def answered(index: Index, task: Task) -> bool:
    """Whether some pruned network has a verdict on the task."""
    return task.unavailable is None and any(
        (cell := index.cell(task.name, network.id, measure)) is not None and cell.verdict is not None
        for line in index.lines
        for network in line.networks
        for measure in index.measures.get(task.name, ())
    )


def failed(index: Index, reached: Potential) -> str | None:
    """Where a family gives out on a task, in a sentence; None where the grid ends first."""
    failure = reached.first_failure
    if failure is None:
        return None
    subject = formats.read_as(reached.task, reached.measure)
    within = formats.margin(index.margin(reached.task))
    start = f"{'At' if reached.commensurate else 'Already at'} {formats.share(failure.ratio)} {subject}"
    match failure.verdict:
        case "not_commensurate":
            return f"{start} is shown to be more than {within} worse than the parent."
        case "inconclusive":
            return f"{start} is no longer shown to be within {within} of the parent{_settles(index, reached)}."
        case "commensurate":
            return f"{start} has no verdict, and the claim ends there."


def ended(index: Index, reached: Potential) -> str:
    """The same for a column of a table: `59.0 %: shown to be worse`."""
    failure = reached.first_failure
    if failure is None:
        return reached.reason or ("end of the grid" if reached.censored else "")
    endings = {
        "not_commensurate": "shown to be worse",
        "inconclusive": "not shown",
        "commensurate": "",
    }
    return f"{formats.ratio(failure.ratio)}: {endings[failure.verdict]}{_settles(index, reached)}"


def margins(index: Index) -> str:
    """`0.5 points`, or `0.5 points (2 points on adversarial tasks)`."""
    others = [f"{formats.margin(m)} on {where}" for where, m in _other_margins(index)]
    general = formats.margin(index.results.run.margin)
    return f"{general} ({formats.listed(others)})" if others else general


def _other_margins(index: Index) -> list[tuple[str, float]]:
    """Tasks that are judged at another margin than the run's: by kind where all of a kind are, else by name."""
    margins_by_place: list[tuple[str, float]] = []
    for group in index.groups:
        distinct = {index.margin(task.name) for task in group.tasks}
        if len(distinct) == 1:
            margins_by_place += [(f"{group.kind} tasks", margin) for margin in distinct]
        else:
            margins_by_place += [(formats.read_as(task.name, None), index.margin(task.name)) for task in group.tasks]
    return [(where, margin) for where, margin in margins_by_place if margin != index.results.run.margin]


def margin_in_words(index: Index) -> str:
    """What the margin allows."""
    margin = index.results.run.margin
    if margin <= 0:
        return "The margin is 0: a pruned network has to be shown to be no worse than its parent."
    general = f"The margin is {formats.margin(margin)}: {_allowed(index, margin)}"
    others = [f"{formats.margin(m)} on {where}" for where, m in _other_margins(index)]
    return general if not others else f"{general} It is {formats.listed(others)}."


def _allowed(index: Index, margin: float) -> str:
    """What a network that stays within the margin may do."""
    judged = {index.shown(task.name) for task in index.results.tasks if task.required and index.measures.get(task.name)}
    titles = [measure.title or measure.name for measure in index.results.measures if measure.name in judged]
    if not titles or "error" in judged:
        return (
            f"out of 1000 examples, a pruned network may get at most {1000 * margin:.3g} more wrong than its parent, "
            f"counted on the same examples."
        )
    return (
        f"averaged over the same examples, a pruned network's loss ({formats.listed(titles)}) may be at most "
        f"{formats.margin(margin)} above its parent's."
    )


def confidence_in_words(index: Index) -> str:
    """What the confidence promises."""
    confidence = index.results.run.confidence
    odds = 1 / (1 - confidence) if confidence < 1 else float("inf")
    whole = confidence < 1 and abs(odds - round(odds)) < 1e-6 * odds
    chance = f"1 in {odds:.0f}" if whole else formats.share(1 - confidence)
    promise = (
        f"The confidence is {formats.share(confidence, 3)}: if a network were beyond the margin on some required task, "
        f"the chance that a run like this one would call it deployable is at most {chance}."
    )
    families = len(index.lines)
    if families < 2:
        return promise
    stated = {p.confidence for p in index.results.potential if p.confidence is not None}
    if stated and min(stated) > confidence:
        each = formats.share(min(stated), 3)
        return f"{promise} Each of the {families} families is held to {each}, so that this covers choosing the best."
    return (
        f"{promise} That holds for each of the {families} families by itself, not for the best one chosen afterwards."
    )


def _ground(index: Index) -> list[str]:
    run, tasks = index.results.run, required(index)
    have = [t for t in tasks if answered(index, t)]
    scope = "the one required task" if len(have) == 1 else f"each of the {formats.count(len(have))} required tasks"
    within = f"at most {margins(index)} worse than its parent, at {formats.share(run.confidence, 3)} confidence"
    sentences = [f"On {scope}, every network tested up to this ratio is shown to be {within}."]
    if lacking := [t for t in tasks if t not in have]:
        sentences.append(_without(lacking) + " The ratio does not cover that.")
    return sentences


def _end(index: Index, limit: Deployable) -> list[str]:
    beyond = f"{formats.share(limit.ratio)} is the largest ratio tested, and the limit may lie higher."
    if limit.binding_task is None:
        return [f"No required task gave out: {beyond}"]
    binding = (limit.binding_task, limit.binding_measure or index.shown(limit.binding_task))
    reached = index.potential.get((limit.family or "", *binding))
    if reached is None:
        return [f"The task that sets it is {formats.read_as(*binding)}."]
    return [failed(index, reached) or f"{formats.read_as(*binding)} sets it without giving out: {beyond}"]


def _clean_alone(index: Index, family: str | None, ratio: float) -> list[str]:
    """What one would have believed without the other tasks."""
    clean = next((g.tasks[0] for g in index.groups if g.kind == "clean"), None)
    reached = index.reached(family, clean.name) if clean and family else None
    if clean is None or reached is None or reached.commensurate is None or reached.commensurate <= ratio:
        return []
    return [f"Judged by {formats.name(clean.name)} alone, it would have been {formats.share(reached.commensurate)}."]


def _lacking(index: Index) -> tuple[str, ...]:
    if not required(index):
        return ("No task is marked as required, so no ratio can be called deployable.",)
    lacking = [t for t in required(index) if not answered(index, t)]
    why = _without(lacking) if lacking else "Some networks have not been evaluated on every required task."
    return (why, "A deployable ratio needs every required task; none is given until they are all in.")


def _without(tasks: list[Task]) -> str:
    names = formats.listed([formats.name(t.name) for t in tasks])
    return f"{formats.many(len(tasks), 'required task has', 'required tasks have')} no evidence: {names}."


def _at_once(index: Index, line: FamilyResults) -> str | None:
    """The required task on which the family gives out at its first step, as a sentence."""
    claims = [p for p in index.results.potential if p.family == line.family.id and binds(index, p.task, p.measure)]
    reached = [p for p in claims if p.first_failure is not None and not p.commensurate]
    end = line.family.deployable or index.results.deployable
    named = (end.binding_task, end.binding_measure) if end else (None, None)
    # what was found to bind comes first; then a shown failure, which says more than an open question
    reached.sort(key=lambda p: ((p.task, p.measure) != named, _open(p)))
    sentence = failed(index, reached[0]) if reached else None
    several = len(index.lines) > 1
    return f"Family {formats.name(line.family.id)}: {_lower(sentence)}" if sentence and several else sentence


def _open(reached: Potential) -> bool:
    return reached.first_failure is not None and reached.first_failure.verdict != "not_commensurate"


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]


def _settles(index: Index, reached: Potential) -> str:
    """How many examples an inconclusive step would have needed."""
    line = next((line for line in index.lines if line.family.id == reached.family), None)
    ratio = reached.first_failure.ratio if reached.first_failure else None
    for network in line.networks if line else ():
        cell = index.cell(reached.task, network.id, reached.measure)
        if cell and network.prune_ratio == ratio and cell.settles_at is not None and cell.verdict == "inconclusive":
            return f"; about {formats.rough(cell.settles_at)} examples would settle it"
    return ""
