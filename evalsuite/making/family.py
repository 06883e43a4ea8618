"""Parent → family: prunes step by step, retrains, and keeps every network as a file, so that nothing is made twice."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import final

from torch import nn

from evalsuite.errors import EvalsuiteError
from evalsuite.facts import FamilyFacts
from evalsuite.making.controls import compared, epochs_of, make_control, passes, work
from evalsuite.making.describe import Made, counted, describe
from evalsuite.making.retraining import Retraining
from evalsuite.naming import name
from evalsuite.networks._convention import Arguments
from evalsuite.networks.checkpoint import Checkpoint, read, restore, write
from evalsuite.networks.cost import cost
from evalsuite.networks.digest import network_digest, tensor_digest
from evalsuite.networks.latency import latency
from evalsuite.networks.normalized import Normalized
from evalsuite.order import Making
from evalsuite.plan import Member
from evalsuite.progress import Reporter
from evalsuite.randomness import derive
from evalsuite.resolve import Inputs
from evalsuite.spec import digest
from evalsuite.store import Store
from evalsuite.version import __version__
from pruners import Pruner, cascade

PARENT = "parent"
SEPARATE = "separate"
NOTHING: Mapping[str, Checkpoint] = MappingProxyType({})
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
    """

    parent: Member
    members: tuple[Member, ...]
    addresses: tuple[str, ...]
    families: tuple[FamilyFacts, ...]


def grow(inputs: Inputs, making: Making, store: Store, folder: Path, *, seed: int, reporter: Reporter) -> Grown:
    """Make every network of the families that `folder` does not hold yet.

    Args:
        inputs: The parent and its data; only training examples are looked at.
        making: What to make.
        store: Where facts about networks go.
        folder: Run folder; networks go to `networks/` in it.
        seed: The run's seed.
        reporter: Hears about progress.
    """
    nursery = _Nursery(inputs, making, store, folder, seed, reporter)
    made = [nursery.parent()]
    families: list[FamilyFacts] = []
    for pruner in making.pruners:
        for repetition in range(making.seeds):
            family = FamilyFacts(id=f"{name(pruner)}-{repetition}", pruner=name(pruner), seed=repetition)
            families.append(family)
            made.extend(nursery.pruned(family, pruner))
            made.extend(nursery.controls(family, pruner))
    if "dense" in making.controls:
        made.extend(nursery.dense(repetition) for repetition in range(making.seeds))
    made.extend(_separate(inputs, store))
    reporter.finish()
    return Grown(
        parent=made[0][1],
        members=tuple(member for _, member in made),
        addresses=tuple(address for address, _ in made),
        families=tuple(families),
    )


@final
class _Nursery:
    """What all networks of a run are made with."""

    def __init__(
        self, inputs: Inputs, making: Making, store: Store, folder: Path, seed: int, reporter: Reporter
    ) -> None:
        self._inputs, self._making, self._store = inputs, making, store
        self._folder, self._seed, self._reporter = folder, seed, reporter
        self._retraining = Retraining(inputs, making, reporter)
        self._digest = network_digest(inputs.parent.network, inputs.parent.shape)
        self._whole = cost(inputs.parent.network, inputs.dataset.shape)
        self._epochs = 1 if making.recipe is None else making.recipe.epochs
        reporter.start("Pruning", float(work(making)))

    def parent(self) -> tuple[str, Member]:
        """The unpruned network."""
        address = digest({"parent": self._digest})
        network = self._inputs.parent.network.eval()
        if self._store.network(address) is None:
            shape = self._inputs.dataset.shape
            self._store.add_network(address, describe(network, _THE_PARENT, whole=self._whole, shape=shape))
        return address, Member(id=PARENT, digest=self._digest, network=network)

    def pruned(self, family: FamilyFacts, pruner: Pruner) -> Iterator[tuple[str, Member]]:
        """The networks of one pruner with one seed, in order of their target ratio."""
        ratios, seed = self._making.ratios, derive(self._seed, "family", family["seed"])
        addresses = [self._address(family, ratios[: step + 1]) for step in range(len(ratios))]
        found = list(self._kept(addresses))
        for address, member in zip(addresses, found, strict=False):
            self._reporter.skip(self._epochs * passes(pruner), f"{member.id} is there")
            yield address, member
        steps = cascade(
            self._inputs.parent.network,
            pruner,
            ratios,
            context=self._retraining.context(seed),
            retrain=None if self._making.recipe is None else lambda net, step: self._retrain(net, seed, step),
            recalibrate=lambda net: self._retraining.measured_again(net, seed),
            cost=self._cost,
            rewind_to=self._making.rewind_to,
            one_shot=self._making.one_shot,
            start=[member.network for member in found],
        )
        for address, ratio in zip(addresses[len(found) :], ratios[len(found) :], strict=True):
            identity = f"{family['id']}-{ratio:g}"
            self._reporter.work_on(identity)
            step = next(steps)
            made = Made(
                id=identity,
                role="pruned",
                family=family["id"],
                pruner=name(pruner),
                structure=pruner.structure,
                target=step.target_ratio,
                seed=family["seed"],
            )
            yield address, self._keep(address, step.network, made)

    def controls(self, family: FamilyFacts, pruner: Pruner) -> Iterator[tuple[str, Member]]:
        """For each pruned network of a family the networks that it is to be held against."""
        seed = derive(self._seed, "family", family["seed"])
        for step, ratio in enumerate(self._making.ratios):
            address = self._address(family, self._making.ratios[: step + 1])
            for control in compared(self._making.controls, pruner):
                here = digest({"control": control, "of": address, "version": 1})
                found = list(self._kept([here]))
                if found:
                    self._reporter.skip(epochs_of(control, self._making, step), f"{found[0].id} is there")
                    yield here, found[0]
                    continue
                identity = f"{control}-{family['id']}-{ratio:g}"
                self._reporter.work_on(identity)
                first, pruned = self._family(family, step)
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
                    pruner=f"{name(pruner)}, {control}",
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
        self._reporter.work_on(f"control-{repetition}")
        network: nn.Module = self._inputs.parent.network
        for step in range(1 if self._making.one_shot else len(self._making.ratios)):
            network = self._retrain(network, seed, step)
        return address, self._keep(address, network, Made(id=f"control-{repetition}", role="control", seed=repetition))

    # --- making

    def _family(self, family: FamilyFacts, step: int) -> tuple[nn.Module, nn.Module]:
        """The first network of a family and that of `step`, from disk."""
        ratios = self._making.ratios
        addresses = [self._address(family, ratios[: each + 1]) for each in (0, step)]
        first, here = (next(iter(self._kept([address]))).network for address in addresses)
        return first, here

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
        making = self._making
        train = self._inputs.dataset.train
        common = {
            "parent": self._digest,
            "data": None if train is None else digest({"train": list(train.ids)}),
            "recipe": None if making.recipe is None else name(making.recipe),
            "rewind": None if making.rewind_to is None else tensor_digest(making.rewind_to),
            "one_shot": making.one_shot,
            "seed": self._seed,
            "version": 1,
        }
        how = {
            "budget": making.budget,
            "fine-tuning": making.rewind == "none",
            "adapters": making.adapters,
            "regularisers": [name(regulariser) for regulariser in making.regularisers],
        }
        return {**common, **how}

    def _address(self, family: FamilyFacts, ratios: Sequence[float]) -> str:
        """What a network is made from: with a cascade all ratios up to its own, else its own alone."""
        steps = [ratios[-1]] if self._making.one_shot else list(ratios)
        return digest({"from": self._origin(), "family": dict(family), "ratios": steps})

    def _kept(self, addresses: Sequence[str]) -> Iterator[Member]:
        """The networks that are on disk already, up to the first that is not."""
        for address in addresses:
            facts = self._store.network(address)
            path = self._folder / (facts["file"] or "") if facts else None
            if facts is None or path is None or not path.is_file():
                return
            try:
                found = self._load(path)
            except EvalsuiteError:
                return  # a damaged file is made again
            if network_digest(found, self._inputs.parent.shape) != facts["digest"]:
                return
            yield Member(id=facts["id"], digest=facts["digest"], network=found)

    def _load(self, path: Path) -> nn.Module:
        parent = self._inputs.parent
        # a network that only the user's Python can build takes the parent's place
        found = read(path).network if parent.arch is not None else restore(path, parent.network)
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
            "retrain": None if recipe is None else name(recipe),
            "seed": made.seed,
        }
        file = f"networks/{re.sub(r'[^A-Za-z0-9._-]+', '_', made.id)}.safetensors"
        own = parent.arguments if arguments is None else arguments
        write(self._folder / file, replace(parent, network=network, arguments=own, lineage=(*parent.lineage, step)))
        kept = self._load(self._folder / file)  # what is judged is what is on disk
        facts = describe(kept, made, whole=self._whole, shape=self._inputs.dataset.shape, file=file)
        self._store.add_network(address, facts)
        return Member(id=made.id, digest=facts["digest"], network=kept)


def adopt(
    inputs: Inputs, candidates: Mapping[str, Checkpoint], store: Store, shipped: Mapping[str, Checkpoint] = NOTHING
) -> Grown:
    """Networks made elsewhere as one family, in order of measured prune ratio; nothing is made or copied.

    Files whose ratio cannot be told are judged beside the family, and so are those that are `shipped` in the place of
    a network of the run: neither makes a claim of its own.
    """
    shape, family = inputs.dataset.shape, FamilyFacts(id="candidates", pruner=None, seed=0)
    whole = counted(inputs.parent.network, shape)
    named = [(PARENT, inputs.parent, _THE_PARENT)]
    for each, checkpoint in candidates.items():
        orderly = whole is not None and counted(checkpoint.network, shape) is not None
        made = Made(id=each, role="pruned", family=family["id"]) if orderly else Made(id=each, role="control")
        named.append((each, checkpoint, made))
    named += [(each, checkpoint, Made(id=each, role="shipped")) for each, checkpoint in shipped.items()]
    members: list[Member] = []
    addresses: list[str] = []
    for identity, checkpoint, made in named:
        network = checkpoint.network.eval()
        facts = describe(network, made, whole=whole, shape=shape)
        addresses.append(digest({"adopted": facts["digest"], "as": identity}))
        store.add_network(addresses[-1], facts)
        members.append(Member(id=identity, digest=facts["digest"], network=network))
    for address, member in _separate(inputs, store):
        addresses.append(address)
        members.append(member)
    return Grown(parent=members[0], members=tuple(members), addresses=tuple(addresses), families=(family,))


def _separate(inputs: Inputs, store: Store) -> list[tuple[str, Member]]:
    """The network that was trained apart, as a control that belongs to no family."""
    if inputs.separate is None:
        return []
    network, shape = inputs.separate.network.eval(), inputs.dataset.shape
    whole = counted(inputs.parent.network, shape)
    facts = describe(network, Made(id=SEPARATE, role="control"), whole=whole, shape=shape)
    address = digest({"adopted": facts["digest"], "as": SEPARATE})
    store.add_network(address, facts)
    return [(address, Member(id=SEPARATE, digest=facts["digest"], network=network))]
