"""The multiplications of a forward pass, and the weights in them, followed from operator to operator."""

import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from typing import Final, final

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from typing_extensions import override

from neuralnets.forward_hooks import attached
from neuralnets.layers import LAYERS, RECURRENT
from neuralnets.modes import evaluating
from neuralnets.storage import storage_key

_CALLED: Final = (*LAYERS, nn.MultiheadAttention, *RECURRENT)
"""Whatever these are called with counts as an activation, even where it does not depend on the image."""

_FACTORS: Final = {
    "mm": (0, 1), "_int_mm": (0, 1), "addmm": (1, 2), "_addmm_activation": (1, 2), "bmm": (0, 1), "baddbmm": (1, 2),
    "addbmm": (1, 2), "mv": (0, 1), "addmv": (1, 2), "dot": (0, 1), "vdot": (0, 1),
}  # fmt: skip
"""Products of matrices: where their two factors stand among the arguments."""
_CONVOLUTIONS: Final = {"convolution", "_convolution", "convolution_overrideable", "deform_conv2d"}
_WITHOUT_VALUES: Final = {
    *("new_zeros", "new_ones", "new_empty", "new_full", "new_empty_strided"),
    *("zeros_like", "ones_like", "empty_like", "full_like", "rand_like", "randn_like"),
}
"""What they make depends on the shape of their argument alone."""


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class Use:
    """One multiplication of an activation with a weight.

    Attributes:
        sources: Names of the parameters and buffers that the weight is computed from; empty for other constants.
        weight: As it is multiplied: a view of a parameter, or what forward() computes from several.
        stored: Whether it is a part of a parameter or buffer as it stands.
        positions: How often each of its entries is multiplied, for one image; 0 where it meets the image otherwise
            than in a convolution or a product of matrices.
    """

    sources: frozenset[str]
    weight: Tensor
    stored: bool
    positions: int


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class Multiplications:
    """Those of one forward pass.

    Attributes:
        uses: In the order in which they are computed.
        products: Multiplications of activations with each other, as in attention.
        called: Names of the layers that were called.
        constants: Tensors that forward() met and that are neither parameter nor buffer nor computed from any.
    """

    uses: tuple[Use, ...]
    products: int
    called: frozenset[str]
    constants: tuple[Tensor, ...]

    @property
    def used(self) -> frozenset[str]:
        """Names of all parameters and buffers from which a weight is computed."""
        return frozenset[str]().union(*(use.sources for use in self.uses))


def multiplications(network: nn.Module, images: Tensor) -> Multiplications:
    """Runs `network` once, in evaluation mode; it is left in the mode in which it was.

    Recurrent layers are followed step by step, attention is not fused. Products of weights with each other make
    another weight, and are not multiplications of the network.

    Args:
        network: On the device of `images`.
        images: (n, c, h, w); positions are those of all n.
    """
    following = _Following(network, images)
    with evaluating(network), torch.no_grad(), _unfused(), following.layers(), following:
        network(images)
    return Multiplications(
        uses=tuple(following.uses),
        products=following.products,
        called=frozenset(following.called),
        constants=tuple(following.constants),
    )


@contextmanager
def _unfused() -> Iterator[None]:
    """Inside, attention and recurrent layers call the operators that they are made of."""
    fast, cudnn = torch.backends.mha.get_fastpath_enabled(), torch.backends.cudnn.enabled
    torch.backends.mha.set_fastpath_enabled(False)
    # not by `flags`, which reads the precision of products too and cannot where parts were asked for it one by one
    torch.backends.cudnn.enabled = False
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        torch.backends.cudnn.enabled = cudnn


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class _Origin:
    """Where the values of a storage come from.

    Attributes:
        activation: Whether they depend on the image.
        sources: Names of the parameters and buffers; empty for activations.
        fresh: Whether they are constants that the pass itself made, such as an initial state of zeros.
        stored: Whether this is the storage of a parameter or buffer.
        undecided: Products of weights on the way to it: multiplications of the network if it meets an activation
            otherwise than as a weight.
    """

    activation: bool = False
    sources: frozenset[str] = frozenset()
    fresh: bool = False
    stored: bool = False
    undecided: tuple[Use, ...] = ()


_ACTIVATION: Final = _Origin(activation=True)
_FRESH: Final = _Origin(fresh=True)
_CONSTANT: Final = _Origin()


@final
class _Following(TorchDispatchMode):
    """Remembers of every storage where its values come from, and notes what is multiplied."""

    def __init__(self, network: nn.Module, images: Tensor) -> None:
        TorchDispatchMode.__init__(self)
        self.uses: list[Use] = []
        self.constants: list[Tensor] = []
        self.called: set[str] = set()
        self.products = 0
        self._network = network
        self._origins: dict[int, _Origin] = {}
        self._noted: set[int] = set()
        for name, tensor in (*network.named_buffers(), *network.named_parameters()):
            before = self._origins.get(storage_key(tensor), _CONSTANT)
            self._origins[storage_key(tensor)] = _Origin(sources=before.sources | {name}, stored=True)
        self._names = {id(tensor): name for name, tensor in (*network.named_buffers(), *network.named_parameters())}
        self._set(images, _ACTIVATION)

    @contextmanager
    def layers(self) -> Iterator[None]:
        """Inside, what layers are called with is an activation."""

        def enter(name: str) -> Callable[..., tuple[object, object] | None]:
            def hook(_: nn.Module, args: object, kwargs: object) -> tuple[object, object] | None:
                self.called.add(name)
                given = [each for each in tree_leaves((args, kwargs)) if _is_number(each)]
                if all(self._origin(each).activation for each in given):
                    return None
                return tree_map(self._activation, args), tree_map(self._activation, kwargs)

            return hook

        handles = [
            module.register_forward_pre_hook(enter(name), with_kwargs=True)
            for name, module in self._network.named_modules()
            if isinstance(module, _CALLED)
        ]
        with attached(handles):
            yield

    @override
    def __torch_dispatch__(
        self,
        func: torch._ops.OpOverload,
        types: Sequence[type],
        args: Sequence[object] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        named = kwargs or {}
        if func is not torch.ops.prim.device.default:
            with self:
                parts: object = func.decompose(*args, **named)
            if parts is not NotImplemented:
                return parts
        given = [each for each in tree_leaves((args, named)) if isinstance(each, Tensor)]
        origins = [self._origin(each) for each in given]
        made = func(*args, **named)
        origin = self._joined(func, args, origins, made)
        written = [each for each in tree_leaves(made) if isinstance(each, Tensor)]
        for each in (*written, *_written_to(func, args)):
            self._set(each, origin)
        return made

    def _joined(
        self, func: torch._ops.OpOverload, args: Sequence[object], origins: Sequence[_Origin], made: object
    ) -> _Origin:
        """Where what an operator makes comes from; multiplications are noted."""
        name = func.name().partition("::")[2].partition(".")[0]
        if name in _WITHOUT_VALUES:
            return _FRESH
        factors = _factors(name, args, made)
        if factors is not None:
            return self._multiplied(*factors, rest=origins)
        if name.endswith("mkldnn_rnn_layer"):
            return self._recurrent_layer(args)
        if "scaled_dot_product" in name:
            self.products += _attention(args)
        if any(each.activation for each in origins):
            self._meet(each for each in tree_leaves(list(args)) if isinstance(each, Tensor))
            return _ACTIVATION
        return _Origin(
            sources=frozenset[str]().union(*(each.sources for each in origins)),
            fresh=all(each.fresh for each in origins),
            undecided=tuple(use for each in origins for use in each.undecided),
        )

    def _multiplied(self, first: Tensor, second: Tensor, count: int, *, rest: Sequence[_Origin]) -> _Origin:
        """`count`: multiplications of the product of two tensors, the second of which is the weight if neither is."""
        one, other = self._origin(first), self._origin(second)
        is_active = one.activation or (one.fresh and bool(other.sources))
        other_is_active = other.activation or (other.fresh and bool(one.sources))
        if is_active and other_is_active:
            self.products += count
            return _ACTIVATION
        weight, origin = (first, one) if other_is_active else (second, other)
        use = self._use(weight, origin, count // max(1, weight.numel()))
        if is_active or other_is_active:
            self._note([use])
            return _ACTIVATION
        sources = frozenset[str]().union(*(each.sources for each in rest))
        undecided = tuple(each for origin in rest for each in origin.undecided)
        return _Origin(sources=sources, undecided=(*undecided, use), fresh=one.fresh and other.fresh)

    def _recurrent_layer(self, args: Sequence[object]) -> _Origin:
        """A recurrent layer as one operator: (inputs (time, n, c), weight of inputs, weight of states, ...)."""
        inputs, *weights = _tensors(args[:3])
        for weight in weights:
            self._note([self._use(weight, self._origin(weight), prod(inputs.shape[:2]))])
        return _ACTIVATION

    def _meet(self, tensors: Iterable[Tensor]) -> None:
        """`tensors` meet an activation, otherwise than in a product."""
        for tensor in tensors:
            origin = self._origin(tensor)
            self._note(origin.undecided)
            if origin.sources and not origin.activation and tensor.dim() > 1:
                self._note([self._use(tensor, origin, 0)])

    def _use(self, weight: Tensor, origin: _Origin, positions: int) -> Use:
        sources = self._narrowed(weight, origin) if origin.stored else origin.sources
        return Use(sources=sources, weight=weight.detach(), stored=origin.stored, positions=positions)

    def _narrowed(self, weight: Tensor, origin: _Origin) -> frozenset[str]:
        """Whose part a view is, where several parameters share one storage, as on a GPU those of recurrent layers."""
        if len(origin.sources) == 1:
            return origin.sources
        first = weight.storage_offset()
        for name in origin.sources:
            whole = self._tensor(name)
            if whole.storage_offset() <= first < whole.storage_offset() + max(1, whole.numel()):
                return frozenset({name})
        return origin.sources

    def _tensor(self, name: str) -> Tensor:
        path, _, last = name.rpartition(".")
        tensor = getattr(self._network.get_submodule(path), last)
        assert isinstance(tensor, Tensor)  # noqa: S101 - the name is of a parameter or buffer
        return tensor

    def _note(self, uses: Iterable[Use]) -> None:
        for use in uses:
            if id(use) not in self._noted:
                self._noted.add(id(use))
                self.uses.append(use)

    def _activation(self, value: object) -> object:
        """Values that do not depend on the image, as a copy that counts as if they did."""
        if not isinstance(value, Tensor) or not _is_number(value) or self._origin(value).activation:
            return value
        self._note(self._origin(value).undecided)
        alone = value.clone()
        self._set(alone, _ACTIVATION)
        return alone

    def _origin(self, tensor: Tensor) -> _Origin:
        key = storage_key(tensor)
        if key not in self._origins:
            self.constants.append(tensor)  # kept, so that its storage stays the same
            self._origins[key] = _CONSTANT
        return self._origins[key]

    def _set(self, tensor: Tensor, origin: _Origin) -> None:
        key = storage_key(tensor)
        before = self._origins.get(key)
        if before is None:
            weakref.finalize(tensor.untyped_storage(), self._origins.pop, key, None)
        elif before.stored and not origin.activation and origin.sources <= before.sources and not origin.undecided:
            return  # a view of a parameter
        self._origins[key] = origin


def _factors(name: str, args: Sequence[object], made: object) -> tuple[Tensor, Tensor, int] | None:
    """The two tensors that an operator multiplies, and with how many multiplications; None for other operators."""
    if name in _FACTORS:
        first, second = _tensors(args[place] for place in _FACTORS[name])
        columns = second.shape[-1] if second.dim() > 1 else 1
        return first, second, first.numel() * columns
    if name in _CONVOLUTIONS:
        inputs, weight, outputs = _tensors([args[0], args[1], made])
        over = inputs if name != "deform_conv2d" and args[6] else outputs  # the inputs of a transposed one
        return inputs, weight, weight.numel() * over.shape[0] * prod(over.shape[2:])
    if name == "_trilinear":
        first, second, _ = _tensors(args[:3])
        return (first, second, second.numel() * first.shape[0])
    return None


def _attention(args: Sequence[object]) -> int:
    """Multiplications of queries (..., l, d) with keys (..., s, d) and of the shares with values (..., s, e)."""
    queries, keys, values = _tensors(args[:3])
    return prod(queries.shape[:-1]) * keys.shape[-2] * (queries.shape[-1] + values.shape[-1])


def _tensors(arguments: Iterable[object]) -> list[Tensor]:
    """Arguments that are tensors by the operator's schema."""
    chosen = list(arguments)
    tensors = [each for each in chosen if isinstance(each, Tensor)]
    assert len(tensors) == len(chosen)  # noqa: S101 - the operator's schema
    return tensors


def _written_to(func: torch._ops.OpOverload, args: Sequence[object]) -> list[Tensor]:
    """Arguments that an operator changes in place."""
    schema = func._schema  # noqa: SLF001 - torch has no public name for it
    if not schema.is_mutable:
        return []
    changed = [
        given
        for argument, given in zip(schema.arguments, args, strict=False)
        if argument.alias_info is not None and argument.alias_info.is_write
    ]
    return [each for each in tree_leaves(changed) if isinstance(each, Tensor)]


def _is_number(value: object) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()
