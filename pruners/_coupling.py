"""Finds the channels of a network that have to be removed together, by torch-pruning's dependency graph.

Fang et al. 2023 (arXiv:2301.12900). The graph follows the autograd trace of one forward pass through residual sums,
concatenations, flattening, normalisation and depthwise or grouped convolutions. It takes every operation it does not
know for elementwise; here such cuts are refused, left alone, or found out: the cut network has to compute the same as
the masked one, in float64, before any group is handed out. Layers may be called again, as in recurrent and in spiking
networks, which unfold over time steps: what a layer meets in any of its calls belongs together.

Left alone are channels of the network's input and output, and those that meet another mix of all channels: layer or
group normalisation, attention, bare parameters (class token, position, layer scale), splits, and shortcuts padded with
zeros. Of a transformer that leaves the hidden width of its perceptrons.
"""

import math
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from neuralnets.copies import copied
from neuralnets.forward_hooks import attached
from neuralnets.layers import LAYERS, NORMS
from pruners._channels import ChannelGroup, mask_channels, remove_channels
from pruners._double import Double

if TYPE_CHECKING:
    import torch_pruning


def coupled_channels(network: nn.Module, example: Tensor) -> tuple[ChannelGroup, ...]:
    """All groups of channels that can be removed, in the order of the layers that produce them.

    Args:
        network: Not changed; it is traced in eval mode.
        example: (1, c, h, w), only its shape and device matter.

    Raises:
        TypeError: The network returns something else than a tensor.
        ValueError: Parameters are tied, a layer is never called, a convolution or product has a weight that belongs to
            no layer, or the network computes something else without some channels than with zeros in their
            place, as where forward() fixes a shape.
    """
    # torch-pruning imports torchvision, timm and torch's compiler, which takes seconds: not before it is needed
    from pruners._dependencies import channel_groups

    _check_parameters(network)
    generator = torch.Generator().manual_seed(0)
    with torch.inference_mode(mode=False), torch.enable_grad():
        model = _stand_in(network, generator)
        leaf = torch.rand(example.shape, generator=generator, dtype=torch.float64).to(example.device).requires_grad_()
        with Double():
            graph = _trace(model, leaf)
        groups = channel_groups(model, graph, leaf)
    with torch.no_grad():
        _verify(model, groups, leaf)
    return groups


def _stand_in(network: nn.Module, generator: torch.Generator) -> nn.Module:
    # dead or vanishing weights would hide a wrong cut: the structure is judged on random ones of a healthy size
    model = copied(network).double().eval().requires_grad_()
    with torch.no_grad():
        for parameter in model.parameters():
            draw = torch.rand if parameter.dim() < 2 else torch.randn
            values = draw(parameter.shape, generator=generator, dtype=torch.float64)
            fan_in = parameter.numel() / max(1, len(parameter)) if parameter.dim() else 1
            parameter.copy_(values + 0.5 if parameter.dim() < 2 else values * (2 / fan_in) ** 0.5)
    return model


def _check_parameters(network: nn.Module) -> None:
    names: dict[int, str] = {}
    for name, parameter in network.named_parameters(remove_duplicate=False):
        if id(parameter) in names:
            raise ValueError(f"expected parameters of their own, got {name} tied to {names[id(parameter)]}")
        names[id(parameter)] = name


def _trace(network: nn.Module, leaf: Tensor) -> "torch_pruning.DependencyGraph":
    import torch_pruning

    called: set[nn.Module] = set()
    inner = {child for m in network.modules() if isinstance(m, nn.MultiheadAttention) for child in m.children()}
    layers = [m for m in network.modules() if isinstance(m, (*LAYERS, *NORMS)) and m not in inner]
    with attached([layer.register_forward_hook(lambda module, _, __: called.add(module)) for layer in layers]):
        output = network(leaf)
    if not isinstance(output, Tensor):
        raise TypeError(f"expected a network that returns one tensor, got {type(output).__name__}")
    for name, module in network.named_modules():
        # a weight used without its layer stands in a product that is left alone; one never used may be in training
        if module in layers and module not in called and _is_unused(module, output):
            raise ValueError(f"expected forward() to use {name} in eval mode, got no call")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about shapes it cannot infer: whether that matters is tested below
            # the product gives the input a node of its own, by which sums with it are recognised
            return torch_pruning.DependencyGraph().build_dependency(
                network, [leaf], forward_fn=lambda model, inputs: model(inputs[0] * 1), verbose=False
            )
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(f"expected a network that torch-pruning can follow, got {error!r} from it") from error


def _is_unused(layer: nn.Module, output: Tensor) -> bool:
    weight = layer.get_parameter("weight")
    (gradient,) = torch.autograd.grad(output.sum(), [weight], retain_graph=True, allow_unused=True)
    return gradient is None


def _verify(network: nn.Module, groups: Sequence[ChannelGroup], inputs: Tensor) -> None:
    """Raise ValueError unless `network` computes the same without half of all channels as with zeros in their place."""
    if groups and not _agree(network, groups, inputs):
        culprit = next((group for group in groups if not _agree(network, [group], inputs)), None)
        raise ValueError(
            f"expected a network whose channels can be removed, got other outputs or an error without channels of"
            f" {culprit or 'several layers'}: forward() fixes a shape or mixes channels"
        )


def _agree(network: nn.Module, groups: Sequence[ChannelGroup], inputs: Tensor) -> bool:
    """Whether removing half of the channels of every group gives the outputs of setting them to zero, in float64."""
    generator = torch.Generator().manual_seed(1)
    keep = {group: torch.randperm(group.size, generator=generator) < (group.size + 1) // 2 for group in groups}
    masked, smaller = mask_channels(network, keep), remove_channels(network, keep)
    with Double():
        expected = masked(inputs)
    try:
        with Double():
            outputs = smaller(inputs)
    except (RuntimeError, ValueError, TypeError, IndexError):
        return False
    scale = float(expected.abs().max())
    if not math.isfinite(scale):
        raise ValueError(f"expected finite outputs by which cuts are judged, got {scale}")
    return bool(outputs.shape == expected.shape and torch.allclose(outputs, expected, rtol=1e-6, atol=1e-9 * scale))
