"""ThiNet: channels that the next layer misses least go, and what stays is weighed anew."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from typing_extensions import override

from neuralnets.copies import copied
from neuralnets.forward_hooks import attached
from neuralnets.layers import TRANSPOSED
from pruners._base import Context, Need
from pruners._channel_pruner import ChannelPruner
from pruners._channels import ChannelGroup, Keep, Side
from pruners._data import examples, scoring
from pruners._shares import grouped_weight, windows


@final
@dataclass(frozen=True, kw_only=True)
class ThiNet(ChannelPruner):
    """Removes the channels without which the layers that read them can be reconstructed best.

    Luo et al. 2017 (arXiv:1707.06342), section 3.2: an output y of the next layer, less its bias, is the sum of what
    each channel contributes to it. From outputs sampled at random channels are removed greedily, always the one that
    keeps the squared sum of all contributions removed smallest (equation 6, algorithm 1); then what is left of each
    channel is scaled by least squares (equation 7), which here means factors on the reading weights, those nearest to 1
    where several are as good.

    The paper prunes and fine-tunes layer by layer; here all layers are looked at in the whole network. Where several
    layers read a channel, their squared errors count in proportion to the squares of all contributions to them, and
    each layer gets factors of its own. A score is the place in the order of removal: it has no scale, so that
    `allocation="global"` shares out much as "uniform" does.

    Attributes:
        images: Training images looked at, at least 1; the paper takes 10 per class.
        positions: Outputs of each reading layer sampled per image, at least 1; as published. More samples than
            channels, `images` times `positions`, keep the factors from fitting chance.

    Example:
        >>> from pruners import ThiNet, prune
        >>> smaller = prune(network, ThiNet(images=16), 0.5, example=images[:1], batches=batches)
        >>> smaller[0].out_channels, smaller[3].out_channels
        (6, 5)
    """

    criterion: ClassVar[str] = "reconstruction of the next layer"
    needs: ClassVar[frozenset[Need]] = frozenset({"data"})
    paper: ClassVar[str] = "Luo et al. 2017, arXiv:1707.06342"
    nested: ClassVar[bool] = True
    adjusts: ClassVar[bool] = True
    images: int = 1000
    positions: int = 10

    @override
    def __post_init__(self) -> None:
        """Raise ValueError if a hyperparameter is out of range."""
        ChannelPruner.__post_init__(self)
        for name, value in (("images", self.images), ("positions", self.positions)):
            if value < 1:
                raise ValueError(f"expected {name} >= 1, got {value}")

    @override
    def score(self, network: nn.Module, groups: Sequence[ChannelGroup], context: Context) -> Sequence[Tensor]:
        products = _products(network, groups, context, self.images, self.positions)
        return [_places(_joined([products[side] for side in _readers(group)], group)) for group in groups]

    @override
    def refit(self, network: nn.Module, keep: Keep, context: Context) -> nn.Module:
        fitted = copied(network)
        products = _products(network, list(keep), context, self.images, self.positions)
        with torch.no_grad():
            for group, stays in keep.items():
                for side in _readers(group):
                    _scale(fitted.get_submodule(side.layer), side, _factors(products[side], stays))
        return fitted


def _readers(group: ChannelGroup) -> list[Side]:
    return [side for side in group.sides if side.direction == "in"]


def _products(
    network: nn.Module, groups: Sequence[ChannelGroup], context: Context, images: int, positions: int
) -> dict[Side, Tensor]:
    """Of every side that reads channels of `groups` the products of contributions, summed over the sampled outputs.

    Returns:
        Per side (size, size), float64, on the CPU.
    """
    products = {
        side: torch.zeros(group.size, group.size, dtype=torch.float64) for group in groups for side in _readers(group)
    }
    layers = list(dict.fromkeys(side.layer for side in products))
    generator = torch.Generator().manual_seed(context.seed)
    with scoring(network) as model, torch.no_grad():
        for batch, _ in examples(context, images):
            with _noting(model, layers) as inputs:
                model(batch)
            for layer in layers:
                given = torch.cat(inputs.pop(layer))
                for parts in _contributions(model.get_submodule(layer), given, positions, generator):
                    for side, product in products.items():
                        if side.layer == layer:
                            channels = _by_channel(parts, side, len(product))
                            product.add_((channels.t() @ channels).cpu())
    return products


@contextmanager
def _noting(model: nn.Module, layers: Sequence[str]) -> Iterator[dict[str, list[Tensor]]]:
    """What each of `layers` is given inside, in each of its calls."""
    inputs: dict[str, list[Tensor]] = {name: [] for name in layers}

    def note(name: str, given: Tensor) -> None:
        # whoever is given the same tensor later may change it
        inputs[name].append(given.clone())

    handles = [
        model.get_submodule(name).register_forward_pre_hook(lambda _, given, name=name: note(name, given[0]))
        for name in layers
    ]
    with attached(handles):
        yield inputs


def _contributions(layer: nn.Module, inputs: Tensor, positions: int, generator: torch.Generator) -> Iterator[Tensor]:
    """What each input channel adds to outputs of `layer`, `positions` drawn for each example: (rows, channels).

    Only what stands under the kernel at the outputs drawn is multiplied.
    """
    outputs = layer(inputs[:1])
    last = isinstance(layer, nn.Linear)
    width = outputs.shape[-1] if last else outputs.shape[1]
    places = outputs[0].numel() // width
    drawn = torch.randint(width * places, (positions, len(inputs)), generator=generator).to(inputs.device)
    weight, example = grouped_weight(layer), torch.arange(len(inputs), device=inputs.device)
    read = windows(layer, inputs) if isinstance(layer, _ConvNd) else inputs.reshape(len(inputs), places, -1)
    for each in drawn:
        place, output = (each // width, each % width) if last else (each % places, each // places)
        group = output // weight.shape[1]
        if isinstance(layer, _ConvNd):
            where = torch.unravel_index(place, outputs.shape[2:])
            under = read.movedim(1, -1)[(example, *where)].movedim(-1, 1).flatten(2).unflatten(1, (layer.groups, -1))
        else:
            under = read[example, place][:, None, :, None]
        added = under.new_zeros(under.shape[:3])
        added[example, group] = (under[example, group] * weight[group, output % weight.shape[1]]).sum(2)
        yield added.flatten(1)


def _by_channel(parts: Tensor, side: Side, size: int) -> Tensor:
    """(examples, size), float64."""
    channels = side.channels.to(parts.device)
    inside = channels >= 0
    sums = parts.new_zeros(len(parts), size, dtype=torch.float64)
    return sums.index_add_(1, channels[inside], parts[:, inside].double())


def _joined(products: Sequence[Tensor], group: ChannelGroup) -> Tensor:
    """Products of several readers, each in proportion to its sum of squares."""
    total = torch.zeros(group.size, group.size, dtype=torch.float64)
    for product in products:
        total += product / product.trace().clamp_min(torch.finfo(product.dtype).tiny)
    return total


def _places(products: Tensor) -> Tensor:
    """Of each channel its place in the greedy order of removal, (size,), float64."""
    if not bool(products.isfinite().all()):
        return torch.full((len(products),), torch.nan)
    places = torch.zeros(len(products), dtype=torch.float64)
    # by how much the squared sum of what is removed grows with each channel
    growth = products.diagonal().clone()
    for place in range(len(products)):
        # of equal ones the last goes first
        channel = len(products) - 1 - int(growth.flip(0).argmin())
        places[channel] = place
        growth += 2 * products[channel]
        growth[channel] = torch.inf
    return places


def _factors(products: Tensor, stays: Tensor) -> Tensor:
    """Least-squares factors of the channels that stay, (size,), nearest to 1; of the others 1."""
    factors = torch.ones(len(stays), dtype=torch.float64)
    if bool(stays.all()):
        return factors
    missing = products[stays][:, ~stays].sum(1)
    # products of float32 values know singular values down to about 1e-5 of the largest
    factors[stays] += torch.linalg.pinv(products[stays][:, stays], hermitian=True, rtol=1e-10) @ missing
    return factors


def _scale(layer: nn.Module, side: Side, factors: Tensor) -> None:
    weight = layer.get_parameter("weight")
    dim = 0 if isinstance(layer, TRANSPOSED) else 1
    # a grouped convolution's weight holds the places of one of its groups only; all are scaled alike
    channels = side.channels[: weight.shape[dim]]
    each = torch.where(channels >= 0, factors[channels.clamp_min(0)], 1.0).to(weight.device)
    shape = [-1 if d == dim else 1 for d in range(weight.dim())]
    weight.copy_(weight.double() * each.view(shape))
