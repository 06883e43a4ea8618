"""Narrows a network to the widths of a channel-pruned one, read off the shapes of its tensors.

A file that holds the tensors of a narrower network says everything but the code; the code is the full network's.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import torch
from torch import nn

from evalsuite.errors import UsageError
from evalsuite.networks.copies import copied
from evalsuite.wording import times
from neuralnets.layers import CONVOLUTIONS, NORMS, RECURRENT, TRANSPOSED
from neuralnets.widths import fit_widths

Shape = tuple[int, ...]


@final
@dataclass(frozen=True, kw_only=True)
class Narrowed:
    """A network with the requested widths.

    Attributes:
        network: A copy; the tensors that changed shape hold no meaningful values yet.
        changed: Names of those tensors.
        misshapen: Tensors that no removal of channels brings to the shape asked for, with both shapes.
    """

    network: nn.Module
    changed: tuple[str, ...]
    misshapen: tuple[str, ...]


def narrow(network: nn.Module, shapes: Mapping[str, Shape]) -> Narrowed:
    """A copy of `network` whose parameters and buffers have the given shapes; channels can be taken away, not added.

    Convolutions (plain, grouped, depthwise, transposed), linear layers, normalisations and multi-head attention are
    told their new numbers of channels. Other parameters (position embeddings, layer scales) may shrink along one axis.
    """
    network = copied(network)
    changed: list[str] = []
    misshapen: list[str] = []
    for prefix, module in network.named_modules():
        tensors = {**dict(module.named_parameters(recurse=False)), **dict(module.named_buffers(recurse=False))}
        touched = False
        for key, old in tensors.items():
            name = f"{prefix}.{key}" if prefix else key
            wanted, present = tuple(shapes.get(name, old.shape)), tuple(old.shape)
            if wanted == present:
                continue
            if not _reachable(module, present, wanted):
                misshapen.append(f"{name} ({times(wanted) or 'scalar'} instead of {times(present) or 'scalar'})")
                continue
            blank = torch.zeros(wanted, dtype=old.dtype)
            parameter = isinstance(old, nn.Parameter)
            setattr(module, key, nn.Parameter(blank, requires_grad=old.requires_grad) if parameter else blank)
            changed.append(name)
            touched = True
        if touched:
            fit_widths(module)
    for module in _vision_transformers(network):
        module.hidden_dim = module.get_submodule("conv_proj").out_channels
    return Narrowed(network=network, changed=tuple(changed), misshapen=tuple(misshapen))


def _vision_transformers(network: nn.Module) -> list[nn.Module]:
    # a network can be torchvision's only where torchvision is imported already; importing it takes seconds
    models = sys.modules.get("torchvision.models")
    return [] if models is None else [each for each in network.modules() if isinstance(each, models.VisionTransformer)]


def narrow_heads(network: nn.Module, built: nn.Module, *, whole: bool | None) -> None:
    """Works out, in place, what attention modules of `network` lost against `built`: whole heads, or width of each.

    It concerns modules that keep `num_heads` and `head_dim` and project by a linear layer `qkv` or `query`, as timm's
    do. One reading is taken where only one is possible.

    Args:
        network: With the widths of the file.
        built: As its architecture builds it.
        whole: True: heads were removed whole; False: every head was narrowed; None: as the shapes say.

    Raises:
        UsageError: Both readings are possible and `whole` is None, or neither is.
    """
    modules = dict(built.named_modules())
    for name, module in network.named_modules():
        rows, rows_built = _projected(module), _projected(modules[name])
        if rows is None or rows_built is None or rows == rows_built:
            continue
        heads, width = int(vars(module)["num_heads"]), int(vars(module)["head_dim"])
        readings = {True: rows % width == 0, False: rows % heads == 0}
        if whole is None and all(readings.values()):
            either = f"{rows // width} heads of {width} or {heads} heads of {rows // heads}"
            way_out = "say pruned_heads=true (heads removed whole) or pruned_heads=false (heads narrowed)"
            raise UsageError(f"expected shapes that tell the heads of {name!r}, got either {either}; {way_out}")
        fits = [reading for reading, possible in readings.items() if possible and whole in {None, reading}]
        if not fits:
            raise UsageError(f"expected rows for {heads} heads of {width}, got {rows} in {name!r}")
        module.num_heads = rows // width if fits[0] else heads
        module.head_dim = width if fits[0] else rows // heads
        if "attn_dim" in vars(module):
            module.attn_dim = rows


def _projected(module: nn.Module) -> int | None:
    if not {"num_heads", "head_dim"} <= vars(module).keys() or isinstance(module, nn.MultiheadAttention):
        return None
    children = dict(module.named_children())
    joint, query = children.get("qkv"), children.get("query")
    if isinstance(joint, nn.Linear):
        return joint.out_features // 3
    return query.out_features if isinstance(query, nn.Linear) else None


def _reachable(module: nn.Module, old: Shape, new: Shape) -> bool:
    if len(old) != len(new) or not all(0 < n <= o for n, o in zip(new, old, strict=True)):
        return False
    if isinstance(module, RECURRENT):
        # their kernels read beyond the end of weights that are narrower than the layer says
        return False
    if isinstance(module, (*CONVOLUTIONS, *TRANSPOSED)):
        return old[2:] == new[2:]
    layers = (nn.Linear, nn.LayerNorm, nn.GroupNorm, nn.PReLU, nn.MultiheadAttention, *NORMS)
    return isinstance(module, layers) or sum(o != n for o, n in zip(old, new, strict=True)) == 1
