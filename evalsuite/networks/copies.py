"""Copies of networks, whatever their last forward pass left in them and however they were compiled."""

from collections.abc import Iterator
from copy import deepcopy
from typing import TypeVar

import torch
from torch import Tensor, nn

from evalsuite.errors import UsageError

_Network = TypeVar("_Network", bound=nn.Module)


def copied(network: _Network) -> _Network:
    """A deep copy; tensors that `network` remembers of a pass with gradients are copied as values.

    The membranes of spiking neurons are such: they hang on the graph of that pass, of which there is no copy. The
    pruners, which know nothing of this package, copy in the same way. What `torch.compile` wraps is copied without its
    wrapper: compiled code would go on computing with the weights that it was compiled for.

    Raises:
        UsageError: It is TorchScript, whose layers cannot be told apart.
    """
    _check_python(network)
    memo: dict[int, object] = {id(each): each.detach().clone() for each in _tensors(network) if not each.is_leaf}
    # the innermost first: a wrapper may stand around another
    for wrapper in reversed([module for module in network.modules() if _is_compiled(module)]):
        memo[id(wrapper)] = deepcopy(wrapper.get_submodule("_orig_mod"), memo)
    return deepcopy(network, memo)


def _check_python(network: nn.Module) -> None:
    for name, module in network.named_modules():
        if isinstance(module, torch.jit.ScriptModule) and any(True for _ in module.parameters()):
            where = f" in {name}" if name else ""
            raise UsageError(
                f"expected a network whose layers are Python objects, got TorchScript (scripted or traced){where}: "
                "give its state_dict with --arch NAME to prune it, or a torch.export file of it to judge it as it is"
            )


def _is_compiled(module: nn.Module) -> bool:
    # by its name: importing torch's compiler takes seconds
    return type(module).__name__ == "OptimizedModule" and "_orig_mod" in dict(module.named_children())


def _tensors(network: nn.Module) -> Iterator[Tensor]:
    for module in network.modules():
        yield from module.buffers(recurse=False)
        yield from (value for value in vars(module).values() if isinstance(value, Tensor))
