"""What pruned networks agree to have forgotten: the exemplars of every task and population of networks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from evalsuite.analysis.evidence import Evidence
from evalsuite.records.facts import NetworkFacts
from evalsuite.statistics.exemplars import Exemplars, exemplars

Row = dict[str, object]
_LISTED = 24


@final
@dataclass(frozen=True, kw_only=True)
class Population:
    """Pruned networks that are asked whether they agree.

    Attributes:
        name: A family's name, or `magnitude at 0.9` for the seeds of one pruner at one asked ratio.
        family: The family, or None.
        networks: Two or more.
    """

    name: str
    family: str | None
    networks: tuple[NetworkFacts, ...]


def forgotten(evidence: Evidence) -> list[Row]:
    """Rows of `results.json`: for every task that shows all networks the same images, the exemplars of each population.

    A row lists the first 24 exemplars by their place in the order in which the run chose its examples.
    """
    populations = _populations(evidence)
    rows: list[Row] = []
    for task in evidence.tasks if populations else ():
        found = {n["digest"]: evidence.predictions(task, n) for n in (evidence.parent, *_members(populations))}
        parent = found[evidence.parent["digest"]]
        if parent is None:
            continue
        for population in populations:
            children = [found[network["digest"]] for network in population.networks]
            known = [child for child in children if child is not None]
            if len(known) == len(children):
                confidence = evidence.meta["run"]["confidence"]
                of = exemplars(np.stack(known), parent, evidence.labels(task), confidence=confidence)
                rows.append({"task": task["name"], **_row(population, of)})
    return rows


def _populations(evidence: Evidence) -> list[Population]:
    """Families over their ratios and, as in the paper, seeds of one pruner at one ratio; of two networks or more."""
    found = [Population(name=f.facts["id"], family=f.facts["id"], networks=f.networks) for f in evidence.families]
    seeds: dict[tuple[str, float], list[NetworkFacts]] = {}
    for family in evidence.families:
        for network in family.networks:
            pruner, ratio = family.facts["pruner"], network["target_ratio"]
            if pruner is not None and ratio is not None:
                seeds.setdefault((pruner, ratio), []).append(network)
    found += [
        Population(name=f"{pruner} at {ratio:g}", family=None, networks=tuple(networks))
        for (pruner, ratio), networks in seeds.items()
    ]
    return [population for population in found if len(population.networks) > 1]


def _members(populations: Sequence[Population]) -> list[NetworkFacts]:
    members: Mapping[str, NetworkFacts] = {n["digest"]: n for of in populations for n in of.networks}
    return list(members.values())


def _row(population: Population, found: Exemplars) -> Row:
    return {
        "population": population.name,
        "family": population.family,
        "networks": found.networks,
        "n": found.n,
        "count": len(found.positions),
        "share": found.share,
        "low": found.low,
        "high": found.high,
        "parent_error": found.parent_error,
        "child_error": found.child_error,
        "parent_error_elsewhere": found.parent_error_elsewhere,
        "positions": found.positions[:_LISTED].tolist(),
    }
