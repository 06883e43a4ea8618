"""Pruning-identified exemplars of every task and population: examples that most pruned networks see otherwise."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt

from evalsuite.analysis.evidence import Evidence
from evalsuite.records import schema
from evalsuite.records.stored import StoredNetwork, StoredTask
from evalsuite.statistics.exemplars import exemplars as shared_exemplars

Classes = npt.NDArray[np.int64]
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
    networks: tuple[StoredNetwork, ...]


def find_exemplars(evidence: Evidence) -> tuple[schema.Exemplars, ...]:
    """The exemplars of each population on every task that shows all networks the same images.

    The first 24 of them are listed by their place in the order in which the run chose its examples.
    """
    populations = _populations(evidence)
    rows: list[schema.Exemplars] = []
    for task in evidence.tasks if populations else ():
        members = (evidence.parent, *_members(populations))
        predictions = {network.digest: evidence.predictions(task, network) for network in members}
        parent = predictions[evidence.parent.digest]
        if parent is None:
            continue
        for population in populations:
            children = [predictions[network.digest] for network in population.networks]
            present = [child for child in children if child is not None]
            if len(present) == len(children):
                rows.append(_row(evidence, task, population, np.stack(present), parent))
    return tuple(rows)


def _populations(evidence: Evidence) -> list[Population]:
    """Families over their ratios and, as in the paper, seeds of one pruner at one ratio; of two networks or more."""
    populations = [Population(name=f.facts.id, family=f.facts.id, networks=f.networks) for f in evidence.families]
    seeds: dict[tuple[str, float], list[StoredNetwork]] = {}
    for family in evidence.families:
        for network in family.networks:
            pruner, ratio = family.facts.pruner, network.target_ratio
            if pruner is not None and ratio is not None:
                seeds.setdefault((pruner, ratio), []).append(network)
    populations += [
        Population(name=f"{pruner} at {ratio:g}", family=None, networks=tuple(networks))
        for (pruner, ratio), networks in seeds.items()
    ]
    return [population for population in populations if len(population.networks) > 1]


def _members(populations: Sequence[Population]) -> list[StoredNetwork]:
    members: Mapping[str, StoredNetwork] = {n.digest: n for population in populations for n in population.networks}
    return list(members.values())


def _row(
    evidence: Evidence, task: StoredTask, population: Population, children: Classes, parent: Classes
) -> schema.Exemplars:
    confidence = evidence.meta.run.confidence
    shared = shared_exemplars(children, parent, evidence.labels(task), confidence=confidence)
    return schema.Exemplars(
        task=task.name,
        population=population.name,
        family=population.family,
        networks=shared.networks,
        n=shared.n,
        count=len(shared.positions),
        share=shared.share,
        low=shared.low,
        high=shared.high,
        parent_error=shared.parent_error,
        child_error=shared.child_error,
        parent_error_elsewhere=shared.parent_error_elsewhere,
        positions=tuple(shared.positions[:_LISTED].tolist()),
    )
