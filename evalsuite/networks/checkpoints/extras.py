"""Classifies tensors that a file has beside those of a network: which may be ignored, and which may not."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, final

import torch
from torch import Tensor

from evalsuite.networks.checkpoints._layout import COUNTER, Layout, first, last

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
# counters and settings of a training loop
_COUNTED: Final = re.compile(r"epoch|epochs|step|steps|iteration|iterations|lr|decay|updates|best|momentum")
# what layers call the numbers that they compute with
_LAYER_NAMES: Final = re.compile(
    r"weight|bias|running_mean|running_var|gamma|beta|scale|kernel|weight_g|weight_v|weight_orig|weight_mask"
)
PAIRS: Final = (
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
_PAIRED_NAMES: Final = frozenset(name for pair in PAIRS for name in pair)
_MOST_CHANNELS: Final = 16
# what is normalised there are answers, not images
_ANSWERS: Final = frozenset({"target", "targets", "label", "labels", "output", "outputs", "reward", "y"})
_AVERAGED: Final = frozenset({"ema", "swa", "shadow", "averaged", "average", "polyak"})


@final
@dataclass(frozen=True, kw_only=True)
class Beside:
    """Tensors and records that only the file has, by its names.

    Attributes:
        ignored: No part of what the network computes: counters, measurements, training's own heads, copies.
        weighty: Layers that stand outside of the network and are left out.
        unclear: A few numbers beside the network that may be anything, e.g. a normalisation.
        unexpected: Layers that seem to be of the network, which does not have them.
        statistics: Normalisations of the images: the name of the mean → mean and standard deviation.
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


def sort_out(tensors: Mapping[str, Tensor], matched: Mapping[str, Tensor], prefix: str, wanted: Layout) -> Beside:
    """Sorts the tensors of a file that are none of the network's.

    Args:
        tensors: By their names in the file.
        matched: Those that are the network's, by its names.
        prefix: Under which these stand in the file.
        wanted: The network.
    """
    pairs = _pairs(tensors, prefix, wanted)
    sorted_names: dict[_Kind, list[str]] = {"ignored": [], "weighty": [], "unclear": [], "unexpected": []}
    paired = {name for names, _ in pairs.values() for name in names}
    for name, tensor in tensors.items():
        if name not in paired:
            idle = name.startswith(prefix) and _is_idle(name.removeprefix(prefix), tensor, matched, wanted)
            sorted_names["ignored" if idle else _kind(name, tensor, prefix, wanted)].append(name)
    return Beside(
        ignored=tuple(sorted_names["ignored"]),
        weighty=tuple(sorted_names["weighty"]),
        unclear=tuple(sorted_names["unclear"]),
        unexpected=tuple(sorted_names["unexpected"]),
        statistics={name: statistics for name, (_, statistics) in pairs.items()},
    )


def looks_averaged(name: str) -> bool:
    """Whether a dotted name speaks of an average of weights over training."""
    return not _AVERAGED.isdisjoint(re.split(r"[._\-]", name.lower()))


def _kind(name: str, tensor: Tensor, prefix: str, wanted: Layout) -> _Kind:
    under = name.startswith(prefix)
    rest = name.removeprefix(prefix)
    head = not _TRAINING_HEADS.isdisjoint(rest.split(".")[:2])
    if last(name) in _IDLE or head:
        return "ignored"
    if under and _inside(rest, wanted):
        return "unexpected"
    if not tensor.is_floating_point() or _mentions(_MEASURED, name, prefix):
        return "ignored"
    layer = tensor.ndim > 1 or tensor.numel() > _MOST_CHANNELS or _LAYER_NAMES.fullmatch(last(name)) is not None
    if not layer and _mentions(_COUNTED, name, prefix):
        return "ignored"
    structured = _in_sequence(name, prefix) or (layer and (under or _numbered_alike(name, prefix)))
    if structured or last(name) in _PAIRED_NAMES:
        return "unexpected"
    return "weighty" if layer else "unclear"


def _inside(rest: str, wanted: Layout) -> bool:
    """Whether a name is in a module that the network has, or differs from one's only by its number, as `conv6` does."""
    top = first(rest)
    alike = {re.sub(r"\d+", "", child) for child in wanted.children}
    return top in wanted.children or re.sub(r"\d+", "", top) in alike


def _is_idle(rest: str, tensor: Tensor, matched: Mapping[str, Tensor], wanted: Layout) -> bool:
    """Whether it changes nothing: a constant that the constructor makes too, or a mask whose zeros the weight has."""
    made = wanted.transient.get(rest)
    if made is not None:
        return not made.is_meta and made.shape == tensor.shape and torch.equal(made.to(tensor), tensor)
    weight = matched.get(rest.removesuffix("_mask")) if rest.endswith("_mask") else None
    return (
        weight is not None and weight.shape == tensor.shape and torch.equal((weight * tensor).to(weight.dtype), weight)
    )


def _mentions(words: re.Pattern[str], name: str, prefix: str) -> bool:
    return any(words.fullmatch(word) for word in re.split(r"[._]", name.removeprefix(prefix).lower()))


def _in_sequence(name: str, prefix: str) -> bool:
    """Whether the network stands in an nn.Sequential, and the tensor belongs to another part of it."""
    outer, _, number = prefix.removesuffix(".").rpartition(".")
    outer = f"{outer}." if outer else ""
    return number.isdigit() and name.startswith(outer) and first(name.removeprefix(outer)).isdigit()


def _numbered_alike(name: str, prefix: str) -> bool:
    """Whether prefixes that differ by numbers alone, as `layer1.0.` and `layer2.1.`, make it a part of one network."""
    pattern = re.sub(r"\d+", r"\\d+", re.escape(prefix))
    return any(digit.isdigit() for digit in prefix) and re.match(pattern, name) is not None


def _pairs(tensors: Mapping[str, Tensor], prefix: str, wanted: Layout) -> dict[str, tuple[list[str], Statistics]]:
    pairs: dict[str, tuple[list[str], Statistics]] = {}
    for name in tensors:
        stem = name.removesuffix(last(name))
        answers = not _ANSWERS.isdisjoint(re.split(r"[._]", stem.lower()))
        nested = (
            name.startswith(prefix) and "." in name.removeprefix(prefix) and _inside(name.removeprefix(prefix), wanted)
        )
        for mean, std in PAIRS:
            both = [f"{stem}{mean}", f"{stem}{std}"]
            if name != both[0] or nested or answers or both[1] not in tensors:
                continue
            numbers = [_numbers(tensors[each]) for each in both]
            if numbers[0] is not None and numbers[1] is not None:
                pairs[both[0]] = both, (numbers[0], numbers[1])
    return pairs


def _numbers(tensor: Tensor) -> tuple[float, ...] | None:
    return tuple(tensor.flatten().tolist()) if 0 < tensor.numel() <= _MOST_CHANNELS else None
