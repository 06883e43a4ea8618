"""Builds networks by a callable of the user's own: `package.module:factory`."""

import inspect
from collections.abc import Callable

from torch import nn

from evalsuite.errors import UsageError
from evalsuite.networks.architectures.input_convention import Arguments
from evalsuite.parts.importing import import_users_module, working_folder
from evalsuite.process.third_party_code import users_code


def build(path: str, *, classes: int, channels: int, image_size: int, arguments: Arguments) -> nn.Module:
    """Calls the factory with those of the number of classes, channels and image size that it has a name for."""
    factory = _find(path)
    numbers = {
        "classes": classes,
        "num_classes": classes,
        "channels": channels,
        "in_channels": channels,
        "in_chans": channels,
        "image_size": image_size,
        "img_size": image_size,
    }
    signature = inspect.signature(factory)
    given = {name: value for name, value in numbers.items() if name in signature.parameters} | dict(arguments)
    try:
        signature.bind(**given)
    except TypeError as error:
        raise UsageError(f"expected arguments for {path}{signature}, got {given}: {error}") from error
    with working_folder(), users_code(f"expected {path} to build a network from {given}"):
        network = factory(**given)
    if not isinstance(network, nn.Module):
        raise UsageError(f"expected {path} to give a torch.nn.Module, got {type(network).__name__}")
    return network


def _find(path: str) -> Callable[..., object]:
    module_name, _, name = path.partition(":")
    if not module_name:
        raise UsageError(f"expected a module before the colon, got {path!r}")
    factory = getattr(import_users_module(module_name), name, None)
    if not callable(factory):
        raise UsageError(f"expected a callable {name!r} in {module_name}, got {factory!r}")
    checked: Callable[..., object] = factory
    return checked
