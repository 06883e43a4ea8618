"""Warnings before any verdict: signs that something about the run is not as it was meant."""

from evalsuite.analysis.evidence import Evidence
from evalsuite.records.stored import RECALIBRATED, StoredTask
from evalsuite.statistics.compare import Comparison


def warnings(evidence: Evidence) -> list[str]:
    """One sentence each, the weightiest first; none where nothing is suspicious."""
    doubtful = [
        f"{each.topic}: {each.value}" + (f" ({each.option})" if each.option else "")
        for each in evidence.meta.readings or ()
        if each.basis == "doubtful"
    ]
    return [*evidence.no_standard, *doubtful, *_better_than_parent(evidence)]


def _better_than_parent(evidence: Evidence) -> list[str]:
    """Networks that beat their parent by more than the margin: mostly the parent is not as it was trained."""
    return [
        sentence
        for task in evidence.tasks
        if task.kind == "clean" and not task.unavailable
        for sentence in (_pruned(evidence, task), _recalibrated(evidence, task))
        if sentence is not None
    ]


def _pruned(evidence: Evidence, task: StoredTask) -> str | None:
    gains = [
        (gain, network.id)
        for network in evidence.networks
        if network.role == "pruned" and (gain := _gain(evidence, task, network.id)) is not None
    ]
    if not gains:
        return None
    gain, network = max(gains)
    number = "a pruned network is" if len(gains) == 1 else f"{len(gains)} pruned networks are"
    return (
        f"{number} better than the parent on clean data by more than the margin ({network} by {gain:.1%}): is the "
        "parent read as it was trained (normalisation, batch norm)?"
    )


def _recalibrated(evidence: Evidence, task: StoredTask) -> str | None:
    gain = _gain(evidence, task, RECALIBRATED)
    if gain is None:
        return None
    return f"with its batch norm measured again the parent itself is better on clean data by {gain:.1%}"


def _gain(evidence: Evidence, task: StoredTask, network: str) -> float | None:
    """By how much a network is better than its parent, where that is shown to be more than the margin."""
    for measure in evidence.measures:
        compared = evidence.comparisons.get((task.name, measure, network))
        # the first measure is the one that tells how well a network does
        if isinstance(compared, Comparison):
            return -compared.difference if compared.difference_high < -task.margin else None
    return None
