"""Low-rank adapters beside the frozen weights of a pruned network: retraining of few parameters.

Low-rank adaptation (Hu et al. 2021, arXiv:2106.09685, section 4.1): W = W_0 + B A with W_0 frozen, A drawn at random
and B zero, so that training starts from the network as it is. Deviations: convolutions are adapted too, as matrices
(filters, entries of one filter); where W_0 is pruned, B A is zeroed as well, so that merging costs no sparsity; the
scale alpha / r is 1, which a learning rate stands for.

    student = adapted(pruned, rank=4)
    ...                                 # any training of what requires a gradient
    retrained = merged(student)
"""

from collections.abc import Mapping
from typing import final

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.parameter import Parameter
from typing_extensions import override

from neuralnets.copies import copied
from neuralnets.layers import NORMS
from neuralnets.weights import prunable
from pruners._draws import generator

_NORMS = (*NORMS, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)


def adapted(network: nn.Module, rank: int, *, seed: int = 0) -> nn.Module:
    """A copy of `network` with the same outputs, of which only adapters, biases and normalisation can be trained.

    Args:
        network: Not changed.
        rank: Rank of B A for every prunable weight, at least 1; at most the rows and columns of its matrix count.
        seed: A is drawn from (seed, parameter name).

    Raises:
        ValueError: `rank` is below 1, or there is no prunable weight.
    """
    if rank < 1:
        raise ValueError(f"expected rank >= 1, got {rank}")
    if not prunable(network):
        raise ValueError("expected a network with convolutions or linear layers to adapt, got none")
    return _Adapted(network, rank, seed)


def merged(network: nn.Module) -> nn.Module:
    """The plain network that computes what `network`, made by `adapted` and trained, computes.

    Of the class of the original, with its names and flags; what was pruned is exactly zero. `network` is not changed.

    Raises:
        TypeError: `network` has no adapters.
    """
    if not isinstance(network, _Adapted):
        raise TypeError(f"expected a network made by `adapted`, got {type(network).__name__}")
    plain = copied(network.network).train(network.training)
    with torch.no_grad():
        for name, weight in network.weights().items():
            plain.get_parameter(name).copy_(weight)
    for name, parameter in plain.named_parameters():
        parameter.grad = None
        parameter.requires_grad_(network.trainable[name])
    return plain


@final
class _Adapted(nn.Module):
    """A network with frozen weights and trainable adapters.

    Attributes:
        network: As it was, weights frozen.
        down: Per prunable weight A, (rank, entries of one filter).
        up: Per prunable weight B, (filters, rank).
        trainable: By parameter name, whether it was trainable before.
    """

    trainable: Mapping[str, bool]

    def __init__(self, network: nn.Module, rank: int, seed: int) -> None:
        super().__init__()
        self.network = copied(network)
        self.trainable = {name: parameter.requires_grad for name, parameter in network.named_parameters()}
        self.names = tuple(prunable(network))
        self.down = nn.ParameterList()
        self.up = nn.ParameterList()
        for name, weight in prunable(network).items():
            rows, columns = weight.flatten(1).shape
            least = min(rank, rows, columns)
            draw = torch.randn(least, columns, generator=generator(seed, name), dtype=torch.float64)
            self.down.append(Parameter((draw / columns**0.5).to(weight)))
            self.up.append(Parameter(weight.detach().new_zeros(rows, least)))
        _freeze(self.network, frozenset(self.names))
        self.train(network.training)

    def weights(self) -> dict[str, Tensor]:
        """Prunable parameter → its value with the adapter."""
        values = {}
        for name, down, up in zip(self.names, self.down, self.up, strict=True):
            weight = self.network.get_parameter(name)
            values[name] = weight + (up @ down).view_as(weight) * (weight != 0)
        return values

    @override
    def forward(self, images: Tensor) -> Tensor:
        outputs: Tensor = functional_call(self.network, self.weights(), (images,))
        return outputs


def _freeze(network: nn.Module, weights: frozenset[str]) -> None:
    for prefix, module in network.named_modules():
        for name, parameter in module.named_parameters(recurse=False):
            full = f"{prefix}.{name}" if prefix else name
            free = isinstance(module, _NORMS) or name.endswith("bias")
            parameter.requires_grad_(free and full not in weights)
