"""Section: the networks, with their measured sizes and costs."""

from dataclasses import dataclass
from typing import final

from typing_extensions import override

from evalsuite.records.schema import Latency, Network, Results
from evalsuite.report.content import formats
from evalsuite.report.sections._base import Contents, Section, Values

_ROLES = {"parent": " (parent)", "control": " (control)", "shipped": " (shipped)", "pruned": ""}


@final
@dataclass(frozen=True, kw_only=True)
class NetworkRow:
    """What a network holds and costs."""

    name: str
    prune_ratio: str
    flop_reduction: str
    parameters: str
    nonzero: str
    flops: str
    dense_flops: str
    megabytes: str
    peak_megabytes: str
    latency: str
    throughput: str


@final
@dataclass(frozen=True)
class Networks(Section):
    """Sizes and costs of all networks."""

    id = "networks"
    title = "Networks"
    order = 110

    @override
    def values(self, contents: Contents) -> Values:
        results = contents.index.results
        return {"latency_note": _latency_note(results), "rows": tuple(map(_row, results.networks))}


def _latency_note(results: Results) -> str:
    """How latency was measured."""
    columns = ((n.latency_ms for n in results.networks), (n.throughput_ms for n in results.networks))
    firsts = [next((timed for timed in column if timed is not None), None) for column in columns]
    timed = [_timed(first) for first in firsts if first is not None]
    if not timed:
        return "Latency was not measured."
    where = results.run.device or "the device of the run"
    return (
        f"Latency: median {' and '.join(timed)}, with its interval, in milliseconds, on {where}; in every round all "
        "networks are timed, in a random order. Those that run the same program, as masked ones do, share one figure."
    )


def _timed(first: Latency) -> str:
    batch = f"batches of {formats.count(first.batch)}" if first.batch else "one batch size"
    return f"over {formats.many(first.n, 'round')} of {batch}" if first.n else f"of {batch}"


def _row(network: Network) -> NetworkRow:
    return NetworkRow(
        name=f"{network.id}{_ROLES[network.role]}",
        prune_ratio=formats.ratio(network.prune_ratio),
        flop_reduction=formats.ratio(network.flop_reduction),
        parameters=formats.size(network.parameters),
        nonzero=formats.size(network.nonzero),
        flops=formats.size(network.flops),
        dense_flops=formats.size(network.dense_flops),
        megabytes=formats.figure(network.megabytes),
        peak_megabytes=formats.figure(network.peak_megabytes),
        latency=_latency(network.latency_ms),
        throughput=_latency(network.throughput_ms),
    )


def _latency(timed: Latency | None) -> str:
    if timed is None or timed.median is None:
        return formats.NOTHING
    return f"{formats.figure(timed.median)} [{formats.figure(timed.low)}, {formats.figure(timed.high)}]"
