"""Measures the latency of networks."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import final

import torch
from scipy import stats
from torch import Tensor, nn

from neuralnets.device import device_of
from neuralnets.modes import evaluating


@final
@dataclass(frozen=True, kw_only=True)
class Latency:
    """Seconds for one batch: median and confidence interval.

    Attributes:
        median: Of n times.
        low: Lower end of a two-sided interval for the median.
        high: Upper end.
        n: Times counted: runs, or rounds of several networks.
    """

    median: float
    low: float
    high: float
    n: int


def latency(
    network: nn.Module,
    shape: tuple[int, int, int],
    *,
    batch: int = 1,
    runs: int = 50,
    warm_up: int = 5,
    confidence: float = 0.95,
) -> Latency:
    """Times `network` in evaluation and inference mode, on its own device, with torch's present number of threads.

    The interval of the median needs no assumption on how times are distributed: the k-th and (n + 1 - k)-th smallest
    of n independent times enclose it with probability 1 - 2 P(Binomial(n, 1/2) < k) (David and Nagaraja 2003,
    Order Statistics, section 7.1); k is the largest that keeps the confidence.

    Args:
        network: The network.
        shape: (channels, height, width) of the images.
        batch: Images a batch, at least 1.
        runs: Timed runs; enough for the confidence (6 for 0.95).
        warm_up: Runs before, not counted.
        confidence: In (0, 1).

    Raises:
        ValueError: No interval of `runs` times has such a confidence.
    """
    rank = _rank(runs, confidence)
    images = _images(network, shape, batch)
    with evaluating(network), torch.inference_mode():
        for _ in range(warm_up):
            network(images)
        times = [_seconds(network, images) for _ in range(runs)]
    return _summary(times, rank)


def latencies(
    networks: Sequence[nn.Module],
    shape: tuple[int, int, int],
    *,
    batch: int = 1,
    rounds: int = 12,
    runs: int = 3,
    confidence: float = 0.95,
    seed: int = 0,
) -> list[Latency]:
    """Times several networks so that they can be compared: interleaved, round after round, as `latency` does one.

    Whatever else happens on a machine - its clock, its temperature, its other work - changes from minute to minute:
    networks timed one after another differ by that. Here every round times each network, in a random order, and a
    network's time in a round is the median of a few runs behind one that is not counted. Intervals are over rounds.

    Args:
        networks: On one device; a sequence may load each when it is looked at, so that not all are in memory.
        shape: As for `latency`.
        batch: As for `latency`.
        rounds: Enough for the confidence.
        runs: Timed runs of every network in every round, at least 1.
        confidence: In (0, 1).
        seed: Of the orders.

    Raises:
        ValueError: No interval of `rounds` times has such a confidence.
    """
    rank = _rank(rounds, confidence)
    draw = torch.Generator().manual_seed(seed)
    times: list[list[float]] = [[] for _ in range(len(networks))]
    for _ in range(rounds):
        for place in torch.randperm(len(networks), generator=draw).tolist():
            network = networks[place]
            images = _images(network, shape, batch)
            with evaluating(network), torch.inference_mode():
                network(images)  # what ran before has left its own data in the caches
                times[place].append(median(_seconds(network, images) for _ in range(runs)))
    return [_summary(each, rank) for each in times]


def _images(network: nn.Module, shape: tuple[int, int, int], batch: int) -> Tensor:
    device = device_of(network)
    return torch.full((batch, *shape), 0.5, device=device)


def _seconds(network: nn.Module, images: Tensor) -> float:
    _wait(images.device)
    start = time.perf_counter()
    network(images)
    _wait(images.device)
    return time.perf_counter() - start


def _summary(times: Sequence[float], rank: int) -> Latency:
    ordered = sorted(times)
    return Latency(median=median(ordered), low=ordered[rank - 1], high=ordered[-rank], n=len(ordered))


def _rank(runs: int, confidence: float) -> int:
    if not 0 < confidence < 1:
        raise ValueError(f"expected 0 < confidence < 1, got {confidence}")
    rank = max((k for k in range(1, runs // 2 + 1) if _coverage(runs, k) >= confidence), default=0)
    if rank == 0:
        raise ValueError(f"expected enough runs for an interval of confidence {confidence}, got {runs}")
    return rank


def _coverage(runs: int, rank: int) -> float:
    return 1 - 2 * float(stats.binom.cdf(rank - 1, runs, 0.5))


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
