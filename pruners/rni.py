"""RNI: while the network is trained, the importance of channels that matter little recedes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, final

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import override

from neuralnets.copies import copied
from neuralnets.training_hook import Hook
from neuralnets.weights import check_keep, remaining
from pruners._base import Context, Need, Pruner
from pruners._bounded import Bounded, bounded, can_be_bounded, importances, unbounded
from pruners._channel_allocation import ChannelAllocation, allocate_channels
from pruners._channels import ChannelGroup, Keep, counter, filters, remove_channels
from pruners._checks import check_at_least
from pruners._coupling import coupled_channels
from pruners._data import trainer


@final
@dataclass(frozen=True, kw_only=True)
class RNI(Pruner):
    """Trains with batch normalisation whose scale is sigmoid(gamma) and a penalty on it; removes the smallest.

    Receding neuron importances, Suteu and Guo 2022 (arXiv:2204.06404). With s = sigmoid(gamma + shift), the loss gets
    strength times the sum of s (1 - ln s) over all channels; its slope by gamma, -s ln(s) (1 - s), vanishes for
    channels that matter and for those that have receded and is largest at s = 0.24. One threshold on sigmoid(gamma)
    holds for the whole network. Defaults are the authors' for ResNet-56; for VGG-16 they take strength 1e-3, shift 3.

    Deviations: the paper trains from scratch without beta; here the network that comes in is turned into a bounded one
    that computes the same, and back into a plain one afterwards, see `pruners._bounded`. The gradient of gamma is
    multiplied instead of its learning rate, and the trainer's weight decay reaches gamma, which the authors exempt.
    Bounded is the batch norm of channels that can be removed; where several scale the same channel (residual sums,
    which the paper leaves alone) the largest importance is its score. Channels without any are scored by the norm of
    their filters over the largest of their group, as gamma is when training starts.

    Attributes:
        strength: Weight of the penalty, lambda of the paper, at least 0.
        shift: b of the paper: the larger, the less important the channels that recede.
        rate: How many times the gradient of gamma is taken, above 0.
        allocation: How the budget is shared out over the groups, see `pruners._channel_allocation`.
        at_least: Every group of channels keeps so many, or all if it has fewer; where that alone exceeds the budget,
            one less, and so on.

    Example:
        >>> from pruners import RNI, prune
        >>> smaller = prune(network, RNI(allocation="uniform"), 0.5, example=images[:1], train=train)
        >>> smaller[0].out_channels, smaller[3].out_channels
        (6, 5)
    """

    structure: ClassVar[Literal["channels"]] = "channels"
    when: ClassVar[Literal["while training"]] = "while training"
    criterion: ClassVar[str] = "bounded scale of the batch normalisation, trained to recede"
    needs: ClassVar[frozenset[Need]] = frozenset({"training"})
    paper: ClassVar[str] = "Suteu and Guo 2022, arXiv:2204.06404"
    adjusts: ClassVar[bool] = True
    strength: float = 1e-4
    shift: float = 0.0
    rate: float = 10.0
    allocation: ChannelAllocation = "global"
    at_least: int = 3

    def __post_init__(self) -> None:
        """Raise ValueError if a hyperparameter is out of range."""
        check_at_least(0, strength=self.strength)
        if not self.rate > 0:
            raise ValueError(f"expected rate > 0, got {self.rate}")
        check_at_least(1, at_least=self.at_least)

    @override
    def __call__(self, network: nn.Module, *, keep: int, context: Context) -> nn.Module:
        check_keep(network, keep)
        if keep == remaining(network):
            return copied(network)
        train = trainer(context)
        groups = coupled_channels(network, context.example)
        names = [side.layer for group in groups for side in group.sides]
        names = [name for name in dict.fromkeys(names) if can_be_bounded(network.get_submodule(name))]
        if not names:
            raise ValueError("expected channels with batch normalisation and learnt scales, got a network without")
        with torch.inference_mode(mode=False), torch.enable_grad():
            hook = Receding(strength=self.strength, shift=self.shift, rate=self.rate)
            student = train(bounded(copied(network).float(), names), hook)
            result = copied(network)
            # names are the same again; types, mode and flags are those of the network that came in
            result.load_state_dict(unbounded(student).state_dict())
        trained = importances(student)
        scores = [_score(result, group, trained) for group in groups]
        return remove_channels(result, self._chosen(result, groups, scores, keep, context.example))

    def _chosen(
        self, network: nn.Module, groups: Sequence[ChannelGroup], scores: Sequence[Tensor], keep: int, example: Tensor
    ) -> Keep:
        count = counter(network, groups)
        places = [score.argsort(descending=True, stable=True).argsort() for score in scores]
        floor = self.at_least
        while floor > 1 and count(torch.cat([place < floor for place in places])) > keep:
            floor -= 1
        return allocate_channels(
            self.allocation, scores, keep, groups, network, example, comparable=True, at_least=floor
        )


@final
class Receding(Hook):
    """The penalty on all bounded normalisations, and the larger steps of gamma."""

    def __init__(self, *, strength: float, shift: float, rate: float) -> None:
        self._strength, self._shift, self._rate = strength, shift, rate

    @override
    def penalty(self, network: nn.Module, images: Tensor, labels: Tensor, done: float) -> Tensor | None:
        return self._strength * torch.stack([receding(gamma + self._shift) for gamma in _gammas(network)]).sum()

    @override
    def after_backward(self, network: nn.Module, done: float) -> None:
        for gamma in _gammas(network):
            if gamma.grad is not None:
                gamma.grad.mul_(self._rate)


def receding(gamma: Tensor) -> Tensor:
    """The sum of s (1 - ln s), s = sigmoid(gamma)."""
    return (gamma.sigmoid() * (1 - F.logsigmoid(gamma))).sum()


def _gammas(network: nn.Module) -> list[Tensor]:
    return [module.gamma for module in network.modules() if isinstance(module, Bounded)]


def _score(network: nn.Module, group: ChannelGroup, trained: Mapping[str, Tensor]) -> Tensor:
    """(size,), float64, on the CPU: the largest importance of each channel; where it has none, its relative norm."""
    largest = torch.full((group.size,), -1.0, dtype=torch.float64)
    for side in group.sides:
        if side.layer in trained:
            inside = side.channels >= 0
            largest.scatter_reduce_(0, side.channels[inside], trained[side.layer][inside], "amax")
    squares = torch.zeros(group.size, dtype=torch.float64)
    for weights, channels in filters(network, group):
        inside = channels >= 0
        squares.index_add_(0, channels[inside], weights.double().square().sum(1).cpu()[inside])
    norms = squares.sqrt() / squares.sqrt().amax().clamp_min(torch.finfo(squares.dtype).tiny)
    return torch.where(largest < 0, norms, largest)
