from collections.abc import Callable
from typing import final

import pytest
import torch
from torch import Tensor
from typing_extensions import override

from pruners import _ppo_lagrangian as ppo
from pruners._ppo_lagrangian import Process, Settings, search

pytestmark = pytest.mark.slow


def test_advantages_by_hand() -> None:
    # errors: 0.5 * 2 - 1 = 0, 0.5 * 4 - 3 = -1, 10 - 4 = 6; each adds 0.5 * 0.5 of what follows
    result = ppo._advantages(torch.tensor([[1.0, 3.0, 4.0]]), torch.tensor([10.0]), 0.5, 0.5)
    assert result.tolist() == [[0.5 + 0.25 * (-1 + 0.25 * 6), -1 + 0.25 * 6, 6]]


@pytest.mark.parametrize("trace", [0.0, 0.7, 1.0])
def test_advantages_by_the_formula(trace: float) -> None:
    generator = torch.Generator().manual_seed(0)
    values, last = torch.randn(3, 6, generator=generator).double(), torch.randn(3, generator=generator).double()
    outcome = ppo._advantages(values, last, 0.9, trace)
    rewards = torch.zeros(3, 6, dtype=torch.float64)
    rewards[:, -1] = last
    following = torch.cat([values[:, 1:], torch.zeros(3, 1)], dim=1)
    errors = rewards + 0.9 * following - values
    for step in range(6):
        powers = (0.9 * trace) ** torch.arange(6 - step, dtype=torch.float64)
        assert torch.allclose(outcome[:, step], (powers * errors[:, step:]).sum(1))
    if trace == 1:
        # what came in the end less what was expected
        assert torch.allclose(outcome, 0.9 ** torch.arange(5, -1, -1) * last[:, None] - values)


def test_the_multiplier_rises_above_the_budget_and_never_falls_below_nothing() -> None:
    multiplier = ppo._Multiplier()
    # its sum starts at 1 and takes a tenth of the excess; the excess itself comes on top
    assert [multiplier(2.0), multiplier(2.0), multiplier(0.0)] == pytest.approx([3.2, 3.4, 1.4])
    assert multiplier(-1.0) == pytest.approx(0.3)
    assert multiplier(-50.0) == 0
    assert multiplier(-50.0) == 0
    # the sum did not go below nothing either
    assert multiplier(0.5) == pytest.approx(0.55)


def test_targets_are_standardised_by_all_that_was_seen() -> None:
    scale = ppo._Scale()
    assert scale(torch.tensor([1.0, 3.0])).tolist() == pytest.approx([-(0.5**0.5), 0.5**0.5])
    everything = torch.tensor([1.0, 3.0, 8.0, 0.0])
    expected = (everything[2:] - everything.mean()) / everything.std()
    assert scale(torch.tensor([8.0, 0.0])).tolist() == pytest.approx(expected.tolist())


def test_the_policy_draws_from_a_normal_distribution() -> None:
    agent = ppo._Agent(3, 0.7, torch.Generator().manual_seed(0))
    mean, logits = torch.randn(2, 9, generator=torch.Generator().manual_seed(1))
    expected = torch.distributions.Normal(mean, 0.7).log_prob(logits)
    assert torch.allclose(agent.chance(mean, logits), expected, atol=1e-6)


def test_the_stacked_perceptrons_are_three_of_their_own() -> None:
    agent = ppo._Agent(5, 0.5, torch.Generator().manual_seed(0))
    states = torch.randn(7, 5, generator=torch.Generator().manual_seed(1))
    for head, actual in enumerate(agent.heads(states)):
        x = states
        for layer, (weight, bias) in enumerate(zip(agent.weights, agent.biases, strict=True)):
            x = (x.tanh() if layer else x) @ weight[head] + bias[head]
        assert torch.allclose(actual, x[:, 0], atol=1e-6)
    # the first policy stays close to where it starts, and critics do not
    policy, reward, cost = agent.heads(states).abs().mean(1)
    assert policy < 0.05 < min(reward, cost)


@final
class Parabola(Process):
    """The reward falls with the weighted squares of the actions, and the cost with their sum."""

    features = 3

    def __init__(self, weights: tuple[float, ...], cost: Callable[[Tensor], Tensor]) -> None:
        self.horizon = len(weights)
        self.weights, self.cost = torch.tensor(weights), cost
        self.played: list[Tensor] = []

    @override
    def states(self, actions: Tensor) -> Tensor:
        done = torch.full((len(actions), 1), actions.shape[1] / self.horizon)
        return torch.cat([done, done.square(), actions.sum(1, keepdim=True)], dim=1)

    @override
    def outcomes(self, actions: Tensor) -> tuple[Tensor, Tensor]:
        self.played.append(actions)
        return self.rewards(actions), self.cost(actions)

    def rewards(self, actions: Tensor) -> Tensor:
        return -(self.weights * actions.square()).sum(1)


def left(actions: Tensor) -> Tensor:
    return 100 * (1 - actions.mean(1))


QUICK = Settings(episodes=1200, per_update=20, learning_rate=1e-2, spread=0.5)


def last(process: Process, settings: Settings, budget: float, seed: int = 0) -> Tensor:
    *_, computed = search(process, settings, budget=budget, start=torch.full((process.horizon,), 0.5), seed=seed)
    return computed[0]


@pytest.mark.parametrize("seed", [0, 1])
def test_the_optimum_under_a_budget_is_found(seed: int) -> None:
    # least sum of w a^2 with a fixed sum of a: a in proportion to 1 / w, here 3 to 1; a budget of 50 asks for 1 in all
    result = last(Parabola((1.0, 3.0), left), QUICK, 50, seed)
    assert result.tolist() == pytest.approx([0.75, 0.25], abs=0.08)
    assert float(left(result[None])) == pytest.approx(50, abs=4)


def test_without_a_budget_to_speak_of_only_the_reward_counts() -> None:
    result = last(Parabola((1.0, 3.0), left), QUICK, 100)
    assert float(result.max()) < 0.25


def test_what_was_worth_most_is_handed_out() -> None:
    # nothing costs anything, so that the price is 0
    process = Parabola((1.0, 2.0, 3.0), lambda actions: torch.zeros(len(actions)))
    settings = Settings(episodes=24, per_update=8, learning_rate=1e-3, spread=1.0, best=3)
    result = list(search(process, settings, budget=1, start=torch.tensor([0.5, 0.2, 0.9]), seed=0))
    assert [several.shape for several in result] == [(4, 3)] * 3
    for several, played in zip(result, process.played, strict=True):
        order = process.rewards(played).argsort(descending=True)
        assert torch.equal(several[1:], played[order[:3]])


def test_the_first_policy_is_about_the_start() -> None:
    process = Parabola((1.0, 1.0, 1.0), left)
    start = torch.tensor([0.02, 0.5, 0.9999])
    settings = Settings(episodes=2000, per_update=2000, learning_rate=1e-3, spread=0.3, passes=1)
    list(search(process, settings, budget=50, start=start, seed=0))
    logits = process.played[0].logit()
    # actions stop at 0.9999, where the last layer starts; its upper half stands there
    assert logits[:, :2].mean(0).tolist() == pytest.approx(start[:2].logit().tolist(), abs=0.05)
    assert logits[:, :2].std(0).tolist() == pytest.approx([0.3, 0.3], abs=0.03)
    assert float(logits[:, 2].median()) == pytest.approx(float(start[2].logit()), abs=0.05)
    assert float(process.played[0].max()) < 1


def test_the_seed_is_all_that_is_random() -> None:
    settings = Settings(episodes=60, per_update=20, learning_rate=1e-2, spread=0.5)
    one = last(Parabola((1.0, 3.0), left), settings, 50, seed=4)
    state = torch.get_rng_state()
    torch.rand(5)
    again = last(Parabola((1.0, 3.0), left), settings, 50, seed=4)
    assert torch.equal(one, again)
    assert not torch.equal(one, last(Parabola((1.0, 3.0), left), settings, 50, seed=5))
    torch.set_rng_state(state)
    last(Parabola((1.0, 3.0), left), settings, 50)
    assert torch.equal(torch.get_rng_state(), state)
