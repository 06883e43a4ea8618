"""Choosing layer ratios as a constrained Markov decision process (Malik et al. 2021, arXiv:2110.08558).

An episode goes through the layers once. In each, the agent sees the layer and what it did so far, and says which share
of the layer goes. At the end come the reward, and the cost: the weights left in percent.
"""

from collections.abc import Callable, Sequence
from typing import final

import torch
from torch import Tensor, nn
from typing_extensions import override

from neuralnets.layers import CONVOLUTIONS, TRANSPOSED
from pruners._layer_trials import Layers
from pruners._ppo_lagrangian import Process


@final
class LayerEnvironment(Process):
    """A Markov decision process that chooses the prune ratio of one layer per step.

    States are index, channels in and out, kernel, stride and padding (rows, columns) of the layer, each standardised
    over the layers, and the sum of the actions so far, divided by the number of layers.
    """

    def __init__(self, network: nn.Module, layers: Layers, reward: Callable[[Sequence[int]], float]) -> None:
        """Look at `network` only; `reward` says what numbers of weights per layer are worth."""
        raw = torch.tensor([_features(network, name) for name in layers.names], dtype=torch.float64)
        raw = torch.cat([torch.arange(len(raw), dtype=torch.float64).unsqueeze(1), raw], dim=1)
        centred = raw - raw.mean(0)
        self._fixed = (centred / centred.square().mean(0).sqrt().clamp_min(1e-12)).float()
        self._sizes, self._reward = layers.sizes, reward
        self.horizon, self.features = len(raw), raw.shape[1] + 1

    @override
    def states(self, actions: Tensor) -> Tensor:
        done = actions.shape[1]
        fixed = self._fixed[done].expand(len(actions), -1)
        return torch.cat([fixed, actions.sum(1, keepdim=True) / self.horizon], dim=1)

    @override
    def outcomes(self, actions: Tensor) -> tuple[Tensor, Tensor]:
        tried = [self._counts(episode.tolist()) for episode in actions]
        rewards = [self._reward(counts) for counts in tried]
        costs = [100 * sum(counts) / sum(self._sizes) for counts in tried]
        return torch.tensor(rewards), torch.tensor(costs)

    def _counts(self, gone: Sequence[float]) -> list[int]:
        return [max(1, round((1 - share) * size)) for share, size in zip(gone, self._sizes, strict=True)]


def _features(network: nn.Module, name: str) -> list[float]:
    """Channels in and out, kernel, stride, padding of the layer that has the parameter `name`."""
    layer = network.get_submodule(name.rpartition(".")[0])
    if not isinstance(layer, (*CONVOLUTIONS, *TRANSPOSED)):
        out, into = network.get_parameter(name).shape
        return [into, out, 1, 1, 1, 1, 0, 0]
    padding = layer.padding if isinstance(layer.padding, tuple) else _named(str(layer.padding), layer)
    ends = [size[end] for size in (layer.kernel_size, layer.stride, padding) for end in (0, -1)]
    return [layer.in_channels, layer.out_channels, *ends]


def _named(padding: str, layer: nn.modules.conv._ConvNd) -> tuple[int, ...]:
    sizes = zip(layer.kernel_size, layer.dilation, strict=True)
    return tuple((size - 1) * dilation // 2 if padding == "same" else 0 for size, dilation in sizes)
