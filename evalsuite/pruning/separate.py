"""Registers networks that were made elsewhere: their counts go to the store, nothing is made or copied."""

from evalsuite.config.spec import digest
from evalsuite.engines._items import NetworkRef
from evalsuite.engines._networks import NetworkLoader
from evalsuite.inputs.read import Inputs
from evalsuite.process.third_party_code import others_code
from evalsuite.pruning.describe import COUNTING, Made, counted, describe
from evalsuite.records.store import Store
from evalsuite.records.stored import StoredNetwork

SEPARATE = "separate"


def register(store: Store, network: StoredNetwork) -> str:
    """Write down a network made elsewhere, with the times that it has already; its address."""
    address = digest({"adopted": network.digest, "as": network.id})
    before = store.network(address)
    if before is not None:
        times = {"latency_ms": before.latency_ms, "throughput_ms": before.throughput_ms}
        network = network.model_copy(update=times)
    store.add_network(address, network)
    return address


def register_separate(inputs: Inputs, store: Store, loader: NetworkLoader) -> list[tuple[str, NetworkRef]]:
    """The network that was trained apart, as a control that belongs to no family; nothing where there is none."""
    if inputs.separate is None:
        return []
    network, shape = inputs.separate.network.eval(), inputs.dataset.shape
    with others_code(COUNTING, networks={SEPARATE: network}):
        whole = counted(inputs.parent.network, shape)
        described = describe(network, Made(id=SEPARATE, role="control"), whole=whole, shape=shape)
    ref = NetworkRef(id=SEPARATE, digest=described.digest)
    loader.add(ref, network)
    return [(register(store, described), ref)]
