"""Makes a network positive and homogeneous for SynFlow: positive weights, no biases, homogeneous functions.

Flow is conserved neuron by neuron where f(x) = x f'(x) for x >= 0 (Tanaka et al. 2020, section 4): of the usual
functions ReLU, pooling, sums and batch normalisation without shift. The others are replaced while the network is
scored; since all values are non-negative, most become the identity:

- GELU, SiLU, Hardswish, Mish, ELU, Softplus, tanh, ReLU6 and their like: the identity;
- batch, layer, group and instance normalisation: the factor |gamma|, for batch statistics |gamma| / sqrt(var + eps);
- sigmoids, used as gates: x / x0, where x0 is the value of x held constant, which is 1 (1 where x = 0);
- softmax, as in attention: x / sum, with the sum held constant (uniform where it is 0).

Dividing by values held constant keeps gates and attention from multiplying the degree of the network, which would
leave the range of float64 after a few blocks.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast, final

import torch
from torch import Tensor, nn
from torch.autograd.function import BackwardCFunction
from torch.autograd.graph import Node
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from typing_extensions import override

from neuralnets.copies import copied

_BIASES = ("bias", "in_proj_bias", "bias_k", "bias_v")


def positive(network: nn.Module) -> nn.Module:
    """A deep copy in eval mode and float64 with absolute values for all parameters and zeros for all biases.

    A normalisation of the input (a module with the buffers `mean` and `std`) is neutralised, so that an input of ones
    reaches the first layer as ones.
    """
    copy = copied(network).double().eval().requires_grad_()
    with torch.no_grad():
        for parameter in copy.parameters():
            parameter.abs_()
        for module in copy.modules():
            parameters = dict(module.named_parameters(recurse=False))
            for name in _BIASES:
                if name in parameters:
                    parameters[name].zero_()
            buffers = dict(module.named_buffers(recurse=False))
            if {"mean", "std"} <= buffers.keys():
                buffers["mean"].zero_()
                buffers["std"].fill_(1)
    return copy


def synaptic_flow(network: nn.Module, inputs: Tensor, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Theta dR/dtheta for each of `weights` of a `positive` network, where R is the sum of its outputs.

    Raises:
        TypeError: The network returns something else than a tensor.
        ValueError: R is not finite, a weight's flow is negative, or a function has a derivative that was made up for
            it, as a spike's is: no flow is conserved through it.
    """
    with torch.enable_grad(), _Homogeneous():
        output = network(inputs)
    if not isinstance(output, Tensor):
        raise TypeError(f"expected a network that returns one tensor, got {type(output).__name__}")
    total = output.sum()
    if (made_up := _made_up(total)) is not None:
        raise ValueError(f"expected functions with derivatives of their own, got {made_up}: no flow passes through it")
    if not bool(total.isfinite()):
        raise ValueError(f"expected a finite synaptic flow, got {float(total.detach())}: too many layers for float64")
    slopes = torch.autograd.grad(total, list(weights.values()), allow_unused=True, materialize_grads=True)
    flows = {name: weight.detach() * slope for (name, weight), slope in zip(weights.items(), slopes, strict=True)}
    for name, flow in flows.items():
        if not float(flow.min()) >= 0:  # NaN is not
            raise ValueError(f"expected flows >= 0, got {float(flow.min())} in {name}: forward() is not monotone")
    return flows


def _made_up(total: Tensor) -> str | None:
    """The name of a function on the way to `total` whose derivative is defined in Python; None if there is none."""
    pending = [total.grad_fn]
    visited: set[Node] = set()
    while pending:
        node = pending.pop()
        if node is None or node in visited:
            continue
        visited.add(node)
        if issubclass(type(node), BackwardCFunction):
            return node.name().removesuffix("Backward")
        pending += [source for source, _ in node.next_functions]
    return None


@final
@dataclass(frozen=True)
class _Call:
    """The arguments of an intercepted call, by position and by name."""

    args: Sequence[object]
    named: Mapping[str, object]

    def get(self, place: int, name: str) -> object:
        return self.args[place] if place < len(self.args) else self.named.get(name)

    def tensor(self, place: int, name: str) -> Tensor:
        return cast("Tensor", self.get(place, name))

    def factor(self, place: int, name: str) -> Tensor | float:
        value = self.get(place, name)
        return 1.0 if value is None else cast("Tensor", value)


def _identity(call: _Call) -> Tensor:
    return call.tensor(0, "input")


def _gate(call: _Call) -> Tensor:
    x = call.tensor(0, "input")
    return torch.where(x > 0, x / _nonzero(x), 1.0)


def _softmax(call: _Call) -> Tensor:
    return _share(call.tensor(0, "input"), cast("int", call.get(1, "dim")))


def _share(x: Tensor, dim: int) -> Tensor:
    x = x.relu()  # masked entries are negative
    total = x.sum(dim, keepdim=True)
    return torch.where(total > 0, x / _nonzero(total), 1 / x.shape[dim])


def _nonzero(x: Tensor) -> Tensor:
    # the branch of torch.where that is not taken has to have a finite derivative too
    held = x.detach()
    return torch.where(held > 0, held, 1.0)


def _layer_norm(call: _Call) -> Tensor:
    return call.tensor(0, "input") * call.factor(2, "weight")


def _group_norm(call: _Call) -> Tensor:
    return _scaled(call.tensor(0, "input"), call.factor(2, "weight"))


def _instance_norm(call: _Call) -> Tensor:
    return _scaled(call.tensor(0, "input"), call.factor(3, "weight"))


def _batch_norm(call: _Call) -> Tensor:
    x, weight = call.tensor(0, "input"), call.factor(3, "weight")
    if call.get(5, "training"):  # without running statistics there is no variance to divide by
        return _scaled(x, weight)
    eps = call.get(7, "eps")
    return _scaled(x, weight / (call.tensor(2, "running_var") + (1e-5 if eps is None else cast("float", eps))).sqrt())


def _scaled(x: Tensor, factor: Tensor | float) -> Tensor:
    return x * (factor if isinstance(factor, float) else factor.view(1, -1, *[1] * (x.dim() - 2)))


def _dot_product_attention(call: _Call) -> Tensor:
    query, key = call.tensor(0, "query"), call.tensor(1, "key")
    return _share(query @ key.transpose(-2, -1), -1) @ call.tensor(2, "value")


def _multi_head_attention(call: _Call) -> tuple[Tensor, None]:
    # (length, batch, width), as torch lays it out
    given = inspect.signature(F.multi_head_attention_forward).bind(*call.args, **call.named).arguments
    separate = [given.get(name) for name in ("q_proj_weight", "k_proj_weight", "v_proj_weight")]
    projections = separate if given.get("use_separate_proj_weight") else given["in_proj_weight"].chunk(3)
    query, key, value = (
        (given[name] @ projection.t()).unflatten(-1, (given["num_heads"], -1)).permute(1, 2, 0, 3)
        for name, projection in zip(("query", "key", "value"), projections, strict=True)
    )
    mixed = _share(query @ key.transpose(-2, -1), -1) @ value
    return mixed.permute(2, 0, 1, 3).flatten(2) @ given["out_proj_weight"].t(), None


_IDENTITIES = (
    *(F.gelu, F.silu, F.mish, F.hardswish, F.elu, F.celu, F.selu, F.softplus, F.softsign, F.hardtanh, F.relu6),
    *(F.leaky_relu, F.rrelu, F.tanh, F.logsigmoid, F.log_softmax, F.local_response_norm),
    *(torch.prelu, torch.tanh, torch.clamp, torch.log_softmax),
    *(Tensor.prelu, Tensor.tanh, Tensor.clamp, Tensor.log_softmax),
)
_STAND_INS: dict[Callable[..., object], Callable[[_Call], object]] = {
    **dict.fromkeys(_IDENTITIES, _identity),
    **dict.fromkeys((F.sigmoid, F.hardsigmoid, torch.sigmoid, Tensor.sigmoid), _gate),
    **dict.fromkeys((F.softmax, torch.softmax, Tensor.softmax), _softmax),
    **dict.fromkeys((F.layer_norm, F.rms_norm, torch.layer_norm), _layer_norm),
    F.group_norm: _group_norm,
    F.instance_norm: _instance_norm,
    F.batch_norm: _batch_norm,
    F.scaled_dot_product_attention: _dot_product_attention,
    F.multi_head_attention_forward: _multi_head_attention,
    Tensor.float: lambda call: call.tensor(0, "self").double(),
}


@final
class _Homogeneous(TorchFunctionMode):
    """A context in which calls of the functions above go to their stand-ins, from modules and from forward() alike."""

    @override
    def __torch_function__(
        self,
        func: Callable[..., object],
        types: Sequence[type],
        args: Sequence[object] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        named = kwargs or {}
        stand_in = _STAND_INS.get(func)
        return func(*args, **named) if stand_in is None else stand_in(_Call(args, named))
