"""Tables from torch's functions, methods and modules to the operations that stand for them."""

import inspect
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import torch
from torch.nn import functional as F

from neuralnets.bounds import _arithmetic, _layers, _pooling, _shapes
from neuralnets.bounds._value import ACCEPTED, NotUnderstoodError, Understood


def operation(target: object, args: Sequence[object], kwargs: Mapping[str, object]) -> Understood:
    """The operation that a call is, and the values it is applied to.

    Args:
        target: A function, or the name of a method of tensors.
        args: At least one of them, or of `kwargs`, a `Value`.
        kwargs: By name.

    Raises:
        NotUnderstoodError: There are no bounds for the call, or not with these arguments.
    """
    rule = _RULES.get(target)
    name = target if isinstance(target, str) else getattr(target, "__name__", str(target))
    if rule is None:
        raise NotUnderstoodError(f"expected {ACCEPTED}, got {name}")
    try:
        bound = inspect.signature(rule).bind(*args, **kwargs)
    except TypeError as error:
        raise NotUnderstoodError(f"expected {name} with its usual arguments, got {error}") from error
    return rule(*bound.args, **bound.kwargs)


_Rule = Callable[..., Understood]
_RULES: Final[Mapping[object, _Rule]] = {
    **dict.fromkeys((F.relu, torch.relu, torch.relu_, "relu", "relu_"), _layers.relu),
    **dict.fromkeys((F.linear,), _layers.linear),
    **dict.fromkeys((torch.conv2d,), _layers.conv2d),
    **dict.fromkeys((operator.add, operator.iadd, torch.add, "add", "add_"), _arithmetic.add),
    **dict.fromkeys((operator.sub, operator.isub, torch.sub, "sub", "sub_"), _arithmetic.subtract),
    **dict.fromkeys((operator.mul, operator.imul, torch.mul, "mul", "mul_"), _arithmetic.multiply),
    **dict.fromkeys((operator.truediv, operator.itruediv, torch.div, "div", "div_"), _arithmetic.divide),
    **dict.fromkeys((operator.neg, torch.neg, "neg"), _arithmetic.negate),
    **dict.fromkeys((F.avg_pool2d,), _pooling.avg_pool2d),
    **dict.fromkeys((F.adaptive_avg_pool2d,), _pooling.adaptive_avg_pool2d),
    **dict.fromkeys((torch.mean, "mean"), _pooling.mean),
    **dict.fromkeys((F.pad,), _shapes.pad),
    **dict.fromkeys((operator.getitem,), _shapes.cut),
    **dict.fromkeys((torch.cat, torch.concat), _shapes.cat),
    **dict.fromkeys((F.max_pool2d, torch.max_pool2d), _pooling.max_pool2d),
    **dict.fromkeys((F.adaptive_max_pool2d,), _pooling.adaptive_max_pool2d),
    **dict.fromkeys((torch.flatten, "flatten"), _shapes.flatten),
    **dict.fromkeys((torch.reshape, "reshape", "view"), _shapes.reshape),
    **dict.fromkeys(("unflatten",), _shapes.unflatten),
    **dict.fromkeys((torch.squeeze, "squeeze"), _shapes.squeeze),
    **dict.fromkeys((torch.unsqueeze, "unsqueeze"), _shapes.unsqueeze),
    **dict.fromkeys(("contiguous",), _shapes.same),
    **dict.fromkeys((F.dropout, F.dropout2d, F.alpha_dropout), _shapes.dropout),
}
