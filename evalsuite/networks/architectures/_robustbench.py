"""Architectures of the RobustBench model zoo, without its weights; an optional extra.

robustbench 1.1.1 imports a module `autoattack` that no package on PyPI brings; pyautoattack, which it declares, is the
same code under another name, and an alias is enough to import it. It also needs setuptools < 81 (pkg_resources) and
an old timm: `make robustbench` gives it an environment of its own.
"""

import sys
import warnings
from importlib import import_module
from types import ModuleType
from typing import Final

from torch import nn

from evalsuite.errors import UnknownNameError, UsageError, install_hint
from evalsuite.networks.architectures.input_convention import Arguments, Convention

_CLASSES: Final = {"cifar10": 10, "cifar100": 100, "imagenet": 1000}
_SHAPES: Final = {"cifar10": (3, 32, 32), "cifar100": (3, 32, 32), "imagenet": (3, 224, 224)}
_PATTERN: Final = "robustbench:NAME@dataset/threat (cifar10/Linf, cifar10/L2, cifar10/corruptions, cifar100/..., ...)"


def build(name: str, *, classes: int, channels: int, image_size: int, arguments: Arguments) -> nn.Module:
    """The zoo's architecture, untrained; it normalises by itself."""
    del image_size  # the zoo's networks average over whatever map is left
    model, dataset, threat = _parse(name)
    if classes != _CLASSES[dataset] or channels != 3:
        wanted = f"{_CLASSES[dataset]} classes and 3 channels"
        raise UsageError(f"expected {wanted} for robustbench:{name}, got {classes} and {channels}")
    if arguments:
        raise UsageError(f"expected no settings for robustbench:{name}, got {dict(arguments)}")
    models = zoo()
    enums = import_module("robustbench.model_zoo.enums")
    try:
        networks = models.model_dicts[enums.BenchmarkDataset(dataset)][enums.ThreatModel(threat)]
    except (KeyError, ValueError) as error:
        raise UsageError(f"expected {_PATTERN}, got robustbench:{name}") from error
    if model not in networks:
        raise UnknownNameError(f"RobustBench network for {dataset}/{threat}", model, networks)
    try:
        network = networks[model]["model"]()
    except Exception as error:  # some need a GPU, a network of an older timm, or weights from elsewhere
        raise UsageError(f"robustbench:{name} cannot be built here: {error}") from error
    assert isinstance(network, nn.Module)  # noqa: S101  (robustbench promises it; narrows the type)
    return network


def convention(name: str) -> Convention:
    """No normalisation: the networks take images in [0, 1]."""
    _, dataset, _ = _parse(name)
    return Convention(
        mean=(0.0,) * 3,
        std=(1.0,) * 3,
        shape=_SHAPES[dataset],
        classes=_CLASSES[dataset],
        reason="networks of RobustBench take images in [0, 1] and normalise by themselves",
    )


def zoo() -> ModuleType:
    """RobustBench's `model_zoo.models`, which takes seconds to import.

    Raises:
        UsageError: It is not installed, or does not work beside what is.
    """
    sys.modules.setdefault("autoattack", import_module("pyautoattack"))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return import_module("robustbench.model_zoo.models")
    except Exception as error:
        way_out = install_hint("robustbench")
        raise UsageError(f"robustbench cannot be imported ({type(error).__name__}: {error}): {way_out}") from error


def _parse(name: str) -> tuple[str, str, str]:
    model, at, where = name.partition("@")
    dataset, slash, threat = where.partition("/")
    if not (model and at and slash and threat) or dataset not in _CLASSES:
        raise UsageError(f"expected {_PATTERN}, got robustbench:{name}")
    return model, dataset, threat
