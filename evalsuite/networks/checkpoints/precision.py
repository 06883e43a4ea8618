"""Converts tensors of a file to the types of a network: half and double precision, never integers."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn

from evalsuite.errors import RefusedInputError
from evalsuite.interpretation import Interpretation
from evalsuite.networks.checkpoints._layout import COUNTER, last

_CONVERTED: Final = frozenset({torch.float16, torch.bfloat16, torch.float32, torch.float64})
_WAY_OUT: Final = (
    "a quantised network is judged as it is deployed: export it (.pt2, ONNX), or save the weights as floats"
)


def converted(
    path: Path | str, tensors: Mapping[str, Tensor], network: nn.Module
) -> tuple[dict[str, Tensor], tuple[Interpretation, ...]]:
    """The tensors in the types that the network has, and what was converted.

    Args:
        path: The file, for messages.
        tensors: By the network's names.
        network: That they are for.

    Raises:
        RefusedInputError: Weights are integers or of fewer than 16 bits; a buffer of integers holds fractions; a number
            is not finite, or too large for the network's type.
    """
    state = network.state_dict()
    changed = Counter[str]()
    result: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        wanted = state[name].dtype
        _refuse_other_kind(path, name, tensor, wanted)
        result[name] = tensor.to(wanted)
        if tensor.dtype != wanted and wanted.is_floating_point:
            changed[f"{_word(tensor.dtype)} to {_word(wanted)}"] += 1
        if wanted.is_floating_point and not bool(result[name].isfinite().all()):
            raise RefusedInputError(f"expected finite weights, got NaN or infinity in {name!r}: {path}")
    return result, tuple(
        Interpretation(topic="precision", value=what, basis="recorded", reason=f"the file's type, of {count} tensors")
        for what, count in changed.items()
    )


def single(network: nn.Module) -> tuple[Interpretation, ...]:
    """Turns a whole network of half or double precision into float32, in place; empty where it is that already."""
    kinds = {t.dtype for t in (*network.parameters(), *network.buffers()) if t.dtype in _CONVERTED - {torch.float32}}
    if not kinds:
        return ()
    network.float()
    value = f"{', '.join(sorted(map(_word, kinds)))} to float32"
    return (Interpretation(topic="precision", value=value, basis="recorded", reason="the network's type"),)


def _refuse_other_kind(path: Path | str, name: str, tensor: Tensor, wanted: torch.dtype) -> None:
    if wanted.is_floating_point and tensor.dtype not in _CONVERTED:
        raise RefusedInputError(
            f"expected weights in floating point, got {_word(tensor.dtype)} in {name!r}: {path}; {_WAY_OUT}"
        )
    fractions = not wanted.is_floating_point and tensor.is_floating_point() and bool((tensor != tensor.round()).any())
    if fractions and last(name) != COUNTER:
        raise RefusedInputError(f"expected whole numbers in {name!r}, as the network has, got fractions: {path}")


def _word(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
