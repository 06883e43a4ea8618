"""Deep copies of networks, whatever their last forward pass left in them and however they were compiled."""

import threading
from collections import deque
from collections.abc import Iterator
from copy import deepcopy
from io import IOBase
from typing import Final, TypeVar, final

import torch
from torch import Tensor, nn

_Network = TypeVar("_Network", bound=nn.Module)
_LOCK: Final = type(threading.Lock())
_REENTRANT: Final = type(threading.RLock())
_DEEPEST: Final = 4


class UncopyableError(ValueError):
    """A network holds what cannot be copied."""


@final
class ScriptedError(UncopyableError):
    """A network is TorchScript, whose layers cannot be told apart."""


def copied(network: _Network) -> _Network:
    """A deep copy; tensors that `network` remembers of a pass with gradients are copied as values.

    The membranes of spiking neurons are such: they hang on the graph of that pass, of which there is no copy. What
    `torch.compile` wraps is copied without its wrapper: compiled code would go on computing with the weights that it
    was compiled for. Locks and conditions are made anew.

    Raises:
        ScriptedError: `network` is TorchScript (scripted or traced), or a part of it with parameters is.
        UncopyableError: `network` holds what cannot be copied, such as an open file; the message names it.
    """
    _check_python(network)
    memo = _fresh_locks(network)
    memo.update({id(each): each.detach().clone() for each in _tensors(network) if not each.is_leaf})
    try:
        # the innermost first: a wrapper may stand around another
        for wrapper in reversed([module for module in network.modules() if _is_compiled(module)]):
            memo[id(wrapper)] = deepcopy(wrapper.get_submodule("_orig_mod"), memo)
        return deepcopy(network, memo)
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        # attributes copy themselves, so that anything may be raised
        _check_attributes(network, error)
        raise


def _fresh_locks(network: nn.Module) -> dict[int, object]:
    """New locks for those that modules hold: they are held by threads and say nothing of the network."""
    held = [value for module in network.modules() for value in vars(module).values()]
    fresh: dict[int, object] = {}
    for value in held:
        if isinstance(value, _LOCK | _REENTRANT):
            fresh[id(value)] = threading.Lock() if isinstance(value, _LOCK) else threading.RLock()
    for value in held:
        if isinstance(value, threading.Condition):
            # a condition may stand on a lock that the module holds too
            lock = fresh.get(id(vars(value)["_lock"]), threading.RLock())
            fresh[id(value)] = threading.Condition(lock)  # type: ignore[arg-type]
    return fresh


def _check_attributes(network: nn.Module, cause: Exception) -> None:
    """Name the attribute that cannot be copied, where it is an attribute that cannot."""
    modules = {id(module): module for module in network.modules()}
    for prefix, module in network.named_modules():
        for name, value in vars(module).items():
            # modules stand for themselves here, so that each is blamed for nothing but its attributes
            memo: dict[int, object] = {**modules, **_fresh_locks(module)}
            memo.update({id(each): each for each in _tensors(module)})
            if (reason := _uncopyable(value, memo)) is not None:
                where = ".".join(filter(None, (prefix, name)))
                raise UncopyableError(
                    f"expected a network that can be copied, got {_kind(value)} in {where!r} ({reason}): make it in "
                    f"forward, or leave it out"
                ) from cause


def _uncopyable(value: object, memo: dict[int, object]) -> str | None:
    """Why `value` cannot be copied, in one line; None where it can be."""
    try:
        deepcopy(value, memo)
    except Exception as error:  # noqa: BLE001 - attributes copy themselves, so that anything may be raised
        return (str(error).strip().splitlines() or [type(error).__name__])[0]
    return None


def _kind(value: object) -> str:
    return "an open file" if isinstance(value, IOBase) else f"an object of the type {type(value).__name__}"


def _check_python(network: nn.Module) -> None:
    for name, module in network.named_modules():
        if isinstance(module, torch.jit.ScriptModule) and any(True for _ in module.parameters()):
            where = f" in {name}" if name else ""
            raise ScriptedError(
                f"expected a network whose layers are Python objects, got TorchScript (scripted or traced){where}"
            )


def _is_compiled(module: nn.Module) -> bool:
    # by its name: importing torch's compiler takes seconds
    return type(module).__name__ == "OptimizedModule" and "_orig_mod" in dict(module.named_children())


def _tensors(network: nn.Module) -> Iterator[Tensor]:
    for module in network.modules():
        yield from module.buffers(recurse=False)
        for value in vars(module).values():
            yield from _inside(value)


def _inside(value: object, depth: int = 0) -> Iterator[Tensor]:
    """Tensors that an attribute is, or keeps in containers: maps that a network remembers, say."""
    if isinstance(value, Tensor):
        yield value
    elif depth < _DEEPEST and isinstance(value, dict | list | tuple | deque):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _inside(each, depth + 1)
