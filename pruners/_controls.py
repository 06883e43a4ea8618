"""Control networks: what a pruned network is compared with before its method may take the credit.

A method that chooses well within the layers beats its own masks shuffled, and as many weights drawn at random; one
whose weights matter beats the same network initialised anew; one whose shape matters beats an evenly narrower network.
Frankle et al. 2021 (arXiv:2009.08576) shuffle masks and initialise anew; Liu et al. 2019 (arXiv:1810.05270) train the
pruned shape from scratch; Crowley et al. 2018 (arXiv:1810.04622) narrow, and copy one network's profile of widths to
other budgets.

None of these networks is trained: who compares, retrains them as long as the pruned network. What survives is what is
not zero. Nothing that is handed in is changed.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from neuralnets.copies import copied
from neuralnets.layers import LAYERS
from neuralnets.weights import check_keep, prunable
from pruners._base import Context
from pruners._channel_allocation import allocate_channels
from pruners._channels import ChannelGroup, Keep, remove_channels
from pruners._coupling import coupled_channels
from pruners._draws import generator
from pruners._masks import Masks, apply_masks, keep_global, nonzero
from pruners._widths import kept_widths


def shuffled(parent: nn.Module, pruned: nn.Module, context: Context) -> nn.Module:
    """`parent` under the masks of `pruned`, shuffled within each layer: as many zeros in every layer, in other places.

    Where channels are gone, which of them went is shuffled within each group. A shuffled mask has lost all that was not
    its number of survivors: this is another draw of what `same_ratios_random` draws.

    Args:
        parent: What `pruned` was pruned from. Weights that are zero here stay zero; masks are shuffled in the others.
        pruned: A pruned network, retrained or not.
        context: Its seed is that of the draw; its example is looked at where channels are gone.

    Raises:
        ValueError: `pruned` was not made from `parent`.
    """
    return _drawn(parent, pruned, context, "shuffled")


def same_ratios_random(parent: nn.Module, pruned: nn.Module, context: Context) -> nn.Module:
    """`parent` without weights or channels drawn uniformly at random, as many left of each layer as of `pruned`.

    Args:
        parent: As for `shuffled`.
        pruned: As for `shuffled`.
        context: As for `shuffled`.

    Raises:
        ValueError: `pruned` was not made from `parent`.
    """
    return _drawn(parent, pruned, context, "random")


def reinitialised(pruned: nn.Module, fresh: nn.Module, context: Context) -> nn.Module:
    """`pruned` with the initial weights of `fresh`: under the same masks, in the same shape.

    Where layers are narrower than in `fresh`, the first of its weights are taken, and scaled by the square root of
    fan-in before over fan-in after, so that signals have the size that the initialisation gave them (He et al. 2015,
    arXiv:1502.01852). Weights that survive and are zero in `fresh` get the size of its smallest weight there: they do
    not count as pruned.

    Args:
        pruned: A pruned network; its shape and zeros are taken.
        fresh: The architecture that it was pruned from, initialised anew.
        context: Not looked at; initial weights are drawn alike, so that any of them may be taken.

    Raises:
        ValueError: `fresh` is of another architecture.
    """
    del context
    initial, made = fresh.state_dict(), copied(pruned)
    _check_narrower(made.state_dict(), initial)
    scales, survives = _scales(fresh, made), nonzero(made)
    with torch.no_grad():
        for name, tensor in made.state_dict().items():
            tensor.copy_(initial[name][tuple(slice(size) for size in tensor.shape)])
        for name, weight in prunable(made).items():
            weight.copy_(_without_zeros(weight) * scales.get(name, 1.0)).masked_fill_(~survives[name], 0)
    return made


def width_reduced(fresh: nn.Module, keep: int, context: Context) -> nn.Module:
    """`fresh`, evenly narrower: the same share of the channels of every group, as near to `keep` as channels allow.

    Args:
        fresh: The parent's architecture, initialised anew.
        keep: Number of prunable parameters to be left.
        context: Its example is looked at.

    Raises:
        ValueError: `keep` is out of range, or no channels can be removed.
    """
    groups = _removable(fresh, keep, context)
    best_first = [-torch.arange(group.size, dtype=torch.float64) for group in groups]
    stays = allocate_channels("uniform", best_first, keep, groups, fresh, context.example, comparable=False)
    return reinitialised(remove_channels(fresh, stays), fresh, context)


def copycat(reference: nn.Module, fresh: nn.Module, keep: int, context: Context) -> nn.Module:
    """`fresh` with the profile of widths of `reference`, scaled to another budget (Crowley et al. 2018).

    A group of n channels, of which the reference has c n left, gets t c n, rounded, at least 1 and at most n, with the
    one t for all groups whose network comes as near to `keep` as channels allow.

    Args:
        reference: A network from which channels were removed.
        fresh: The architecture that it was pruned from, initialised anew.
        keep: Number of prunable parameters to be left.
        context: Its example is looked at.

    Raises:
        ValueError: `keep` is out of range, no channels can be removed, or `reference` is of another architecture, or
            has all its channels.
    """
    groups = _removable(fresh, keep, context)
    widths = kept_widths(fresh, reference, groups)
    if all(widths[group] == group.size for group in groups):
        raise ValueError("expected a reference with fewer channels, got one with all of them")
    # the k-th channel stays if t c n >= k - 1/2: rounding, whatever t is
    priorities = [-(torch.arange(group.size, dtype=torch.float64) + 0.5) / widths[group] for group in groups]
    stays = allocate_channels("global", priorities, keep, groups, fresh, context.example, comparable=True)
    return reinitialised(remove_channels(fresh, stays), fresh, context)


def _removable(network: nn.Module, keep: int, context: Context) -> tuple[ChannelGroup, ...]:
    check_keep(network, keep)
    groups = coupled_channels(network, context.example)
    if not groups:
        raise ValueError("expected a network with channels that can be removed, got one where all have to stay")
    return groups


def _drawn(parent: nn.Module, pruned: nn.Module, context: Context, draw: str) -> nn.Module:
    cut = _cut_alike(parent, pruned, context, draw)
    alive = nonzero(cut)
    masks: Masks = {}
    for name, weight in prunable(pruned).items():
        left, most = int(weight.count_nonzero()), int(alive[name].sum())
        if left > most:
            raise ValueError(f"expected at most the {most} weights of the parent in {name}, got {left}")
        scores = _uniform(weight.shape, context.seed, f"{draw}\x1f{name}").to(weight.device)
        masks |= keep_global({name: scores}, left, alive)
    return apply_masks(cut, masks)


def _cut_alike(parent: nn.Module, pruned: nn.Module, context: Context, draw: str) -> nn.Module:
    """`parent` with the widths of `pruned`; channels are drawn at random."""
    _check_narrower(pruned.state_dict(), parent.state_dict())
    if all(a.shape == b.shape for a, b in zip(parent.parameters(), pruned.parameters(), strict=True)):
        return parent
    groups = coupled_channels(parent, context.example)
    stays: Keep = {
        group: _uniform((group.size,), context.seed, f"{draw}\x1f{group}").argsort().argsort() < width
        for group, width in kept_widths(parent, pruned, groups).items()
    }
    return remove_channels(parent, stays)


def _uniform(shape: tuple[int, ...], seed: int, name: str) -> Tensor:
    return torch.rand(shape, generator=generator(seed, name), dtype=torch.float64)


def _check_narrower(smaller: Mapping[str, Tensor], larger: Mapping[str, Tensor]) -> None:
    fits = list(smaller) == list(larger) and all(
        small.dim() == larger[name].dim() and all(a <= b for a, b in zip(small.shape, larger[name].shape, strict=True))
        for name, small in smaller.items()
    )
    if not fits:
        raise ValueError("expected a network pruned from the same architecture, got tensors of other names or shapes")


def _without_zeros(weight: Tensor) -> Tensor:
    sizes = weight.abs()[weight != 0]
    least = sizes.min() if sizes.numel() else weight.new_tensor(torch.finfo(weight.dtype).tiny)
    return torch.where(weight == 0, least, weight)


def _scales(before: nn.Module, after: nn.Module) -> dict[str, float]:
    scales = {}
    for prefix, layer in after.named_modules():
        if isinstance(layer, LAYERS):
            ratio = _fan_in(before.get_submodule(prefix)) / _fan_in(layer)
            scales[f"{prefix}.weight".removeprefix(".")] = ratio**0.5
    return scales


def _fan_in(layer: nn.Module) -> int:
    # kernels keep their size: inputs of one filter say it all
    if isinstance(layer, nn.Linear):
        return layer.in_features
    channels, groups = layer.in_channels, layer.groups
    assert isinstance(channels, int)  # noqa: S101 - of all convolutions
    assert isinstance(groups, int)  # noqa: S101 - of all convolutions
    return channels // groups
