"""A device that computes on the CPU and, as a GPU does, refuses to be mixed with it: EVALSUITE_TEST_DEVICE=pretended.

Where there is no GPU the CPU stands in for it, and a tensor that somebody forgot to move goes unnoticed. Here tensors
"on the device" are wrappers around tensors of the CPU; every operation of torch on them comes through `_run`, which
raises where both kinds meet, by CUDA's rules: numbers (tensors without axes) may come from the CPU, and so may indices.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

NAME = "pretended"
_aten = torch.ops.aten
_MOVES = {_aten._to_copy.default, _aten.copy_.default}
_INDEXED = {_aten.index.Tensor, _aten.index_put_.default, _aten.index_put.default, _aten._index_put_impl_.default}


class _There(Tensor):
    """A tensor on the device; `here` is what it wraps."""

    here: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls: type["_There"], here: Tensor) -> "_There":
        wrapper = Tensor._make_wrapper_subclass(
            cls,
            here.size(),
            strides=here.stride(),
            storage_offset=here.storage_offset(),
            dtype=here.dtype,
            layout=here.layout,
            device=torch.device(NAME, 0),
        )
        wrapper.here = here
        return wrapper

    def __repr__(self) -> str:
        return f"there({self.here!r})"

    def __deepcopy__(self, memo: dict[int, object]) -> "_There":
        copy = _There(self.here.clone()).requires_grad_(self.requires_grad)
        copy._is_param = getattr(self, "_is_param", False)
        memo[id(self)] = copy
        return copy

    def tolist(self) -> object:
        return self.here.tolist()

    def numpy(self, *_: object, **__: object) -> object:
        raise TypeError(f"can't convert {NAME}:0 device type tensor to numpy: use Tensor.cpu()")

    __array__ = numpy

    @classmethod
    def __torch_dispatch__(
        cls,
        func: Callable[..., object],
        types: Sequence[type],
        args: Sequence[object] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        return _run(func, args, kwargs or {})


class _Everywhere(TorchDispatchMode):
    """Catches what makes tensors of nothing, such as torch.zeros(..., device=...)."""

    def __torch_dispatch__(
        self,
        func: Callable[..., object],
        types: Sequence[type],
        args: Sequence[object] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        return _run(func, args, kwargs or {})


def _run(func: Callable[..., object], args: Sequence[object], kwargs: Mapping[str, object]) -> object:
    """What `func` gives for the tensors that are wrapped, wrapped anew where the result lies on the device."""
    tensors = [each for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)]
    there = [each for each in tensors if isinstance(each, _There)]
    _refuse_mixtures(func, args, tensors, there)
    device = kwargs.get("device")
    if device is not None:
        stays = torch.device(device).type == NAME
    else:
        stays = isinstance(args[0], _There) if func in _MOVES else bool(there)
    named = {key: torch.device("cpu") if key == "device" and value else value for key, value in kwargs.items()}
    made = func(*_unwrapped(args), **_unwrapped(named))
    expected = {id(each.here): each for each in there}

    def wrapped(each: object) -> object:
        if not isinstance(each, Tensor) or isinstance(each, _There):
            return each
        if id(each) in expected:  # written into in place
            return expected[id(each)]
        # a wrapper cannot say that it stands for the conjugate
        return _There(each.resolve_conj().resolve_neg()) if stays else each

    return tree_map(wrapped, made)


def _unwrapped(tree: object) -> object:
    return tree_map(lambda each: each.here if isinstance(each, _There) else each, tree)


def _refuse_mixtures(
    func: Callable[..., object], args: Sequence[object], tensors: Sequence[Tensor], there: Sequence[Tensor]
) -> None:
    here = [each for each in tensors if not isinstance(each, _There) and each.dim()]
    if func in _MOVES or not there or not here:
        return
    values = [each for each in args[2:3] if isinstance(each, Tensor) and each.dim()]
    if func in _INDEXED and isinstance(args[0], _There) and all(isinstance(each, _There) for each in values):
        return
    raise RuntimeError(f"expected all tensors on the same device, got {NAME}:0 and cpu in {func}")


def _made(make: Callable[..., Tensor], *args: object, **kwargs: object) -> Tensor:
    return _There(make(*args, **{**kwargs, "device": "cpu"}))


def _copy_from(source: Tensor, target: Tensor, *_: object, **__: object) -> Tensor:
    _unwrapped(target).copy_(_unwrapped(source))
    return target


def _no_grad(mode: object = True) -> AbstractContextManager[None]:
    return torch.no_grad() if mode else nullcontext()


def install() -> None:
    """Makes the device known to torch, for good; to be called before anything else of the project is imported."""
    _setup_privateuseone_for_python_backend(NAME)
    # parameters are replaced when they are moved: the data of a wrapper cannot be put into a tensor of the CPU
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    # in inference mode torch hands on operations before they are taken apart
    torch.inference_mode = _no_grad
    # what torch.as_tensor calls below all modes
    library = torch.library.Library("aten", "IMPL")
    for name, make in (("empty_strided", torch.empty_strided), ("empty.memory_format", torch.empty)):
        library.impl(name, partial(_made, make), "PrivateUse1")
    library.impl("_copy_from", _copy_from, "PrivateUse1")
    _KEPT.append(library)
    _Everywhere().__enter__()


_KEPT: list[object] = []
"""A library is taken back when it is collected."""
