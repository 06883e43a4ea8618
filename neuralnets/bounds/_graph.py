"""Reads a network into a graph of operations for which there are bounds."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Final, Protocol, final, runtime_checkable

from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm
from typing_extensions import override

from neuralnets.bounds._layers import Statistics
from neuralnets.bounds._value import ACCEPTED, NotUnderstoodError

_CALLS: Final = (
    nn.Conv2d,
    nn.Linear,
    nn.ReLU,
    nn.AvgPool2d,
    nn.MaxPool2d,
    nn.AdaptiveAvgPool2d,
    nn.AdaptiveMaxPool2d,
    nn.Flatten,
    nn.Unflatten,
    nn.Identity,
    nn.Dropout,
    nn.Dropout2d,
    nn.ZeroPad2d,
    nn.ConstantPad2d,
)
"""torch's own modules that do nothing but call a function that is understood."""


@runtime_checkable
class Reweighted(Protocol):
    """A network that computes with other weights in place of its own, computed anew at each call.

    Such as one whose masks or low-rank changes are trained. Tensors that come out of other tensors, not out of modules,
    cannot be followed by a trace; these are asked for instead.

    Attributes:
        network: A submodule.
    """

    network: nn.Module

    def weights(self) -> Mapping[str, Tensor]:
        """The tensors that stand in for parameters and buffers of `network`, by their names there."""
        ...


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class Graph:
    """The operations of a network in order, made by `trace`.

    It looks its parameters and buffers up in the network whenever it is used, so it follows training, pruning to zero
    and moves to another device. After a change of shapes or modules it has to be made anew.

    Attributes:
        network: As handed to `trace`.
        flow: Its forward pass; parameters and buffers by name.
        constants: Tensors that the forward pass makes anew each time, as they were when it was traced.
        statistics: Mean and biased variance (c,) that stand in for the running ones, by the name of the batch norm.
    """

    network: nn.Module
    flow: fx.Graph
    constants: Mapping[str, Tensor]
    statistics: Mapping[str, Statistics] = field(default_factory=dict)


def read(network: nn.Module) -> Graph:
    """The forward pass of `network`, not yet checked.

    Raises:
        NotUnderstoodError: It depends on the values of the input, or changes a tensor that is used again.
    """
    skeleton = _skeleton(network)
    root = _Plain(skeleton.network) if isinstance(skeleton, Reweighted) else skeleton
    try:
        flow = _Reader().trace(root)
    except (fx.proxy.TraceError, TypeError, AttributeError) as error:
        raise NotUnderstoodError(f"expected {ACCEPTED}, got a network that cannot be traced: {error}") from error
    _refuse_reuse(flow)
    attributes = {name: value for name, value in vars(root).items() if isinstance(value, Tensor)}
    constants = {name: value for name, value in attributes.items() if not hasattr(network, name)}
    return Graph(network=network, flow=flow, constants=constants)


def replaced(network: nn.Module) -> Mapping[str, Tensor]:
    """What stands in for parameters and buffers of `network`, by their names in it."""
    if not isinstance(network, Reweighted):
        return {}
    return {f"network.{name}": weight for name, weight in network.weights().items()}


@final
class _Reader(fx.Tracer):
    """Traces functions instead of modules where it can: then hooks, functions and modules are one and the same."""

    proxy_buffer_attributes = True

    @override
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        if isinstance(m, _CALLS) or m._forward_hooks or m._forward_pre_hooks:  # noqa: SLF001  (torch tells it nowhere else)
            return False
        return isinstance(m, _BatchNorm) or fx.Tracer.is_leaf_module(self, m, module_qualified_name)


@final
class _Plain(nn.Module):
    """Stands in for the inner network of one that is reweighted."""

    def __init__(self, network: nn.Module) -> None:
        nn.Module.__init__(self)
        self.network = network

    @override
    def forward(self, images: Tensor) -> object:
        return self.network(images)


def _skeleton(network: nn.Module) -> nn.Module:
    """A copy that shares all tensors: hooks that run while it is traced may leave their marks on it."""
    tensors = [
        value
        for module in network.modules()
        for values in (vars(module), module._parameters, module._buffers)  # noqa: SLF001  (all tensors, whatever they are)
        for value in values.values()
        if isinstance(value, Tensor)
    ]
    return deepcopy(network, {id(tensor): tensor for tensor in tensors})


def _refuse_reuse(flow: fx.Graph) -> None:
    order = {node: place for place, node in enumerate(flow.nodes)}
    for node in flow.nodes:
        name = getattr(node.target, "__name__", node.target)
        in_place = node.kwargs.get("inplace") is True or (isinstance(name, str) and _changes(name))
        changed = node.args[0] if node.args else None
        if in_place and isinstance(changed, fx.Node) and any(order[user] > order[node] for user in changed.users):
            raise NotUnderstoodError(f"expected no use of a tensor after a change in place, got one behind {node.name}")


def _changes(name: str) -> bool:
    return name in {"iadd", "isub", "imul", "itruediv", "setitem"} or (name.endswith("_") and not name.endswith("__"))


def where(node: fx.Node) -> str:
    """The module that a step belongs to, or its name in the graph."""
    modules = list(node.meta.get("nn_module_stack", {}))
    return modules[-1] if modules and modules[-1] else node.name
