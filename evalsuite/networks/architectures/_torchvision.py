"""torchvision's networks for classification and for semantic segmentation, untrained.

Their constructors have two switches that change what is computed and leave no trace in the tensors: `transform_input`
of `inception_v3` and `googlenet`, which `switches` knows of, and dilation in place of stride in ResNets, which takes a
list and cannot be set here. Heads that only training uses are not built.
"""

import re
from types import ModuleType
from typing import TYPE_CHECKING, Final, TypedDict, final

import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from evalsuite.errors import RefusedInputError, UnknownNameError, UsageError
from evalsuite.interpretation import Interpretation
from evalsuite.networks.architectures.input_convention import Arguments, Convention

if TYPE_CHECKING:
    from torchvision import models


class _Photos(TypedDict):
    """What torchvision's networks expect of their images; fields of `Convention`."""

    shape: tuple[int, int, int]
    crop: float | None
    interpolation: str | None


_OURS: Final = frozenset({"weights", "weights_backbone", "progress", "num_classes"})
# these two warn unless told whether to draw their weights, change the scale of their images where a switch says so, and
# have heads that only training uses
_INCEPTION: Final = frozenset({"googlenet", "inception_v3"})
_SWITCH: Final = "transform_input"


def _models() -> ModuleType:
    # torchvision imports torch's compiler, which takes seconds: not for networks of other origin
    from torchvision import models

    module: ModuleType = models
    return module


def build(name: str, *, classes: int, channels: int, image_size: int, arguments: Arguments) -> nn.Module:
    """`torchvision.models.get_model(name, weights=None)` for colour images."""
    _check(name)
    if channels != 3:
        raise UsageError(f"expected colour images for torchvision:{name}, got {channels} channels; timm:NAME takes any")
    for key in arguments:
        if key in _OURS:
            raise UsageError(f"expected no setting {key!r} of torchvision:{name}: weights come from the checkpoint")
    settings = dict(arguments)
    segments = name in _models().list_models(module=_models().segmentation)
    # a backbone would be downloaded otherwise
    untrained = {"weights_backbone": None} if segments else {}
    if name.startswith("vit_"):
        settings.setdefault("image_size", image_size)
    if name in _INCEPTION:
        settings = {"init_weights": True, "aux_logits": False, **settings}
    try:
        network = _models().get_model(name, weights=None, num_classes=classes, **untrained, **settings)
    except (TypeError, ValueError, RuntimeError, AssertionError) as error:
        raise UsageError(f"torchvision:{name} cannot be built from {settings}: {error}") from error
    assert isinstance(network, nn.Module)  # noqa: S101  (torchvision promises it; narrows the type)
    return Segmenter(network) if segments else network


def convention(name: str, digest: str | None = None) -> Convention:
    """How the published weights of the network were trained: of this file, where it is one of them, else by default.

    Args:
        name: Of the network.
        digest: sha256 of a file, hexadecimal.
    """
    _check(name)
    published = None if digest is None else _published(name, digest)
    weights = published or next(iter(_models().get_model_weights(name)))
    transforms = weights.transforms()
    what = f"torchvision's {weights}, whose file this is" if published else "the custom of torchvision's networks"
    return Convention(
        mean=tuple(transforms.mean),
        std=tuple(transforms.std),
        **_photos(transforms),
        reason=what,
        published=published is not None,
    )


def _photos(transforms: object) -> _Photos:
    """How photos become images; networks for segmentation take any size, and nothing is cut out for them."""
    crop, resized = (getattr(transforms, key, None) for key in ("crop_size", "resize_size"))
    if not crop or not resized:
        return {"shape": (3, 224, 224), "crop": None, "interpolation": None}
    interpolation = getattr(transforms, "interpolation", None)
    how = "bilinear" if interpolation is None else str(interpolation.value)
    return {"shape": (3, crop[0], crop[0]), "crop": crop[0] / resized[0], "interpolation": how}


def switches(name: str, arguments: Arguments, digest: str) -> tuple[Arguments, tuple[Interpretation, ...]]:
    """Arguments of the constructor that tensors do not tell, added to `arguments`.

    Raises:
        RefusedInputError: One is open, and the file is none of those that torchvision publishes.
    """
    if name not in _INCEPTION:
        return arguments, ()
    if _SWITCH in arguments:
        value = str(arguments[_SWITCH]).lower()
        return arguments, (Interpretation(topic="constructor", value=f"{_SWITCH}={value}", basis="given"),)
    option = f"--arch torchvision:{name}?{_SWITCH}="
    if (published := _published(name, digest)) is not None:
        reason = f"the file is torchvision's {published}"
        reading = Interpretation(topic="constructor", value=f"{_SWITCH}=true", basis="recorded", reason=reason)
        return {**arguments, _SWITCH: True}, (reading,)
    raise RefusedInputError(
        f"expected {_SWITCH} of torchvision:{name} to be known, which no tensor tells: say {option}true (torchvision's "
        f"published weights and what was trained from them) or {option}false (trained from the start)"
    )


def _published(name: str, digest: str) -> "models.WeightsEnum | None":
    """Whose file begins its sha256 as torchvision's file names say."""
    weights = _models().get_model_weights(name)
    return next((each for each in weights if digest.startswith(_published_digest(each))), None)


def _published_digest(weights: "models.WeightsEnum") -> str:
    match = re.search(r"-([0-9a-f]{8,})\.pth$", weights.url)
    # no digest begins with a space
    return match[1] if match else " "


def spelled_out(name: str) -> list[str]:
    """`torchvision:NAME` if there is such a network, else nothing."""
    return [f"torchvision:{name}"] if name in _names() else []


def _check(name: str) -> None:
    if name not in _names():
        raise UnknownNameError("torchvision network", name, _names())


def _names() -> list[str]:
    return [*_models().list_models(module=_models()), *_models().list_models(module=_models().segmentation)]


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
        self.whole_features = isinstance(whole, _models().segmentation.LRASPP)

    @override
    def forward(self, images: Tensor) -> Tensor:
        features = self.backbone(images)
        logits = self.classifier(features if self.whole_features else features["out"])
        return F.interpolate(logits, size=images.shape[-2:], mode="bilinear", align_corners=False)
