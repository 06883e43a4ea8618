"""Notes which networks have no one answer to an image: asked twice, or beside other images, they say something else."""

from collections.abc import Sequence
from typing import Final

from evalsuite.data import Examples
from evalsuite.engines._items import NetworkRef
from evalsuite.engines._networks import NetworkLoader
from evalsuite.networks.repeatable import doubts
from evalsuite.process.third_party_code import others_code
from evalsuite.records.store import Store
from neuralnets.device import device_of

_FEW: Final = 32


def note_repeatability(
    networks: Sequence[NetworkRef], addresses: Sequence[str], loader: NetworkLoader, examples: Examples, store: Store
) -> None:
    """Write down of every network, at its address, what is doubtful about its answers to a few examples."""
    few = examples.pixels(range(min(_FEW, len(examples))))
    for address, ref in zip(addresses, networks, strict=True):
        stored = store.network(address)
        if stored is None or "doubts" in stored.model_fields_set or len(few) < 2:
            continue
        network = loader.load(ref).eval()
        with others_code("asking it twice", networks={ref.id: network}):
            flags = doubts(network, few.to(device_of(network)))
        store.add_network(address, stored.model_copy(update={"doubts": tuple(flags)}))
