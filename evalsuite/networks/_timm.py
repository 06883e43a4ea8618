"""timm's networks, untrained; timm is an optional extra."""

from importlib import import_module
from types import ModuleType
from typing import Final

from torch import nn

from evalsuite.errors import UnknownNameError, UsageError, install_hint
from evalsuite.networks._convention import IMAGENET_MEAN, IMAGENET_STD, Arguments, Convention

_OURS: Final = frozenset(
    {
        "pretrained",
        "pretrained_cfg",
        "pretrained_cfg_overlay",
        "checkpoint_path",
        "cache_dir",
        "num_classes",
        "in_chans",
    }
)


def build(name: str, *, classes: int, channels: int, image_size: int, arguments: Arguments) -> nn.Module:
    """`timm.create_model(name, pretrained=False)`; the image size is handed on where it shapes the network."""
    timm = _timm(name)
    for key in arguments:
        if key in _OURS:
            raise UsageError(f"expected no setting {key!r} of timm:{name}: weights come from the checkpoint")
    settings = dict(arguments)
    if getattr(timm.models.get_pretrained_cfg(name), "fixed_input_size", False):
        settings.setdefault("img_size", image_size)
    try:
        network = timm.create_model(name, pretrained=False, in_chans=channels, num_classes=classes, **settings)
    except (TypeError, ValueError, RuntimeError, AssertionError) as error:
        raise UsageError(f"timm:{name} cannot be built from {settings}: {error}") from error
    assert isinstance(network, nn.Module)  # noqa: S101  (timm promises it; narrows the type)
    return network


def convention(name: str) -> Convention:
    """What timm's own configuration of the network says, else ImageNet's constants."""
    told = _timm(name).models.get_pretrained_cfg(name)
    mean, std, size = (getattr(told, key, None) for key in ("mean", "std", "input_size"))
    shape = (int(size[0]), int(size[1]), int(size[2])) if size else (3, 224, 224)
    return Convention(mean=tuple(mean or IMAGENET_MEAN), std=tuple(std or IMAGENET_STD), shape=shape)


def _timm(name: str) -> ModuleType:
    try:
        timm = import_module("timm")
    except ImportError as error:
        raise UsageError(f"timm:{name} needs timm: {install_hint('timm')}") from error
    # also keeps out "hf-hub:..." names, which would be fetched
    if not timm.is_model(name):
        raise UnknownNameError("timm network", name, timm.list_models())
    return timm
