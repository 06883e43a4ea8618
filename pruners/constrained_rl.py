"""Layer ratios by constrained reinforcement learning."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, final

import torch
from torch import Tensor, nn
from typing_extensions import override

from neuralnets.weights import check_keep, prunable
from pruners._allocation import Allocation, allocate
from pruners._base import Context, Need, Pruner
from pruners._checks import check_at_least
from pruners._data import examples
from pruners._layer_environment import LayerEnvironment
from pruners._layer_trials import Layers, Outcome, masks_for, read_layers, to_budget, trial
from pruners._masks import apply_masks, nonzero
from pruners._ppo_lagrangian import Settings, search


@final
@dataclass(frozen=True, kw_only=True)
class ConstrainedRL(Pruner):
    """Magnitude pruning whose layer ratios an agent learns: most reward within the budget.

    Malik et al. 2021 (arXiv:2110.08558), the variant with one action a layer: state, action and cost as in
    `pruners._layer_environment`, the agent in `pruners._ppo_lagrangian`. Deviations, so that hundreds of episodes do
    instead of thousands:

    - The first policy is about a known allocation instead of a schedule that keeps the agent from emptying layers, and
      the learning rate is larger (0.0003 in the paper).
    - The reward is the likelihood of training examples, which goes on where all or none are right; `reward="accuracy"`
      is the paper's. It is measured on `examples` of them (20 000 there), without fine-tuning in the episode.
    - Densities are scaled to exactly `keep` weights and tried again: those of the prior, those of the policy after each
      update, and of the episodes before it those worth most. What is best then is taken; the paper takes the last
      policy's.
    - All prunable layers are pruned, linear ones too, not convolutions alone.

    Attributes:
        episodes: Forward passes of the search, each of all examples; at least `per_update`.
        per_update: Episodes between two updates of the agent, at least 2.
        again: Of these, that are scaled to the budget and tried again; in 0, ..., per_update.
        examples: Number of training examples that are looked at, at least 1.
        reward: The accuracy, or the geometric mean of the probabilities of the right classes.
        prior: What the actions of the first policy are about.
        learning_rate: Of the agent; above 0.
        spread: Standard deviation of the first policy in logits of the pruned share, above 0; not confirmed by the
            paper.

    Example:
        >>> from pruners import ConstrainedRL, prune, remaining
        >>> sparse = prune(network, ConstrainedRL(episodes=20, examples=16), 0.5, example=images[:1], batches=batches)
        >>> remaining(network), remaining(sparse)
        (680, 340)
    """

    structure: ClassVar[Literal["weights"]] = "weights"
    criterion: ClassVar[str] = "absolute value, layer ratios by reinforcement learning"
    needs: ClassVar[frozenset[Need]] = frozenset({"data"})
    paper: ClassVar[str] = "Malik et al. 2021, arXiv:2110.08558"
    episodes: int = 240
    per_update: int = 10
    again: int = 3
    examples: int = 256
    reward: Literal["accuracy", "likelihood"] = "likelihood"
    prior: Allocation = "lamp"
    learning_rate: float = 1e-2
    spread: float = 0.5

    def __post_init__(self) -> None:
        """Raise ValueError if a hyperparameter is out of range."""
        if not self.episodes >= self.per_update >= 2:
            raise ValueError(f"expected episodes >= per_update >= 2, got {self.episodes} and {self.per_update}")
        if not 0 <= self.again <= self.per_update:
            raise ValueError(f"expected 0 <= again <= {self.per_update}, the episodes per update, got {self.again}")
        check_at_least(1, examples=self.examples)
        for name, value in (("learning_rate", self.learning_rate), ("spread", self.spread)):
            if not value > 0:
                raise ValueError(f"expected {name} > 0, got {value}")

    @override
    def __call__(self, network: nn.Module, *, keep: int, context: Context) -> nn.Module:
        check_keep(network, keep)
        layers, batches = read_layers(network), examples(context, self.examples)
        whole = sum(layers.sizes)
        starts = [_prior(self.prior, network, layers, keep, context.example)]
        if keep < whole and len(layers.sizes) > 1:
            attempt = trial(network, layers, batches)
            environment = LayerEnvironment(network, layers, lambda counts: self._worth(attempt(counts)))
            settings = Settings(
                episodes=self.episodes,
                per_update=self.per_update,
                learning_rate=self.learning_rate,
                spread=self.spread,
                best=self.again,
            )
            start = _gone(starts[0], layers)
            for several in search(environment, settings, budget=100 * keep / whole, start=start, seed=context.seed):
                starts += [to_budget(layers, densities, keep) for densities in (1 - several).tolist()]
            outcomes = {counts: attempt(counts) for counts in dict.fromkeys(starts)}
            starts.sort(key=lambda counts: (-self._worth(outcomes[counts]), outcomes[counts].loss))
        return apply_masks(network, masks_for(network, layers, starts[0]))

    def _worth(self, outcome: Outcome) -> float:
        return outcome.accuracy if self.reward == "accuracy" else outcome.likelihood


def _prior(allocation: Allocation, network: nn.Module, layers: Layers, keep: int, example: Tensor) -> tuple[int, ...]:
    """Numbers of weights per layer that `allocation` gives the largest weights."""
    weights, alive = prunable(network), nonzero(network)
    scores = {name: weights[name].detach().abs() for name in layers.names}
    masks = allocate(allocation, scores, keep, {name: alive[name] for name in layers.names}, network, example)
    return tuple(int(mask.sum()) for mask in masks.values())


def _gone(counts: Sequence[int], layers: Layers) -> Tensor:
    """Shares that go, away from 0 and 1, from where no policy with a spread in logits comes back."""
    left = torch.tensor(counts) / torch.tensor(layers.sizes)
    return (1 - left).clamp(0.02, 0.9999)
