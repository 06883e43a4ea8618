"""torchvision's classification networks, untrained."""

from typing import Final

from torch import nn
from torchvision import models

from evalsuite.errors import UnknownNameError, UsageError
from evalsuite.networks._convention import IMAGENET_MEAN, IMAGENET_STD, Arguments, Convention

_OURS: Final = frozenset({"weights", "weights_backbone", "progress", "num_classes"})
# these two warn unless told whether to draw their weights
_TOLD_TO_INITIALISE: Final = frozenset({"googlenet", "inception_v3"})


def build(name: str, *, classes: int, channels: int, image_size: int, arguments: Arguments) -> nn.Module:
    """`torchvision.models.get_model(name, weights=None)` for colour images."""
    _check(name)
    if channels != 3:
        raise UsageError(f"expected colour images for torchvision:{name}, got {channels} channels; timm:NAME takes any")
    for key in arguments:
        if key in _OURS:
            raise UsageError(f"expected no setting {key!r} of torchvision:{name}: weights come from the checkpoint")
    settings = dict(arguments)
    if name.startswith("vit_"):
        settings.setdefault("image_size", image_size)
    if name in _TOLD_TO_INITIALISE:
        settings.setdefault("init_weights", True)
    try:
        network = models.get_model(name, weights=None, num_classes=classes, **settings)
    except (TypeError, ValueError, RuntimeError, AssertionError) as error:
        raise UsageError(f"torchvision:{name} cannot be built from {settings}: {error}") from error
    assert isinstance(network, nn.Module)  # noqa: S101  (torchvision promises it; narrows the type)
    return network


def convention(name: str) -> Convention:
    """ImageNet's constants and 224 px."""
    _check(name)
    return Convention(mean=IMAGENET_MEAN, std=IMAGENET_STD, shape=(3, 224, 224))


def _check(name: str) -> None:
    known = models.list_models(module=models)
    if name not in known:
        raise UnknownNameError("torchvision network", name, known)
