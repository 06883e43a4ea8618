"""Holds results against a policy: verdict and exit code. Closed by default: what is not shown does not pass."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import final

from evalsuite.errors import RefusedInputError
from evalsuite.files.private_paths import without_folders_in
from evalsuite.gate._consistency import check_consistent
from evalsuite.gate._evidence_checks import check_evidence, check_release, judged_networks
from evalsuite.gate._input_checks import check_inputs
from evalsuite.gate.checks import Check, GateResult, Outcome
from evalsuite.gate.policy import DEPLOYABLE, Policy, Requirement, Terms
from evalsuite.records.schema import Cell, Deployable, Potential, Results, Shipped
from evalsuite.records.sealing import NOTHING, Backing, seal

RATIO_SLACK = 0.0005
"""Ratios are counted from weights and miss a round figure by a few of them; losses and verdicts have no slack."""
_ROUNDING = 1e-9
_NO_CLAIM = "the run has no deployable ratio, since a required task lacks evidence"
_NOTHING_DEPLOYABLE = "no pruned network is shown to be deployable, so that there is none to judge"

Decision = tuple[Outcome, str]


def judge(policy: Policy, results: Results, backing: Backing = NOTHING, *, release: str | None = None) -> GateResult:
    """Hold a run's results against a policy.

    A file that is shipped in the place of a network of the run, and gives other predictions, fails every policy.

    Args:
        policy: What has to be shown.
        results: As `evalsuite.analysis.results_file.read_back` returns them.
        backing: What stands behind them, from there too; without a store only policies pass that do without one.
        release: SHA-256 of the file that is to be released: it has to be a network that was judged, or to have been
            held against one.

    Raises:
        RefusedInputError: The results are not what their digest says, or contradict themselves.
    """
    if seal(results.document()) is None:
        raise RefusedInputError("expected the results that were written, got others: their digest differs")
    check_consistent(results)
    return apply_policy(policy, results, backing, release=release)


def apply_policy(policy: Policy, results: Results, backing: Backing, *, release: str | None = None) -> GateResult:
    """Every check of a policy, on results that are believed; arguments as of `judge`."""
    subjects = _subjects(policy.terms, results)
    networks = judged_networks(results, [subject.network for subject in subjects])
    checks = check_evidence(policy.terms, results, backing, networks)
    checks += [] if release is None else [check_release(release, results, networks)]
    checks += check_inputs(policy.terms, results)
    if (minimum := policy.terms.min_deployable) is not None:
        checks += [_check_deployable(minimum, policy.terms, results, subject) for subject in subjects]
    checks += [_check_shipped(each) for each in results.shipped]
    for requirement in policy.require:
        checks += _check(requirement, policy.terms, results, subjects)
    return GateResult(
        policy=policy.terms.name,
        checks=tuple(checks),
        networks=tuple(networks),
        digests={} if results.digests is None else results.digests.model_dump(),
    )


@final
@dataclass(frozen=True, kw_only=True)
class _Subject:
    """What is judged: a family and a network of it; `lacking` says why one of them is None."""

    family: str | None
    network: str | None
    deployable: Deployable | None
    lacking: str = ""


def _subjects(terms: Terms, results: Results) -> list[_Subject]:
    by_family = {family.id: family.deployable for family in results.families}
    if results.deployable is not None:
        by_family.setdefault(results.deployable.family, results.deployable)
    if terms.network != DEPLOYABLE:
        named = next((n for n in results.networks if n.id == terms.network), None)
        if named is None:
            lacking = f"the run has no network {terms.network!r}; it has {_listed(n.id for n in results.networks)}"
            return [_Subject(family=None, network=None, deployable=None, lacking=lacking)]
        if named.family is None:
            lacking = f"{named.id} belongs to no family"
            return [_Subject(family=None, network=named.id, deployable=None, lacking=lacking)]
        held = by_family.get(named.family)
        return [_Subject(family=named.family, network=named.id, deployable=held, lacking=_NO_CLAIM)]
    families = list(dict.fromkeys([*by_family, *(p.family for p in results.potential)]))
    if terms.family is None:
        # the family that goes furthest; without any, the only one there is
        furthest = results.deployable
        family = (furthest.family if furthest else None) or (families[0] if len(families) == 1 else None)
        return [_deployed(results, family, furthest)]
    matched = [family for family in families if fnmatchcase(family, terms.family)]
    if not matched:
        lacking = f"no family matches {terms.family!r}; the run has {_listed(families)}"
        return [_Subject(family=None, network=None, deployable=None, lacking=lacking)]
    return [_deployed(results, family, by_family.get(family)) for family in matched]


def _deployed(results: Results, family: str | None, held: Deployable | None) -> _Subject:
    """A family and its deployable network; the parent, which is left where no pruned one is, is none."""
    pruned = {network.id for network in results.networks if network.role != "parent"}
    if held is None:
        return _Subject(family=family, network=None, deployable=None, lacking=_NO_CLAIM)
    if held.network not in pruned:
        return _Subject(family=family, network=None, deployable=held, lacking=_NOTHING_DEPLOYABLE)
    return _Subject(family=family, network=held.network, deployable=held)


@final
@dataclass(frozen=True, kw_only=True)
class _Case:
    """One demand on one task and measure of one subject."""

    terms: Terms
    results: Results
    subject: _Subject
    task: str
    measure: str

    @property
    def cells(self) -> list[Cell]:
        return [c for c in self.results.cells if (c.task, c.measure) == (self.task, self.measure)]

    @property
    def potentials(self) -> list[Potential]:
        """Of the subject's family, or of all where it has none (the parent)."""
        families = (
            {self.subject.family} if self.subject.family is not None else {p.family for p in self.results.potential}
        )
        rows = [p for p in self.results.potential if (p.task, p.measure) == (self.task, self.measure)]
        return [p for p in rows if p.family in families]

    def resting(self, minimum: float) -> list[Cell]:
        """The cells that a claim of `minimum` or more rests on: up to the first ratio that reaches it."""
        pruned = [n for n in self.results.networks if n.family == self.subject.family and n.prune_ratio is not None]
        ratios = {n.id: n.prune_ratio or 0.0 for n in pruned}
        enough = min((r for r in ratios.values() if _reaches(r, minimum)), default=1.0)
        return [c for c in self.cells if ratios.get(c.network, 2.0) <= enough]

    def unfit(self, cells: Iterable[Cell], *, paired: bool = True) -> str | None:
        """Why the policy does not accept this evidence, or None where it does; `paired`: it depends on the margin."""
        margins = [p.margin for p in self.potentials] or [self.results.run.margin]
        run = self.results.run
        sure = [p.confidence for p in self.potentials] or [run.confidence_each or run.confidence]
        most, least, fewest = self.terms.margin, self.terms.confidence, self.terms.min_examples
        if paired and most is not None and any(m is None or m > most + _ROUNDING for m in margins):
            return f"made with margin {margins[0]}, the policy accepts {most:g} at most"
        if least is not None and any(c is None or c < least - _ROUNDING for c in sure):
            return f"made with confidence {sure[0]}, the policy accepts {least:g} at least"
        evidence = list(cells)
        if not evidence:
            return "made without a cell for any network of the family"
        n = min(c.n or 0 for c in evidence)
        if fewest is not None and n < fewest:
            return f"made with {n} examples, the policy accepts {fewest} at least"
        return None


def _check(requirement: Requirement, terms: Terms, results: Results, subjects: list[_Subject]) -> Iterator[Check]:
    tasks = _matching(requirement.task, results)
    for key, limit, on_family, demand in _demands(requirement):
        for task in tasks:
            for subject in subjects:
                outcome, message = demand(
                    _Case(terms=terms, results=results, subject=subject, task=task, measure=requirement.measure)
                )
                who = subject.family if on_family else subject.network
                yield Check(
                    requirement=key,
                    limit=limit,
                    task=task,
                    measure=requirement.measure,
                    network=who,
                    outcome=outcome,
                    message=f"{task}:{requirement.measure} of {who or 'no network'}: {message}",
                )
        if not tasks:
            yield Check(
                requirement=key,
                limit=limit,
                task=requirement.task,
                measure=requirement.measure,
                network=None,
                outcome=Outcome.INCOMPLETE,
                message=f"no task matches {requirement.task!r}; the run has {_listed(t.name for t in results.tasks)}",
                planned=False,
            )


def _demands(requirement: Requirement) -> Iterator[tuple[str, str, bool, Callable[[_Case], Decision]]]:
    """Key, limit, whether it is on the family, and what decides it."""
    minimum, most = requirement.min_commensurate, requirement.max_loss
    if minimum is not None:
        yield "min_commensurate", f"{minimum:g}", True, lambda case: _potential(case, minimum)
    if most is not None:
        yield "max_loss", f"{most:g}", False, lambda case: _loss(case, most)
    if requirement.verdict is not None:
        yield "verdict", requirement.verdict, False, _verdict


def _matching(pattern: str, results: Results) -> list[str]:
    """Tasks that match; those that make no sense on the data count only where nothing else matches."""
    names = dict.fromkeys([*(t.name for t in results.tasks), *(c.task for c in results.cells)])
    senseless = {t.name for t in results.tasks if t.unavailable is not None}
    patterns = {pattern, without_folders_in(pattern)}  # results may not tell where a task's files lie
    matched = [name for name in names if name in patterns or any(fnmatchcase(name, each) for each in patterns)]
    return [name for name in matched if name not in senseless] or matched


def _reaches(ratio: float, minimum: float) -> bool:
    """Whether a ratio is as large as the one that is asked for, but for whole weights; none at all never is."""
    return ratio > 0 and ratio >= minimum - RATIO_SLACK


def _potential(case: _Case, minimum: float) -> Decision:
    row = next(iter(case.potentials), None)
    if case.subject.family is None:
        return Outcome.INCOMPLETE, case.subject.lacking
    if row is None or row.commensurate is None:
        return Outcome.INCOMPLETE, (row and row.reason) or _absent(case)
    cells = case.resting(minimum)
    message = f"shown commensurate up to {row.commensurate:.4f}, required {minimum:g}"
    if (unfit := case.unfit(cells) or _doubt(cells)) is not None:
        return Outcome.INCOMPLETE, f"{message}; {unfit}"
    if _reaches(row.commensurate, minimum):
        return Outcome.PASS, message
    return _short(message, [row], minimum)


def _short(message: str, rows: Iterable[Potential], minimum: float) -> Decision:
    """The claim ends below `minimum`: a failure only where a ratio up to there is shown not to be commensurate."""
    ends = [p.first_failure for p in rows if p.first_failure is not None]
    if any(e.verdict == "not_commensurate" and e.ratio <= minimum + RATIO_SLACK for e in ends):
        return Outcome.FAIL, f"{message}; shown not commensurate at {min(e.ratio for e in ends):.4f}"
    if ends:
        return Outcome.INCOMPLETE, f"{message}; {ends[0].verdict} at {ends[0].ratio:.4f}, nothing shown in between"
    return Outcome.INCOMPLETE, f"{message}; no larger ratio was tested"


def _loss(case: _Case, most: float) -> Decision:
    cell = next((c for c in case.cells if c.network == case.subject.network), None)
    if case.subject.network is None:
        return Outcome.INCOMPLETE, case.subject.lacking
    if cell is None or cell.loss is None or cell.low is None or cell.high is None:
        return Outcome.INCOMPLETE, (cell and cell.reason) or _absent(case)
    message = (
        f"loss {cell.loss:.4f}, between {cell.low:.6f} and {cell.high:.6f}, n = {cell.n}; at most {most:g} accepted"
    )
    if (unfit := case.unfit([cell], paired=False)) is not None:
        return Outcome.INCOMPLETE, f"{message}; {unfit}"
    if cell.low > most:
        return Outcome.FAIL, message
    if (doubt := _doubt([cell])) is not None:
        return Outcome.INCOMPLETE, f"{message}; {doubt}"
    return (
        (Outcome.PASS, message) if cell.high <= most else (Outcome.INCOMPLETE, f"{message}; more examples would tell")
    )


def _verdict(case: _Case) -> Decision:
    cell = next((c for c in case.cells if c.network == case.subject.network), None)
    if case.subject.network is None:
        return Outcome.INCOMPLETE, case.subject.lacking
    if cell is None or cell.verdict is None:
        return Outcome.INCOMPLETE, (cell and cell.reason) or _absent(case)
    message = f"{cell.verdict}, difference {_number(cell.difference)}, between {_number(cell.difference_low)} and "
    message += f"{_number(cell.difference_high)}, n = {cell.n}"
    if (unfit := case.unfit([cell]) or _doubt([cell])) is not None:
        return Outcome.INCOMPLETE, f"{message}; {unfit}"
    if cell.verdict == "inconclusive":
        settles = f"; about {cell.settles_at} examples would settle it" if cell.settles_at is not None else ""
        return Outcome.INCOMPLETE, message + settles
    return (Outcome.PASS if cell.verdict == "commensurate" else Outcome.FAIL), message


def _check_deployable(minimum: float, terms: Terms, results: Results, subject: _Subject) -> Check:
    outcome, message = _deployable(minimum, terms, results, subject)
    who = subject.family or subject.network
    return Check(
        requirement="min_deployable",
        limit=f"{minimum:g}",
        task="deployable",
        measure=None,
        network=who,
        outcome=outcome,
        message=f"deployable ratio of {who or 'no family'}: {message}",
    )


def _deployable(minimum: float, terms: Terms, results: Results, subject: _Subject) -> Decision:
    held = subject.deployable
    if held is None:
        return Outcome.INCOMPLETE, subject.lacking or _NO_CLAIM
    required = {t.name for t in results.tasks if t.required}
    binding = (held.binding_task, held.binding_measure)
    message = f"{held.ratio:.4f}, required {minimum:g}"
    message += f", set by {':'.join(part for part in binding if part)}" if held.binding_task else ""
    rows = [p for p in results.potential if p.family == subject.family]
    claims = dict.fromkeys((p.task, p.measure) for p in rows if p.task in required or p.task == held.binding_task)
    if not claims:
        return Outcome.INCOMPLETE, f"{message}; no required task has a claim"
    for task, measure in claims:
        case = _Case(terms=terms, results=results, subject=subject, task=task, measure=measure)
        cells = case.resting(minimum)
        if (unfit := case.unfit(cells) or _doubt(cells)) is not None:
            return Outcome.INCOMPLETE, f"{message}; {task}:{measure} was {unfit}"
    if _reaches(held.ratio, minimum):
        return Outcome.PASS, message
    return _short(message, [p for p in rows if p.task == binding[0] and binding[1] in {None, p.measure}], minimum)


def _check_shipped(shipped: Shipped) -> Check:
    message = f"{shipped.disagreements} of {shipped.n} examples are given another class than by {shipped.of}"
    return Check(
        requirement="shipped",
        limit="same predictions",
        task="shipped",
        measure=None,
        network=shipped.of,
        outcome=Outcome.PASS if shipped.holds else Outcome.FAIL,
        message=f"{shipped.id}, shipped as {shipped.of}: {message}",
    )


def _doubt(cells: Iterable[Cell]) -> str | None:
    return next((f"in doubt: {c.reason}" for c in cells if c.reason is not None), None)


def _absent(case: _Case) -> str:
    why = next((t.unavailable for t in case.results.tasks if t.name == case.task and t.unavailable is not None), None)
    measured = sorted({c.measure for c in case.results.cells if c.task == case.task})
    return why or f"no evidence; measures of this task: {_listed(measured)}"


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.6f}"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"
