"""What a reader has to know before any verdict: signs that something about the run is not as it was meant."""

from evalsuite.decide.compare import Comparison
from evalsuite.findings.evidence import Evidence


def warnings(evidence: Evidence) -> list[str]:
    """One sentence each, the weightiest first; none where nothing is suspicious."""
    readings = evidence.meta.get("readings", [])
    doubtful = [
        f"{each['topic']}: {each['value']} ({each['option']})" for each in readings if each["basis"] == "doubtful"
    ]
    return [*evidence.no_standard, *doubtful, *_better_than_parent(evidence)]


def _better_than_parent(evidence: Evidence) -> list[str]:
    """Pruned networks that beat their parent by more than the margin: mostly the parent is not as it was trained."""
    found: list[str] = []
    for task in (task for task in evidence.tasks if task["kind"] == "clean" and not task["unavailable"]):
        pruned = [network["id"] for network in evidence.networks if network["role"] == "pruned"]
        compared = {network: evidence.comparisons.get((task["name"], "error", network)) for network in pruned}
        better = [
            (each.difference, network)
            for network, each in compared.items()
            if isinstance(each, Comparison) and each.difference_high < -task["margin"]
        ]
        if better:
            difference, network = min(better)
            found.append(
                f"{len(better)} pruned networks are better than their parent on clean data by more than the margin "
                f"({network} by {-difference:.1%}): is the parent read as it was trained (normalisation, batch norm)?"
            )
    return found
