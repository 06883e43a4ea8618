"""A grammar of small networks, and of the files in which their authors keep them; it never calls evalsuite.

`Design` is a sentence of the grammar: it says everything about a network but its weights, and `build` makes the
network. `skilled` gives it weights that are good for something, `Saving` says how its author keeps it.
"""

import argparse
import collections
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import safetensors.torch
import torch
import torch.nn.functional as F
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune

State = dict[str, Tensor]
Statistics = tuple[tuple[float, ...], tuple[float, ...]]

BLOCKS = (
    *("plain", "normed", "grouped", "depthwise", "transposed", "group norm", "instance norm", "layer norm"),
    *("prelu", "gelu", "silu", "residual", "projected", "concatenated", "attention", "own attention", "gate"),
    *("scale", "twice", "tied", "auxiliary", "dropout", "max pool", "average pool", "adaptive pool", "power pool"),
    *("weight norm", "old weight norm", "spectral norm", "old spectral norm", "standardised", "tensors", "table"),
)
HEADS = ("mean", "flat", "two layers", "convolution", "lstm", "gru", "embedding", "positions", "maximum")
NAMINGS = ("attributes", "sequential", "list", "flat", "model", "net", "0", "network", "module_1", "ema")
BUILT_IN = ("lenet5", "resnet8", "resnet8 padded", "vit_small", "mlp")

_NAMES = ("conv1", "block_2", "stage3_a", "layer_4x", "mean", "model", "bn")


@dataclass(frozen=True, kw_only=True)
class Design:
    """A network for images (channels, height, width).

    Attributes:
        blocks: From the first to the last, of `BLOCKS`.
        head: What makes logits of their output, of `HEADS`.
        naming: How modules are called and nested, of `NAMINGS`.
        inside: Mean and standard deviation by which it normalises images itself, and whether its state keeps them.
        built_in: One of `BUILT_IN` in place of all this.
    """

    channels: int
    height: int
    width: int
    classes: int
    blocks: tuple[str, ...] = ()
    head: str = "mean"
    naming: str = "attributes"
    inside: tuple[float, float, bool] | None = None
    built_in: str = ""

    @property
    def arch(self) -> str:
        """What `--arch` takes; of a factory the module is still to be put in front."""
        settings = {
            "resnet8": "resnet8?width=4",
            "resnet8 padded": "resnet8?width=4&shortcut=padding",
            "vit_small": "vit_small?patch=2&dim=12&depth=1&heads=3",
            "mlp": "mlp?width=24&depth=1",
        }
        return settings.get(self.built_in, self.built_in)


@st.composite
def designs(draw: st.DrawFn, shape: tuple[int, int, int], classes: int) -> Design:
    """Networks for images of `shape`; built-in ones where these are square, every fourth time."""
    channels, height, width = shape
    plain = Design(channels=channels, height=height, width=width, classes=classes)
    if height == width and draw(st.integers(0, 3)) == 3:
        fitting = [name for name in BUILT_IN if name != "vit_small" or height % 2 == 0]
        return replace(plain, built_in=draw(st.sampled_from(fitting)))
    numbers = st.tuples(st.sampled_from([0.3, 0.45]), st.sampled_from([0.25, 0.5]), st.booleans())
    return replace(
        plain,
        blocks=tuple(draw(st.lists(st.sampled_from(BLOCKS), max_size=4))),
        head=draw(st.sampled_from(HEADS)),
        naming=draw(st.sampled_from(NAMINGS)),
        inside=draw(st.none() | numbers) if draw(st.booleans()) else None,
    )


CONTAINERS = ("bare", "state_dict", "model", "net", "model_state_dict", "lightning", "nested", "weights", "whole")
PREFIXES = ("", "", "module.", "model.", "_orig_mod.", "net.", "backbone.", "module.model.", "student_1.", "1.")
PARTS = ("", "weight norm", "spectral norm", "old weight norm", "old spectral norm")
BESIDE = ("", "", "normalize.mean normalize.std", "mean std", "normalizer.mu normalizer.sigma", "pixel_mean pixel_std")
EXTRAS = ("epoch", "optimizer", "args", "criterion", "counters", "scheduler", "projector")
DAMAGES = ("cut short", "not a number", "lacks a weight", "another layer", "integers")


@dataclass(frozen=True, kw_only=True)
class Saving:
    """How an author keeps a network.

    Attributes:
        container: What stands around the weights in the file, of `CONTAINERS`; "whole" is the pickled network.
        prefix: What wrappers put before all names.
        dtype: Of the numbers in the file.
        format: "zip" and "old" as torch.save writes them, or "safetensors".
        pruned: Every so manieth layer has a mask of torch.nn.utils.prune; 0: none has.
        parts: Layers are kept as parts of which the weight is computed, of `PARTS`; the author's code has none such.
        beside: Under which names a normaliser stands beside the weights.
        units: What is white in its numbers.
        shape: Of its numbers: (c,), (c, 1, 1) or (1, c, 1, 1).
        averaged: How a second set of weights stands beside the first one: not at all, under other "keys" or
            "prefixes", or as the "same" numbers.
        meant: Which of the two is meant, "raw" or "averaged".
        extras: What else stands in the file, of `EXTRAS`.
        damage: What was done to it, of `DAMAGES`.
    """

    container: str = "bare"
    prefix: str = ""
    dtype: str = "float32"
    format: str = "zip"
    pruned: int = 0
    parts: str = ""
    beside: str = ""
    units: float = 1.0
    shape: int = 1
    averaged: str = ""
    meant: str = "averaged"
    extras: tuple[str, ...] = ()
    damage: str = ""

    @property
    def suffix(self) -> str:
        """Of the file's name."""
        return ".safetensors" if self.format == "safetensors" else {"zip": ".pt", "old": ".pth"}[self.format]


@st.composite
def savings(draw: st.DrawFn) -> Saving:
    """All ways to keep a network of which one file makes sense."""
    form = draw(st.sampled_from(["zip", "zip", "old", "safetensors"]))
    container = "bare" if form == "safetensors" else draw(st.sampled_from(CONTAINERS))
    if container == "whole":
        return Saving(container=container, format=form, dtype=draw(st.sampled_from(["float32", "float16"])))
    pruned = draw(st.sampled_from([0, 0, 0, 1, 2]))
    averaged = draw(st.sampled_from(["", "", "", "prefixes", "same", "keys"]))
    prefix = draw(st.sampled_from(PREFIXES))
    return Saving(
        container=container,
        prefix=prefix,
        dtype=draw(st.sampled_from(["float32", "float32", "float16", "bfloat16", "float64"])),
        format=form,
        pruned=pruned,
        parts="" if pruned else draw(st.sampled_from(PARTS)),
        beside=draw(st.sampled_from(("", "0.mean 0.std") if prefix == "1." else BESIDE)),
        units=draw(st.sampled_from([1.0, 1.0, 1.0, 255.0])),
        shape=draw(st.sampled_from([1, 3, 4])),
        averaged={"keys": "prefixes", "same": ""}.get(averaged, averaged) if container == "bare" else averaged,
        meant=draw(st.sampled_from(["averaged", "raw"])),
        extras=tuple(sorted(draw(st.sets(st.sampled_from(EXTRAS), max_size=3)))),
    )


# --- layers


class Residual(nn.Module):
    def __init__(self, body: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.body_1, self.skip = body, shortcut

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.skip(x) + self.body_1(x))


class Concatenated(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList([nn.Conv2d(channels, 4, 1), nn.Conv2d(channels, 4, 3, padding=1)])

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches], 1).relu()


class Attention(nn.Module):
    """torch's own attention over pixels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.attn = nn.MultiheadAttention(channels, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.norm(x.flatten(2).transpose(1, 2))
        mixed, _ = self.attn(tokens, tokens, tokens, need_weights=False)
        return x + mixed.transpose(1, 2).unflatten(2, x.shape[2:])


class OwnAttention(nn.Module):
    """One linear layer for query, key and value, as timm has it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.num_heads, self.head_dim = 2, channels // 2
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        joint = self.qkv(x.flatten(2).transpose(1, 2)).unflatten(2, (3, self.num_heads, self.head_dim))
        query, key, value = joint.permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        return x + self.proj(mixed).transpose(1, 2).unflatten(2, x.shape[2:])


class Gate(nn.Module):
    """Squeeze and excitation."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(channels, 4), nn.Linear(4, channels)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.fc2(self.fc1(x.mean((2, 3))).relu()).sigmoid()[:, :, None, None]


class ChannelNorm(nn.LayerNorm):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class Scale(nn.Module):
    """A parameter that belongs to no layer, called as a normalisation might be."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.randn(channels, 1, 1) / 4)
        self.std = nn.Parameter(torch.rand(channels, 1, 1) + 0.5)

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.std


class Twice(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(self.conv(x).relu()).relu()


class Tied(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.second = (nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))
        self.second.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x).relu()).relu()


class Auxiliary(nn.Module):
    """A second head that nothing but training uses."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv, self.aux_head = nn.Conv2d(channels, 8, 3, padding=1), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x).relu()


class Standardised(nn.Conv2d):
    """Weight standardisation (Qiao et al. 2019)."""

    def standardised(self) -> Tensor:
        centred = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        return centred / (centred.std((1, 2, 3), keepdim=True) + 1e-4) / 6

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.standardised(), self.bias, padding=self.padding)


class Tensors(nn.Module):
    """Tensors whose names end as the parts of masked and weight-normalised weights do, and are none."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain_g = nn.Parameter(torch.rand(channels, 1, 1) + 0.5)
        self.gain_v = nn.Parameter(torch.randn(channels, 1, 1) / 4)
        self.register_buffer("soft_mask", torch.rand(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gain_g + self.gain_v * self.soft_mask


class Table(nn.Module):
    """A constant that its state keeps and one that it does not."""

    def __init__(self, channels: int, height: int, width: int) -> None:
        super().__init__()
        self.register_buffer("index", torch.arange(channels).flip(0))
        wave = torch.linspace(0, 3, height)[:, None].sin() * torch.linspace(0, 2, width).cos()
        self.register_buffer("wave", wave, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return x[:, self.index] + self.wave


class Normalise(nn.Module):
    def __init__(self, mean: float, std: float, *, kept: bool) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor([mean]), persistent=kept)
        self.register_buffer("std", torch.tensor([std]), persistent=kept)

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean[:, None, None]) / self.std[:, None, None]


# --- heads; each ends in a linear layer, or one that is as good as linear, called `fc`


class Pooled(nn.Module):
    def __init__(self, head: str, channels: int, height: int, width: int, classes: int) -> None:
        super().__init__()
        self.pool = {
            "mean": nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
            "maximum": nn.Sequential(nn.AdaptiveMaxPool2d(2), nn.Flatten()),
            "flat": nn.Flatten(),
            "two layers": nn.Sequential(nn.Flatten(), nn.Linear(channels * height * width, 16), nn.Tanh()),
            "convolution": nn.AdaptiveAvgPool2d(1),
        }[head]
        features = {"mean": channels, "maximum": 4 * channels, "two layers": 16, "convolution": channels}
        size = features.get(head, channels * height * width)
        self.fc = nn.Conv2d(size, classes, 1) if head == "convolution" else nn.Linear(size, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.pool(x)).flatten(1)


class Recurrent(nn.Module):
    """Reads an image row by row."""

    def __init__(self, head: str, channels: int, width: int, classes: int) -> None:
        super().__init__()
        kind = nn.LSTM if head == "lstm" else nn.GRU
        self.rnn = kind(channels * width, 8, num_layers=2, batch_first=True, bidirectional=True)
        self.fc = nn.Linear(16, classes)

    def forward(self, x: Tensor) -> Tensor:
        rows, _ = self.rnn(x.transpose(1, 2).flatten(2))
        return self.fc(rows.mean(1))


class Tokens(nn.Module):
    """Adds what it has learnt about positions to every pixel."""

    def __init__(self, head: str, channels: int, height: int, width: int, classes: int) -> None:
        super().__init__()
        self.embed = nn.Conv2d(channels, 8, 2, stride=2)
        count = (height // 2) * (width // 2)
        self.pos = nn.Embedding(count, 8) if head == "embedding" else nn.Parameter(torch.randn(1, count, 8))
        self.mix = Attention(8)
        self.fc = nn.Linear(8, classes)

    def forward(self, x: Tensor) -> Tensor:
        patches = self.embed(x)
        tokens = patches.flatten(2).transpose(1, 2)
        tokens = tokens + (self.pos.weight if isinstance(self.pos, nn.Embedding) else self.pos)
        mixed = self.mix(tokens.transpose(1, 2).unflatten(2, patches.shape[2:]))
        return self.fc(mixed.mean((2, 3)))


def _head(design: Design, channels: int, height: int, width: int) -> nn.Module:
    head = design.head
    if min(height, width) < 2 and head in {"embedding", "positions"}:
        head = "mean"
    if head in {"lstm", "gru"}:
        return Recurrent(head, channels, width, design.classes)
    if head in {"embedding", "positions"}:
        return Tokens(head, channels, height, width, design.classes)
    return Pooled(head, channels, height, width, design.classes)


def _activated(layer: nn.Module) -> nn.Module:
    return nn.Sequential(layer, nn.ReLU())


def _conv(channels: int) -> nn.Conv2d:
    return nn.Conv2d(channels, 8, 3, padding=1)


def _depthwise(channels: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1, groups=channels), nn.Conv2d(channels, 8, 1))


def _projected(channels: int) -> nn.Module:
    body = nn.Sequential(nn.Conv2d(channels, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8))
    return Residual(body, nn.Conv2d(channels, 8, 1))


def _old_weight_norm(channels: int) -> nn.Module:
    return _activated(nn.utils.weight_norm(_conv(channels)))


def _old_spectral_norm(channels: int) -> nn.Module:
    return _activated(nn.utils.spectral_norm(_conv(channels)))


# blocks that give 8 channels, whatever they take
_MAKE: dict[str, Callable[[int], nn.Module]] = {
    "plain": lambda c: _activated(_conv(c)),
    "normed": lambda c: nn.Sequential(nn.Conv2d(c, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU()),
    "transposed": lambda c: nn.Sequential(nn.ConvTranspose2d(c, 8, 2, stride=2), nn.AvgPool2d(2), nn.ReLU()),
    "depthwise": _depthwise,
    "projected": _projected,
    "concatenated": Concatenated,
    "auxiliary": Auxiliary,
    "weight norm": lambda c: _activated(parametrizations.weight_norm(_conv(c))),
    "old weight norm": _old_weight_norm,
    "spectral norm": lambda c: _activated(parametrizations.spectral_norm(_conv(c))),
    "old spectral norm": _old_spectral_norm,
    "standardised": lambda c: Standardised(c, 8, 3, padding=1),
}
# blocks that take 8 channels and give as many
_KEEP: dict[str, Callable[[], nn.Module]] = {
    "grouped": lambda: nn.Conv2d(8, 8, 3, padding=1, groups=2),
    "group norm": lambda: nn.GroupNorm(2, 8),
    "instance norm": lambda: nn.InstanceNorm2d(8, affine=True, track_running_stats=True),
    "layer norm": lambda: ChannelNorm(8),
    "prelu": lambda: nn.PReLU(8),
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "residual": lambda: Residual(nn.Conv2d(8, 8, 3, padding=1), nn.Identity()),
    "attention": lambda: Attention(8),
    "own attention": lambda: OwnAttention(8),
    "gate": lambda: Gate(8),
    "scale": lambda: Scale(8),
    "twice": lambda: Twice(8),
    "tied": lambda: Tied(8),
    "dropout": lambda: nn.Sequential(nn.Dropout2d(0.2), nn.Dropout(0.3)),
    "tensors": lambda: Tensors(8),
}
_POOLS: dict[str, Callable[[], nn.Module]] = {
    "max pool": lambda: nn.MaxPool2d(2),
    "average pool": lambda: nn.AvgPool2d(2),
    "power pool": lambda: nn.LPPool2d(2, 2),
    "adaptive pool": lambda: nn.AdaptiveAvgPool2d((3, 2)),
}


def _blocks(design: Design) -> tuple[list[nn.Module], int, int, int]:
    made: list[nn.Module] = []
    channels, height, width = design.channels, design.height, design.width
    for kind in design.blocks:
        if kind in _POOLS:
            if min(height, width) >= 4:
                made.append(_POOLS[kind]())
                height, width = (3, 2) if kind == "adaptive pool" else (height // 2, width // 2)
            continue
        if kind not in _MAKE and channels != 8:
            made.append(_conv(channels))
            channels = 8
        if kind == "table":
            made.append(Table(8, height, width))
        elif kind in _MAKE:
            made.append(_MAKE[kind](channels))
            channels = 8
        else:
            made.append(_KEEP[kind]())
    return made, channels, height, width


class Listed(nn.Module):
    """Blocks in a ModuleList, one after the other."""

    def __init__(self, parts: list[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(parts)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return x


class Named(nn.Module):
    """Blocks as attributes, one after the other."""

    def __init__(self, parts: list[tuple[str, nn.Module]]) -> None:
        super().__init__()
        for name, part in parts:
            self.add_module(name, part)

    def forward(self, x: Tensor) -> Tensor:
        for part in self.children():
            x = part(x)
        return x


def build(design: Design) -> nn.Module:
    """The network of `design`, with weights as torch draws them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # the old forms of weight and spectral norm
        return _built_in(design) if design.built_in else _from_grammar(design)


def _from_grammar(design: Design) -> nn.Module:
    parts, channels, height, width = _blocks(design)
    head = _head(design, channels, height, width)
    if design.inside is not None:
        mean, std, kept = design.inside
        parts.insert(0, Normalise(mean, std, kept=kept))
    match design.naming:
        case "flat":
            return nn.Sequential(*parts, head)
        case "sequential":
            return Named([("features", nn.Sequential(*parts)), ("head", head)])
        case "list":
            return Named([("body_0", Listed(parts)), ("head", head)])
        case "attributes":
            return Named([*zip(_NAMES, parts, strict=False), ("classifier", head)])
        case _:
            return Named([(design.naming, Named([("features", Listed(parts)), ("head", head)]))])


# --- built-in architectures, written once more


class LeNet(nn.Module):
    """LeCun et al. 1998, for sides from 4 to 11 pixels: padded by two in both convolutions."""

    def __init__(self, channels: int, side: int, classes: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(channels, 6, 5, padding=2), nn.Conv2d(6, 16, 5, padding=2)
        if side // 2 >= 6:
            self.conv2 = nn.Conv2d(6, 16, 5)
        with torch.no_grad():
            size = self._features(torch.zeros(1, channels, side, side)).shape[1]
        self.fc1, self.fc2, self.fc3 = nn.Linear(size, 120), nn.Linear(120, 84), nn.Linear(84, classes)

    def _features(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        return F.max_pool2d(F.relu(self.conv2(x)), 2).flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(self._features(x))))))


class BasicBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int, *, padded: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.stride, self.extra = stride, outputs - inputs
        if stride > 1 and not padded:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if hasattr(self, "downsample"):
            return F.relu(y + self.downsample(x))
        if self.stride > 1:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.extra // 2, self.extra - self.extra // 2))
        return F.relu(y + x)


class ResNet8(nn.Module):
    """He et al. 2016, section 4.2, with four channels in the first stage."""

    def __init__(self, channels: int, classes: int, *, padded: bool) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(channels, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.layer1 = nn.Sequential(BasicBlock(4, 4, 1, padded=padded))
        self.layer2 = nn.Sequential(BasicBlock(4, 8, 2, padded=padded))
        self.layer3 = nn.Sequential(BasicBlock(8, 16, 2, padded=padded))
        self.fc = nn.Linear(16, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer3(self.layer2(self.layer1(F.relu(self.bn1(self.conv1(x))))))
        return self.fc(x.mean((2, 3)))


class ViT(nn.Module):
    """Dosovitskiy et al. 2021: one block of width 12 with three heads on patches of two pixels."""

    def __init__(self, channels: int, side: int, classes: int) -> None:
        super().__init__()
        self.embed = nn.Conv2d(channels, 12, 2, stride=2)
        self.positions = nn.Parameter(torch.randn(1, (side // 2) ** 2, 12) / 10)
        block = nn.Module()
        block.norm1, block.norm2 = nn.LayerNorm(12), nn.LayerNorm(12)
        block.attention = nn.Module()
        for name in ("query", "key", "value", "project"):
            block.attention.add_module(name, nn.Linear(12, 12))
        block.fc1, block.fc2 = nn.Linear(12, 24), nn.Linear(24, 12)
        self.blocks = nn.Sequential(block)
        self.norm, self.head = nn.LayerNorm(12), nn.Linear(12, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x).flatten(2).transpose(1, 2) + self.positions
        (block,) = self.blocks.children()
        y, heads = block.norm1(x), block.attention
        query, key, value = (
            layer(y).unflatten(2, (3, 4)).transpose(1, 2) for layer in (heads.query, heads.key, heads.value)
        )
        mixed = torch.softmax(query @ key.transpose(2, 3) / 4**0.5, -1) @ value
        x = x + heads.project(mixed.transpose(1, 2).flatten(2))
        x = x + block.fc2(F.gelu(block.fc1(block.norm2(x))))
        return self.head(self.norm(x).mean(1))


def _built_in(design: Design) -> nn.Module:
    channels, side, classes = design.channels, design.height, design.classes
    match design.built_in:
        case "lenet5":
            return LeNet(channels, side, classes)
        case "vit_small":
            return ViT(channels, side, classes)
        case "mlp":
            hidden = nn.Linear(channels * side**2, 24)
            return nn.Sequential(nn.Flatten(), hidden, nn.ReLU(), nn.Linear(24, classes))
        case _:
            return ResNet8(channels, classes, padded="padded" in design.built_in)


# --- weights that are good for something


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Inside, torch draws from `seed`; its own random state is left alone."""
    with torch.random.fork_rng(devices=[]):
        torch.random.set_rng_state(torch.Generator().manual_seed(seed).get_state())
        yield


def skilled(design: Design, saving: Saving, images: Tensor, labels: Tensor, seed: int) -> nn.Module:
    """A network whose norms fit normalised `images` and whose last layer is fitted to `labels` by least squares."""
    with seeded(seed), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        network = build(design)
        _reparametrise(network, saving)
        _train(network, images, labels)
        return network


@torch.no_grad()
def _train(network: nn.Module, images: Tensor, labels: Tensor) -> None:
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d | nn.InstanceNorm2d | nn.GroupNorm | nn.LayerNorm):
            module.weight.uniform_(0.5, 1.5)
            module.bias.normal_(0, 0.2)
        if isinstance(module, nn.BatchNorm2d | nn.InstanceNorm2d):
            module.momentum = None  # an average over all passes
    network.train()(images)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d | nn.InstanceNorm2d):
            module.momentum = 0.1
    _fit(network.eval(), images, labels)


def _fit(network: nn.Module, images: Tensor, labels: Tensor) -> None:
    last = last_layer(network)
    kept: list[Tensor] = []
    handle = last.register_forward_pre_hook(lambda _, inputs: kept.append(inputs[0].flatten(1)))
    network(images)
    handle.remove()
    features = torch.cat([kept[0], torch.ones(len(kept[0]), 1)], 1).double()
    centre, spread = features[:, :-1].mean(0), features[:, :-1].std(0) + 1e-3
    features[:, :-1] = (features[:, :-1] - centre) / spread
    answers = F.one_hot(labels, len(last.weight)).double() - 1 / len(last.weight)
    ridge = 1e-2 * len(features) * torch.eye(features.shape[1], dtype=torch.float64)
    solution = 4 * torch.linalg.solve(features.T @ features + ridge, features.T @ answers)
    weight = solution[:-1] / spread[:, None]
    last.weight.copy_(weight.T.float().reshape(last.weight.shape))
    last.bias.copy_((solution[-1] - centre @ weight).float())


def last_layer(network: nn.Module) -> nn.Linear | nn.Conv2d:
    """The layer that gives the logits."""
    return [m for m in network.modules() if type(m) in {nn.Linear, nn.Conv2d}][-1]  # type: ignore[return-value]


@torch.no_grad()
def logits(network: nn.Module, images: Tensor, statistics: Statistics) -> tuple[Tensor, Tensor]:
    """What the author's own loop computes: images in [0, 1], normalised, through the network in evaluation mode.

    In single precision, and in double precision rounded to single.
    """
    mean, std = (torch.tensor(each)[:, None, None] for each in statistics)
    single = network.eval()((images - mean) / std)
    double = network.double()(((images - mean) / std).double()).float()
    network.float()
    return single, double


# --- pruned networks


def with_tensors(design: Design, state: State) -> nn.Module:
    """The author's network with the tensors of a file, as narrow as these are, in evaluation mode."""
    network = build(design).eval()
    if all(tensor.shape == state[name].shape for name, tensor in network.state_dict().items()):
        network.load_state_dict(state)
        return network
    for name, tensor in state.items():
        owner, _, last = name.rpartition(".")
        module = network.get_submodule(owner)
        if last in dict(module.named_parameters(recurse=False)):
            module.register_parameter(last, nn.Parameter(tensor))
        else:
            module.register_buffer(last, tensor)
    for module in network.modules():
        _resize(module)
    return network


def _resize(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d) and module.groups == module.in_channels > 1:
        module.groups = len(module.weight)
    elif isinstance(module, nn.InstanceNorm2d):
        module.num_features = len(module.weight)
    elif isinstance(module, nn.LayerNorm):
        module.normalized_shape = tuple(module.weight.shape)
    elif isinstance(module, Tied):
        module.second.weight = module.first.weight


@torch.no_grad()
def count_by_hand(network: nn.Module, images: Tensor) -> tuple[int, int]:
    """Entries of the weights that a pass of `images` multiplies with, each weight once, and how many are not zero."""
    network(images)  # old weight and spectral norms compute their weight at each pass
    weights: dict[int, Tensor] = {}
    for name, module in network.named_modules():
        if name.endswith("aux_head"):
            continue
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            weight = module.standardised() if isinstance(module, Standardised) else module.weight
            # tied weights are one object; those that are computed are new ones each time, and all of them are kept
            weights[id(weight)] = weight
        elif isinstance(module, nn.MultiheadAttention):
            weights[id(module.in_proj_weight)] = module.in_proj_weight
        elif isinstance(module, nn.RNNBase):
            weights |= {id(each): each for part, each in module.named_parameters() if part.startswith("weight_")}
    return sum(each.numel() for each in weights.values()), sum(int(each.count_nonzero()) for each in weights.values())


# --- files


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A file and what it means.

    Attributes:
        network: The author's own, with the numbers that the file holds, in evaluation mode.
        weights: What `--weights` has to say; empty where there is one set of weights.
    """

    network: nn.Module
    weights: str


def keep(network: nn.Module, saving: Saving, path: Path, statistics: Statistics, seed: int) -> Kept:
    """Write `network`, made for `saving`, to `path`; `statistics` stand beside where it says so."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        if saving.container == "whole":
            return _keep_whole(network, saving, path)
        states = {"raw": _cast(network.state_dict(), getattr(torch, saving.dtype))}
        if saving.averaged:
            with seeded(seed + 1):
                states["averaged"] = states["raw"] if saving.averaged == "same" else _disturbed(states["raw"])
        meant = states.get(saving.meant, states["raw"])
        network.load_state_dict(_cast(meant, torch.float32))
        states = {name: _damaged(state, saving.damage) for name, state in states.items()}
        content, weights = _content(states, saving, statistics)
        _write(content, saving, path)
        if saving.damage == "cut short":
            path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
        return Kept(network=network.eval(), weights=weights)


def _keep_whole(network: nn.Module, saving: Saving, path: Path) -> Kept:
    network.to(getattr(torch, saving.dtype))
    torch.save(network, path, _use_new_zipfile_serialization=saving.format == "zip")
    return Kept(network=network.float().eval(), weights="")


def _layers(network: nn.Module) -> list[nn.Module]:
    kinds = {nn.Conv2d, nn.Linear, nn.ConvTranspose2d}
    return [m for m in network.modules() if type(m) in kinds and set(dict(m.named_parameters())) == {"weight", "bias"}]


def _reparametrise(network: nn.Module, saving: Saving) -> None:
    """Layers but the last one are masked or kept as parts, where `saving` says so; those that share weights are not."""
    shared = {id(each) for m in network.modules() if isinstance(m, Tied) for each in (m.first, m.second)}
    layers = [layer for layer in _layers(network) if id(layer) not in {*shared, id(last_layer(network))}]
    if saving.pruned:
        for layer in layers[:: saving.pruned]:
            prune.l1_unstructured(layer, "weight", 0.3)
    how: dict[str, Callable[[nn.Module], nn.Module]] = {
        "weight norm": parametrizations.weight_norm,
        "spectral norm": parametrizations.spectral_norm,
        "old weight norm": nn.utils.weight_norm,
        "old spectral norm": nn.utils.spectral_norm,
    }
    for layer in layers[:2] if saving.parts else []:
        how[saving.parts](layer)


def _cast(state: State, dtype: torch.dtype) -> State:
    return {
        name: tensor.to(dtype if tensor.is_floating_point() else tensor.dtype, copy=True)
        for name, tensor in state.items()
    }


def _damaged(state: State, damage: str) -> State:
    last, tensor = [(name, tensor) for name, tensor in state.items() if name.endswith(".weight")][-1]
    match damage:
        case "not a number":
            return {**state, last: torch.full_like(tensor, torch.nan)}
        case "lacks a weight":
            return {name: each for name, each in state.items() if name != last}
        case "another layer":
            return {**state, f"{last.rpartition('.')[0]}.more.weight": tensor.clone()}
        case "integers":
            return {**state, last: tensor.round().to(torch.int8)}
        case _:
            return state


def _disturbed(state: State) -> State:
    """As weights before averaging are beside those after it."""
    changed = {}
    for name, tensor in state.items():
        part = name.endswith(("_mask", "_u", "_v")) or "running" in name or not tensor.is_floating_point()
        noise = torch.randn(tensor.shape) * (tensor.float().std(correction=0) + 0.01) / 2
        changed[name] = tensor.clone() if part else (tensor.float() + noise).to(tensor.dtype)
    return _retied(state, changed)


def _retied(state: State, changed: State) -> State:
    """Weights that several layers share stay the same."""
    for one in state:
        for other in state:
            if one < other and state[one].shape == state[other].shape and torch.equal(state[one], state[other]):
                changed[other] = changed[one]
    return changed


def _under(prefix: str, state: State) -> State:
    return {prefix + name: tensor for name, tensor in state.items()}


def _content(states: dict[str, State], saving: Saving, statistics: Statistics) -> tuple[dict[str, object], str]:
    second = {"raw": "", "averaged": ""}
    if saving.averaged == "prefixes":
        second = {"raw": "online.", "averaged": "ema."}
    weights: dict[str, State] = {name: _under(second[name] + saving.prefix, state) for name, state in states.items()}
    flat: dict[str, object] = dict(weights["raw"])
    if saving.averaged == "prefixes":
        flat |= weights["averaged"]
    flat |= _beside(saving, statistics) | _among(saving)
    key, second_key = {
        "bare": ("", ""),
        "state_dict": ("state_dict", "ema_state_dict"),
        "lightning": ("state_dict", "ema_state_dict"),
        "model": ("model", "model_ema"),
        "net": ("net", "net_ema"),
        "model_state_dict": ("model_state_dict", "ema_state_dict"),
        "nested": ("checkpoint.model", "checkpoint.ema"),
        "weights": ("weights", "shadow"),
    }[saving.container]
    named = {"raw": key, "averaged": second_key}[saving.meant if saving.averaged in {"keys"} else "raw"]
    if saving.averaged == "prefixes":
        named = second[saving.meant].rstrip(".")
    text = named if saving.averaged in {"keys", "prefixes"} else ""
    if "projector" in saving.extras:
        # the whole way to the weights, so that it is no part of them
        message = second[saving.meant] if saving.averaged == "prefixes" else ""
        text = ".".join(filter(None, [named if message == "" else key, f"{message}{saving.prefix}".rstrip(".")]))
    if not key:
        return flat, text
    content: dict[str, object] = {key: flat}
    if saving.averaged in {"keys", "same"}:
        content[second_key] = weights["averaged"]
    if saving.container == "nested":
        content = {"checkpoint": {name.partition(".")[2]: value for name, value in content.items()}}
    return content | _around(saving, flat), text


def _beside(saving: Saving, statistics: Statistics) -> dict[str, object]:
    if not saving.beside:
        return {}
    tail = {1: (), 3: (1, 1), 4: (1, 1)}[saving.shape]
    head = (1,) if saving.shape == 4 else ()
    numbers = [(saving.units * torch.tensor(each)).reshape(*head, -1, *tail) for each in statistics]
    return dict(zip(saving.beside.split(), numbers, strict=True))


def _among(saving: Saving) -> dict[str, object]:
    """What training leaves among the weights."""
    more: dict[str, object] = {}
    if "criterion" in saving.extras:
        more["criterion.weight"] = torch.ones(4)
    if "projector" in saving.extras:
        more["projector.0.weight"] = torch.ones(6, 6)
    if "counters" in saving.extras:
        more |= {"total_ops": torch.tensor([3.0]), "epoch_counter.step": torch.tensor(7)}
    return more


def _around(saving: Saving, flat: dict[str, object]) -> dict[str, object]:
    tensors = [tensor for tensor in flat.values() if isinstance(tensor, Tensor)]
    moments = {number: {"momentum_buffer": torch.zeros_like(tensor)} for number, tensor in enumerate(tensors)}
    every: dict[str, dict[str, object]] = {
        "epoch": {"epoch": 7, "best_acc": 0.9, "loss": torch.tensor(0.3)},
        "optimizer": {"optimizer_state_dict": {"state": moments, "param_groups": [{"lr": 0.1, "params": [0, 1]}]}},
        "args": {"args": argparse.Namespace(lr=0.1, arch="net")},
        "scheduler": {"lr_schedulers": [{"last_epoch": 3, "_last_lr": [0.1]}]},
    }
    result = {key: value for extra in saving.extras for key, value in every.get(extra, {}).items()}
    if saving.container == "lightning":
        result |= {"pytorch-lightning_version": "2.1.0", "global_step": 100, "hyper_parameters": {"width": 8}}
    return result


def _write(content: dict[str, object], saving: Saving, path: Path) -> None:
    if saving.format == "safetensors":
        tensors = {name: tensor.clone().contiguous() for name, tensor in content.items()}  # type: ignore[attr-defined]
        safetensors.torch.save_file(tensors, path)
        return
    held = collections.OrderedDict(content) if saving.container == "bare" else content
    torch.save(held, path, _use_new_zipfile_serialization=saving.format == "zip")
