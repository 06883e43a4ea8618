"""Base class of most channel pruners: score every channel, share the budget out over the groups, cut."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, final

from torch import Tensor, nn
from typing_extensions import override

from neuralnets.copies import copied
from neuralnets.weights import check_keep, remaining
from pruners._base import Context, Pruner
from pruners._channel_allocation import ChannelAllocation, allocate_channels
from pruners._channels import ChannelGroup, Keep, remove_channels
from pruners._checks import check_at_least
from pruners._coupling import coupled_channels


@dataclass(frozen=True, kw_only=True)
class ChannelPruner(Pruner):
    """A channel pruner that is defined by a score, and perhaps by a refit of what stays.

    Where layers share channels (residual sums), a channel goes from all of them at once.

    Attributes:
        comparable: Whether scores of different groups have a common scale.
        allocation: How the budget is shared out over the groups, see `pruners._channel_allocation`.
        at_least: Every group of channels keeps so many, or all if it has fewer; at least 1.

    Example:
        >>> from pruners import ChannelPruner, prune
        >>> class First(ChannelPruner):
        ...     def score(self, network, groups, context):
        ...         return [-torch.arange(float(group.size)) for group in groups]
        >>> prune(network, First(), 0.5, example=images[:1])[0].weight.equal(network[0].weight[:6])
        True
    """

    structure: ClassVar[Literal["weights", "channels"]] = "channels"
    comparable: ClassVar[bool] = False
    allocation: ChannelAllocation = "uniform"
    at_least: int = 1

    def __post_init__(self) -> None:
        """Raise ValueError if a hyperparameter is out of range."""
        check_at_least(1, at_least=self.at_least)

    @abstractmethod
    def score(self, network: nn.Module, groups: Sequence[ChannelGroup], context: Context) -> Sequence[Tensor]:
        """Per group (size,): the score of each channel; larger stays longer. `network` is not changed."""

    def refit(self, network: nn.Module, keep: Keep, context: Context) -> nn.Module:
        """A copy of the whole `network` whose remaining channels make up for those that will go; here as it is."""
        del keep, context
        return network

    @override
    @final
    def __call__(self, network: nn.Module, *, keep: int, context: Context) -> nn.Module:
        check_keep(network, keep)
        groups = coupled_channels(network, context.example)
        if keep == remaining(network):
            return copied(network)
        if not groups:
            raise ValueError("expected a network with channels that can be removed, got one where all have to stay")
        stays = allocate_channels(
            self.allocation,
            self.score(network, groups, context),
            keep,
            groups,
            network,
            context.example,
            comparable=self.comparable,
            at_least=self.at_least,
        )
        return remove_channels(self.refit(network, stays, context), stays)
