"""Counts what a network costs: parameters, multiplications, bytes, from the tensors that a forward pass uses."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, final

from torch import Tensor, nn

from evalsuite.interpretation import Interpretation
from evalsuite.networks.costs._weights_in_use import Nonzeros, prunable_names, weights_in_use
from evalsuite.networks.effective_weights import named_tensors
from evalsuite.networks.packed_weights import CONVOLUTIONS, megabytes, weight_and_bias
from evalsuite.wording import listed
from neuralnets.device import device_of
from neuralnets.forward_hooks import attached
from neuralnets.forward_pass import multiplications
from neuralnets.probes import noise, ramp

_MOSTLY: Final = 0.5
_SHOWN: Final = 3


@final
@dataclass(frozen=True, kw_only=True)
class Cost:
    """Counts for one network and one image.

    Attributes:
        parameters: Numbers in all parameters, shared ones once.
        nonzero: Those that are not exactly zero.
        prunable: Weights of convolutions, of linear and recurrent layers and of attention, as far as a forward pass
            uses them, each once; no biases, no normalisations, no embeddings, no parameters that belong to no layer.
        prunable_nonzero: Those that are not exactly zero where they are used: behind masks, weight standardisation or
            whatever else the network computes its weights with.
        flops: Multiply-accumulates of activations with a weight that is not zero, prunable or not: nonzero weights
            times positions, as in Lost in Pruning. Multiplications that a mask leaves out are only saved by hardware
            that skips zeros.
        dense_flops: The same with all weights: what is computed today.
        products: Multiply-accumulates of activations with each other, as in attention; in no other count.
        megabytes: Parameters and buffers, 10^6 bytes.
        unused: Names of weights of layers that no forward pass uses, such as those of a head for training.
    """

    parameters: int
    nonzero: int
    prunable: int
    prunable_nonzero: int
    flops: int
    dense_flops: int
    megabytes: float
    products: int = 0
    unused: tuple[str, ...] = ()


def cost(network: nn.Module, shape: tuple[int, int, int]) -> Cost:
    """Counts on one image of `shape` (channels, height, width); masks of torch.nn.utils.prune count as zeros.

    Weights that this image does not need are looked for in a few others: which expert a mixture asks may depend on it.
    """
    named = dict(named_tensors(network))
    buffers = {name for name, _ in network.named_buffers()}
    parameters = [tensor for name, tensor in named.items() if name not in buffers] + _in_packed(network)
    packed: list[_Packed] = []
    with _noting(network, packed):
        followed = multiplications(network, ramp(shape, device_of(network)))
    learnt, candidates = dict(network.named_parameters()), prunable_names(network)
    uses = list(followed.uses)
    if candidates - followed.used:
        others = multiplications(network, noise(shape, device_of(network)))
        uses += [use for use in others.uses if not use.sources & followed.used]
    nonzeros = Nonzeros()
    weights = weights_in_use(uses, learnt, candidates, nonzeros)
    quantised = list({each.module: each.weight for each in packed}.values())
    counted = [(use.weight, use.positions) for use in followed.uses if use.positions]
    counted += [(each.weight, each.positions) for each in packed]
    return Cost(
        parameters=sum(tensor.numel() for tensor in parameters),
        nonzero=sum(nonzeros(tensor) for tensor in parameters),
        prunable=sum(each.entries for each in weights) + sum(weight.numel() for weight in quantised),
        prunable_nonzero=sum(each.nonzero for each in weights) + sum(nonzeros(weight) for weight in quantised),
        flops=sum(nonzeros(weight) * positions for weight, positions in counted),
        dense_flops=sum(weight.numel() * positions for weight, positions in counted),
        megabytes=sum(tensor.numel() * tensor.element_size() for tensor in named.values()) / 1e6 + megabytes(network),
        products=followed.products,
        unused=tuple(name for name in learnt if name in candidates and not any(name in use.sources for use in uses)),
    )


def prunable_share(counted: Cost) -> Interpretation:
    """How much of a network pruning is about: said, so that nobody takes a part of it for the whole."""
    share = counted.prunable / max(1, counted.parameters)
    value = f"prunable weights are {share:.1%} of all {counted.parameters:,} parameters"
    if counted.unused:
        unused = listed([name.removeprefix("network.") for name in counted.unused], _SHOWN)
        value += f"; no forward pass uses {unused}, which are neither pruned nor counted"
    if share >= _MOSTLY:
        return Interpretation(topic="prunable share", value=value, basis="measured")
    reason = "a prune ratio is a share of the prunable weights, and most of this network is something else"
    return Interpretation(topic="prunable share", value=value, basis="measured", reason=reason)


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class _Packed:
    """One call of a quantised layer: its dequantised weight, and at how many positions it was used."""

    module: nn.Module
    weight: Tensor
    positions: int


@contextmanager
def _noting(network: nn.Module, packed: list[_Packed]) -> Iterator[None]:
    """Inside, calls of quantised layers are noted, whose weights no operator shows."""

    def note(module: nn.Module, _: tuple[Tensor, ...], output: Tensor) -> None:
        both = weight_and_bias(module)
        assert both is not None  # noqa: S101 - only such modules have this hook
        is_convolution = isinstance(module, CONVOLUTIONS)
        positions = output[0, 0].numel() if is_convolution else output.numel() // output.shape[-1]
        packed.append(_Packed(module=module, weight=both[0], positions=positions))

    quantised = [module for module in network.modules() if weight_and_bias(module) is not None]
    handles = [module.register_forward_hook(note) for module in quantised]
    with attached(handles):
        yield


def _in_packed(network: nn.Module) -> list[Tensor]:
    quantised = [both for module in network.modules() if (both := weight_and_bias(module)) is not None]
    return [tensor for both in quantised for tensor in both if tensor is not None]
