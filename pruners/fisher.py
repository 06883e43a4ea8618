"""Fisher pruning: channels whose removal raises the loss least, by the Fisher information of a gate, go."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor, nn
from typing_extensions import override

from pruners._base import Context, Need
from pruners._channel_allocation import ChannelAllocation, channel_costs
from pruners._channel_pruner import ChannelPruner
from pruners._channels import ChannelGroup
from pruners._checks import check_at_least
from pruners._data import examples, scoring
from pruners._gates import gate_gradients


@final
@dataclass(frozen=True, kw_only=True)
class Fisher(ChannelPruner):
    """Removes the channels whose removal is expected to raise the loss least.

    Theis et al. 2018 (arXiv:1801.05787): around a minimum the cross-entropy rises by half the second derivative of the
    channel's gate, which the Fisher information estimates: 1/2 mean over examples n of g_n^2, where g_n = sum over
    positions of activation times its gradient. What a channel saves counts for it at `beta` per multiplication.
    The paper removes one channel at a time while it trains; here a network is scored once as it is.

    Attributes:
        images: Training images looked at, at least 1; Crowley et al. 2018 (arXiv:1810.04622): 100 batches of 128.
        beta: Loss per multiplication (per image) saved, at least 0. What it saves is counted with all other channels
            still there. Above 0 scores may be negative, which `allocation="flops"` refuses.

    Example:
        >>> from pruners import Fisher, prune
        >>> smaller = prune(network, Fisher(allocation="uniform"), 0.5, example=images[:1], batches=batches)
        >>> smaller[0].out_channels, smaller[3].out_channels
        (6, 5)
    """

    criterion: ClassVar[str] = "Fisher information of a gate"
    needs: ClassVar[frozenset[Need]] = frozenset({"data", "gradients"})
    paper: ClassVar[str] = "Theis et al. 2018, arXiv:1801.05787"
    nested: ClassVar[bool] = True
    comparable: ClassVar[bool] = True
    allocation: ChannelAllocation = "global"
    images: int = 12800
    beta: float = 0.0

    @override
    def __post_init__(self) -> None:
        """Raise ValueError if a hyperparameter is out of range."""
        ChannelPruner.__post_init__(self)
        check_at_least(1, images=self.images)
        check_at_least(0, beta=self.beta)

    @override
    def score(self, network: nn.Module, groups: Sequence[ChannelGroup], context: Context) -> Sequence[Tensor]:
        totals = [torch.zeros(group.size, dtype=torch.float64) for group in groups]
        count = 0
        with scoring(network) as model:
            for images, labels in examples(context, self.images):
                for number, slopes in enumerate(gate_gradients(model, groups, images, labels)):
                    totals[number] += slopes.double().square().sum(0).cpu()
                count += len(images)
        if self.beta == 0:
            return [total / (2 * count) for total in totals]
        costs = channel_costs(network, groups, context.example)
        return [total / (2 * count) - self.beta * cost for total, cost in zip(totals, costs, strict=True)]
