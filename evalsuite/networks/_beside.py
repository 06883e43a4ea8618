"""What stands in a file beside the tensors of a network: what may be left out, and what may not."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, final

import torch
from torch import Tensor

from evalsuite.networks._layout import COUNTER, Layout, first, last

Statistics = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and standard deviation of each channel."""
_Kind = Literal["ignored", "weighty", "unclear", "unexpected"]

# written by wrappers and by tools that count operations
_IDLE: Final = frozenset({"n_averaged", COUNTER, "total_ops", "total_params", "_extra_state"})
# heads that only training uses, of torchvision and timm
_TRAINING_HEADS: Final = frozenset({"aux_classifier", "AuxLogits", "aux1", "aux2", "aux_logits", "auxiliary_head"})
# losses and measurements that a training loop keeps beside its network
_MEASURED: Final = re.compile(
    r"loss|losses|criterion|criteria|metric|metrics|acc|acc1|acc5|accuracy|f1|auc|auroc|precision|recall|confmat|confusion"
    r"|train|val|valid|validation|test|lpips|ssim|psnr|fid|scheduler|optimizer|optimiser"
)
# what layers call the numbers that they compute with
_OF_LAYERS: Final = re.compile(
    r"weight|bias|running_mean|running_var|gamma|beta|scale|kernel|weight_g|weight_v|weight_orig|weight_mask"
)
_PAIRS: Final = (
    ("mean", "std"),
    ("means", "stds"),
    ("means", "sds"),
    ("mean", "sd"),
    ("mu", "sigma"),
    ("mu", "std"),
    ("new_mean", "new_std"),
    ("pixel_mean", "pixel_std"),
    ("image_mean", "image_std"),
    ("img_mean", "img_std"),
    ("input_mean", "input_std"),
    ("_mean", "_std"),
)
_OF_PAIRS: Final = frozenset(name for pair in _PAIRS for name in pair)
_MOST_CHANNELS: Final = 16
_AVERAGED: Final = frozenset({"ema", "swa", "shadow", "averaged", "average", "polyak"})


@final
@dataclass(frozen=True, kw_only=True)
class Beside:
    """What only the file has, by its names there.

    Attributes:
        ignored: No part of what the network computes: counters, measurements, training's own heads, copies.
        weighty: Layers that stand outside of the network and are left out.
        unclear: A few numbers beside the network that may be anything, e.g. a normalisation.
        unexpected: Layers that seem to be of the network, which does not have them.
        statistics: Normalisations of the images: the name that their tensors share → mean and standard deviation.
    """

    ignored: tuple[str, ...]
    weighty: tuple[str, ...]
    unclear: tuple[str, ...]
    unexpected: tuple[str, ...]
    statistics: Mapping[str, Statistics]

    @property
    def names(self) -> tuple[str, ...]:
        """All of them but the statistics."""
        return (*self.ignored, *self.weighty, *self.unclear, *self.unexpected)


def sort_out(tensors: Mapping[str, Tensor], prefix: str, wanted: Layout) -> Beside:
    """Sorts the tensors of a file that are none of the network's.

    Args:
        tensors: By their names in the file.
        prefix: Under which the network's own stand there.
        wanted: The network.
    """
    pairs = _pairs(tensors, prefix, wanted)
    sorted_names: dict[_Kind, list[str]] = {"ignored": [], "weighty": [], "unclear": [], "unexpected": []}
    paired = {name for names, _ in pairs.values() for name in names}
    for name, tensor in tensors.items():
        if name not in paired:
            sorted_names[_kind(name, tensor, prefix, wanted)].append(name)
    return Beside(
        ignored=tuple(sorted_names["ignored"]),
        weighty=tuple(sorted_names["weighty"]),
        unclear=tuple(sorted_names["unclear"]),
        unexpected=tuple(sorted_names["unexpected"]),
        statistics={stem: statistics for stem, (_, statistics) in pairs.items()},
    )


def looks_averaged(name: str) -> bool:
    """Whether a dotted name speaks of an average of weights over training."""
    return not _AVERAGED.isdisjoint(re.split(r"[._\-]", name.lower()))


def _kind(name: str, tensor: Tensor, prefix: str, wanted: Layout) -> _Kind:
    under = name.startswith(prefix)
    rest = name.removeprefix(prefix)
    if last(name) in _IDLE or first(rest) in _TRAINING_HEADS or (under and _is_constant(rest, tensor, wanted)):
        return "ignored"
    if under and _inside(rest, wanted):
        return "unexpected"
    if not tensor.is_floating_point() or _is_measured(name, prefix):
        return "ignored"
    layer = tensor.ndim > 1 or tensor.numel() > _MOST_CHANNELS or _OF_LAYERS.fullmatch(last(name)) is not None
    if _in_sequence(name, prefix) or (under and layer) or last(name) in _OF_PAIRS:
        return "unexpected"
    return "weighty" if layer else "unclear"


def _inside(rest: str, wanted: Layout) -> bool:
    """Whether a name is in a module that the network has, or differs from one's only by its number, as `conv6` does."""
    top = first(rest)
    alike = {re.sub(r"\d+", "", child) for child in wanted.children}
    return top in wanted.children or re.sub(r"\d+", "", top) in alike


def _is_constant(rest: str, tensor: Tensor, wanted: Layout) -> bool:
    """Whether it is a buffer that the network's constructor makes too, with the same numbers."""
    made = wanted.transient.get(rest)
    return made is not None and not made.is_meta and made.shape == tensor.shape and torch.equal(made.to(tensor), tensor)


def _is_measured(name: str, prefix: str) -> bool:
    return any(_MEASURED.fullmatch(word) for word in re.split(r"[._]", name.removeprefix(prefix).lower()))


def _in_sequence(name: str, prefix: str) -> bool:
    """Whether the network stands in an nn.Sequential, and the tensor belongs to another part of it."""
    outer, _, number = prefix.removesuffix(".").rpartition(".")
    outer = f"{outer}." if outer else ""
    return number.isdigit() and name.startswith(outer) and first(name.removeprefix(outer)).isdigit()


def _pairs(tensors: Mapping[str, Tensor], prefix: str, wanted: Layout) -> dict[str, tuple[list[str], Statistics]]:
    pairs: dict[str, tuple[list[str], Statistics]] = {}
    for name in tensors:
        stem = name.removesuffix(last(name))
        nested = (
            name.startswith(prefix) and "." in name.removeprefix(prefix) and _inside(name.removeprefix(prefix), wanted)
        )
        for mean, std in _PAIRS:
            both = [f"{stem}{mean}", f"{stem}{std}"]
            if name != both[0] or nested or both[1] not in tensors:
                continue
            numbers = [_numbers(tensors[each]) for each in both]
            if numbers[0] is not None and numbers[1] is not None:
                pairs[stem.removesuffix(".") or mean] = both, (numbers[0], numbers[1])
    return pairs


def _numbers(tensor: Tensor) -> tuple[float, ...] | None:
    return tuple(tensor.flatten().tolist()) if 0 < tensor.numel() <= _MOST_CHANNELS else None
