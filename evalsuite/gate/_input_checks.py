"""Checks of the inputs that every policy makes: the parent is a standard, and nothing is only assumed."""

from collections.abc import Sequence

from evalsuite.gate.checks import Check, Outcome
from evalsuite.gate.policy import Terms
from evalsuite.interpretation import UNCONFIRMED, accepted, named
from evalsuite.records.schema import Reading, Results, Standard


def check_inputs(terms: Terms, results: Results) -> list[Check]:
    """Checks that every policy makes, before its own demands."""
    checks = [_parent(results.parent.standard)]
    if terms.max_parent_loss is not None:
        checks.append(_parent_loss(terms.max_parent_loss, results.parent.standard))
    return [*checks, *_readings(terms, results)]


def _parent(standard: Standard | None) -> Check:
    if standard is None:
        message = "the results do not say how the parent itself does: the same command judges it"
        return _check("parent", "better than a trivial answer", Outcome.INCOMPLETE, message)
    message = f"mean loss {standard.loss:.4f}, n = {standard.n}; {standard.trivial}: {standard.trivial_loss:.4f}"
    if not standard.shown_better:
        message += "; a parent that is not shown to be better is no standard"
    if standard.not_finite:
        message += f"; {standard.not_finite} of its outputs are not finite"
    outcome = Outcome.PASS if standard.shown_better and not standard.not_finite else Outcome.INCOMPLETE
    return _check("parent", "better than a trivial answer", outcome, message)


def _parent_loss(most: float, standard: Standard | None) -> Check:
    if standard is None:
        return _check("max_parent_loss", f"{most:g}", Outcome.INCOMPLETE, "the parent was not judged on clean data")
    message = f"mean loss {standard.loss:.4f}, between {standard.low:.6f} and {standard.high:.6f}, n = {standard.n}"
    message += f"; at most {most:g} accepted"
    if standard.low > most:
        return _check("max_parent_loss", f"{most:g}", Outcome.FAIL, message)
    outcome = Outcome.PASS if standard.high <= most else Outcome.INCOMPLETE
    return _check("max_parent_loss", f"{most:g}", outcome, message)


def _readings(terms: Terms, results: Results) -> list[Check]:
    """One check where everything is confirmed; else one for each reading that is not, and that the policy forbids."""
    if not results.readings:
        # nobody knows of no network and no data anything at all
        message = "the results do not say what was assumed of the inputs: the same command says it"
        return [_check("inputs", "nothing assumed", Outcome.INCOMPLETE, message)]
    unconfirmed = [each for each in results.readings if each.basis in UNCONFIRMED]
    open_questions = [each for each in unconfirmed if not accepted(each.topic, each.basis, terms.assumptions)]
    if not open_questions:
        return [_check("inputs", "nothing assumed", Outcome.PASS, _settled(len(results.readings), unconfirmed))]
    return [
        _check("inputs", f"{each.topic} confirmed", Outcome.INCOMPLETE, f"{each.basis}: {each.value}; {_way_out(each)}")
        for each in open_questions
    ]


def _settled(n: int, unconfirmed: Sequence[Reading]) -> str:
    if not unconfirmed:
        return f"{n} readings of network and data, none of them assumed"
    listed = ", ".join(f"{each.topic} ({each.basis}: {each.value})" for each in unconfirmed)
    return f"{n} readings of network and data; the policy accepts {listed}"


def _way_out(reading: Reading) -> str:
    confirm = f"{reading.option} confirms or changes it" if reading.option else "no option confirms it"
    return f'{confirm}; a policy accepts it by assumptions = ["{named(reading.topic, reading.basis)}"]'


def _check(requirement: str, limit: str, outcome: Outcome, message: str) -> Check:
    return Check(
        requirement=requirement,
        limit=limit,
        task="inputs",
        measure=None,
        network="parent",
        outcome=outcome,
        message=f"{requirement}: {message}",
    )
