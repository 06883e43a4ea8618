"""Registers networks made elsewhere as one family, beside their parent."""

from collections.abc import Mapping
from types import MappingProxyType

from torch import nn

from evalsuite.engines.items import NetworkRef
from evalsuite.engines.networks import NetworkLoader
from evalsuite.inputs.read import Inputs
from evalsuite.networks.checkpoints.checkpoint import Checkpoint
from evalsuite.networks.costs.cost import prunable_share
from evalsuite.process.third_party_code import others_code
from evalsuite.pruning.describe import COUNTING, PARENT, Made, counted, describe
from evalsuite.pruning.family import Family, time_family
from evalsuite.pruning.separate import register, register_separate
from evalsuite.records.facts import FamilyFacts
from evalsuite.records.store import Store

NO_FILES: Mapping[str, Checkpoint] = MappingProxyType({})


def register_candidates(
    inputs: Inputs, candidates: Mapping[str, Checkpoint], store: Store, shipped: Mapping[str, Checkpoint] = NO_FILES
) -> Family:
    """Networks made elsewhere as one family, in order of measured prune ratio; nothing is made or copied.

    Files whose ratio cannot be told are judged beside the family, and so are those that are `shipped` in the place of
    a network of the run: neither makes a claim of its own.
    """
    shape, family = inputs.dataset.shape, FamilyFacts(id="candidates", pruner=None, seed=0)
    with others_code(COUNTING, networks={PARENT: inputs.parent.network}):
        whole = counted(inputs.parent.network, shape)
    named = [(inputs.parent, Made(id=PARENT, role="parent"))]
    for each, checkpoint in candidates.items():
        with others_code(COUNTING, networks={each: checkpoint.network}):
            orderly = whole is not None and whole.prunable > 0 and counted(checkpoint.network, shape) is not None
        made = Made(id=each, role="pruned", family=family["id"]) if orderly else Made(id=each, role="control")
        named.append((checkpoint, made))
    named += [(checkpoint, Made(id=each, role="shipped")) for each, checkpoint in shipped.items()]
    loader = NetworkLoader(_nothing_to_read)
    registered: list[tuple[str, NetworkRef]] = []
    for checkpoint, made in named:
        network = checkpoint.network.eval()
        with others_code(COUNTING, networks={made.id: network}):
            facts = describe(network, made, whole=whole, shape=shape)
        ref = NetworkRef(id=made.id, digest=facts["digest"])
        loader.add(ref, network)
        registered.append((register(store, {**facts, "sha256": checkpoint.file_digest}), ref))
    registered += register_separate(inputs, store, loader)
    time_family(registered, loader, store, inputs, whole=whole, seed=0)
    return Family(
        networks=tuple(ref for _, ref in registered),
        addresses=tuple(address for address, _ in registered),
        families=(family,),
        loader=loader,
        readings=() if whole is None else (prunable_share(whole),),
    )


def _nothing_to_read(ref: NetworkRef) -> nn.Module:
    raise KeyError(ref.id)
