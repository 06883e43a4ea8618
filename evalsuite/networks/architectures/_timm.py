"""timm's networks, untrained; timm is an optional extra.

What leaves no trace in the tensors stands in the names there: padding and epsilon of TensorFlow (`tf_`), JAX (`_jx`),
anti-aliasing (`aa`, `blur`), the approximated GELU (`quickgelu`). `twins` lists names of the same tensors that compute
otherwise (scanned in timm 1.0.31: 47 groups, of which these words tell 45 apart). Pooling is a setting of the
constructor (`global_pool`) that only vision transformers show in their tensors.
"""

import re
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Final

from torch import nn

from evalsuite.errors import UnknownNameError, UsageError, install_hint
from evalsuite.networks.architectures.input_convention import IMAGENET_MEAN, IMAGENET_STD, Arguments, Convention

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
    timm = _timm(name)
    config = timm.models.get_pretrained_cfg(name)
    mean, std, size = (getattr(config, key, None) for key in ("mean", "std", "input_size"))
    shape = (int(size[0]), int(size[1]), int(size[2])) if size else (3, 224, 224)
    statistics = tuple(mean or IMAGENET_MEAN), tuple(std or IMAGENET_STD)
    crop, interpolation = (getattr(config, key, None) for key in ("crop_pct", "interpolation"))
    return Convention(
        mean=statistics[0],
        std=statistics[1],
        shape=shape,
        # timm rounds the size before cropping down
        crop=shape[1] / int(shape[1] / crop) if crop else None,
        interpolation=str(interpolation) if interpolation else None,
        reason=_reason(timm, name, statistics),
    )


def twins(name: str) -> tuple[str, ...]:
    """Other networks of timm with the same tensors that compute otherwise."""
    bare = name.partition(".")[0]
    alike = [each for each in _timm(name).list_models() if each != bare and _plain(each) == _plain(bare)]
    return tuple(alike)


def _plain(name: str) -> str:
    """The name without the words that tell of no tensor."""
    return re.sub(r"^tf_|_jx$|quickgelu_|(?<=net)(aa|blur)(?=\d)|(?<=seresnext)aa(?=\d)|_(aa|blur)(?=_)", "", name)


def _reason(timm: ModuleType, name: str, statistics: tuple[tuple[float, ...], tuple[float, ...]]) -> str:
    """Whose configuration it is, and which of the network's other published weights were trained otherwise."""
    bare, _, tag = name.partition(".")
    if tag:
        return f"timm's configuration of {name}"
    tagged = [each for each in timm.list_models(f"{bare}.*", pretrained=True) if each.partition(".")[0] == bare]
    configs = {each: timm.models.get_pretrained_cfg(each) for each in tagged}
    others = [each for each, config in configs.items() if (tuple(config.mean), tuple(config.std)) != statistics]
    unlike = f", unlike that of {others[0]}" if others else ""
    return f"timm's configuration of {bare}{unlike}"


def spelled_out(name: str) -> list[str]:
    """`timm:NAME` if timm is installed and has such a network, else nothing."""
    if find_spec("timm") is None:
        return []
    return [f"timm:{name}"] if import_module("timm").is_model(name) else []


def _timm(name: str) -> ModuleType:
    try:
        timm = import_module("timm")
    except ImportError as error:
        raise UsageError(f"timm:{name} needs timm: {install_hint('timm')}") from error
    # also keeps out "hf-hub:..." names, which would be fetched
    if not timm.is_model(name):
        raise UnknownNameError("timm network", name, timm.list_models())
    return timm
