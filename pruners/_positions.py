"""At how many places a network uses each of its weights: what one weight costs in multiplications."""

import torch
from torch import Tensor, nn

from pruners._copies import copied
from pruners._weights import LAYERS, RECURRENT, prunable

_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def positions(network: nn.Module, example: Tensor) -> dict[str, int]:
    """Prunable parameter → multiplications per image with each of its entries: output positions, tokens, or steps.

    Args:
        network: Not changed.
        example: (1, c, h, w), only its shape and device matter.
    """
    model = copied(network).eval()
    names = {id(weight): name for name, weight in prunable(model).items()}
    found = dict.fromkeys(names.values(), 0)

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor | tuple[Tensor, object]) -> None:
        first = output[0] if isinstance(output, tuple) else output
        places = _places(module, inputs[0], first)
        for name in (names[id(weight)] for weight in _weights(module) if id(weight) in names):
            found[name] += places

    for module in model.modules():
        if isinstance(module, (*LAYERS, *RECURRENT, nn.MultiheadAttention)):
            module.register_forward_hook(count)
    parameter = next(model.parameters())
    with torch.no_grad():
        model(torch.zeros(example.shape, device=example.device, dtype=parameter.dtype))
    return found


def _places(module: nn.Module, inputs: Tensor, output: Tensor) -> int:
    if isinstance(module, _TRANSPOSED):
        return inputs[0, 0].numel()
    if isinstance(module, nn.Linear | nn.MultiheadAttention):
        return output.numel() // output.shape[-1]
    if isinstance(module, RECURRENT):
        return inputs.numel() // inputs.shape[-1]
    return output[0, 0].numel()


def _weights(module: nn.Module) -> list[Tensor]:
    if isinstance(module, nn.MultiheadAttention):
        # it reads the weight of out_proj without calling it
        return [weight for name, weight in module.named_parameters() if name.endswith("proj_weight")] + [
            module.out_proj.weight
        ]
    if isinstance(module, RECURRENT):
        return [weight for name, weight in module.named_parameters(recurse=False) if name.startswith("weight_")]
    return [module.get_parameter("weight")]
