"""Tensors of a file into a network of the same architecture, narrower or not."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from evalsuite.errors import UsageError
from evalsuite.networks._alignment import Aligned, align, explain
from evalsuite.networks._widths import narrow, narrow_heads
from evalsuite.networks.normalized import Normalized


@final
@dataclass(frozen=True, kw_only=True)
class Poured:
    """A network that holds a file's tensors.

    Attributes:
        network: A copy.
        aligned: How names of the file were matched.
    """

    network: nn.Module
    aligned: Aligned


def pour(
    tensors: Mapping[str, Tensor],
    network: nn.Module,
    *,
    name: str,
    read_heads: bool,
    whole_heads: bool | None = None,
) -> Poured:
    """A copy of `network` with the widths and values of `tensors`.

    Args:
        tensors: By name, in any of the usual spellings.
        network: What the architecture builds.
        name: The architecture, for messages.
        read_heads: Work out attention heads from shapes; otherwise something else tells them.
        whole_heads: How to read them where shapes leave it open.

    Raises:
        UsageError: Names or shapes do not fit.
        RefusedInputError: A number is not finite.
    """
    aligned = align(tensors, network)
    narrowed = narrow(network, {key: tuple(tensor.shape) for key, tensor in aligned.tensors.items()})
    if aligned.missing or aligned.unexpected or narrowed.misshapen:
        raise UsageError(explain(aligned, narrowed.misshapen, name))
    if read_heads:
        narrow_heads(narrowed.network, network, whole=whole_heads)
    # constants that the file leaves out stay as built; all else was matched above
    narrowed.network.load_state_dict(dict(aligned.tensors), strict=False)
    return Poured(network=narrowed.network, aligned=aligned)


def outputs(network: nn.Module, shape: tuple[int, int, int]) -> tuple[int, ...]:
    """The shape of the outputs for one blank image of `shape`: (classes,), or (channels, height, width).

    Raises:
        UsageError: The network does not take it, or gives something else.
    """
    if isinstance(network, Normalized) and len(network.mean) != shape[0]:
        # broadcasting would spread gray images over three channels
        got = f"one for {len(network.mean)} channels"
        raise UsageError(f"expected a network that takes images of shape {_times(shape)}, got {got}")
    device = next((p.device for p in network.parameters()), torch.device("cpu"))
    modes = {module: module.training for module in network.modules()}
    try:
        with torch.inference_mode():
            logits: object = network.eval()(torch.full((1, *shape), 0.5, device=device))
    except (RuntimeError, ValueError, AssertionError, IndexError, TypeError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UsageError(f"expected a network that takes images of shape {_times(shape)}, got: {first}") from error
    finally:
        for module, training in modes.items():
            module.training = training
    if not isinstance(logits, Tensor) or logits.ndim not in {2, 4} or len(logits) != 1:
        got = f"shape {_times(tuple(logits.shape))}" if isinstance(logits, Tensor) else type(logits).__name__
        raise UsageError(f"expected a network that gives one row of outputs, or one map of them, per image, got {got}")
    return tuple(logits.shape[1:])


def _times(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
