"""Between certificate and attack: where the robust accuracy of each network lies, and what contradicts itself."""

from evalsuite.records.schema import Invariant, Results
from evalsuite.report import _words as words

Row = tuple[str, ...]


def rows(results: Results) -> tuple[Row, ...]:
    """network, certificate, attack, examples, certified at least, robust at most."""
    kinds = {task.name: task.kind for task in results.tasks}
    pairs = [i for i in results.invariants if kinds.get(i.inner) == "bounds" and kinds.get(i.outer) == "adversarial"]
    return tuple(_row(pair) for pair in pairs)


def contradictions(results: Results) -> tuple[str, ...]:
    """One sentence for each pair of tasks that cannot both be right."""
    return tuple(
        f"{i.network}: {words.count(i.violations)} of {words.count(i.n)} examples are right on {words.name(i.inner)} "
        f"and wrong on {words.name(i.outer)}, which asks for less"
        for i in results.invariants
        if i.broken
    )


def _row(pair: Invariant) -> Row:
    return (
        pair.network, words.name(pair.inner), words.name(pair.outer), words.count(pair.n),
        words.share(pair.inner_right / pair.n), words.share(pair.outer_right / pair.n),
    )  # fmt: skip
