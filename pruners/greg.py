"""GReg: channels go under a penalty that grows while the network is trained."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, final

import torch
from torch import Tensor, nn
from typing_extensions import override

from neuralnets.copies import copied
from neuralnets.layers import TRANSPOSED
from neuralnets.training_hook import Hook
from neuralnets.weights import check_keep, remaining
from neuralnets.widths import is_depthwise
from pruners._base import Context, Need, Pruner
from pruners._channel_allocation import ChannelAllocation, allocate_channels
from pruners._channels import ChannelGroup, Keep, filters, remove_channels
from pruners._checks import check_at_least
from pruners._coupling import coupled_channels
from pruners._trained import trained


@final
@dataclass(frozen=True, kw_only=True)
class GReg(Pruner):
    """Trains under an L2 penalty that grows for the channels that are to go, then removes them, physically.

    Growing regularisation, Wang et al. 2021 (arXiv:2012.09243). In every step lambda_j w_j is added to the gradient of
    the filters w_j of channel j, on top of weight decay.

    - "greg1": the channels with the smallest mean |w| are chosen at the start; their lambda grows to `ceiling`.
    - "greg2": at first lambda grows to `pick_ceiling` for all channels alike. Channels in flat directions of the loss
      shrink faster, so the choice, again by mean |w|, is one by curvature too. From then on lambda grows for those
      that go; for those that stay it is `recover`.

    The authors let lambda grow by 1e-4 (while picking 1e-5) every 5 steps, so that it takes 50,000 steps to 1.0 (5,000
    steps to 0.01), and hold it for 40,000 steps. Those numbers belong to a training of 90,000 steps at a learning rate
    of 0.001. A penalty divides a weight by e about every 1 / (lambda * rate) steps, rate being the learning rate /
    (1 - momentum): what counts is lambda summed over the steps times the rate, and a training of fewer steps at a
    larger rate goes the same way if each phase has the same share of it. So the phases are shares of the training
    here, lambda grows evenly in between instead of every 5 steps, and its ceilings are the published ones. How small
    the channels are at the end depends on the caller's training; a short one at a small rate ends with channels that
    are still there when they are cut. The authors' early end, once what goes is 1000 times smaller than what stays,
    only spares steps and is left out.

    Two deviations: where layers share channels (residual sums), the penalty is on all their filters; and biases and
    the normalisation behind them shrink along with the filters, so that a channel ends as nothing rather than as a
    constant. The fine-tuning that follows is the caller's retraining. `recover` is minus the authors' weight decay on
    ImageNet.

    Attributes:
        variant: "greg1" or "greg2".
        ceiling: The largest lambda of what goes, above 0.
        grow: Share of the training in which lambda grows to it, above 0; after that it is held.
        pick: Share of the training before the choice in "greg2", in [0, 1); pick + grow is at most 1.
        pick_ceiling: The largest lambda before the choice in "greg2", in [0, ceiling].
        recover: Lambda of what stays after the choice in "greg2".
        allocation: How the budget is shared out over the groups, see `pruners._channel_allocation`; the authors set
            ratios by hand.
        at_least: Every group of channels keeps so many, or all if it has fewer; at least 1.

    Example:
        >>> from pruners import GReg, prune
        >>> smaller = prune(network, GReg(variant="greg1"), 0.5, example=images[:1], train=train)
        >>> smaller[0].out_channels, smaller[3].out_channels
        (6, 5)
    """

    structure: ClassVar[Literal["channels"]] = "channels"
    criterion: ClassVar[str] = "size of the filter, under a growing penalty"
    needs: ClassVar[frozenset[Need]] = frozenset({"training"})
    paper: ClassVar[str] = "Wang et al. 2021, arXiv:2012.09243"
    adjusts: ClassVar[bool] = True
    variant: Literal["greg1", "greg2"] = "greg2"
    ceiling: float = 1.0
    grow: float = 0.55
    pick: float = 0.05
    pick_ceiling: float = 0.01
    recover: float = -1e-4
    allocation: ChannelAllocation = "uniform"
    at_least: int = 1

    def __post_init__(self) -> None:
        """Raise ValueError if a hyperparameter is out of range."""
        if not 0 < self.grow <= 1:
            raise ValueError(f"expected 0 < grow <= 1, got {self.grow}")
        if not 0 <= self.pick <= 1 - self.grow:
            raise ValueError(f"expected 0 <= pick <= 1 - grow, got {self.pick}")
        if not self.ceiling > 0:
            raise ValueError(f"expected ceiling > 0, got {self.ceiling}")
        if not 0 <= self.pick_ceiling <= self.ceiling:
            raise ValueError(f"expected 0 <= pick_ceiling <= ceiling, got {self.pick_ceiling}")
        check_at_least(1, at_least=self.at_least)

    @override
    def __call__(self, network: nn.Module, *, keep: int, context: Context) -> nn.Module:
        check_keep(network, keep)
        groups = coupled_channels(network, context.example)
        if keep == remaining(network):
            return copied(network)
        if not groups:
            raise ValueError("expected a network with channels that can be removed, got one where all have to stay")

        def choose(model: nn.Module) -> Keep:
            return allocate_channels(
                self.allocation,
                mean_sizes(model, groups),
                keep,
                groups,
                network,
                context.example,
                comparable=False,
                at_least=self.at_least,
            )

        hook = GrowingPenalty(self, groups, choose, None if self.variant == "greg2" else choose(network))
        grown = trained(network, hook, context)
        return remove_channels(grown, choose(grown) if hook.stays is None else hook.stays)


@final
class GrowingPenalty(Hook):
    """Adds lambda w to gradients; lambda depends on the channel and on how far training is.

    Attributes:
        stays: Which channels stay; None as long as that is open.
    """

    def __init__(
        self, pruner: GReg, groups: Sequence[ChannelGroup], choose: Callable[[nn.Module], Keep], stays: Keep | None
    ) -> None:
        self._pruner, self._groups, self._choose = pruner, groups, choose
        self.stays = stays

    @override
    @torch.no_grad()
    def after_backward(self, network: nn.Module, done: float) -> None:
        if self.stays is None and done >= self._pruner.pick:
            self.stays = self._choose(network)
        kept, gone = self.strengths(done)
        for group in self._groups:
            stays = torch.zeros(group.size, dtype=torch.bool) if self.stays is None else self.stays[group]
            _penalise(network, group, torch.where(stays, kept, gone))

    def strengths(self, done: float) -> tuple[float, float]:
        """Lambda of what stays and of what goes, at the share `done` of training; before the choice they are equal."""
        pruner = self._pruner
        if pruner.variant == "greg1":
            return 0.0, pruner.ceiling * min(1.0, done / pruner.grow)
        if done < pruner.pick:
            before = pruner.pick_ceiling * done / pruner.pick
            return before, before
        grown = min(1.0, (done - pruner.pick) / pruner.grow)
        return pruner.recover, pruner.pick_ceiling + (pruner.ceiling - pruner.pick_ceiling) * grown


def mean_sizes(network: nn.Module, groups: Sequence[ChannelGroup]) -> list[Tensor]:
    """Per group (size,), float64, on the CPU: mean |w| of all weights that produce the channel."""
    sizes = []
    for group in groups:
        total, count = torch.zeros(2, group.size, dtype=torch.float64)
        for weights, channels in filters(network, group):
            inside = channels >= 0
            total.index_add_(0, channels[inside], weights.double().abs().sum(1).cpu()[inside])
            count.index_add_(0, channels[inside], torch.full((int(inside.sum()),), weights.shape[1]).double())
        sizes.append(total / count.clamp_min(1))
    return sizes


def _penalise(network: nn.Module, group: ChannelGroup, strengths: Tensor) -> None:
    strength = torch.cat([strengths, strengths.new_zeros(1)])  # the last for positions of no channel of the group
    for side in group.sides:
        layer = network.get_submodule(side.layer)
        if side.direction == "in" or isinstance(layer, nn.PReLU):
            continue
        for name, dim in (("weight", _filter_dim(layer)), ("bias", 0)):
            tensor = getattr(layer, name)
            if tensor is None or tensor.grad is None:
                continue
            # a grouped convolution's transposed weight holds the positions of one group; all groups are alike
            factors = strength[side.channels[: tensor.shape[dim]]].to(tensor)
            shape = [1] * tensor.dim()
            shape[dim] = -1
            tensor.grad.add_(tensor * factors.view(shape))


def _filter_dim(layer: nn.Module) -> int:
    return 1 if isinstance(layer, TRANSPOSED) and not is_depthwise(layer) else 0
