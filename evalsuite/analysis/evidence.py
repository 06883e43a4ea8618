"""Decides a run's stored observations, read by measures: comparisons, potentials and claims."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import final

import numpy as np
import numpy.typing as npt

from evalsuite.analysis.validity_flags import ODD, validity_flags
from evalsuite.errors import IncompleteEvidenceError, RefusedInputError
from evalsuite.measures._base import Annotations, Losses, Measure, Metric, Statistic, Stored
from evalsuite.measures._wrong import wrong
from evalsuite.parts.names import parse_part, part_name
from evalsuite.records.packing import Columns
from evalsuite.records.store import NO_OTHER, Address, Store
from evalsuite.records.stored import StoredFamily, StoredNetwork, StoredTask
from evalsuite.statistics.bootstrap import Spread, compare_spreads, spread
from evalsuite.statistics.compare import Comparison, Verdict, compare
from evalsuite.statistics.deployable import Claim
from evalsuite.statistics.potential import Potential, potential

MEASURES = "evalsuite.measures"


@final
@dataclass(frozen=True, kw_only=True)
class Missing:
    """Why a figure is not there; never shown as 0."""

    reason: str


@final
@dataclass(frozen=True, kw_only=True)
class Family:
    """One pruner with one seed.

    Attributes:
        facts: Its name and origin.
        networks: Its pruned networks in increasing order of measured prune ratio.
    """

    facts: StoredFamily
    networks: tuple[StoredNetwork, ...]


@final
class Evidence:
    """One run's store, read once and decided step by step.

    Raises:
        IncompleteEvidenceError: The run has no networks yet.
        RefusedInputError: The store is damaged.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        if store.meta().members is None:
            raise IncompleteEvidenceError("the run has no networks yet; the same command continues it")
        self.meta = store.evaluated_meta()
        self._labels: dict[tuple[str, ...], npt.NDArray[np.int64]] = {}
        self._read: dict[tuple[str, str], Stored | None] = {}
        self._flags: dict[tuple[str, str], tuple[str, ...]] = {}
        self._own_flags: dict[tuple[str, str], tuple[str, ...]] = {}
        self._spreads: dict[tuple[str, str], Spread] = {}

    @cached_property
    def networks(self) -> list[StoredNetwork]:
        """The parent and all networks made from it, in the order in which they were made."""
        return self.store.networks()

    @cached_property
    def parent(self) -> StoredNetwork:
        """The unpruned network."""
        parents = [network for network in self.networks if network.role == "parent"]
        if not parents:
            raise IncompleteEvidenceError("the run has no parent yet; the same command continues it")
        return parents[0]

    @cached_property
    def tasks(self) -> list[StoredTask]:
        """All tasks, in order."""
        return self.store.tasks()

    @cached_property
    def measures(self) -> dict[str, Metric]:
        """All measures, by name."""
        return {name: parse_part(MEASURES, name, Metric) for name in self.meta.measures}

    @cached_property
    def families(self) -> list[Family]:
        """All families."""
        families: list[Family] = []
        for facts in self.meta.families:
            pruned = [n for n in self.networks if n.family == facts.id and n.role == "pruned"]
            pruned.sort(key=_ratio)
            families.append(Family(facts=facts, networks=tuple(pruned)))
        return families

    @property
    def confidence(self) -> float:
        """Of each family's claims, so that all families' claims together hold at the run's confidence (Bonferroni)."""
        return 1 - (1 - self.meta.run.confidence) / max(1, len(self.families))

    def stored(self, task: StoredTask, network: StoredNetwork) -> Stored | None:
        """All shards of a network on a task, joined; None where one is missing."""
        key = (task.name, network.digest)
        if key not in self._read:
            columns = self._join(task, network, NO_OTHER)
            related = self._join(task, network, self.parent.digest)
            self._read[key] = None if columns is None else Stored(columns=columns, to_parent=related or {})
        return self._read[key]

    @cached_property
    def comparisons(self) -> dict[tuple[str, str, str], Comparison | Missing]:
        """(task, measure, network) → how the network compares with the parent."""
        comparisons: dict[tuple[str, str, str], Comparison | Missing] = {}
        for task in self.tasks:
            if task.unavailable:
                continue
            for name, measure in self.measures.items():
                for network in self.networks:
                    comparison = self._compare(task, measure, network)
                    if comparison is not None:
                        comparisons[task.name, name, network.id] = self._flagged(comparison, task, network)
            self._read.clear()  # what has been compared is not kept in memory
            self._spreads.clear()
        return comparisons

    @cached_property
    def potentials(self) -> dict[tuple[str, str, str], Potential | Missing]:
        """(family, task, measure) → how far the family can be pruned."""
        potentials: dict[tuple[str, str, str], Potential | Missing] = {}
        for family in self.families:
            for task in self.tasks:
                for measure in self.measures:
                    potential = self._potential(family, task, measure)
                    if potential is not None:
                        potentials[family.facts.id, task.name, measure] = potential
        return potentials

    def claims(self, family: Family) -> list[Claim] | Missing:
        """Every required task and measure of a family, or what is missing for them."""
        claims: list[Claim] = []
        for task in self.tasks:
            for name, measure in self.measures.items():
                if not (task.required and measure.required):
                    continue
                if not self.reads(measure=name, task=task):
                    continue
                reached = self.potentials.get((family.facts.id, task.name, name))
                if not isinstance(reached, Potential):
                    return reached or Missing(reason=f"{task.name}: {task.unavailable or 'not evaluated'}")
                claims.append(Claim(task=task.name, measure=name, potential=reached))
        return claims or Missing(reason="no task is required")

    def reads(self, *, measure: str, task: StoredTask) -> bool:
        """Whether a measure has a meaning on a task, as far as is known: a task that was not asked may have any."""
        return bool(task.unavailable) or (task.name, measure) in self._pairs

    @cached_property
    def _pairs(self) -> set[tuple[str, str]]:
        return {(task, measure) for task, measure, _ in self.comparisons}

    def labels(self, task: StoredTask) -> npt.NDArray[np.int64]:
        """True classes of the examples that a task was asked about, (n,).

        Raises:
            IncompleteEvidenceError: The store does not hold them.
            RefusedInputError: It holds others than the run wrote.
        """
        key = task.shards
        if key not in self._labels:
            stored = self.store.labels(key)
            if stored is None:
                raise IncompleteEvidenceError(f"{task.name}: the store holds no labels; the same command continues")
            if len(stored) != task.n:
                fault = f"{task.name}: expected labels of {task.n} examples, got {len(stored)}"
                raise RefusedInputError(
                    f"{fault}: the store was changed or damaged; begin the run anew in another folder"
                )
            self._labels[key] = np.asarray(stored, dtype=np.int64)
        return self._labels[key]

    def errors(self, task: StoredTask, network: StoredNetwork) -> Losses | None:
        """The share of draws in which a network errs, by example, (n,), read anew; None where something is missing."""
        columns = None if task.unavailable else self._join(task, network, NO_OTHER)
        if columns is None or "prediction" not in columns:
            return None
        return wrong(Stored(columns=columns, to_parent={}), self.labels(task), task.readings)

    def predictions(self, task: StoredTask, network: StoredNetwork) -> npt.NDArray[np.int64] | None:
        """The classes that a network chose, (n,), read anew; None where they are not there or not of the same images.

        An attack shows every network images of its own, and of several draws none stands for the example.
        """
        columns = None if task.unavailable else self._join(task, network, NO_OTHER)
        if (
            columns is None
            or "prediction" not in columns
            or "confidence" not in columns
            or columns["prediction"].ndim != 1
        ):
            return None
        return columns["prediction"].astype(np.int64)

    def slices(self, task: StoredTask) -> dict[str, npt.NDArray[np.int64]]:
        """The attributes of which some value is known for an example of the task."""
        slices = self.meta.slices
        if slices is None or not all(shard in slices.shards for shard in task.shards):
            return {}
        parts = {a: [slices.shards[shard][a] for shard in task.shards] for a in slices.attributes}
        joined = {attribute: np.concatenate(values).astype(np.int64) for attribute, values in parts.items()}
        return {attribute: values for attribute, values in joined.items() if (values >= 0).any()}

    def crossed(self, task: StoredTask, network: StoredNetwork, source: StoredNetwork) -> Columns | None:
        """What `network` made of the observations of another, read anew; None where a shard is missing."""
        return None if task.unavailable else self._join(task, network, source.digest)

    def _join(self, task: StoredTask, network: StoredNetwork, other: str) -> Columns | None:
        parts: list[Columns] = []
        for examples in task.shards:
            address = Address(
                task=task.digest,
                network=network.digest,
                examples=examples,
                seed=self.meta.run.seed,
                other=other,
            )
            columns = self.store.read(address)
            if columns is None:
                return None
            parts.append(columns)
        return {c: np.concatenate([columns[c] for columns in parts]) for c in parts[0]} if parts else None

    def validity_flags(self, task: StoredTask, network: StoredNetwork) -> tuple[str, ...]:
        """Why the network or its parent may only seem to do well: reasons for which nothing is decided."""
        key = (task.name, network.id)
        if key not in self._flags:
            same = network.digest == self.parent.digest
            of_parent = () if same else tuple(f"parent: {flag}" for flag in self._network_flags(task, self.parent))
            self._flags[key] = (*self._network_flags(task, network), *of_parent, *self.no_standard)
        return self._flags[key]

    def _network_flags(self, task: StoredTask, network: StoredNetwork) -> tuple[str, ...]:
        """What casts doubt on one network by itself: seen on the task, or on any image."""
        key = (task.name, network.digest)
        if key not in self._own_flags:
            stored = self.stored(task, network)
            self._own_flags[key] = () if stored is None else validity_flags(stored.columns)
        return (*self._own_flags[key], *network.doubts)

    def not_finite(self, network: StoredNetwork) -> list[str]:
        """The tasks on which the network put out NaN or infinity."""
        available = [task for task in self.tasks if not task.unavailable]
        return [
            task.name for task in available if any(each.endswith(ODD) for each in self._network_flags(task, network))
        ]

    @cached_property
    def no_standard(self) -> tuple[str, ...]:
        """Why nothing can be held to the parent; empty where it is a standard, or was not judged as one."""
        judged = self.meta.parent.standard
        if judged is None or judged.shown_better:
            return ()
        figures = f"its mean loss is {judged.loss:.1%}, {judged.trivial}: {judged.trivial_loss:.1%}"
        return (f"the parent is no standard: {figures}",)

    def _flagged(
        self, compared: Comparison | Missing, task: StoredTask, network: StoredNetwork
    ) -> Comparison | Missing:
        """More examples would not help against doubts about the attack."""
        if isinstance(compared, Missing) or not self.validity_flags(task, network):
            return compared
        return replace(compared, verdict=Verdict.INCONCLUSIVE, settles_at=None)

    def _compare(self, task: StoredTask, measure: Metric, network: StoredNetwork) -> Comparison | Missing | None:
        child, parent = self.stored(task, network), self.stored(task, self.parent)
        if child is None or parent is None:
            return Missing(reason="not evaluated yet") if measure.required else None
        columns = {**child.to_parent, **child.columns}
        if not columns.keys() >= set(measure.columns()):
            return None  # the task writes nothing that this measure reads, or the network is the parent itself
        if lacks := sorted(child.columns.keys() & set(measure.columns()) - parent.columns.keys()):
            raise RefusedInputError(
                f"{task.name}: expected {', '.join(lacks)} of the parent, as of {network.id}, got none: the "
                f"store was changed or damaged; begin the run anew in another folder"
            )
        for who, read in (("the network", columns), ("the parent", parent.columns)):
            if odd := [need for need in measure.columns() if need in read and not np.isfinite(read[need]).all()]:
                return Missing(reason=_not_finite(odd, who))
        annotations = Annotations(labels=self.labels(task), slices=self.slices(task))
        if measure.needs_slices and not annotations.slices:
            return None  # there are none, or the task has examples of its own, of which they tell nothing
        if isinstance(measure, Measure):
            paired = measure(child, parent, annotations, task.readings)
            return compare(paired, margin=task.margin, confidence=self.confidence)
        assert isinstance(measure, Statistic)  # noqa: S101 - there is no third kind
        return self._resample(measure, child, parent, annotations, task, network)

    def _resample(
        self,
        measure: Statistic,
        child: Stored,
        parent: Stored,
        annotations: Annotations,
        task: StoredTask,
        network: StoredNetwork,
    ) -> Comparison:
        """The parent's figure is resampled once for all of its networks."""
        sampled, key = measure(child, parent, annotations, task.readings), (task.name, part_name(measure))
        if key not in self._spreads:
            self._spreads[key] = spread(sampled.parent, sampled.n, excess=sampled.parent_excess)
        same = network.digest == self.parent.digest
        spread_of_network = (
            self._spreads[key] if same else spread(sampled.child, sampled.n, excess=sampled.child_excess)
        )
        top = 1.0 if measure.unit == "share" else math.inf
        return compare_spreads(
            spread_of_network,
            self._spreads[key],
            n=sampled.n,
            margin=task.margin,
            confidence=self.confidence,
            top=top,
        )

    def _potential(self, family: Family, task: StoredTask, measure: str) -> Potential | Missing | None:
        steps = [self.comparisons.get((task.name, measure, network.id)) for network in family.networks]
        compared = [step for step in steps if isinstance(step, Comparison)]
        if not any(steps):
            return None
        if len(compared) < len(steps):
            return Missing(reason=f"{len(steps) - len(compared)} of {len(steps)} networks are not evaluated yet")
        return potential(_ratios(family.networks), compared, margin=task.margin)


def _not_finite(columns: Sequence[str], who: str) -> str:
    """Why nothing is read off columns that hold NaN: an energy is NaN where outputs are probabilities."""
    if all(column.endswith("energy") for column in columns):
        return f"it is read off logits, and {who} puts out probabilities"
    return f"{who} puts out numbers that are not finite"


def _ratios(networks: Sequence[StoredNetwork]) -> list[float]:
    return [_ratio(network) for network in networks]


def _ratio(network: StoredNetwork) -> float:
    assert network.prune_ratio is not None  # noqa: S101 - networks without one belong to no family
    return network.prune_ratio
