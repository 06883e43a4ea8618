"""Networks by name: built-in ones, other libraries' ones, and factories of the user's own."""

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import fields
from types import MappingProxyType
from typing import Protocol

from pydantic import TypeAdapter, ValidationError
from torch import nn

from evalsuite.errors import UnknownNameError, UsageError, install_hint
from evalsuite.interpretation import Interpretation
from evalsuite.networks.architectures import _factory, _robustbench, _timm, _torchvision
from evalsuite.networks.architectures._base import Architecture
from evalsuite.networks.architectures._initialisation import seeded
from evalsuite.networks.architectures.densenet import DenseNet
from evalsuite.networks.architectures.espcn import Espcn
from evalsuite.networks.architectures.input_convention import NO_ARGUMENTS, Arguments, Convention
from evalsuite.networks.architectures.lenet import LeNet
from evalsuite.networks.architectures.mlp import Mlp
from evalsuite.networks.architectures.resnet import ResNet
from evalsuite.networks.architectures.vgg import VGG
from evalsuite.networks.architectures.vit import ViT
from evalsuite.networks.architectures.wide_resnet import WideResNet
from evalsuite.parts.names import split_options

BUILT_IN: Mapping[str, Architecture] = MappingProxyType(
    {
        "lenet5": LeNet(),
        "resnet8": ResNet(depth=8),
        "resnet20": ResNet(depth=20),
        "resnet56": ResNet(depth=56),
        "resnet110": ResNet(depth=110),
        "vgg16_bn": VGG(depth=16),
        "densenet22": DenseNet(depth=22),
        "wrn16_8": WideResNet(depth=16, width=8),
        "vit_small": ViT(),
        "mlp": Mlp(),
        "espcn": Espcn(),
    }
)

_PATTERNS: Mapping[str, str] = MappingProxyType(
    {
        "torchvision:NAME": "any of torchvision's networks for classification or semantic segmentation",
        "timm:NAME": f"any of timm's networks ({install_hint('timm')})",
        "robustbench:NAME@dataset/threat": f"RobustBench's model zoo ({install_hint('robustbench')})",
        "package.module:factory": "a callable of yours that gives a torch.nn.Module",
    }
)


class _Origin(Protocol):
    def __call__(
        self, name: str, *, classes: int, channels: int, image_size: int, arguments: Arguments
    ) -> nn.Module: ...


_ORIGINS: Mapping[str, tuple[_Origin, Callable[[str], Convention]]] = MappingProxyType(
    {
        "torchvision": (_torchvision.build, _torchvision.convention),
        "timm": (_timm.build, _timm.convention),
        "robustbench": (_robustbench.build, _robustbench.convention),
    }
)


def build(
    arch: str,
    *,
    classes: int,
    channels: int,
    image_size: int,
    arguments: Arguments = NO_ARGUMENTS,
    seed: int = 0,
) -> nn.Module:
    """An untrained network that takes normalised images, in training mode.

    Weights depend on `seed` alone; torch's global random state is neither read nor moved.

    Args:
        arch: A name in `BUILT_IN`, `torchvision:NAME`, `timm:NAME`, `robustbench:NAME@dataset/threat` or
            `package.module:factory`; settings may stand behind it, `resnet20?shortcut=padding`.
        classes: Number of logits, of numbers or of channels that it gives, at least 1.
        channels: Channels of the images.
        image_size: Their side in pixels.
        arguments: Fields of a built-in architecture, or what else the other library's constructor takes.
        seed: Of the weights.

    Raises:
        UnknownNameError: There is no such architecture; the nearest names are told.
        UsageError: It does not take such arguments or images, or the library is not installed.
    """
    for name, number, least in (("classes", classes, 1), ("channels", channels, 1), ("image_size", image_size, 1)):
        if number < least:
            raise UsageError(f"expected {name} >= {least}, got {number}")
    bare, settings = split(arch, arguments)
    origin, colon, rest = bare.partition(":")
    with seeded(seed):
        if not colon:
            part = _configured(bare, settings)
            return part(classes=classes, channels=channels, image_size=image_size)
        if origin in _ORIGINS:
            make, _ = _ORIGINS[origin]
            return make(rest, classes=classes, channels=channels, image_size=image_size, arguments=settings)
        return _factory.build(bare, classes=classes, channels=channels, image_size=image_size, arguments=settings)


def describe() -> dict[str, str]:
    """What can be named: each built-in architecture with its settings, then the patterns of the other origins."""
    built_in = {name: f"{_summary(part)} ({_settings(part)})" for name, part in BUILT_IN.items()}
    return {**built_in, **_PATTERNS}


def convention(arch: str, digest: str | None = None) -> Convention:
    """What networks of this origin expect of their images.

    Args:
        arch: As for `build`.
        digest: sha256 of the file that the weights come from, hexadecimal: the library may have published it.

    Raises:
        UnknownNameError: There is no such architecture.
        UsageError: The library is not installed.
    """
    bare, _ = split(arch)
    origin, colon, rest = bare.partition(":")
    if origin == "torchvision" and colon:
        return _torchvision.convention(rest, digest)
    if not colon or origin not in _ORIGINS:
        return Convention()
    return _ORIGINS[origin][1](rest)


def switches(arch: str, arguments: Arguments, digest: str) -> tuple[Arguments, tuple[Interpretation, ...]]:
    """What the constructor has to be told because the tensors of a file do not tell it.

    Args:
        arch: A bare name.
        arguments: Of the constructor, as the user says them.
        digest: sha256 of the file, hexadecimal.

    Raises:
        RefusedInputError: Something is open that changes what the network computes.
    """
    origin, _, rest = arch.partition(":")
    if origin == "torchvision":
        return _torchvision.switches(rest, arguments, digest)
    alike = _timm.twins(rest) if origin == "timm" else ()
    if not alike:
        return arguments, ()
    reason = f"{', '.join(alike)} have the same tensors and compute otherwise"
    return arguments, (Interpretation(topic="constructor", value=rest, basis="given", reason=reason),)


def unknown(arch: str) -> UnknownNameError:
    """What to say of a name that is no architecture: other libraries' networks of that name come first."""
    elsewhere = [*_torchvision.spelled_out(arch), *_timm.spelled_out(arch)]
    return UnknownNameError("architecture", arch, (*BUILT_IN, *_PATTERNS), elsewhere=elsewhere)


def runs_users_code(arch: str) -> bool:
    """Whether building `arch` imports and calls what the name says: `package.module:factory`."""
    origin, colon, _ = split(arch)[0].partition(":")
    return bool(colon) and origin not in _ORIGINS


def split(arch: str, arguments: Arguments = NO_ARGUMENTS) -> tuple[str, dict[str, int | float | str | bool]]:
    """The bare name, and `arguments` joined with the settings that stand behind the question mark.

    Raises:
        UsageError: A setting is not written name=value, or is given twice with two values.
    """
    bare, pairs = split_options(arch, word="setting")
    settings = dict(arguments)
    for key, text in pairs:
        value = _scalar(text)
        if settings.setdefault(key, value) != value:
            raise UsageError(f"expected one value for {key!r}, got {settings[key]!r} and {value!r}")
    return bare, settings


def _configured(name: str, settings: Arguments) -> Architecture:
    if name not in BUILT_IN:
        raise unknown(name)
    part = BUILT_IN[name]
    accepted = [field.name for field in fields(part)]
    for key in settings:
        if key not in accepted:
            raise UsageError(f"expected a setting of {name} ({', '.join(accepted) or 'it has none'}), got {key!r}")
    try:
        preset = {key: getattr(part, key) for key in accepted}
        return TypeAdapter(type(part)).validate_python({**preset, **settings})
    except ValidationError as error:
        first = error.errors()[0]
        where = f"{first['loc'][0]} of {name}: " if first["loc"] else f"{name}: "
        raise UsageError(f"{where}{first['msg'].removeprefix('Value error, ')}, got {first['input']!r}") from error


def _summary(part: Architecture) -> str:
    module = sys.modules[type(part).__module__]
    return (module.__doc__ or "").partition("\n")[0].removesuffix(".")


def _settings(part: Architecture) -> str:
    return ", ".join(f"{field.name}={getattr(part, field.name)}" for field in fields(part)) or "no settings"


def _scalar(text: str) -> int | float | str | bool:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value if isinstance(value, int | float | bool) else text
