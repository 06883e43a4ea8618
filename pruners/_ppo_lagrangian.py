"""Constrained policy optimisation: proximal policy optimisation with a Lagrange multiplier on the cost.

PPO (Schulman et al. 2017, arXiv:1707.06347) with clipped ratios, generalised advantages and separate perceptrons for
the policy, the value of rewards and the value of costs. The multiplier rises while the mean cost of an episode is above
the budget, as in PPO-Lagrangian (Ray et al. 2019, "Benchmarking Safe Exploration in Deep Reinforcement Learning"); it
follows the excess and its sum (Stooke et al. 2020, arXiv:2007.03964), which needs fewer updates than Adam does.
Defaults are those of Malik et al. 2021 (arXiv:2110.08558).
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, final

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

_EDGE: Final = 1e-4
_GAINS: Final = ((math.sqrt(2),) * 3, (math.sqrt(2),) * 3, (0.01, 1.0, 1.0))
_INTEGRAL: Final = 0.1
_PROPORTIONAL: Final = 1.0


class Process(ABC):
    """A Markov decision process whose episodes have equally many steps, and rewards and costs at their end only.

    Attributes:
        horizon: Number of steps of an episode, at least 1.
        features: How many numbers a state is.
    """

    horizon: int
    features: int

    @abstractmethod
    def states(self, actions: Tensor) -> Tensor:
        """(episodes, steps so far) actions in (0, 1) → (episodes, features): where they led; sized about 1."""

    @abstractmethod
    def outcomes(self, actions: Tensor) -> tuple[Tensor, Tensor]:
        """(episodes, horizon) → rewards and costs (episodes,) of whole episodes."""


@final
@dataclass(frozen=True, kw_only=True)
class Settings:
    """Hyperparameters of the agent.

    Attributes:
        episodes: Number of episodes in all, at least `per_update`.
        per_update: Episodes that the policy plays between two updates, at least 2.
        learning_rate: Of Adam, for all three perceptrons; above 0.
        spread: Standard deviation of the first policy, in logits of the action; above 0.
        passes: Over the episodes of an update.
        minibatch: Steps per gradient.
        clip: Probability ratios count up to 1 +- clip.
        discount: Of rewards and costs, per step.
        trace: Lambda of the advantages of rewards; that of costs is 1.
        divergence: An update ends early where the policy has moved by 1.5 times this, in nats.
        largest_gradient: Gradients are scaled down to this norm.
        best: Of the episodes between two updates, that are handed out; at most `per_update`.
    """

    episodes: int
    per_update: int
    learning_rate: float
    spread: float
    passes: int = 10
    minibatch: int = 64
    clip: float = 0.2
    discount: float = 0.99
    trace: float = 0.95
    divergence: float = 0.1
    largest_gradient: float = 0.5
    best: int = 0


def search(process: Process, settings: Settings, *, budget: float, start: Tensor, seed: int) -> Iterator[Tensor]:
    """After each update actions (1 + best, horizon).

    First those of the policy without its noise, then those of the episodes before the update that were worth most:
    reward less price times cost.

    Actions are logistic-normal, so that they are never out of range. Deviation: the published agent draws them from a
    normal distribution and clips.

    Args:
        process: What is acted in.
        settings: How the agent learns.
        budget: The mean cost of an episode is to be at most this.
        start: (horizon,) what the actions of the first policy are about, in (0, 1).
        seed: Of everything that is drawn.
    """
    generator = Generator().manual_seed(seed)
    agent = _Agent(process.features, settings.spread, generator)
    first = start.logit()
    optimizer = torch.optim.Adam(agent.parameters(), settings.learning_rate, eps=1e-5, fused=True)
    multiplier = _Multiplier()
    rewards, costs = _Scale(), _Scale()
    for _ in range(settings.episodes // settings.per_update):
        with torch.inference_mode(mode=False), torch.no_grad():
            played = _play(process, agent, first, settings.per_update, generator)
            reward, cost = process.outcomes(played.actions)
            targets = (rewards(reward), costs(cost))
            price = multiplier((float(cost.mean()) - budget) / costs.spread)
        with torch.inference_mode(mode=False), torch.enable_grad():
            _update(agent, optimizer, played, targets, price, settings, generator)
        with torch.inference_mode(mode=False), torch.no_grad():
            plain = _play(process, agent, first, 1, None).actions
            best = (targets[0] - price * targets[1]).topk(settings.best).indices
        yield torch.cat([plain, played.actions[best]])


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class _Played:
    """Episodes: states (n, steps, features); logits about the start, actions, log-densities of the logits (n, steps).

    `values` (2, n, steps) are what the critics expected of rewards and costs.
    """

    states: Tensor
    logits: Tensor
    actions: Tensor
    chances: Tensor
    values: Tensor


@final
class _Agent(nn.Module):
    """Three perceptrons 32-32, stacked: the policy, the value of rewards, the value of costs; the policy's spread."""

    def __init__(self, features: int, spread: float, generator: Generator) -> None:
        super().__init__()
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for gains, (before, after) in zip(_GAINS, pairwise((features, 32, 32, 1)), strict=True):
            weight = torch.empty(3, before, after)
            for each, gain in zip(weight, gains, strict=True):
                nn.init.orthogonal_(each, gain, generator=generator)
            self.weights.append(nn.Parameter(weight))
            self.biases.append(nn.Parameter(torch.zeros(3, 1, after)))
        self.log_spread = nn.Parameter(torch.tensor(math.log(spread)))

    def heads(self, states: Tensor) -> Tensor:
        """(n, features) → (3, n): mean logit, value of rewards, value of costs."""
        hidden = states.expand(3, -1, -1)
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            hidden = torch.baddbmm(bias, hidden.tanh() if layer else hidden, weight)
        return hidden.squeeze(-1)

    def chance(self, mean: Tensor, logits: Tensor) -> Tensor:
        """Log-density of `logits`, the only part of the action's that depends on the agent."""
        deviation = (logits - mean) / self.log_spread.exp()
        return -deviation.square() / 2 - self.log_spread - math.log(2 * math.pi) / 2


@final
class _Multiplier:
    """Proportional-integral control of the price of costs, at least 0; first 1."""

    def __init__(self) -> None:
        self._sum = 1.0

    def __call__(self, excess: float) -> float:
        """The multiplier after an update whose mean cost was so far above the budget, in standard deviations."""
        self._sum = max(0.0, self._sum + _INTEGRAL * excess)
        return max(0.0, self._sum + _PROPORTIONAL * excess)


@final
class _Scale:
    """Standardises numbers by the mean and standard deviation of all of them so far."""

    def __init__(self) -> None:
        self._values = torch.zeros(0)

    def __call__(self, values: Tensor) -> Tensor:
        self._values = torch.cat([self._values, values])
        return (values - self._values.mean()) / self.spread

    @property
    def spread(self) -> float:
        """Standard deviation of all numbers so far, above 0."""
        return float(self._values.std()) + 1e-8


def _play(process: Process, agent: _Agent, first: Tensor, episodes: int, generator: Generator | None) -> _Played:
    """Episodes by the policy, all at once; without a generator without noise."""
    states, logits, chances, values = [], [], [], []
    actions = torch.zeros(episodes, 0)
    for step in range(process.horizon):
        state = process.states(actions)
        mean, *value = agent.heads(state)
        noise = torch.zeros(episodes) if generator is None else torch.randn(episodes, generator=generator)
        logit = mean + agent.log_spread.exp() * noise
        states.append(state)
        logits.append(logit)
        chances.append(agent.chance(mean, logit))
        values.append(torch.stack(value))
        actions = torch.cat([actions, (first[step] + logit).sigmoid().clamp(_EDGE, 1 - _EDGE).unsqueeze(1)], dim=1)
    return _Played(
        states=torch.stack(states, 1),
        logits=torch.stack(logits, 1),
        actions=actions,
        chances=torch.stack(chances, 1),
        values=torch.stack(values, 2),
    )


def _advantages(values: Tensor, last: Tensor, discount: float, trace: float) -> Tensor:
    """(episodes, steps) generalised advantages, where `last` (episodes,) comes at the end and nothing before.

    Schulman et al. 2016 (arXiv:1506.02438, equation 16).
    """
    advantages = torch.zeros_like(values)
    advantages[:, -1] = last - values[:, -1]
    for step in range(values.shape[1] - 2, -1, -1):
        error = discount * values[:, step + 1] - values[:, step]
        advantages[:, step] = error + discount * trace * advantages[:, step + 1]
    return advantages


def _update(
    agent: _Agent,
    optimizer: torch.optim.Adam,
    played: _Played,
    last: tuple[Tensor, Tensor],
    multiplier: float,
    settings: Settings,
    generator: Generator,
) -> None:
    with torch.no_grad():
        gain, price = (
            _advantages(value, end, settings.discount, trace)
            for value, end, trace in zip(played.values, last, (settings.trace, 1.0), strict=True)
        )
        returns = (played.values + torch.stack([gain, price])).flatten(1)
        worth = (gain - multiplier * price).flatten()
        worth = (worth - worth.mean()) / (worth.std() + 1e-8)
    states, logits, chances = played.states.flatten(0, 1), played.logits.flatten(), played.chances.flatten()
    for _ in range(settings.passes):
        for index in torch.randperm(len(states), generator=generator).split(settings.minibatch):
            mean, *values = agent.heads(states[index])
            log_ratio = agent.chance(mean, logits[index]) - chances[index]
            ratio = log_ratio.exp()
            if float((ratio - 1 - log_ratio).detach().mean()) > 1.5 * settings.divergence:
                return
            clipped = ratio.clamp(1 - settings.clip, 1 + settings.clip)
            policy = -torch.minimum(ratio * worth[index], clipped * worth[index]).mean()
            # the mean over both critics is half their sum
            critics = 2 * F.mse_loss(torch.stack(values), returns[:, index])
            optimizer.zero_grad()
            (policy + critics).backward()
            nn.utils.clip_grad_norm_(agent.parameters(), settings.largest_gradient)
            optimizer.step()
