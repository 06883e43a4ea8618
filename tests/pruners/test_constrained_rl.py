from collections.abc import Callable, Iterable
from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn

from neuralnets.weights import prunable, remaining
from pruners import Context
from pruners._allocation import Allocation
from pruners._layer_trials import read_layers, trial
from pruners.constrained_rl import ConstrainedRL
from pruners.magnitude import Magnitude

pytestmark = pytest.mark.slow


class Doubled(nn.Module):
    """Logits from the first layer; the second does nothing to them, with weights ten times as large."""

    def __init__(self) -> None:
        super().__init__()
        self.used, self.idle = nn.Linear(8, 3, bias=False), nn.Linear(8, 3, bias=False)
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            self.used.weight.copy_(torch.randn(3, 8, generator=generator))
            self.used.weight.add_(3 * self.used.weight.sign())
            self.idle.weight.copy_(10 * torch.randn(3, 8, generator=generator))

    def forward(self, x: Tensor) -> Tensor:
        return self.used(x) + 0 * self.idle(x)


def context(network: nn.Module, count: int = 64, seed: int = 0) -> Context:
    images = torch.randn(count, 8, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        labels = network(images).argmax(1)

    def batches() -> Iterable[tuple[Tensor, Tensor]]:
        return zip(images.split(count // 2), labels.split(count // 2), strict=True)

    return Context(example=images[:1], seed=seed, batches=batches)


def counts(network: nn.Module) -> list[int]:
    return [int(weight.count_nonzero()) for weight in prunable(network).values()]


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("prior", ["uniform", "lamp"])
def test_the_agent_learns_where_weights_matter(prior: Allocation, seed: int) -> None:
    network = Doubled()
    given = context(network, seed=seed)
    assert counts(Magnitude(allocation=prior)(network, keep=26, context=given))[0] < 18
    pruned = ConstrainedRL(prior=prior)(network, keep=26, context=given)
    # all that is used stays, or almost
    assert counts(pruned)[0] >= 23
    assert remaining(pruned) == 26


def test_without_learning_it_would_not() -> None:
    network = Doubled()
    pruned = ConstrainedRL(episodes=40, prior="uniform", learning_rate=1e-9, again=0)(
        network, keep=26, context=context(network)
    )
    assert counts(pruned) == [13, 13]


@pytest.mark.parametrize("reward", ["accuracy", "likelihood"])
@pytest.mark.parametrize("prior", ["uniform", "global", "lamp", "erk", "flops"])
def test_it_is_never_worse_than_the_prior_on_its_examples(prior: Allocation, reward: str) -> None:
    network = nn.Sequential(nn.Linear(8, 12), nn.ReLU(), nn.Linear(12, 12), nn.ReLU(), nn.Linear(12, 3))
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    given = context(network)
    before = Magnitude(allocation=prior)(network, keep=120, context=given)
    method = ConstrainedRL(episodes=20, prior=prior, reward=reward)
    after = method(network, keep=120, context=given)
    assert remaining(after) == 120
    sizes = read_layers(network).sizes
    attempts = [trial(each, read_layers(each), list(given.batches())) for each in (before, after)]
    was, now = (attempt(read_layers(each).sizes) for attempt, each in zip(attempts, (before, after), strict=True))
    assert getattr(now, reward) >= getattr(was, reward)
    # within a layer the largest stay
    for weight, kept, size in zip(prunable(network).values(), prunable(after).values(), sizes, strict=True):
        left = int(kept.count_nonzero())
        assert left == size or weight[kept != 0].abs().min() >= weight[kept == 0].abs().max()


def test_one_pass_an_episode_and_one_for_each_that_is_tried_again() -> None:
    network = Doubled()
    given = context(network)
    sizes: list[int] = []
    network.used.register_forward_hook(lambda module, inputs, output: sizes.append(len(output)))
    ConstrainedRL(episodes=46, per_update=11, again=2, examples=40)(network, keep=20, context=given)
    # both batches at once, the second cut short
    assert set(sizes) == {40}
    # 4 updates; at the end the prior and 3 of each, of which some are the same
    assert 44 + 4 < len(sizes) <= 44 + 1 + 4 * 3
    sizes.clear()
    ConstrainedRL()(network, keep=remaining(network), context=given)
    assert sizes == []


def test_the_seed_decides() -> None:
    network = nn.Sequential(nn.Linear(8, 40), nn.Tanh(), nn.Linear(40, 40), nn.Tanh(), nn.Linear(40, 3))
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    method = ConstrainedRL(episodes=40)
    one, same, other = (counts(method(network, keep=500, context=context(network, seed=seed))) for seed in (1, 1, 2))
    assert one == same
    assert one != other


def test_hyperparameters_out_of_range() -> None:
    with pytest.raises(ValueError, match="expected episodes >= per_update >= 2, got 5 and 10"):
        ConstrainedRL(episodes=5)
    with pytest.raises(ValueError, match="expected episodes >= per_update >= 2, got 5 and 1"):
        ConstrainedRL(episodes=5, per_update=1)
    with pytest.raises(ValueError, match="expected 0 <= again <= 10, the episodes per update, got 11"):
        ConstrainedRL(again=11)
    with pytest.raises(ValueError, match="expected examples >= 1, got 0"):
        ConstrainedRL(examples=0)
    with pytest.raises(ValueError, match=r"expected learning_rate > 0, got 0\.0"):
        ConstrainedRL(learning_rate=0.0)
    with pytest.raises(ValueError, match="expected spread > 0, got nan"):
        ConstrainedRL(spread=float("nan"))


def test_an_empty_layer_stays_empty(build: Callable[[str], nn.Module], images: Tensor) -> None:
    network = build("projection")
    with torch.no_grad():
        network[4].conv1.weight.zero_()
    given = Context(example=images[:1], batches=lambda: [(images, torch.tensor([0, 1, 2, 3]))])
    pruned = ConstrainedRL(episodes=20)(network, keep=300, context=given)
    assert remaining(pruned) == 300
    assert not pruned[4].conv1.weight.any()


def test_every_architecture_can_be_searched(network: nn.Module, images: Tensor) -> None:
    labels = torch.tensor([0, 1, 2, 3])
    with torch.no_grad():
        if network(images).dim() > 2:
            pytest.skip("puts out pictures, not classes")
    given = Context(example=images[:1], batches=lambda: [(images, labels)])
    keep, before = remaining(network) // 3, deepcopy(network.state_dict())
    pruned = ConstrainedRL(episodes=20)(network, keep=keep, context=given)
    assert remaining(pruned) == keep
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
