"""torchvision's networks for classification and for semantic segmentation, untrained."""

from typing import Final, final

import torch.nn.functional as F
from torch import Tensor, nn
from torchvision import models
from typing_extensions import override

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
    segments = name in models.list_models(module=models.segmentation)
    # a backbone would be downloaded otherwise
    untrained = {"weights_backbone": None} if segments else {}
    if name.startswith("vit_"):
        settings.setdefault("image_size", image_size)
    if name in _TOLD_TO_INITIALISE:
        settings.setdefault("init_weights", True)
    try:
        network = models.get_model(name, weights=None, num_classes=classes, **untrained, **settings)
    except (TypeError, ValueError, RuntimeError, AssertionError) as error:
        raise UsageError(f"torchvision:{name} cannot be built from {settings}: {error}") from error
    assert isinstance(network, nn.Module)  # noqa: S101  (torchvision promises it; narrows the type)
    return Segmenter(network) if segments else network


def convention(name: str) -> Convention:
    """ImageNet's constants and 224 px."""
    _check(name)
    return Convention(mean=IMAGENET_MEAN, std=IMAGENET_STD, shape=(3, 224, 224))


def spelled_out(name: str) -> list[str]:
    """`torchvision:NAME` if there is such a network, else nothing."""
    return [f"torchvision:{name}"] if name in _known() else []


def _check(name: str) -> None:
    if name not in _known():
        raise UnknownNameError("torchvision network", name, _known())


def _known() -> list[str]:
    return [*models.list_models(module=models), *models.list_models(module=models.segmentation)]


@final
class Segmenter(nn.Module):
    """A segmentation network of torchvision that gives logits (n, classes, h, w) alone, under the same names.

    torchvision's own give a dictionary, with the outputs of a second head that only training uses; that is left out.
    """

    def __init__(self, whole: nn.Module) -> None:
        nn.Module.__init__(self)
        self.backbone = whole.get_submodule("backbone")
        self.classifier = whole.get_submodule("classifier")
        # LR-ASPP's head looks at two maps, the others' at the last
        self.whole_features = isinstance(whole, models.segmentation.LRASPP)

    @override
    def forward(self, images: Tensor) -> Tensor:
        features = self.backbone(images)
        logits = self.classifier(features if self.whole_features else features["out"])
        return F.interpolate(logits, size=images.shape[-2:], mode="bilinear", align_corners=False)
