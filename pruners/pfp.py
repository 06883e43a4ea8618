"""Provable filter pruning: channels that never contribute much go, as many everywhere as one error allows."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import log
from typing import ClassVar, final

import torch
from torch import Tensor, nn
from typing_extensions import override

from neuralnets.copies import copied
from neuralnets.forward_hooks import attached
from pruners._base import Context, Need
from pruners._channel_allocation import ChannelAllocation
from pruners._channel_pruner import ChannelPruner
from pruners._channels import ChannelGroup, Keep
from pruners._checks import check_at_least
from pruners._data import examples, scoring
from pruners._draws import generator
from pruners._importance_sampling import arrivals, unbiased_weights
from pruners._positions import positions
from pruners._readers import readers, scale_readings_
from pruners._shares import largest_shares

_C, _K = 3, 3
_HALVINGS = 64
_LARGEST_EXPONENT = 1000.0


@final
@dataclass(frozen=True, kw_only=True)
class PFP(ChannelPruner):
    """Keeps the channels with the largest sensitivity, in every layer as many as the same relative error asks for.

    Liebenwein et al. 2020 (arXiv:1911.07412). The sensitivity of a channel is its largest share in what any neuron
    behind it sums up, over neurons, places and examples (definition 1; positive and negative weights apart), so
    sensitivities of different layers mean the same. With S the sum over the channels of a layer, p_j = s_j / S and
    a = 2 C ln(8 (places + 1) (kernel entries) / delta), a relative error eps takes m = 3 (6 + 2 eps) a S / eps^2 draws
    (theorem 2 and its constants as in the authors' code, C = 3), in which ceil(sum of 1 - (1 - p_j)^m) distinct
    channels are expected. One eps for the whole network is found such that the budget is met: a channel's score is the
    largest eps at which its layer keeps as many channels as stand no lower than it, so that `allocation="global"` is
    the paper's; "uniform" is only its ranking.

    Deterministic by default, as in Lost in Pruning (arXiv:2103.03014): the channels with the largest s_j stay as they
    are. `randomised`: they are drawn with probabilities p_j and the weights that read them are multiplied such that
    every sum is right in expectation; by the weights of `pruners._importance_sampling`, where the paper counts hits.
    Deviations: the budget counts the parameters that are really left, where the authors' code adds up an estimate;
    several layers that read the same channels (residual sums) are one layer with the largest sensitivities and the
    largest a; channels of the input are not pruned.

    Attributes:
        images: How many training examples are looked at, at least 1; the paper's own number depends on the layer and is
            logarithmic in 1 / delta, this is its order of magnitude.
        delta: Probability with which the error may be larger, in (0, 1); the value is that of the authors' code.
        randomised: Whether channels are drawn and what reads them is re-weighted.

    Example:
        >>> from pruners import PFP, prune
        >>> smaller = prune(network, PFP(allocation="uniform"), 0.5, example=images[:1], batches=batches)
        >>> smaller[0].out_channels, smaller[3].out_channels
        (6, 5)
    """

    criterion: ClassVar[str] = "largest share in what any neuron behind sums up"
    needs: ClassVar[frozenset[Need]] = frozenset({"data"})
    paper: ClassVar[str] = "Liebenwein et al. 2020, arXiv:1911.07412"
    nested: ClassVar[bool] = True
    adjusts: ClassVar[bool] = True
    comparable: ClassVar[bool] = True
    allocation: ChannelAllocation = "global"
    images: int = 128
    delta: float = 1e-16
    randomised: bool = False

    @override
    def __post_init__(self) -> None:
        """Raise ValueError if a hyperparameter is out of range."""
        ChannelPruner.__post_init__(self)
        check_at_least(1, images=self.images)
        if not 0 < self.delta < 1:
            raise ValueError(f"expected 0 < delta < 1, got {self.delta}")

    @override
    def score(self, network: nn.Module, groups: Sequence[ChannelGroup], context: Context) -> Sequence[Tensor]:
        sensitivities = self._sensitivities(network, groups, context)
        uses = positions(network, context.example)
        scores = []
        for group, each in zip(groups, sensitivities, strict=True):
            order = self._arrivals(group, each, context) if self.randomised else -each
            score = torch.empty_like(each)
            constant = max(self._constant(network, side.layer, uses) for side in readers(group))
            score[order.argsort(stable=True)] = errors(each, constant)
            scores.append(score)
        return scores

    @override
    def refit(self, network: nn.Module, keep: Keep, context: Context) -> nn.Module:
        if not self.randomised:
            return network
        reweighted = copied(network)
        sensitivities = self._sensitivities(network, tuple(keep), context)
        for (group, stays), each in zip(keep.items(), sensitivities, strict=True):
            times = self._arrivals(group, each, context)
            scale_readings_(reweighted, group, unbiased_weights(each, times, stays))
        return reweighted

    def _sensitivities(self, network: nn.Module, groups: Sequence[ChannelGroup], context: Context) -> Sequence[Tensor]:
        with scoring(network) as model:
            return sensitivities(model, groups, (images for images, _ in examples(context, self.images)))

    def _arrivals(self, group: ChannelGroup, sensitivity: Tensor, context: Context) -> Tensor:
        return arrivals(sensitivity, generator(context.seed, str(group)))

    def _constant(self, network: nn.Module, layer: str, uses: dict[str, int]) -> float:
        name = f"{layer}.weight".removeprefix(".")
        kernel = network.get_parameter(name)[0, 0].numel()
        return 2 * _C * log(8 * (uses[name] + 1) * kernel / self.delta)


@torch.no_grad()
def sensitivities(network: nn.Module, groups: Sequence[ChannelGroup], batches: Iterable[Tensor]) -> tuple[Tensor, ...]:
    """Per group (size,), float64, on the CPU: the largest share of each channel in what a layer that reads it sums up.

    Args:
        network: In eval mode; not changed. One forward pass per batch.
        groups: Groups of channels.
        batches: Images (examples, c, h, w).
    """
    shares: dict[str, Tensor] = {}
    with _watching(network, {side.layer for group in groups for side in readers(group)}, shares):
        for images in batches:
            network(images)
    largest = tuple(torch.zeros(group.size, dtype=torch.float64) for group in groups)
    for group, each in zip(groups, largest, strict=True):
        for side in readers(group):
            inside = side.channels >= 0
            each.scatter_reduce_(0, side.channels[inside], shares[side.layer].double().cpu()[inside], "amax")
    return largest


def errors(sensitivity: Tensor, constant: float) -> Tensor:
    """(n,): the largest relative error eps at which 1, 2, ..., n channels are kept; 0 for never, decreasing.

    One channel is kept at any error; it gets twice the error of two, so that it is finite.

    Args:
        sensitivity: (n,), at least 0, float64.
        constant: The a of the layer.
    """
    count, total = len(sensitivity), sensitivity.sum()
    if bool(total.isnan()) or total == 0:
        return torch.full_like(sensitivity, float(total)).index_fill(0, torch.tensor(0), 1.0 + float(total))
    draws = _draws_for(sensitivity / total, count)
    # 3 (6 + 2 eps) a S / eps^2 > m - 1, solved for eps; the smallest m of theorem 2's ceiling
    mass = _K * constant * float(total)
    more = draws[1:] - 1
    errors = torch.where(more.isinf(), 0.0, (mass + (mass**2 + 6 * mass * more).sqrt()) / more)
    first = 2 * errors[:1] if count > 1 and errors[0] > 0 else errors.new_ones(1)
    return torch.cat([first, errors])


def _draws_for(probabilities: Tensor, count: int) -> Tensor:
    """(count,): the fewest draws in which more than 0, 1, ..., count - 1 distinct items are expected; inf for never."""
    wanted = torch.arange(count, dtype=torch.float64)
    stays = torch.log1p(-probabilities)
    low, high = torch.full_like(wanted, -1.0), torch.full_like(wanted, _LARGEST_EXPONENT)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        enough = -torch.expm1(middle.exp2().unsqueeze(1) * stays).sum(1) > wanted
        low, high = torch.where(enough, low, middle), torch.where(enough, middle, high)
    # where exactly a whole number of draws gives exactly `wanted`, it takes one more
    fewest = (high.exp2() * (1 + 1e-12)).floor() + 1
    fewest[0] = 1
    return torch.where(wanted < int((probabilities > 0).sum()), fewest, torch.inf)


@contextmanager
def _watching(network: nn.Module, layers: Iterable[str], shares_by_layer: dict[str, Tensor]) -> Iterator[None]:
    def note(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def hook(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            shares = largest_shares(layer, inputs[0])
            shares_by_layer[name] = torch.maximum(shares_by_layer[name], shares) if name in shares_by_layer else shares

        return hook

    handles = [network.get_submodule(name).register_forward_pre_hook(note(name)) for name in sorted(layers)]
    with attached(handles):
        yield
