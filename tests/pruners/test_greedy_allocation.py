from collections.abc import Callable, Iterable, Sequence
from itertools import product

import pytest
import torch
from torch import Tensor, nn

from neuralnets.weights import prunable, remaining
from pruners import Context
from pruners._layer_trials import Outcome
from pruners.greedy_allocation import GreedyAllocation, greedy_counts

pytestmark = pytest.mark.slow


def separable(
    curves: Sequence[Callable[[int], float]], observed: list[tuple[int, ...]]
) -> Callable[[Sequence[int]], Outcome]:
    """The loss is a sum over the layers."""

    def attempt(counts: Sequence[int]) -> Outcome:
        observed.append(tuple(counts))
        return Outcome(accuracy=0, loss=sum(curve(count) for curve, count in zip(curves, counts, strict=True)))

    return attempt


def inverse(weight: float) -> Callable[[int], float]:
    return lambda count: weight / (count + 1)


@pytest.mark.parametrize("keep", [3, 4, 7, 12, 17])
def test_greedy_is_optimal_where_theory_says_so(keep: int) -> None:
    # one weight at a time from a separable convex loss: no allocation of the same size is better
    curves, sizes = [inverse(1), inverse(5), inverse(25)], (4, 6, 8)
    attempt = separable(curves, [])
    result = greedy_counts(attempt, sizes, keep, share=0.01)
    every = [c for c in product(*(range(1, size + 1) for size in sizes)) if sum(c) == keep]
    assert sum(result) == keep
    assert attempt(result).loss == pytest.approx(min(attempt(counts).loss for counts in every))


def test_two_steps_by_hand() -> None:
    # losses a/(n+1) with a = 1, 10 and 8 weights each, half of a layer a step:
    # layer 0: 1/5 - 1/9 = 0.089 for 4 weights; layer 1: ten times as much; so layer 0 goes to 4.
    # then layer 0: 1/3 - 1/5 = 0.133 for 2, 0.067 each, still less than 0.889 / 4 = 0.222 each: 2 are left;
    # then 1/2 - 1/3 = 0.167 for one, less than 0.222: 1 is left, its last; layer 1 has to give: 8 - 4, and then 1 of 4
    observed: list[tuple[int, ...]] = []
    attempt = separable([inverse(1), inverse(10)], observed)
    assert greedy_counts(attempt, (8, 8), 12, share=0.5) == (4, 8)
    assert greedy_counts(attempt, (8, 8), 9, share=0.5) == (1, 8)
    assert greedy_counts(attempt, (8, 8), 4, share=0.5) == (1, 3)


def test_a_layer_is_tried_again_only_when_it_comes_first() -> None:
    recorded: list[tuple[int, ...]] = []
    greedy_counts(separable([inverse(1), inverse(10**6), inverse(10**7)], recorded), (1000, 10, 10), 520, share=0.1)
    # the start, each layer once, and then the first layer for each of its seven steps: 0.9^6 * 1000 > 500
    assert len(recorded) == 1 + 3 + 6
    assert [counts[1:] for counts in recorded].count((10, 10)) == len(recorded) - 2


def test_prices_that_have_risen_are_noticed() -> None:
    # the second layer's weights are free until the first has lost any: both share one job
    def attempt(counts: Sequence[int]) -> Outcome:
        return Outcome(accuracy=0, loss=0.1 * (10 - counts[0]) + (10 - counts[1]) * (0.0 if counts[0] == 10 else 5.0))

    assert greedy_counts(attempt, (10, 10), 15, share=0.01) == (10, 5)
    assert greedy_counts(attempt, (10, 10), 11, share=0.01) == (10, 1)


def test_outputs_that_are_not_numbers_are_dear() -> None:
    def attempt(counts: Sequence[int]) -> Outcome:
        return Outcome(accuracy=0, loss=float("inf") if counts[0] < 3 else -1.0 * counts[1])

    assert greedy_counts(attempt, (3, 9), 4, share=0.5) == (3, 1)
    assert sum(greedy_counts(attempt, (3, 9), 2, share=0.5)) == 2
    assert sum(greedy_counts(attempt, (3, 9), 1, share=0.5)) == 1


@pytest.mark.parametrize("dearest", range(3))
@pytest.mark.parametrize("keep", range(1, 13))
def test_the_last_weight_of_a_layer_goes_last(keep: int, dearest: int) -> None:
    curves = [inverse(1), inverse(3), inverse(2)]
    curves[dearest] = inverse(50)
    outcome = greedy_counts(separable(curves, []), (2, 7, 3), keep, share=0.4)
    assert sum(outcome) == keep
    assert min(outcome) >= 1 or keep < 3


class Doubled(nn.Module):
    """Logits from the first layer; the second does nothing to them."""

    def __init__(self) -> None:
        super().__init__()
        self.used, self.idle = nn.Linear(8, 2, bias=False), nn.Linear(8, 2, bias=False)
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            # none so small that a cut could lower the loss
            self.used.weight.copy_(torch.randn(2, 8, generator=generator))
            self.used.weight.add_(3 * self.used.weight.sign())
            self.idle.weight.copy_(10 * torch.randn(2, 8, generator=generator))

    def forward(self, x: Tensor) -> Tensor:
        return self.used(x) + 0 * self.idle(x)


def context(network: nn.Module, count: int = 64) -> Context:
    images = torch.randn(count, 8, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        labels = network(images).argmax(1)

    def batches() -> Iterable[tuple[Tensor, Tensor]]:
        yield images[: count // 2], labels[: count // 2]
        yield images[count // 2 :], labels[count // 2 :]

    return Context(example=images[:1], batches=batches)


def test_layers_that_do_nothing_go_first() -> None:
    network = Doubled()
    pruned = GreedyAllocation()(network, keep=17, context=context(network))
    # though its weights are ten times as large
    assert int(pruned.idle.weight.count_nonzero()) == 1
    assert torch.equal(pruned.used.weight, network.used.weight)
    largest = network.idle.weight.abs().argmax()
    assert pruned.idle.weight.flatten()[largest] == network.idle.weight.flatten()[largest]


def test_so_many_examples_are_looked_at() -> None:
    network = Doubled()
    sizes: list[int] = []
    network.used.register_forward_hook(lambda module, inputs, output: sizes.append(len(output)))
    given = context(network)
    sizes.clear()
    GreedyAllocation(examples=40)(network, keep=15, context=given)
    # The start and both layers; of the idle one 14 steps, 2 weights and then 1 at a time down to the last, each but the
    # last tried before; the used one again, as the rest has changed. Both batches at once, the second cut short.
    assert sizes == [40] * (1 + 2 + 13 + 1)
    sizes.clear()
    GreedyAllocation(examples=40)(network, keep=remaining(network), context=given)
    assert sizes == []


@pytest.mark.parametrize("share", [0.0, 1.0, float("nan")])
def test_share_out_of_range(share: float) -> None:
    with pytest.raises(ValueError, match=f"expected 0 < share < 1, got {share}"):
        GreedyAllocation(share=share)


def test_examples_out_of_range() -> None:
    with pytest.raises(ValueError, match="expected examples >= 1, got 0"):
        GreedyAllocation(examples=0)


def test_an_empty_layer_stays_empty(build: Callable[[str], nn.Module], images: Tensor) -> None:
    network = build("projection")
    with torch.no_grad():
        network[4].conv1.weight.zero_()
    given = Context(example=images[:1], batches=lambda: [(images, torch.tensor([0, 1, 2, 3]))])
    pruned = GreedyAllocation()(network, keep=300, context=given)
    assert remaining(pruned) == 300
    assert not pruned[4].conv1.weight.any()


def test_every_architecture_can_be_searched(network: nn.Module, images: Tensor) -> None:
    labels = torch.tensor([0, 1, 2, 3])
    with torch.no_grad():
        if network(images).dim() > 2:
            pytest.skip("puts out pictures, not classes")
    given = Context(example=images[:1], batches=lambda: [(images, labels)])
    keep = remaining(network) // 3
    pruned = GreedyAllocation(share=0.3)(network, keep=keep, context=given)
    assert remaining(pruned) == keep
    assert list(prunable(pruned)) == list(prunable(network))
