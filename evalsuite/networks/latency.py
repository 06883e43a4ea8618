"""How long a network takes, measured."""

import time
from dataclasses import dataclass
from typing import final

import torch
from scipy import stats
from torch import nn


@final
@dataclass(frozen=True, kw_only=True)
class Latency:
    """Seconds for one batch.

    Attributes:
        median: Of n runs.
        low: Lower end of a two-sided interval for the median.
        high: Upper end.
        n: Runs counted.
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
    device = next((p.device for p in network.parameters()), torch.device("cpu"))
    modes = {module: module.training for module in network.modules()}
    images = torch.full((batch, *shape), 0.5, device=device)
    times: list[float] = []
    try:
        network.eval()
        with torch.inference_mode():
            for _ in range(warm_up):
                network(images)
            for _ in range(runs):
                _wait(device)
                start = time.perf_counter()
                network(images)
                _wait(device)
                times.append(time.perf_counter() - start)
    finally:
        for module, training in modes.items():
            module.training = training
    times.sort()
    middle = (times[(runs - 1) // 2] + times[runs // 2]) / 2
    return Latency(median=middle, low=times[rank - 1], high=times[runs - rank], n=runs)


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
