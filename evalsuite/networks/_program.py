"""Programs of torch.export, run operator by operator from their description.

torch.export.load is never called: it unpickles what it finds in the archive, evaluates expressions for shapes and
compiles guards, so a file could run any code. Here the description is data - an operator of torch's by its name, and
what goes into it - and what is not such a description is refused.
"""

import operator
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, final

import torch
from torch import Tensor, nn
from torch.ao.quantization.fx import _decomposed  # noqa: F401 - importing it makes its operators known
from typing_extensions import override

Json = Mapping[str, object]
Value = object
_SPACES: Final = frozenset({"aten", "prims", "quantized_decomposed", "torchvision", "torchao"})
_WORDS: Final[Mapping[str, Callable[..., object]]] = MappingProxyType(
    {
        f"_operator.{word}": getattr(operator, word)
        for word in (
            *("add", "sub", "mul", "floordiv", "truediv", "mod", "neg", "pow", "and_", "or_", "not_"),
            *("eq", "ne", "lt", "le", "gt", "ge", "getitem"),
        )
    }
    | {f"torch.{word}": getattr(torch, word) for word in ("sym_int", "sym_float", "sym_max", "sym_min", "sym_not")}
)
DTYPES: Final[Mapping[object, torch.dtype]] = MappingProxyType(
    {
        1: torch.uint8, 2: torch.int8, 3: torch.int16, 4: torch.int32, 5: torch.int64, 6: torch.float16,
        7: torch.float32, 8: torch.float64, 12: torch.bool, 13: torch.bfloat16,
    }
)  # fmt: skip
"""Types as torch's export schema numbers them."""
_FORMATS: Final[Mapping[object, torch.memory_format]] = MappingProxyType(
    {
        1: torch.contiguous_format,
        2: torch.channels_last,
        3: torch.channels_last_3d,
        4: torch.preserve_format,
    }
)
_STRIDED: Final = 7
_PLAIN: Final = frozenset(
    {"as_int", "as_ints", "as_float", "as_floats", "as_bool", "as_bools", "as_string", "as_int_lists"}
)
_NAMED: Final = frozenset({"as_tensor", "as_sym_int", "as_sym_float", "as_sym_bool", "as_optional_tensor"})
_LISTED: Final = frozenset({"as_tensors", "as_optional_tensors", "as_sym_ints", "as_sym_floats", "as_sym_bools"})


class NotUnderstoodError(ValueError):
    """The description is not one of a network that can be run; says what was expected."""


@final
@dataclass(frozen=True, kw_only=True)
class Called:
    """One step of a program as it was run.

    Attributes:
        target: The operator's name.
        given: What went into it, in order.
        names: Where each came from; None for constants in the description.
        made: What came out.
    """

    target: str
    given: tuple[Value, ...]
    names: tuple[str | None, ...]
    made: Value


@final
@dataclass(frozen=True, kw_only=True)
class _Step:
    target: str
    call: Callable[..., object]
    inputs: tuple[Json, ...]
    outputs: tuple[Json, ...]


@final
class Program(nn.Module):
    """The graph of an exported program; its tensors are buffers, so it moves between devices.

    Attributes:
        images: Name of the input.
        origins: Names in the graph that depend on no input: which of the network's tensors they are made of.
        learnt: Names of the parameters that the graph uses.
    """

    def __init__(self, graph: Json, tensors: Mapping[str, Tensor], learnt: Set[str], images: str) -> None:
        """Takes a program apart.

        Args:
            graph: As in the schema of torch.export.
            tensors: By the names that they have in the graph.
            learnt: Those that are parameters.
            images: Name of the only input that is none of these.

        Raises:
            NotUnderstoodError: It holds something that is not run here.
        """
        nn.Module.__init__(self)
        self.images = images
        self._named = {name: f"t{k}" for k, name in enumerate(sorted(tensors))}
        for name, buffer in self._named.items():
            self.register_buffer(buffer, tensors[name])
        self._steps = tuple(_step(as_mapping(node)) for node in as_list(graph.get("nodes")))
        outputs = as_list(graph.get("outputs"))
        if len(outputs) != 1:
            raise NotUnderstoodError(f"expected one output, got {len(outputs)}")
        self._output = as_mapping(outputs[0])
        self.origins = _origins(self._steps, tensors)
        used = {name for step in self._steps for name in _names(_arguments(step))}
        self.learnt = frozenset(used & learnt)
        # what a step writes over would be another in the next batch
        self._writes = any(_writes(step, self.origins) for step in self._steps)

    @override
    def forward(self, images: Tensor) -> Tensor:
        found = self.run(images, lambda _: None)
        if not isinstance(found, Tensor):
            raise NotUnderstoodError(f"expected a tensor, got {type(found).__name__}")
        return found

    def tensor(self, name: str) -> Tensor:
        """One of the network's tensors, by its name in the graph."""
        return self.get_buffer(self._named[name])

    def run(self, images: Tensor, seen: Callable[[Called], None]) -> Value:
        """What the program gives; `seen` hears of every step."""
        known: dict[str, Value] = {name: self.get_buffer(buffer) for name, buffer in self._named.items()}
        known[self.images] = images.clone() if self._writes else images
        for step in self._steps:
            given = [_value(as_mapping(each.get("arg")), known, images.device) for each in step.inputs]
            by_name = {
                str(each.get("name")): value
                for each, value in zip(step.inputs, given, strict=True)
                if each.get("kind") == 2
            }
            in_order = [v for each, v in zip(step.inputs, given, strict=True) if each.get("kind") != 2]
            made = step.call(*in_order, **by_name)
            names = tuple(_name(as_mapping(each.get("arg"))) for each in step.inputs)
            seen(Called(target=step.target, given=tuple(given), names=names, made=made))
            _keep(step.outputs, made, known)
        return _value(self._output, known, images.device)


def as_mapping(value: object) -> Json:
    """`value`, a JSON object.

    Raises:
        NotUnderstoodError: It is none.
    """
    if not isinstance(value, dict):
        raise NotUnderstoodError(f"expected an object, got {type(value).__name__}")
    return value


def as_list(value: object) -> Sequence[object]:
    """`value`, a JSON list.

    Raises:
        NotUnderstoodError: It is none.
    """
    if not isinstance(value, list):
        raise NotUnderstoodError(f"expected a list, got {type(value).__name__}")
    return value


def as_name(value: object) -> str:
    """`value`, a name.

    Raises:
        NotUnderstoodError: It is none.
    """
    if not isinstance(value, str):
        raise NotUnderstoodError(f"expected a name, got {type(value).__name__}")
    return value


def _step(node: Json) -> _Step:
    target = as_name(node.get("target"))
    inputs = tuple(as_mapping(each) for each in as_list(node.get("inputs")))
    outputs = tuple(as_mapping(each) for each in as_list(node.get("outputs")))
    for each in inputs:
        _check(target, as_mapping(each.get("arg")))
    return _Step(target=target, call=_WORDS.get(target) or _operator(target), inputs=inputs, outputs=outputs)


def _operator(target: str) -> Callable[..., object]:
    """An operator that computes with tensors: none that is only in TorchScript, which has some that write files."""
    root, _, rest = target.partition("torch.ops.")
    space, *names = rest.split(".")
    if root or space not in _SPACES or len(names) != 2:
        raise NotUnderstoodError(f"expected operators on tensors, got {target!r}")
    name, overload = names
    packet = getattr(getattr(torch.ops, space), name, None)
    found = getattr(packet, overload, None) if packet is not None else None
    if not isinstance(found, torch._ops.OpOverload):  # noqa: SLF001 - the type has no public name
        raise NotUnderstoodError(f"expected operators that this torch knows, got {target!r}")
    known = torch._C._dispatch_has_kernel(found.name())  # noqa: SLF001 - nothing public tells it
    if not known or any(argument.name == "filename" for argument in found._schema.arguments):  # noqa: SLF001
        raise NotUnderstoodError(f"expected operators on tensors, got {target!r}")
    call: Callable[..., object] = found
    return call


def _check(target: str, argument: Json) -> None:
    (kind, _), *more = argument.items() or [("nothing", None)]
    known = _PLAIN | _NAMED | _LISTED | {"as_none", "as_scalar_type", "as_memory_format", "as_layout", "as_device"}
    if more or kind not in known:
        raise NotUnderstoodError(f"expected tensors and numbers as arguments of {target}, got {kind!r}")


def _value(argument: Json, known: Mapping[str, Value], device: torch.device) -> Value:
    ((kind, value),) = argument.items()
    if kind in _PLAIN:
        return value
    if kind in _NAMED:
        return _known(as_mapping(value), known)
    if kind in _LISTED:
        return [_known(as_mapping(each), known) for each in as_list(value)]
    constants: Mapping[str, Callable[[], Value]] = {
        "as_none": lambda: None,
        "as_scalar_type": lambda: DTYPES[value],
        "as_memory_format": lambda: _FORMATS[value],
        "as_layout": lambda: _layout(value),
        "as_device": lambda: device,  # wherever it was exported: it is run where the images are
    }
    try:
        return constants[kind]()
    except KeyError:
        raise NotUnderstoodError(f"expected dense numbers of a known type, got {kind} {value!r}") from None


def _layout(value: object) -> torch.layout:
    if value != _STRIDED:
        raise NotUnderstoodError(f"expected dense tensors, got layout {value!r}")
    return torch.strided


def _known(named: Json, known: Mapping[str, Value]) -> Value:
    """A value by its name; numbers and nothing may stand there themselves."""
    if "as_none" in named:
        return None
    inner = named.get("as_tensor", named)
    name = inner.get("name", inner.get("as_name")) if isinstance(inner, dict) else None
    if name is None:
        plain = [value for key, value in named.items() if key in {"as_int", "as_float", "as_bool"}]
        if len(plain) != 1:
            raise NotUnderstoodError(f"expected a name or a number, got {sorted(named)}")
        return plain[0]
    if name not in known:
        raise NotUnderstoodError(f"expected a name that stands before, got {name!r}")
    return known[str(name)]


def _keep(outputs: Sequence[Json], made: Value, known: dict[str, Value]) -> None:
    several = made if len(outputs) > 1 else (made,)
    if not isinstance(several, tuple | list) or len(several) < len(outputs):
        raise NotUnderstoodError(f"expected {len(outputs)} results of one step, got {type(made).__name__}")
    for output, value in zip(outputs, several, strict=False):
        ((kind, named),) = output.items()
        if kind == "as_tensors":
            parts = value if isinstance(value, tuple | list) else ()
            names = [as_name(as_mapping(each).get("name")) for each in as_list(named)]
            known.update(zip(names, parts, strict=False))
        elif kind != "as_none" and (name := _name(output)) is not None:
            known[name] = value


def _name(argument: Json) -> str | None:
    ((_, value),) = argument.items()
    name = value.get("name", value.get("as_name")) if isinstance(value, dict) else None
    return name if isinstance(name, str) else None


def _arguments(step: _Step) -> list[Json]:
    return [as_mapping(each.get("arg")) for each in step.inputs]


def _names(arguments: Sequence[Json]) -> set[str]:
    found = {_name(each) for each in arguments}
    for each in arguments:
        ((_, value),) = each.items()
        if isinstance(value, list):
            found |= {_name({"as_tensor": part.get("as_tensor", part)}) for part in value if isinstance(part, dict)}
    return {name for name in found if name is not None}


def _origins(steps: Sequence[_Step], tensors: Mapping[str, Tensor]) -> Mapping[str, frozenset[str]]:
    found = {name: frozenset({name}) for name in tensors}
    for step in steps:
        given = _names(_arguments(step))
        if given <= found.keys():
            made_of = frozenset(origin for name in given for origin in found[name])
            found.update(dict.fromkeys(_names(step.outputs), made_of))
    return found


def _writes(step: _Step, fixed: Mapping[str, frozenset[str]]) -> bool:
    """Whether the step writes over one of its arguments.

    Raises:
        NotUnderstoodError: That may be one of the network's own tensors.
    """
    call = step.call
    if not isinstance(call, torch._ops.OpOverload) or not call._schema.is_mutable:  # noqa: SLF001
        return False
    if step.inputs and _name(as_mapping(step.inputs[0].get("arg"))) in fixed:
        raise NotUnderstoodError(f"expected a network in evaluation mode, got one whose {step.target} changes it")
    return True
