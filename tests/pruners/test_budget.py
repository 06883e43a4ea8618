from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import ClassVar, final

import pytest
import torch
from torch import nn
from typing_extensions import override

from neuralnets.weights import prunable, remaining
from pruners import Context, Pruner, cascade
from pruners._base import Need
from pruners._budget import prune_to_cost
from pruners._positions import positions
from pruners.filter_norm import FilterNorm
from pruners.magnitude import Magnitude

pytestmark = pytest.mark.slow

CONTEXT = Context(example=torch.zeros(1, 3, 8, 8))


def multiplications(network: nn.Module) -> float:
    """With weights that are not zero."""
    uses = positions(network, CONTEXT.example)
    return float(sum(int(weight.count_nonzero()) * uses[name] for name, weight in prunable(network).items()))


def dense(network: nn.Module) -> float:
    """As time: masks do not count."""
    uses = positions(network, CONTEXT.example)
    return float(sum(weight.numel() * uses[name] for name, weight in prunable(network).items()))


@final
@dataclass(frozen=True, kw_only=True)
class First(Pruner):
    """Keeps the first weights of one layer, and notes what it was asked for."""

    structure: ClassVar = "weights"
    requested: list[int]

    @override
    def __call__(self, network: nn.Module, *, keep: int, context: Context) -> nn.Module:
        self.requested.append(keep)
        pruned = deepcopy(network)
        with torch.no_grad():
            (weight,) = prunable(pruned).values()
            weight.view(-1)[keep:] = 0
        return pruned


@final
@dataclass(frozen=True, kw_only=True)
class Trains(Pruner):
    structure: ClassVar = "channels"
    needs: ClassVar[frozenset[Need]] = frozenset({"training"})

    @override
    def __call__(self, network: nn.Module, *, keep: int, context: Context) -> nn.Module:
        raise AssertionError


def row(size: int) -> nn.Module:
    network = nn.Linear(size, 1, bias=False)
    with torch.no_grad():
        network.weight.fill_(1)
    return network


@pytest.mark.parametrize(
    ("pruner", "target"),
    [(Magnitude(), 0.1), (Magnitude(), 0.8), (FilterNorm(), 0.5), (FilterNorm(allocation="flops"), 0.7)],
)
def test_the_cost_comes_as_near_to_the_budget_as_it_can(
    build: Callable[[str], nn.Module], pruner: Pruner, target: float
) -> None:
    network = build("chain")
    before, whole = deepcopy(network), multiplications(network)
    pruned = prune_to_cost(pruner, network, target, measure=multiplications, context=CONTEXT, tolerance=0, calls=14)
    left = multiplications(pruned) / whole
    assert left <= 1 - target
    # no number of weights at all would have come nearer
    costs = [
        multiplications(pruner(network, keep=keep, context=CONTEXT)) / whole
        for keep in range(1, remaining(network), remaining(network) // 30)
    ]
    assert max(cost for cost in costs if cost <= 1 - target) <= left + 1e-12
    assert any(cost > 1 - target for cost in costs)
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), before.parameters(), strict=True))


def test_bisection_by_hand() -> None:
    pruner = First(requested=[])
    pruned = prune_to_cost(
        pruner, row(64), 0.5, measure=lambda n: float(remaining(n)) ** 2, context=CONTEXT, tolerance=0
    )
    # 45^2 = 2025 <= 2048 < 46^2; after the least: halves of (1, 64), (32, 64), (32, 48), (40, 48), (44, 48), (44, 46)
    assert remaining(pruned) == 45
    assert pruner.requested == [1, 32, 48, 40, 44, 46, 45]


def test_it_stops_when_it_is_near_enough() -> None:
    pruner = First(requested=[])
    pruned = prune_to_cost(
        pruner, row(1000), 0.3, measure=lambda n: float(remaining(n)), context=CONTEXT, tolerance=0.08
    )
    # 500 is 20 % below the budget of 700, 750 above it, 625 is 7.5 % below
    assert pruner.requested == [1, 500, 750, 625]
    assert remaining(pruned) == 625


@pytest.mark.parametrize("calls", [2, 5, 12])
def test_the_pruner_is_not_called_more_often(calls: int) -> None:
    pruner = First(requested=[])
    pruned = prune_to_cost(
        pruner, row(10**5), 1 / 3, measure=lambda n: float(remaining(n)), context=CONTEXT, tolerance=0, calls=calls
    )
    assert len(pruner.requested) == calls
    # every call but the first halves what is not known
    assert 0 <= 2 * 10**5 / 3 - remaining(pruned) <= 10**5 / 2 ** (calls - 2)


@pytest.mark.parametrize("seed", range(5))
def test_a_noisy_cost_is_met_up_to_its_noise(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)

    def measure(network: nn.Module) -> float:
        return remaining(network) * (1 + 0.02 * float(torch.rand(1, generator=generator) * 2 - 1))

    pruned = prune_to_cost(First(requested=[]), row(10**4), 0.4, measure=measure, context=CONTEXT)
    # 2 % up or down in the pruned network, and in the whole
    assert remaining(pruned) / 10**4 == pytest.approx(0.6, rel=0.05)


def test_of_a_cost_that_jumps_the_lower_side_is_taken() -> None:
    # a cost in steps of 16 weights, as hardware has
    pruned = prune_to_cost(
        First(requested=[]), row(256), 0.45, measure=lambda n: float(-(-remaining(n) // 16)), context=CONTEXT
    )
    # 16 steps; at most 8.8 may stay: 8 steps
    assert 112 < remaining(pruned) <= 128


def test_a_share_of_another_whole() -> None:
    network = row(100)
    pruned = prune_to_cost(
        First(requested=[]),
        network,
        0.75,
        measure=lambda n: float(remaining(n)),
        context=CONTEXT,
        whole=200.0,
        tolerance=0,
    )
    assert remaining(pruned) == 50
    same = prune_to_cost(
        First(requested=[]), network, 0.4, measure=lambda n: float(remaining(n)), context=CONTEXT, whole=200.0
    )
    assert remaining(same) == 100
    assert same is not network


def test_masks_save_no_time(build: Callable[[str], nn.Module]) -> None:
    network = build("chain")
    noise = iter([1.0, 0.93, 0.9, 0.97])
    for measure in (dense, lambda _: next(noise)):
        # noise alone would seem to have saved 5 %
        with pytest.raises(ValueError, match="masks save no time, only a method that removes channels does"):
            prune_to_cost(Magnitude(), network, 0.05, measure=measure, context=CONTEXT)
    pruned = prune_to_cost(FilterNorm(), network, 0.5, measure=dense, context=CONTEXT)
    assert 0.3 < dense(pruned) / dense(network) <= 0.5


def test_a_budget_out_of_reach(build: Callable[[str], nn.Module]) -> None:
    network = build("transformer")  # attention keeps its channels
    with pytest.raises(
        ValueError, match=r"expected a budget of at least \d+\.\d% of the cost, the least that FilterNorm"
    ):
        prune_to_cost(FilterNorm(), network, 0.9, measure=multiplications, context=CONTEXT)


def test_methods_that_train_are_too_dear(build: Callable[[str], nn.Module]) -> None:
    message = "expected a method that prunes without training for a budget that is searched, got Trains"
    with pytest.raises(ValueError, match=message):
        prune_to_cost(Trains(), build("chain"), 0.5, measure=multiplications, context=CONTEXT)
    with pytest.raises(ValueError, match=message):
        cascade(build("chain"), Trains(), (0.5,), context=CONTEXT, cost=multiplications)


@pytest.mark.parametrize(
    ("name", "value"),
    [("target", 0.0), ("target", 1.0), ("calls", 1), ("tolerance", -0.1), ("tolerance", float("nan"))],
)
def test_arguments_out_of_range(name: str, value: float) -> None:
    def prune(target: float = 0.5, calls: float = 12, tolerance: float = 0.1) -> nn.Module:
        return prune_to_cost(
            First(requested=[]),
            row(8),
            target,
            measure=lambda n: float(remaining(n)),
            context=CONTEXT,
            calls=int(calls),
            tolerance=tolerance,
        )

    with pytest.raises(ValueError, match=f"expected .*{name}.*, got {value}"):
        prune(**{name: value})


@pytest.mark.parametrize("cost", [0.0, -1.0, float("nan")])
def test_costs_are_above_zero(cost: float) -> None:
    with pytest.raises(ValueError, match="expected a cost above 0"):
        prune_to_cost(First(requested=[]), row(8), 0.5, measure=lambda _: cost, context=CONTEXT)


@pytest.mark.parametrize("one_shot", [False, True])
@pytest.mark.parametrize("pruner", [Magnitude(), FilterNorm()])
def test_a_cascade_in_shares_of_the_cost(build: Callable[[str], nn.Module], pruner: Pruner, one_shot: bool) -> None:
    network = build("chain")
    whole, observed = multiplications(network), []

    def retrain(pruned: nn.Module, step: int) -> nn.Module:
        observed.append(multiplications(pruned) / whole)
        trained = deepcopy(pruned)
        with torch.no_grad():
            for number, weight in enumerate(prunable(trained).values()):
                weight.mul_(1 + number + step)
        return trained

    ratios = (0.3, 0.6, 0.8)
    steps = list(
        cascade(network, pruner, ratios, context=CONTEXT, cost=multiplications, retrain=retrain, one_shot=one_shot)
    )
    assert [step.target_ratio for step in steps] == list(ratios)
    coarse = 0.12 if pruner.structure == "channels" else 0.003
    for step, left, ratio in zip(steps, observed, ratios, strict=True):
        assert 1 - ratio - coarse <= left <= 1 - ratio
        assert multiplications(step.network) / whole == left
        assert step.prune_ratio == 1 - remaining(step.network) / remaining(network)
    assert [step.prune_ratio for step in steps] == sorted({step.prune_ratio for step in steps})


def test_a_cut_off_cascade_goes_on(build: Callable[[str], nn.Module]) -> None:
    network = build("chain")

    def grown(start: list[nn.Module]) -> Iterator[nn.Module]:
        steps = cascade(network, FilterNorm(), (0.3, 0.6, 0.8), context=CONTEXT, cost=multiplications, start=start)
        return (step.network for step in steps)

    whole = list(grown([]))
    for done in (1, 3):
        for one, other in zip(grown(whole[:done]), whole[done:], strict=True):
            assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_nothing_is_measured_before_it_is_asked_for(build: Callable[[str], nn.Module]) -> None:
    measured: list[nn.Module] = []

    def measure(network: nn.Module) -> float:
        measured.append(network)
        return multiplications(network)

    network = build("chain")
    steps = cascade(network, Magnitude(), (0.5,), context=CONTEXT, cost=measure)
    assert not measured
    (step,) = steps
    assert measured[0] is network
    measured.clear()
    assert list(cascade(network, Magnitude(), (0.5,), context=CONTEXT, cost=measure, start=[step.network])) == []
    assert not measured
