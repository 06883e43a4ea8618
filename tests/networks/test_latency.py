import pytest
from scipy import stats
from torch import Tensor, nn

from evalsuite.networks.costs import latency as module
from evalsuite.networks.costs.latency import latency


def test_interval_holds_the_median_and_network_is_left_as_it_was() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(4, 2))
    result = latency(network, (1, 2, 2), batch=3, runs=20, warm_up=1)
    assert 0 < result.low <= result.median <= result.high
    assert result.n == 20
    assert network.training


def test_order_statistics_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    # runs take 1, 2, ..., 9 seconds. n = 9: P(Binomial(9, 1/2) <= 1) = 10 / 512, so ranks 2 and 8 cover 0.961
    ticks = iter([t for run in range(1, 10) for t in (100.0 * run, 100.0 * run + run)])
    monkeypatch.setattr(module.time, "perf_counter", lambda: next(ticks))
    outcome = latency(nn.Flatten(), (1, 2, 2), runs=9, warm_up=0)
    assert (outcome.low, outcome.median, outcome.high) == (2.0, 5.0, 8.0)


@pytest.mark.parametrize(("runs", "confidence"), [(6, 0.95), (50, 0.95), (33, 0.99), (8, 0.5)])
def test_coverage_is_kept_and_not_wasted(runs: int, confidence: float) -> None:
    rank = module._rank(runs, confidence)
    assert 1 - 2 * stats.binom.cdf(rank - 1, runs, 0.5) >= confidence
    assert rank == runs // 2 or 1 - 2 * stats.binom.cdf(rank, runs, 0.5) < confidence


@pytest.mark.parametrize(("runs", "confidence"), [(5, 0.95), (0, 0.5), (10, 0.0), (10, 1.0)])
def test_too_few_runs_are_refused(runs: int, confidence: float) -> None:
    with pytest.raises(ValueError, match="expected"):
        latency(nn.Identity(), (1, 2, 2), runs=runs, confidence=confidence)


def test_batch_and_shape_reach_the_network() -> None:
    observed: list[tuple[int, ...]] = []

    class Spy(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            observed.append(tuple(x.shape))
            return x

    latency(Spy(), (3, 4, 5), batch=7, runs=6, warm_up=2)
    assert observed == [(7, 3, 4, 5)] * 8
