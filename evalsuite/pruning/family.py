"""Builds the family of a parent: every pruned network and control that a run asks for and its folder does not hold."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

from evalsuite.config.settings import PruningSettings
from evalsuite.engines._items import NetworkRef
from evalsuite.engines._networks import LoadedSequence, NetworkLoader
from evalsuite.inputs.read import Inputs
from evalsuite.interpretation import Interpretation
from evalsuite.networks.costs.cost import Cost, prunable_share
from evalsuite.parts.names import part_name
from evalsuite.process.third_party_code import others_code
from evalsuite.progress import Reporter
from evalsuite.pruning.controls import stands_recalibrated
from evalsuite.pruning.describe import COUNTING, PARENT
from evalsuite.pruning.family_builder import Addressed, FamilyBuilder
from evalsuite.pruning.separate import register_separate
from evalsuite.pruning.timing import time_together
from evalsuite.randomness import derive
from evalsuite.records.store import Store
from evalsuite.records.stored import StoredFamily


@final
@dataclass(frozen=True, kw_only=True)
class Family:
    """Networks that are ready to be evaluated.

    Attributes:
        networks: All networks, the parent first.
        addresses: What each was made from, in the same order.
        families: One for each pruner and seed.
        loader: Loads the networks.
        readings: What had to be known of the parent to count it, and which ratios no network was made for.
    """

    networks: tuple[NetworkRef, ...]
    addresses: tuple[str, ...]
    families: tuple[StoredFamily, ...]
    loader: NetworkLoader
    readings: tuple[Interpretation, ...] = ()

    @property
    def parent(self) -> NetworkRef:
        """The unpruned network."""
        return self.networks[0]


def build_family(
    inputs: Inputs, settings: PruningSettings, store: Store, folder: Path, *, seed: int, reporter: Reporter
) -> Family:
    """Make every network of the families that `folder` does not hold yet.

    Args:
        inputs: The parent and its data; only training examples are looked at.
        settings: What to make.
        store: Where networks are written down.
        folder: Run folder; networks go to `networks/` in it.
        seed: The run's seed.
        reporter: Hears about progress.

    Raises:
        UsageError: A part cannot do with the parent what it was asked for.
    """
    with others_code(COUNTING, networks={PARENT: inputs.parent.network}):
        builder = FamilyBuilder(inputs, settings, store, folder, seed, reporter)
        made = [builder.parent()]
    families: list[StoredFamily] = []
    for pruner in settings.pruners:
        for repetition in range(settings.seeds):
            family = StoredFamily(id=f"{part_name(pruner)}-{repetition}", pruner=part_name(pruner), seed=repetition)
            families.append(family)
            made.extend(builder.pruned(family, pruner))
            made.extend(builder.controls(family, pruner))
    if "dense" in settings.controls:
        made.extend(builder.dense(repetition) for repetition in range(settings.seeds))
    if stands_recalibrated(settings, inputs):
        made.append(builder.recalibrated())
    made.extend(register_separate(inputs, store, builder.loader))
    reporter.finish()
    time_family(made, builder.loader, store, inputs, whole=builder.whole, seed=seed)
    return Family(
        networks=tuple(ref for _, ref in made),
        addresses=tuple(address for address, _ in made),
        families=tuple(families),
        loader=builder.loader,
        readings=(prunable_share(builder.whole), *builder.passed_over),
    )


def time_family(
    made: Sequence[Addressed], loader: NetworkLoader, store: Store, inputs: Inputs, *, whole: Cost | None, seed: int
) -> None:
    """Write down the times of all networks; arguments as of `time_together`."""
    networks = LoadedSequence([ref for _, ref in made], loader)
    addresses = [address for address, _ in made]
    time_together(addresses, networks, store, inputs.dataset.shape, whole=whole, seed=derive(seed, "latency"))
