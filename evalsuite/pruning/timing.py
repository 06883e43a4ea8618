"""Times of all networks of a run, measured side by side once they are all there."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

from torch import nn

from evalsuite.networks.attributes import scalars, structure
from evalsuite.networks.costs.cost import Cost
from evalsuite.networks.costs.latency import Latency, latencies
from evalsuite.networks.packed_weights import packed
from evalsuite.process.third_party_code import others_code
from evalsuite.records.facts import LatencyFacts
from evalsuite.records.store import Store

_OPERATIONS: Final = 2**31
"""Multiplications of a timed large batch of the parent, at most: well under a second on one core."""
_ROUNDS: Final = 12


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class Timed:
    """A network of the run.

    Attributes:
        address: Where its facts are kept.
        network: The network.
    """

    address: str
    network: nn.Module


def time_together(
    networks: Sequence[Timed], store: Store, shape: tuple[int, int, int], *, whole: Cost | None, seed: int
) -> None:
    """Write the times of `networks` into their facts, unless all of them have theirs already.

    Where one is missing all are timed anew: times of different days are not compared. Networks that run the same
    program - masks change values, not operations - are one network to a clock, and get one figure.

    Args:
        networks: All of the run.
        store: Holds their facts.
        shape: (channels, height, width) of the images.
        whole: The parent's cost, from which the size of a large batch follows; None: one image.
        seed: Of the order in which they are timed.
    """
    facts = {each.address: store.network(each.address) for each in networks}
    known = {address: found for address, found in facts.items() if found is not None}
    if all(found["latency_ms"] is not None for found in known.values()):
        return
    programs: dict[str, list[Timed]] = {}
    for each in networks:
        programs.setdefault(program_of(each.network), []).append(each)
    firsts = [same[0].network for same in programs.values()]
    many = 1 if whole is None else _large_batch(whole)
    names = {known[each.address]["id"]: each.network for each in networks if each.address in known}
    with others_code("timing it", networks=names):
        single = latencies(firsts, shape, rounds=_ROUNDS, seed=seed)
        large = latencies(firsts, shape, batch=many, rounds=_ROUNDS, runs=1, seed=seed + 1)
    for same, one, other in zip(programs.values(), single, large, strict=True):
        for each in same:
            if each.address in known:
                times = {"latency_ms": _milliseconds(one, 1), "throughput_ms": _milliseconds(other, many)}
                store.add_network(each.address, {**known[each.address], **times})  # type: ignore[typeddict-item]


def program_of(network: nn.Module) -> str:
    """What decides how long a network takes: its modules, their settings, and the sizes of its tensors."""
    tensors = [*network.named_parameters(), *network.named_buffers(), *packed(network).items()]
    sizes = [(name, tuple(tensor.shape), str(tensor.dtype)) for name, tensor in tensors]
    return f"{structure(network)}\n{scalars(network)}\n{sizes}"


def _large_batch(whole: Cost) -> int:
    """Images of the large batch that is timed: the same for a whole run, a power of two up to 64."""
    fits = _OPERATIONS // max(1, whole.dense_flops)
    return 1 << (min(64, max(1, fits)).bit_length() - 1)


def _milliseconds(timed: Latency, batch: int) -> LatencyFacts:
    return LatencyFacts(median=timed.median * 1e3, low=timed.low * 1e3, high=timed.high * 1e3, n=timed.n, batch=batch)
