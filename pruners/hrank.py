"""HRank: channels whose feature maps have the lowest rank go."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor, nn
from typing_extensions import override

from neuralnets.forward_hooks import attached
from neuralnets.layers import CONVOLUTIONS, NORMS, TRANSPOSED
from pruners._base import Context, Need
from pruners._channel_pruner import ChannelPruner
from pruners._channels import ChannelGroup, Side
from pruners._checks import check_at_least
from pruners._data import examples, scoring


@final
@dataclass(frozen=True, kw_only=True)
class HRank(ChannelPruner):
    """Removes the channels whose feature maps have the lowest rank on average over training images.

    Lin et al. 2020 (arXiv:2002.10179), equation 4. A map is what a convolution reads of the channel: behind
    normalisation, activation, residual sum and pooling; several readers are averaged. Where only linear layers read,
    behind global pooling or flattening, it is what the normalisations of the channel, or else its convolutions and
    linear layers, put out, through a ReLU. Maps of a single position count only where there are no others: their rank
    is 1 where they are not zero, so that the score is how often the channel is active. The paper sets the rate of
    every layer by hand; ranks of maps of different sizes have no common scale.

    Attributes:
        images: Training images looked at, at least 1; as published.
        rtol: Singular values up to this fraction of the largest count as zero, in [0, 1); None: the larger side of
            the map times the rounding error of float32. The paper names none.

    Example:
        >>> from pruners import HRank, prune
        >>> smaller = prune(network, HRank(images=16), 0.5, example=images[:1], batches=batches)
        >>> smaller[0].out_channels, smaller[3].out_channels
        (6, 5)
    """

    criterion: ClassVar[str] = "rank of the feature maps"
    needs: ClassVar[frozenset[Need]] = frozenset({"data"})
    paper: ClassVar[str] = "Lin et al. 2020, arXiv:2002.10179"
    nested: ClassVar[bool] = True
    images: int = 500
    rtol: float | None = None

    @override
    def __post_init__(self) -> None:
        """Raise ValueError if a hyperparameter is out of range."""
        ChannelPruner.__post_init__(self)
        check_at_least(1, images=self.images)
        if self.rtol is not None and not 0 <= self.rtol < 1:
            raise ValueError(f"expected rtol in [0, 1), got {self.rtol}")

    @override
    def score(self, network: nn.Module, groups: Sequence[ChannelGroup], context: Context) -> Sequence[Tensor]:
        views = [_views(network, group) for group in groups]
        tallies = {side: _Tally() for sides in views for side in sides}
        with scoring(network) as model, torch.no_grad(), _watching(model, tallies, self.rtol):
            for images, _ in examples(context, self.images):
                model(images)
        return [
            _mean(group, {side: tallies[side] for side in sides}) for group, sides in zip(groups, views, strict=True)
        ]


@dataclass(eq=False)
class _Tally:
    """Ranks of feature maps, added up at one side of a layer.

    Attributes:
        ranks: (channels on that side,), summed over `maps` images.
        maps: Number of images.
        positions: Of one map.
    """

    ranks: Tensor | None = None
    maps: int = 0
    positions: int = 0


def _views(network: nn.Module, group: ChannelGroup) -> list[Side]:
    """The sides of layers at which the maps of `group` are looked at."""
    layers = [(side, network.get_submodule(side.layer)) for side in group.sides]
    convolutions = (*CONVOLUTIONS, *TRANSPOSED)
    reading = [side for side, layer in layers if side.direction == "in" and isinstance(layer, convolutions)]
    if _cover(reading, group):
        return reading
    scaled = [side for side, layer in layers if isinstance(layer, NORMS)]
    if _cover(scaled, group):
        return scaled
    return [side for side, layer in layers if side.direction == "out" and not isinstance(layer, (*NORMS, nn.PReLU))]


def _cover(sides: Sequence[Side], group: ChannelGroup) -> bool:
    covered = torch.cat([torch.empty(0, dtype=torch.int64), *(side.channels for side in sides)])
    return set(range(group.size)) <= set(covered.tolist())


@contextmanager
def _watching(model: nn.Module, tallies: Mapping[Side, _Tally], rtol: float | None) -> Iterator[None]:
    handles = [
        model.get_submodule(side.layer).register_forward_hook(_counter(side, tally, rtol))
        for side, tally in tallies.items()
    ]
    with attached(handles):
        yield


def _counter(side: Side, tally: _Tally, rtol: float | None) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
    def count(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        values = inputs[0] if side.direction == "in" else output.relu()
        maps = _maps(values.movedim(-1, 1) if isinstance(layer, nn.Linear) else values)
        if not bool(maps.isfinite().all()):
            raise ValueError(f"expected finite feature maps, got others at {side.layer}")
        ranks = torch.zeros(len(side.channels), dtype=torch.float64)
        inside = side.channels >= 0
        ranks[inside] = _ranks(maps[:, inside.to(maps.device)], rtol).sum(0).double().cpu()
        tally.ranks = ranks if tally.ranks is None else tally.ranks + ranks
        tally.maps += len(maps)
        tally.positions = maps[0, 0].numel()

    return count


def _maps(values: Tensor) -> Tensor:
    """Inputs or outputs of a layer, (examples, channels, ...), as matrices (examples, channels, rows, columns)."""
    if values.dim() < 4:
        return values.flatten(2)[..., None] if values.dim() == 3 else values[..., None, None]
    return values.flatten(2, -2)


def _ranks(maps: Tensor, rtol: float | None) -> Tensor:
    if 1 in maps.shape[2:]:
        return maps.ne(0).flatten(2).any(2)
    ranks: Tensor = torch.linalg.matrix_rank(maps, rtol=rtol)
    return ranks


def _mean(group: ChannelGroup, tallies: Mapping[Side, _Tally]) -> Tensor:
    """Mean rank of each channel, (size,), float64."""
    wide = {side: tally for side, tally in tallies.items() if tally.positions > 1}
    used = wide if _cover(list(wide), group) else tallies
    total = torch.zeros(group.size, dtype=torch.float64)
    count = torch.zeros_like(total)
    for side, tally in used.items():
        if tally.ranks is not None:
            inside = side.channels >= 0
            total.index_add_(0, side.channels[inside], tally.ranks[inside])
            count += tally.maps * torch.bincount(side.channels[inside], minlength=group.size)
    return total / count
