"""Turns torch-pruning's dependency graph into groups of channels that are removed together."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

import torch
import torch_pruning
from torch import Tensor, nn
from torch_pruning.ops import OPTYPE

from pruners._channels import ChannelGroup, Side

_CUTTABLE = {OPTYPE.CONV, OPTYPE.DEPTHWISE_CONV, OPTYPE.LINEAR, OPTYPE.BN, OPTYPE.IN, OPTYPE.PRELU}
_PASSING = {OPTYPE.ELEMENTWISE, OPTYPE.RESHAPE, OPTYPE.CONCAT, OPTYPE.SLICE}
_PRODUCTS = {"Convolution", "Addmm", "Mm", "Bmm", "Baddbmm", "Dot", "Mv", "Linear", "Matmul"}
_MIXING = {
    *_PRODUCTS,
    "Softmax",
    "LogSoftmax",
    "NativeLayerNorm",
    "NativeGroupNorm",
    "PixelShuffle",
    "PixelUnshuffle",
    "Im2Col",
    "Roll",
    "Flip",
    "Index",
    "IndexSelect",
    "Gather",
    "Cumsum",
}

_Node: TypeAlias = torch_pruning.dependency.Node
_Cut = Callable[[nn.Module, Sequence[int]], object]
_Met = dict[tuple[_Node, _Cut], dict[int, int]]
"""Node and how it would be cut → position → channel of the root that hangs on it."""


class _Place(NamedTuple):
    # the names are those that torch-pruning's index mappings read
    """A position of a layer and the position of the first layer that it depends on."""

    idx: int
    root_idx: int


def channel_groups(network: nn.Module, graph: torch_pruning.DependencyGraph, leaf: Tensor) -> tuple[ChannelGroup, ...]:
    """All groups of channels of `network` that do not meet a barrier.

    Args:
        network: What `graph` was traced from.
        graph: The dependency graph.
        leaf: The input that was traced; a sum with it is a barrier.

    Raises:
        ValueError: A parameter that belongs to no layer is multiplied in.
    """
    names = {module: name for name, module in network.named_modules()}
    claimed: dict[nn.Module, set[int]] = {module: set() for module in names}
    groups = []
    for module in names:
        node = graph.module2node.get(module)
        if node is None or node.type not in {OPTYPE.CONV, OPTYPE.LINEAR}:
            continue
        free = [position for position in range(graph.get_out_channels(node)) if position not in claimed[module]]
        sides = _sides(graph, _walk(graph, node, free, leaf), names)
        for side in sides:
            if side.direction == "out":
                claimed[network.get_submodule(side.layer)].update(side.channels.ge(0).nonzero().flatten().tolist())
        size = 1 + max((int(side.channels.max()) for side in sides), default=-1)
        if size > 0:
            groups.append(ChannelGroup(size=size, sides=sides))
    return tuple(groups)


def _walk(graph: torch_pruning.DependencyGraph, root: _Node, positions: Sequence[int], leaf: Tensor) -> _Met:
    """Everything that has to be cut with channels `positions` of the layer `root`; nothing if they are left alone."""
    met: _Met = {}
    parents = {position: position for position in positions}
    cut = graph.get_pruner_of_module(root.module).prune_out_channels
    pending = [(root, cut, [_Place(position, position) for position in positions])]
    while pending:
        node, cut, places = pending.pop()
        if not places:
            continue
        if _is_barrier(graph, node, cut, leaf):
            return {}
        channels = met.setdefault((node, cut), {})
        fresh = [place for place in places if place.idx not in channels]
        for place in places:
            _merge(parents, channels.setdefault(place.idx, place.root_idx), place.root_idx)
        triggered = [dependency for dependency in node.dependencies if fresh and dependency.is_triggered_by(cut)]
        pending += [(dependency.target, dependency.handler, _mapped(dependency, fresh)) for dependency in triggered]
    if not all(_merge_convolution_groups(graph, parents, *item) for item in met.items()):
        return {}
    order = {channel: number for number, channel in enumerate(sorted({_find(parents, p) for p in positions}))}
    return {
        key: {at: order[_find(parents, channel)] for at, channel in channels.items()} for key, channels in met.items()
    }


def _mapped(dependency: torch_pruning.Dependency, places: list[_Place]) -> list[_Place]:
    for mapping in dependency.index_mapping:
        if mapping is not None:
            places = mapping(places)
    return places


def _is_barrier(graph: torch_pruning.DependencyGraph, node: _Node, cut: _Cut, leaf: Tensor) -> bool:
    """Whether channels that reach `node` are left alone.

    Raises:
        ValueError: A parameter that belongs to no layer is multiplied in.
    """
    if node.type in _CUTTABLE:
        depthwise = node.type == OPTYPE.DEPTHWISE_CONV
        is_result = not node.outputs and cut == graph.get_pruner_of_module(node.module).prune_out_channels
        return bool(is_result or (depthwise and node.module.in_channels != node.module.groups))
    if node.type not in _PASSING or _reads(node, leaf):
        return True
    if node.type == OPTYPE.CONCAT:
        return node.module.offsets is None
    if node.type == OPTYPE.SLICE:
        return bool(node.module.dim == 1)
    return _mixes_channels(node)


def _reads(node: _Node, leaf: Tensor) -> bool:
    sources = (source for source, _ in getattr(node.grad_fn, "next_functions", ()))
    return any(getattr(source, "variable", None) is leaf for source in sources)


def _mixes_channels(node: _Node) -> bool:
    operation = _operation(node)
    if operation == "ConstantPadNd":
        # pairs (before, after) from the last dimension on: the third pair of an image batch is its channels
        return any(node.grad_fn._saved_pad[4:6])  # noqa: SLF001 - autograd offers no other way to read it
    if operation not in _MIXING:
        return operation.startswith("ScaledDotProduct")
    if any(output.type == OPTYPE.LINEAR and _operation(output) not in _PRODUCTS for output in node.outputs):
        return False  # the product inside a linear layer that was given more than two dimensions
    factors = [*node.inputs, *(source for factor in node.inputs for source in factor.inputs)]
    if operation == "Convolution" or any(factor.type == OPTYPE.PARAMETER for factor in factors):
        raise ValueError(f"expected layers to be modules, got {operation} with a weight that belongs to none")
    return True


def _operation(node: _Node) -> str:
    return re.sub(r"Backward\d*$", "", node.grad_fn.name())


def _merge_convolution_groups(
    graph: torch_pruning.DependencyGraph, parents: dict[int, int], key: tuple[_Node, _Cut], channels: dict[int, int]
) -> bool:
    """Tie together the channels at the same place of each group of a convolution; False if some are not there."""
    (node, cut), layer = key, key[0].module
    if node.type != OPTYPE.CONV or layer.groups == 1:
        return True
    is_out = cut == graph.get_pruner_of_module(layer).prune_out_channels
    width = layer.out_channels if is_out else layer.in_channels
    if len(channels) != width:
        return False
    for position, channel in channels.items():
        _merge(parents, channels[position % (width // layer.groups)], channel)
    return True


def _find(parents: dict[int, int], channel: int) -> int:
    while parents[channel] != channel:
        parents[channel] = channel = parents[parents[channel]]
    return channel


def _merge(parents: dict[int, int], one: int, other: int) -> None:
    one, other = sorted((_find(parents, one), _find(parents, other)))
    parents[other] = one


def _sides(graph: torch_pruning.DependencyGraph, met: _Met, names: Mapping[nn.Module, str]) -> tuple[Side, ...]:
    sides = []
    for (node, cut), positions in met.items():
        if node.type not in _CUTTABLE:
            continue
        layer_pruner = graph.get_pruner_of_module(node.module)
        is_out = cut == layer_pruner.prune_out_channels
        width = layer_pruner.get_out_channels(node.module) if is_out else layer_pruner.get_in_channels(node.module)
        if width is None:
            continue  # one parameter for all channels, as PReLU may have
        channels = torch.full((width,), -1)
        channels[list(positions)] = torch.tensor(list(positions.values()))
        sides.append(Side(layer=names[node.module], direction="out" if is_out else "in", channels=channels))
    return tuple(sides)
