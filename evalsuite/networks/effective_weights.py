"""Multiplies masks into the weights that they belong to: tensors as the network uses them."""

from collections.abc import Iterator, Mapping

from torch import Tensor, nn

_PARAMETRIZED = ".parametrizations."


def effective(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """`x_orig` and `x_mask` (torch.nn.utils.prune), or a parametrization's `original` and `mask`, multiplied into `x`.

    Other tensors are handed through, in order.
    """
    merged: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if name.endswith("_orig") and _fits(tensor, tensors.get(f"{name.removesuffix('_orig')}_mask")):
            plain = name.removesuffix("_orig")
            merged[plain] = _masked(tensor, tensors[f"{plain}_mask"])
        elif _PARAMETRIZED in name and name.endswith(".original") and _fits(tensor, tensors.get(_mask_name(name))):
            merged[_plain(name)] = _masked(tensor, tensors[_mask_name(name)])
        elif not _is_mask(name, tensors):
            merged[name] = tensor
    return merged


def named_tensors(network: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Parameters and buffers of `network`, each shared one once, as it uses them."""
    raw = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    yield from effective({name: tensor.detach() for name, tensor in raw.items()}).items()


def _masked(tensor: Tensor, mask: Tensor) -> Tensor:
    # masks come as numbers of any type or as bools, and leave the weights' own type as it is
    return (tensor * mask).to(tensor.dtype)


def _fits(tensor: Tensor, mask: Tensor | None) -> bool:
    return mask is not None and mask.shape == tensor.shape


def _is_mask(name: str, tensors: Mapping[str, Tensor]) -> bool:
    if name.endswith("_mask"):
        original = tensors.get(f"{name.removesuffix('_mask')}_orig")
    else:
        inside = _PARAMETRIZED in name and name.endswith(".0.mask")
        original = tensors.get(f"{name.removesuffix('.0.mask')}.original") if inside else None
    return original is not None and _fits(original, tensors[name])


def _mask_name(original: str) -> str:
    return f"{original.removesuffix('.original')}.0.mask"


def _plain(original: str) -> str:
    before, _, after = original.removesuffix(".original").rpartition(_PARAMETRIZED)
    return f"{before}.{after}"
