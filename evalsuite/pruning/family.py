"""Parent → family: prunes step by step, retrains, and keeps every network as a file, so that nothing is made twice."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import final

from torch import nn

from evalsuite.config.options import Control
from evalsuite.config.settings import PruningSettings
from evalsuite.config.spec import digest
from evalsuite.engines.shards import Member
from evalsuite.errors import EvalsuiteError, UsageError
from evalsuite.inputs.read import Inputs
from evalsuite.interpretation import Interpretation
from evalsuite.networks.architectures.by_name import runs_users_code
from evalsuite.networks.architectures.input_convention import Arguments
from evalsuite.networks.checkpoints.checkpoint import Checkpoint, read, restore, write
from evalsuite.networks.costs.cost import Cost, cost, prunable_share
from evalsuite.networks.costs.latency import latency
from evalsuite.networks.digest import network_digest
from evalsuite.networks.normalized import Normalized
from evalsuite.parts.names import part_name
from evalsuite.process.third_party_code import OthersError, others_code
from evalsuite.progress import Reporter
from evalsuite.pruning.controls import (
    compared,
    epochs_of,
    make_control,
    passes,
    stands_recalibrated,
    trains_in_full,
    work,
)
from evalsuite.pruning.describe import Made, counted, describe
from evalsuite.pruning.faithful import cannot_prune
from evalsuite.pruning.refusals import refusing
from evalsuite.pruning.retraining import Retraining
from evalsuite.pruning.timing import Timed, time_together
from evalsuite.randomness import derive
from evalsuite.records.facts import RECALIBRATED, FamilyFacts, Meta, NetworkFacts
from evalsuite.records.run_folder import is_file
from evalsuite.records.sealing import sha256_of_file
from evalsuite.records.store import Store
from evalsuite.version import __version__
from pruners import Pruner, Step, cascade

PARENT = "parent"
SEPARATE = "separate"
NOTHING: Mapping[str, Checkpoint] = MappingProxyType({})
_COUNTING = "counting its parameters and operations"
_THE_PARENT = Made(id=PARENT, role="parent")


@final
@dataclass(frozen=True, kw_only=True)
class Grown:
    """A family of networks, ready to be judged.

    Attributes:
        parent: The unpruned network.
        members: All networks, the parent first.
        addresses: What each was made from, in the same order.
        families: One for each pruner and seed.
        readings: What had to be known of the parent to count it, and which ratios no network was made for.
    """

    parent: Member
    members: tuple[Member, ...]
    addresses: tuple[str, ...]
    families: tuple[FamilyFacts, ...]
    readings: tuple[Interpretation, ...] = ()


def grow(
    inputs: Inputs, making: PruningSettings, store: Store, folder: Path, *, seed: int, reporter: Reporter
) -> Grown:
    """Make every network of the families that `folder` does not hold yet.

    Args:
        inputs: The parent and its data; only training examples are looked at.
        making: What to make.
        store: Where facts about networks go.
        folder: Run folder; networks go to `networks/` in it.
        seed: The run's seed.
        reporter: Hears about progress.

    Raises:
        UsageError: A part cannot do with the parent what it was asked for.
    """
    with others_code(_COUNTING, networks={PARENT: inputs.parent.network}):
        nursery = _Nursery(inputs, making, store, folder, seed, reporter)
        made = [nursery.parent()]
    families: list[FamilyFacts] = []
    for pruner in making.pruners:
        for repetition in range(making.seeds):
            family = FamilyFacts(id=f"{part_name(pruner)}-{repetition}", pruner=part_name(pruner), seed=repetition)
            families.append(family)
            made.extend(nursery.pruned(family, pruner))
            made.extend(nursery.controls(family, pruner))
    if "dense" in making.controls:
        made.extend(nursery.dense(repetition) for repetition in range(making.seeds))
    if stands_recalibrated(making, inputs):
        made.append(nursery.recalibrated())
    made.extend(_separate(inputs, store))
    reporter.finish()
    _timed(made, store, inputs, nursery.whole, seed)
    return Grown(
        parent=made[0][1],
        members=tuple(member for _, member in made),
        addresses=tuple(address for address, _ in made),
        families=tuple(families),
        readings=(prunable_share(nursery.whole), *nursery.passed_over),
    )


def _timed(made: Sequence[tuple[str, Member]], store: Store, inputs: Inputs, whole: Cost | None, seed: int) -> None:
    together = [Timed(address=address, network=member.network) for address, member in made]
    time_together(together, store, inputs.dataset.shape, whole=whole, seed=derive(seed, "latency"))


@final
class _Nursery:
    """What all networks of a run are made with.

    Attributes:
        whole: The parent's cost.
        passed_over: Ratios for which no network was made.
    """

    def __init__(
        self, inputs: Inputs, making: PruningSettings, store: Store, folder: Path, seed: int, reporter: Reporter
    ) -> None:
        self._inputs, self._making, self._store = inputs, making, store
        self._folder, self._seed, self._reporter = folder, seed, reporter
        self._retraining = Retraining(inputs, making, reporter)
        self._digest = network_digest(inputs.parent.network, inputs.parent.shape)
        self.whole = cost(inputs.parent.network, inputs.dataset.shape)
        self._epochs = 1 if making.recipe is None else making.recipe.epochs
        self.passed_over: list[Interpretation] = []
        reporter.start("Pruning", float(work(making) + stands_recalibrated(making, inputs)))

    def parent(self) -> tuple[str, Member]:
        """The unpruned network."""
        address = digest({"parent": self._digest})
        network = self._inputs.parent.network.eval()
        if self._store.network(address) is None:
            shape = self._inputs.dataset.shape
            facts = describe(network, _THE_PARENT, whole=self.whole, shape=shape)
            self._store.add_network(address, {**facts, "sha256": self._inputs.parent.file_digest})
        return address, Member(id=PARENT, digest=self._digest, network=network)

    def pruned(self, family: FamilyFacts, pruner: Pruner) -> Iterator[tuple[str, Member]]:
        """The networks of one pruner with one seed, in order of their target ratio."""
        ratios, seed = self._making.ratios, derive(self._seed, "family", family["seed"])
        addresses = [self._address(family, ratios[: step + 1]) for step in range(len(ratios))]
        found = self._found(addresses)
        for address, member in zip(addresses, found, strict=False):
            if member is not None:
                self._reporter.skip(self._epochs * passes(pruner), f"{member.id} is there")
                yield address, member
        there = {address for address, member in zip(addresses, found, strict=False) if member is not None}
        for address, step in self._steps(family, pruner, seed, found, addresses):
            identity = Made(
                id=f"{family['id']}-{step.target_ratio:g}",
                role="pruned",
                family=family["id"],
                pruner=part_name(pruner),
                structure=pruner.structure,
                target=step.target_ratio,
                seed=family["seed"],
            )
            there.add(address)
            self._remember([each for each in addresses[: addresses.index(address)] if each not in there], there)
            yield address, self._keep(address, step.network, identity)
        self._pass_over(family, addresses, there)

    def _steps(
        self,
        family: FamilyFacts,
        pruner: Pruner,
        seed: int,
        found: Sequence[Member | None],
        addresses: Sequence[str],
    ) -> Iterator[tuple[str, Step]]:
        """The networks behind those that were found, as they are made."""
        making, title = self._making, cannot_prune(pruner)

        def retrain(network: nn.Module, step: int) -> nn.Module:
            self._reporter.work_on(f"{family['id']}-{making.ratios[step]:g}")
            return self._retrain(network, seed, step)

        parent = self._inputs.parent.network
        with refusing(title, networks={family["id"]: parent}):
            steps = cascade(
                parent,
                pruner,
                making.ratios,
                context=self._retraining.context(seed),
                retrain=None if making.recipe is None else retrain,
                recalibrate=lambda net: self._retraining.measured_again(net, seed),
                cost=self._cost,
                rewind_to=making.rewind_to,
                one_shot=making.one_shot,
                start=[None if member is None else member.network for member in found],
            )
        places = dict(zip(making.ratios, addresses, strict=True))
        for ratio in [*making.ratios[len(found) :], None]:
            identity = family["id"] if ratio is None else f"{family['id']}-{ratio:g}"
            if ratio is not None:
                self._reporter.work_on(identity)
            with refusing(title, networks={identity: parent}):
                step = next(steps, None)
            if step is None:
                return
            yield places[step.target_ratio], step

    def _found(self, addresses: Sequence[str]) -> list[Member | None]:
        """The networks on disk, up to the first that has to be made; None where none is to be made."""
        known = frozenset(self._store.meta().get("passed_over", []))
        found: list[Member | None] = []
        for address in addresses:
            member = next(self._kept([address]), None)
            if member is None and address not in known:
                break
            found.append(member)
        return found

    def _pass_over(self, family: FamilyFacts, addresses: Sequence[str], made: Collection[str]) -> None:
        """Remember and say for which ratios there is no network.

        Raises:
            UsageError: There is none at all.
        """
        missing = {address: r for address, r in zip(addresses, self._making.ratios, strict=True) if address not in made}
        if len(missing) == len(addresses):
            method, listed = (
                str(family["pruner"]).replace("_", "-"),
                ", ".join(f"{each:g}" for each in missing.values()),
            )
            raise UsageError(
                f"--pruner {method}: expected ratios above what is pruned already, got none that it reaches with this "
                f"network: {listed}"
            )
        self._remember(missing, made)
        if missing:
            listed = ", ".join(f"{ratio:g}" for ratio in missing.values())
            reading = Interpretation(
                topic="ratios passed over",
                value=f"{family['id']} has no network for {listed}",
                basis="measured",
                reason="the network before is as small already, or what can go as one is too coarse to get beyond it",
                option="--ratios",
            )
            self.passed_over.append(reading)

    def _remember(self, missing: Iterable[str], made: Collection[str]) -> None:
        """Note for which addresses no network is to be made, so that a run that goes on does not try again."""
        before = [each for each in self._store.meta().get("passed_over", []) if each not in made]
        self._store.set_meta(Meta(passed_over=[*dict.fromkeys([*before, *missing])]))

    def controls(self, family: FamilyFacts, pruner: Pruner) -> Iterator[tuple[str, Member]]:
        """For each pruned network of a family the networks that it is to be held against."""
        seed = derive(self._seed, "family", family["seed"])
        known = frozenset(self._store.meta().get("passed_over", []))
        addresses = [self._address(family, self._making.ratios[: k + 1]) for k in range(len(self._making.ratios))]
        there = [address for address in addresses if address not in known]
        for address in there:
            step = addresses.index(address)
            ratio = self._making.ratios[step]
            for control in compared(self._making.controls, pruner):
                here = self._control_address(control, address)
                found = list(self._kept([here]))
                if found:
                    self._reporter.skip(epochs_of(control, self._making, step), f"{found[0].id} is there")
                    yield here, found[0]
                    continue
                identity = f"{control}-{family['id']}-{ratio:g}"
                self._reporter.work_on(identity)
                first, pruned = (next(self._kept([each])).network for each in (there[0], address))
                with refusing(
                    f"--controls {control} cannot be made of this network",
                    networks={identity: self._inputs.parent.network},
                ):
                    checkpoint = make_control(
                        control,
                        pruned,
                        first,
                        self._retraining,
                        seed=derive(seed, control, step),
                        trials=1 if self._making.one_shot else step + 1,
                    )
                if checkpoint is None:
                    continue
                made = Made(
                    id=identity,
                    role="control",
                    pruner=f"{part_name(pruner)}, {control}",
                    target=ratio,
                    seed=family["seed"],
                )
                yield here, self._keep(here, checkpoint.network, made, checkpoint.arguments)

    def dense(self, repetition: int) -> tuple[str, Member]:
        """The dense network after as much retraining as the last network of a family had."""
        seed = derive(self._seed, "family", repetition)
        address = digest({"control": self._origin(), "seed": repetition, "steps": len(self._making.ratios)})
        found = list(self._kept([address]))
        if found:
            repeated = 1 if self._making.one_shot else len(self._making.ratios)
            self._reporter.skip(self._epochs * repeated, f"{found[0].id} is there")
            return address, found[0]
        identity = f"control-{repetition}"
        self._reporter.work_on(identity)
        network: nn.Module = self._inputs.parent.network
        with others_code("retraining it", networks={identity: network}):
            for step in range(1 if self._making.one_shot else len(self._making.ratios)):
                network = self._retrain(network, seed, step)
        return address, self._keep(address, network, Made(id=identity, role="control", seed=repetition))

    def recalibrated(self) -> tuple[str, Member]:
        """The parent with its batch norm measured again, as the pruned networks' was."""
        address = digest({"control": self._origin(), "recalibrated": True})
        found = list(self._kept([address]))
        if found:
            self._reporter.skip(1, f"{RECALIBRATED} is there")
            return address, found[0]
        self._reporter.work_on(RECALIBRATED)
        parent = self._inputs.parent.network
        with others_code("measuring its batch norm again", networks={RECALIBRATED: parent}):
            network = self._retraining.measured_again(parent, derive(self._seed, "family", 0))
        return address, self._keep(address, network, Made(id=RECALIBRATED, role="control"))

    # --- making

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

    # --- keeping

    def _origin(self) -> dict[str, object]:
        """What all networks of the run depend on."""
        train = self._inputs.dataset.train
        return {
            **self._making.address(),
            "parent": self._digest,
            "data": None if train is None else digest({"train": list(train.ids)}),
            "seed": self._seed,
            "version": 1,
        }

    def _address(self, family: FamilyFacts, ratios: Sequence[float]) -> str:
        """What a network is made from: with a cascade all ratios up to its own, else its own alone."""
        steps = [ratios[-1]] if self._making.one_shot else list(ratios)
        return digest({"from": self._origin(), "family": dict(family), "ratios": steps})

    def _control_address(self, control: Control, address: str) -> str:
        """What a control is made from: the network beside it and, where it is trained in full, the recipe for that."""
        full = self._making.full
        how = {"full": part_name(full)} if full is not None and trains_in_full(control) else {}
        return digest({"control": control, "of": address, "version": 1, **how})

    def _kept(self, addresses: Sequence[str]) -> Iterator[Member]:
        """The networks that are on disk already, up to the first that is not."""
        for address in addresses:
            facts = self._store.network(address)
            path = self._folder / (facts["file"] or "") if facts else None
            if facts is None or path is None or not is_file(path):  # a link is no network of this run: it is replaced
                return
            try:
                found = self._load(path)
            except OthersError:
                raise
            except EvalsuiteError:
                return  # a damaged file is made again
            if network_digest(found, self._inputs.parent.shape) != facts["digest"]:
                return
            if (digest := sha256_of_file(path)) != facts.get("sha256"):  # the same tensors, written otherwise
                self._store.add_network(address, {**facts, "sha256": digest})
            yield Member(id=facts["id"], digest=facts["digest"], network=found)

    def _load(self, path: Path) -> nn.Module:
        parent = self._inputs.parent
        with others_code(f"reading {path}"):
            if parent.arch is None:  # a network that only the user's Python can build takes the parent's place
                return restore(path, parent.network).to(self._inputs.device).eval()
            # a name of the user's own code stands in the file, and is trusted only because they said it for the parent
            arch = parent.arch if runs_users_code(parent.arch) else None
            found = read(path, arch=arch, arguments=parent.arguments).network
            return found.to(self._inputs.device).eval()

    def _keep(self, address: str, network: nn.Module, made: Made, arguments: Arguments | None = None) -> Member:
        parent = self._inputs.parent
        assert isinstance(network, Normalized)  # noqa: S101 - pruning and training keep what they are handed
        recipe = self._making.recipe
        step: dict[str, str | int | float | bool | None] = {
            "step": made.role,
            "from": self._digest,
            "version": __version__,
            "pruner": made.pruner,
            "target_ratio": made.target,
            "retrain": None if recipe is None else part_name(recipe),
            "seed": made.seed,
        }
        file = f"networks/{re.sub(r'[^A-Za-z0-9._-]+', '_', made.id)}.safetensors"
        own = parent.arguments if arguments is None else arguments
        write(self._folder / file, replace(parent, network=network, arguments=own, lineage=(*parent.lineage, step)))
        with others_code(_COUNTING, networks={made.id: network}):
            kept = self._load(self._folder / file)  # what is judged is what is on disk
            facts = describe(kept, made, whole=self.whole, shape=self._inputs.dataset.shape, file=file)
        self._store.add_network(address, {**facts, "sha256": sha256_of_file(self._folder / file)})
        return Member(id=made.id, digest=facts["digest"], network=kept)


def adopt(
    inputs: Inputs, candidates: Mapping[str, Checkpoint], store: Store, shipped: Mapping[str, Checkpoint] = NOTHING
) -> Grown:
    """Networks made elsewhere as one family, in order of measured prune ratio; nothing is made or copied.

    Files whose ratio cannot be told are judged beside the family, and so are those that are `shipped` in the place of
    a network of the run: neither makes a claim of its own.
    """
    shape, family = inputs.dataset.shape, FamilyFacts(id="candidates", pruner=None, seed=0)
    with others_code(_COUNTING, networks={PARENT: inputs.parent.network}):
        whole = counted(inputs.parent.network, shape)
    named = [(PARENT, inputs.parent, _THE_PARENT)]
    for each, checkpoint in candidates.items():
        with others_code(_COUNTING, networks={each: checkpoint.network}):
            orderly = whole is not None and whole.prunable > 0 and counted(checkpoint.network, shape) is not None
        made = Made(id=each, role="pruned", family=family["id"]) if orderly else Made(id=each, role="control")
        named.append((each, checkpoint, made))
    named += [(each, checkpoint, Made(id=each, role="shipped")) for each, checkpoint in shipped.items()]
    members: list[Member] = []
    addresses: list[str] = []
    for identity, checkpoint, made in named:
        network = checkpoint.network.eval()
        with others_code(_COUNTING, networks={identity: network}):
            facts = describe(network, made, whole=whole, shape=shape)
        addresses.append(_adopted(store, {**facts, "sha256": checkpoint.file_digest}, identity))
        members.append(Member(id=identity, digest=facts["digest"], network=network))
    for address, member in _separate(inputs, store):
        addresses.append(address)
        members.append(member)
    _timed(list(zip(addresses, members, strict=True)), store, inputs, whole, 0)
    return Grown(
        parent=members[0],
        members=tuple(members),
        addresses=tuple(addresses),
        families=(family,),
        readings=() if whole is None else (prunable_share(whole),),
    )


def _adopted(store: Store, facts: NetworkFacts, identity: str) -> str:
    """Write down a network made elsewhere, with the times that it has already; its address."""
    address = digest({"adopted": facts["digest"], "as": identity})
    before = store.network(address)
    if before is not None:
        facts = {**facts, "latency_ms": before["latency_ms"], "throughput_ms": before["throughput_ms"]}
    store.add_network(address, facts)
    return address


def _separate(inputs: Inputs, store: Store) -> list[tuple[str, Member]]:
    """The network that was trained apart, as a control that belongs to no family."""
    if inputs.separate is None:
        return []
    network, shape = inputs.separate.network.eval(), inputs.dataset.shape
    with others_code(_COUNTING, networks={SEPARATE: network}):
        whole = counted(inputs.parent.network, shape)
        facts = describe(network, Made(id=SEPARATE, role="control"), whole=whole, shape=shape)
    address = _adopted(store, facts, SEPARATE)
    return [(address, Member(id=SEPARATE, digest=facts["digest"], network=network))]
