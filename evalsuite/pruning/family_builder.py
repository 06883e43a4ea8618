"""Makes the networks of a run one by one: pruned step by step and retrained, and the controls beside them."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import final

from torch import nn

from evalsuite.config.options import Control
from evalsuite.config.settings import PruningSettings
from evalsuite.engines._items import NetworkRef
from evalsuite.engines._networks import NetworkLoader
from evalsuite.inputs.read import Inputs
from evalsuite.interpretation import Interpretation
from evalsuite.networks.costs.cost import cost
from evalsuite.networks.costs.latency import latency
from evalsuite.parts.names import part_name
from evalsuite.process.third_party_code import others_code
from evalsuite.progress import Reporter
from evalsuite.pruning.addresses import Addresses
from evalsuite.pruning.controls import (
    controls_per_network,
    epochs_of,
    make_control,
    recipe_runs,
    stands_recalibrated,
    total_epochs,
)
from evalsuite.pruning.describe import PARENT, Made, describe
from evalsuite.pruning.faithful import cannot_prune
from evalsuite.pruning.network_files import NetworkFiles
from evalsuite.pruning.passed_over import PassedOver
from evalsuite.pruning.refusals import refusing
from evalsuite.pruning.retraining import Retraining
from evalsuite.randomness import derive
from evalsuite.records.store import Store
from evalsuite.records.stored import RECALIBRATED, StoredFamily
from pruners import Pruner, Step, cascade

Addressed = tuple[str, NetworkRef]
"""A network, with its address in the store."""
_THE_PARENT = Made(id=PARENT, role="parent")


@final
class FamilyBuilder:
    """Makes networks that are not there yet.

    Attributes:
        whole: The parent's cost.
    """

    def __init__(
        self, inputs: Inputs, settings: PruningSettings, store: Store, folder: Path, seed: int, reporter: Reporter
    ) -> None:
        """Arguments as of `build_family`."""
        self._inputs, self._making, self._store = inputs, settings, store
        self._seed, self._reporter = seed, reporter
        self._retraining = Retraining(inputs, settings, reporter)
        self._addresses, self._passed_over = Addresses(inputs, settings, seed), PassedOver(store)
        self.whole = cost(inputs.parent.network, inputs.dataset.shape)
        parent_digest = self._addresses.parent_digest
        self._files = NetworkFiles(inputs, settings, store, folder, parent_digest=parent_digest, whole=self.whole)
        self._epochs = 1 if settings.recipe is None else settings.recipe.epochs
        reporter.start("Pruning", float(total_epochs(settings) + stands_recalibrated(settings, inputs)))

    @property
    def loader(self) -> NetworkLoader:
        """Loads the networks that were made."""
        return self._files.loader

    @property
    def passed_over(self) -> Sequence[Interpretation]:
        """For which ratios no network was made."""
        return self._passed_over.readings

    def parent(self) -> Addressed:
        """The unpruned network."""
        address, network = self._addresses.parent, self._inputs.parent.network.eval()
        if self._store.network(address) is None:
            shape, sha256 = self._inputs.dataset.shape, self._inputs.parent.file_digest
            described = describe(network, _THE_PARENT, whole=self.whole, shape=shape, sha256=sha256)
            self._store.add_network(address, described)
        ref = NetworkRef(id=PARENT, digest=self._addresses.parent_digest)
        self.loader.add(ref, network)
        return address, ref

    def pruned(self, family: StoredFamily, pruner: Pruner) -> Iterator[Addressed]:
        """The networks of one pruner with one seed, in order of their target ratio."""
        addresses = self._addresses.pruned(family)
        existing = self._existing(addresses)
        made: set[str] = set()
        for address, ref in zip(addresses, existing, strict=False):
            if ref is not None:
                made.add(address)
                self._reporter.skip(self._epochs * recipe_runs(pruner), f"{ref.id} is there")
                yield address, ref
        for address, step in self._steps(family, pruner, existing, addresses):
            identity = Made(
                id=f"{family.id}-{step.target_ratio:g}",
                role="pruned",
                family=family.id,
                pruner=part_name(pruner),
                structure=pruner.structure,
                target=step.target_ratio,
                seed=family.seed,
            )
            made.add(address)
            skipped = [each for each in addresses[: addresses.index(address)] if each not in made]
            self._passed_over.remember(skipped, made)
            yield address, self._files.save(address, step.network, identity)
        self._passed_over.close(family, dict(zip(addresses, self._making.ratios, strict=True)), made)

    def _existing(self, addresses: Sequence[str]) -> list[NetworkRef | None]:
        """The networks on disk, up to the first that has to be made; None where none is to be made."""
        passed_over = self._passed_over.addresses()
        existing: list[NetworkRef | None] = []
        for address in addresses:
            ref = self._files.load_existing(address)
            if ref is None and address not in passed_over:
                break
            existing.append(ref)
        return existing

    def _steps(
        self, family: StoredFamily, pruner: Pruner, existing: Sequence[NetworkRef | None], addresses: Sequence[str]
    ) -> Iterator[tuple[str, Step]]:
        """The networks behind those that exist, as they are made."""
        settings, title, seed = self._making, cannot_prune(pruner), self._family_seed(family.seed)

        def retrain(network: nn.Module, step: int) -> nn.Module:
            self._reporter.work_on(f"{family.id}-{settings.ratios[step]:g}")
            return self._retrain(network, seed, step)

        parent = self._inputs.parent.network
        with refusing(title, networks={family.id: parent}):
            steps = cascade(
                parent,
                pruner,
                settings.ratios,
                context=self._retraining.context(seed),
                retrain=None if settings.recipe is None else retrain,
                recalibrate=lambda net: self._retraining.recalibrated(net, seed),
                cost=self._cost,
                rewind_to=settings.rewind_to,
                one_shot=settings.one_shot,
                start=self._start(existing),
            )
        places = dict(zip(settings.ratios, addresses, strict=True))
        for ratio in [*settings.ratios[len(existing) :], None]:
            identity = family.id if ratio is None else f"{family.id}-{ratio:g}"
            if ratio is not None:
                self._reporter.work_on(identity)
            with refusing(title, networks={identity: parent}):
                step = next(steps, None)
            if step is None:
                return
            yield places[step.target_ratio], step

    def _start(self, existing: Sequence[NetworkRef | None]) -> list[nn.Module | None]:
        """What a cascade goes on from: of the networks that exist it needs the last one only."""
        last = max((place for place, ref in enumerate(existing) if ref is not None), default=None)
        return [
            self.loader.load(ref) if ref is not None and place == last else None for place, ref in enumerate(existing)
        ]

    def controls(self, family: StoredFamily, pruner: Pruner) -> Iterator[Addressed]:
        """For each pruned network of a family the networks that it is to be held against."""
        passed_over, addresses = self._passed_over.addresses(), self._addresses.pruned(family)
        steps = [step for step, address in enumerate(addresses) if address not in passed_over]
        for step in steps:
            for control in controls_per_network(self._making.controls, pruner):
                address = self._addresses.control(control, addresses[step])
                ref = self._files.load_existing(address)
                if ref is not None:
                    self._reporter.skip(epochs_of(control, self._making, step), f"{ref.id} is there")
                else:
                    ref = self._control(control, family, pruner, step, (addresses[steps[0]], addresses[step]), address)
                if ref is not None:
                    yield address, ref

    def _control(
        self,
        control: Control,
        family: StoredFamily,
        pruner: Pruner,
        step: int,
        beside: tuple[str, str],
        address: str,
    ) -> NetworkRef | None:
        """Make one control; `beside`: the addresses of the family's first network and of that of `step`."""
        ratio = self._making.ratios[step]
        identity = f"{control}-{family.id}-{ratio:g}"
        self._reporter.work_on(identity)
        first, pruned = (self._existing_network(each) for each in beside)
        with refusing(
            f"--controls {control} cannot be made of this network", networks={identity: self._inputs.parent.network}
        ):
            checkpoint = make_control(
                control,
                pruned,
                first,
                self._retraining,
                seed=derive(self._family_seed(family.seed), control, step),
                trials=1 if self._making.one_shot else step + 1,
            )
        if checkpoint is None:
            return None
        made = Made(
            id=identity, role="control", pruner=f"{part_name(pruner)}, {control}", target=ratio, seed=family.seed
        )
        return self._files.save(address, checkpoint.network, made, checkpoint.arguments)

    def _existing_network(self, address: str) -> nn.Module:
        ref = self._files.load_existing(address)
        assert ref is not None  # noqa: S101 - controls are made behind the networks that they stand beside
        return self.loader.load(ref)

    def dense(self, repetition: int) -> Addressed:
        """The dense network after as much retraining as the last network of a family had."""
        address, repeated = self._addresses.dense(repetition), 1 if self._making.one_shot else len(self._making.ratios)
        if (ref := self._files.load_existing(address)) is not None:
            self._reporter.skip(self._epochs * repeated, f"{ref.id} is there")
            return address, ref
        identity = f"control-{repetition}"
        self._reporter.work_on(identity)
        network: nn.Module = self._inputs.parent.network
        with others_code("retraining it", networks={identity: network}):
            for step in range(repeated):
                network = self._retrain(network, self._family_seed(repetition), step)
        return address, self._files.save(address, network, Made(id=identity, role="control", seed=repetition))

    def recalibrated(self) -> Addressed:
        """The parent with its batch norm measured again, as the pruned networks' was."""
        address = self._addresses.recalibrated()
        if (ref := self._files.load_existing(address)) is not None:
            self._reporter.skip(1, f"{RECALIBRATED} is there")
            return address, ref
        self._reporter.work_on(RECALIBRATED)
        parent = self._inputs.parent.network
        with others_code("measuring its batch norm again", networks={RECALIBRATED: parent}):
            network = self._retraining.recalibrated(parent, self._family_seed(0))
        return address, self._files.save(address, network, Made(id=RECALIBRATED, role="control"))

    def _family_seed(self, repetition: int) -> int:
        return derive(self._seed, "family", repetition)

    def _retrain(self, network: nn.Module, seed: int, step: int) -> nn.Module:
        return self._retraining(network, derive(seed, "retrain", step))

    @property
    def _cost(self) -> Callable[[nn.Module], float] | None:
        """What ratios are shares of; None for parameters."""
        shape = self._inputs.dataset.shape
        match self._making.budget:
            case "parameters":
                return None
            case "flops":
                return lambda network: float(cost(network, shape).flops)
            case "latency":
                return lambda network: latency(network, shape).median
