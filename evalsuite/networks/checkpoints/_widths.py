"""Channel-pruned networks: widths read off the shapes of their tensors.

A file that holds the tensors of a narrower network says everything but the code; the code is the full network's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, final

import torch
from torch import nn
from torchvision.models import VisionTransformer

from evalsuite.errors import UsageError
from evalsuite.networks.copies import copied

Shape = tuple[int, ...]
_CONVOLUTIONS: Final = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_TRANSPOSED: Final = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_NORMS: Final = (
    nn.BatchNorm1d,
    nn.BatchNorm2d,
    nn.BatchNorm3d,
    nn.SyncBatchNorm,
    nn.InstanceNorm1d,
    nn.InstanceNorm2d,
    nn.InstanceNorm3d,
)


@final
@dataclass(frozen=True, kw_only=True)
class Narrowed:
    """A network with the widths asked for.

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
                misshapen.append(f"{name} ({_times(wanted)} instead of {_times(present)})")
                continue
            blank = torch.zeros(wanted, dtype=old.dtype)
            parameter = isinstance(old, nn.Parameter)
            setattr(module, key, nn.Parameter(blank, requires_grad=old.requires_grad) if parameter else blank)
            changed.append(name)
            touched = True
        if touched:
            _tell(module)
    for module in network.modules():
        if isinstance(module, VisionTransformer):
            module.hidden_dim = module.conv_proj.out_channels
    return Narrowed(network=network, changed=tuple(changed), misshapen=tuple(misshapen))


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
    if isinstance(module, nn.RNNBase | nn.RNNCellBase):
        # their kernels read beyond the end of weights that are narrower than the layer says
        return False
    if isinstance(module, (*_CONVOLUTIONS, *_TRANSPOSED)):
        return old[2:] == new[2:]
    layers = (nn.Linear, nn.LayerNorm, nn.GroupNorm, nn.PReLU, nn.MultiheadAttention, *_NORMS)
    return isinstance(module, layers) or sum(o != n for o, n in zip(old, new, strict=True)) == 1


def _tell(module: nn.Module) -> None:
    if isinstance(module, _CONVOLUTIONS):
        _tell_convolution(module)
    elif isinstance(module, _TRANSPOSED):
        module.in_channels, module.out_channels = module.weight.shape[0], module.weight.shape[1] * module.groups
    elif isinstance(module, nn.Linear):
        module.out_features, module.in_features = module.weight.shape
    elif isinstance(module, _NORMS):
        told = module.running_mean if module.running_mean is not None else module.weight
        module.num_features = len(told)
    elif isinstance(module, nn.LayerNorm):
        module.normalized_shape = tuple(module.weight.shape)
    else:
        _tell_rarer(module)


def _tell_convolution(module: nn.Conv1d | nn.Conv2d | nn.Conv3d) -> None:
    filters, inputs = module.weight.shape[:2]
    if inputs == 1 and module.groups == module.in_channels > 1:
        # depthwise: a channel that goes takes its group along
        module.groups = filters // (module.out_channels // module.groups)
    module.out_channels, module.in_channels = filters, inputs * module.groups


def _tell_rarer(module: nn.Module) -> None:
    if isinstance(module, nn.GroupNorm):
        module.num_channels = len(module.weight)
    elif isinstance(module, nn.PReLU):
        module.num_parameters = len(module.weight)
    elif isinstance(module, nn.MultiheadAttention):
        module.embed_dim = module.kdim = module.vdim = module.in_proj_weight.shape[1]
        module.head_dim = module.embed_dim // module.num_heads


def _times(shape: Shape) -> str:
    return "x".join(map(str, shape)) or "scalar"
