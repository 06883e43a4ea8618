"""Times of all networks of a run, measured side by side once they are all there."""

from collections.abc import Sequence
from typing import Final

from torch import nn

from evalsuite.engines._networks import LoadedSequence
from evalsuite.networks.attributes import scalars, structure
from evalsuite.networks.costs.cost import Cost
from evalsuite.networks.costs.latency import Latency, latencies
from evalsuite.networks.packed_weights import packed
from evalsuite.process.third_party_code import others_code
from evalsuite.records import schema
from evalsuite.records.store import Store

_OPERATIONS: Final = 2**31
"""Multiplications of a timed large batch of the parent, at most: well under a second on one core."""
_ROUNDS: Final = 12


def time_together(
    addresses: Sequence[str],
    networks: LoadedSequence,
    store: Store,
    shape: tuple[int, int, int],
    *,
    whole: Cost | None,
    seed: int,
) -> None:
    """Write down the times of `networks`, unless all of them have theirs already.

    Where one is missing all are timed anew: times of different days are not compared. Networks that run the same
    program - masks change values, not operations - are one network to a clock, and get one figure.

    Args:
        addresses: Where the networks are kept in the store.
        networks: All of the run, in the same order.
        store: Of the run.
        shape: (channels, height, width) of the images.
        whole: The parent's cost, from which the size of a large batch follows; None: one image.
        seed: Of the order in which they are timed.
    """
    stored = {address: each for address in addresses if (each := store.network(address)) is not None}
    if all(each.latency_ms is not None for each in stored.values()):
        return
    programs: dict[str, list[int]] = {}
    for place in range(len(networks)):
        programs.setdefault(program_of(networks[place]), []).append(place)
    firsts = networks.take([places[0] for places in programs.values()])
    many = 1 if whole is None else _large_batch(whole)
    with others_code("timing it", networks=networks.in_memory()):
        single = latencies(firsts, shape, rounds=_ROUNDS, seed=seed)
        large = latencies(firsts, shape, batch=many, rounds=_ROUNDS, runs=1, seed=seed + 1)
    for places, one, other in zip(programs.values(), single, large, strict=True):
        for address in (addresses[place] for place in places):
            if address in stored:
                times = {"latency_ms": _milliseconds(one, 1), "throughput_ms": _milliseconds(other, many)}
                store.add_network(address, stored[address].model_copy(update=times))


def program_of(network: nn.Module) -> str:
    """What decides how long a network takes: its modules, their settings, and the sizes of its tensors."""
    tensors = [*network.named_parameters(), *network.named_buffers(), *packed(network).items()]
    sizes = [(name, tuple(tensor.shape), str(tensor.dtype)) for name, tensor in tensors]
    return f"{structure(network)}\n{scalars(network)}\n{sizes}"


def _large_batch(whole: Cost) -> int:
    """Images of the large batch that is timed: the same for a whole run, a power of two up to 64."""
    fits = _OPERATIONS // max(1, whole.dense_flops)
    return 1 << (min(64, max(1, fits)).bit_length() - 1)


def _milliseconds(timed: Latency, batch: int) -> schema.Latency:
    return schema.Latency(median=timed.median * 1e3, low=timed.low * 1e3, high=timed.high * 1e3, n=timed.n, batch=batch)
