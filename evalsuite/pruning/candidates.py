"""Registers networks made elsewhere as one family, beside their parent; they are read when they are needed."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

from torch import nn

from evalsuite.engines._items import NetworkRef
from evalsuite.engines._networks import NetworkLoader, affordable
from evalsuite.errors import UsageError
from evalsuite.inputs.read import Inputs
from evalsuite.interpretation import Interpretation
from evalsuite.networks.checkpoints.checkpoint import Checkpoint
from evalsuite.networks.costs.cost import prunable_share
from evalsuite.networks.digest import network_digest
from evalsuite.process.third_party_code import others_code
from evalsuite.pruning.describe import COUNTING, PARENT, Made, counted, describe
from evalsuite.pruning.family import Family, time_family
from evalsuite.pruning.separate import register, register_separate
from evalsuite.records.store import Store
from evalsuite.records.stored import StoredFamily


@final
@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A network made elsewhere.

    Attributes:
        read: Reads it, on the run's device; may be called again.
        file: Where it is read from; None where it is in memory as long as the run.
    """

    read: Callable[[], Checkpoint]
    file: Path | None = None


@final
class Candidates:
    """Networks made elsewhere, each of which was read once.

    Attributes:
        refs: What stands for each in work items, by name.
        digests: By name, of their tensors.
        file_digests: By name, of their files; None where a network came from no file.
        interpretations: What nobody confirmed of how they were read.
        loader: Loads them, and holds the parent.
    """

    def __init__(self, inputs: Inputs, candidates: Mapping[str, Candidate]) -> None:
        """Read each of them; raises what their `read` raises."""
        self._candidates, self._shape = dict(candidates), inputs.dataset.shape
        self.loader = NetworkLoader(self._read_again, budget=affordable(inputs.parent.network, inputs.device))
        self.refs: dict[str, NetworkRef] = {}
        self.digests: dict[str, str] = {}
        self.file_digests: dict[str, str | None] = {}
        self.interpretations: tuple[Interpretation, ...] = ()
        for name, candidate in candidates.items():
            self._add(name, candidate.read(), candidate.file)

    def _add(self, name: str, checkpoint: Checkpoint, file: Path | None) -> None:
        network = checkpoint.network.eval()
        self.digests[name] = network_digest(network, checkpoint.shape)
        self.file_digests[name] = checkpoint.file_digest
        same = checkpoint.shape == self._shape
        digest = self.digests[name] if same else network_digest(network, self._shape)
        self.refs[name] = NetworkRef(id=name, digest=digest, file=None if file is None else str(file))
        self.loader.add(self.refs[name], network)
        self.interpretations += tuple(
            replace(reading, topic=f"{reading.topic} of {name}")
            for reading in checkpoint.interpretations
            if not reading.confirmed
        )

    def _read_again(self, ref: NetworkRef) -> nn.Module:
        network = self._candidates[ref.id].read().network.eval()
        if network_digest(network, self._shape) != ref.digest:
            raise UsageError(f"expected in {ref.file} the network that was there before, got another: it has changed")
        return network


def register_candidates(
    inputs: Inputs, candidates: Candidates, store: Store, shipped: Collection[str] = frozenset()
) -> Family:
    """Networks made elsewhere as one family, in order of measured prune ratio; nothing is made or copied.

    Files whose ratio cannot be told are evaluated beside the family, and so are those that are `shipped`, by name, in
    the place of a network of the run: neither makes a claim of its own.
    """
    shape, family, loader = inputs.dataset.shape, StoredFamily(id="candidates", pruner=None, seed=0), candidates.loader
    parent = inputs.parent.network.eval()
    with others_code(COUNTING, networks={PARENT: parent}):
        whole = counted(parent, shape)
        made = Made(id=PARENT, role="parent")
        described = describe(parent, made, whole=whole, shape=shape, sha256=inputs.parent.file_digest)
    ref = NetworkRef(id=PARENT, digest=described.digest)
    loader.add(ref, parent)
    registered = [(register(store, described), ref)]
    for name, each in candidates.refs.items():
        network = loader.load(each)
        with others_code(COUNTING, networks={name: network}):
            made = Made(id=name, role="control")
            if name in shipped:
                made = Made(id=name, role="shipped")
            elif whole is not None and whole.prunable > 0 and counted(network, shape) is not None:
                made = Made(id=name, role="pruned", family=family.id)
            described = describe(network, made, whole=whole, shape=shape, sha256=candidates.file_digests[name])
        registered.append((register(store, described), each))
    registered += register_separate(inputs, store, loader)
    time_family(registered, loader, store, inputs, whole=whole, seed=0)
    return Family(
        networks=tuple(ref for _, ref in registered),
        addresses=tuple(address for address, _ in registered),
        families=(family,),
        loader=loader,
        readings=() if whole is None else (prunable_share(whole),),
    )
