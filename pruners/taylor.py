"""Taylor pruning: channels whose gate changes the loss least, to first order, go."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, final

import torch
from torch import Tensor, nn
from typing_extensions import override

from pruners._base import Context, Need
from pruners._channel_allocation import ChannelAllocation
from pruners._channel_pruner import ChannelPruner
from pruners._channels import ChannelGroup
from pruners._checks import check_at_least
from pruners._data import examples, scoring
from pruners._gates import gate_gradients


@final
@dataclass(frozen=True, kw_only=True)
class Taylor(ChannelPruner):
    """Removes the channels with the smallest squared gradient of the loss by a gate on the channel.

    Molchanov et al. 2019 (arXiv:1906.10771), equation 8 for gates of 1 behind batch normalisation, the variant the
    paper finds best: I = E (dL/dz)^2, to first order the squared change of the cross-entropy L without the channel.
    Here the gate stands where the next layers read the channel; with ReLU or pooling in between the derivative is the
    same, elsewhere it is that of the removal. The paper prunes a few channels at a time while it trains; here a
    network is scored once as it is. Channels that several blocks share have one gate, and the paper's division by the
    number of blocks is left out.

    Attributes:
        images: Training images looked at, at least 1; the paper's 30 batches of 256.
        per: Whose gradient is squared: "batch", as in the paper, that of the mean loss of each batch, as they come;
            "example" that of each image's loss, which ranks as the Fisher information does.

    Example:
        >>> from pruners import Taylor, prune
        >>> smaller = prune(network, Taylor(allocation="uniform"), 0.5, example=images[:1], batches=batches)
        >>> smaller[0].out_channels, smaller[3].out_channels
        (6, 5)
    """

    criterion: ClassVar[str] = "squared gradient of a gate"
    needs: ClassVar[frozenset[Need]] = frozenset({"data", "gradients"})
    paper: ClassVar[str] = "Molchanov et al. 2019, arXiv:1906.10771"
    nested: ClassVar[bool] = True
    comparable: ClassVar[bool] = True
    allocation: ChannelAllocation = "global"
    images: int = 7680
    per: Literal["batch", "example"] = "batch"

    @override
    def __post_init__(self) -> None:
        """Raise ValueError if a hyperparameter is out of range."""
        ChannelPruner.__post_init__(self)
        check_at_least(1, images=self.images)

    @override
    def score(self, network: nn.Module, groups: Sequence[ChannelGroup], context: Context) -> Sequence[Tensor]:
        totals = [torch.zeros(group.size, dtype=torch.float64) for group in groups]
        count = 0
        with scoring(network) as model:
            for images, labels in examples(context, self.images):
                for number, slopes in enumerate(gate_gradients(model, groups, images, labels)):
                    parts = slopes.double().mean(0, keepdim=True) if self.per == "batch" else slopes.double()
                    totals[number] += parts.square().sum(0).cpu()
                count += 1 if self.per == "batch" else len(images)
        return [total / count for total in totals]
