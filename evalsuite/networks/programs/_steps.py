"""Reads one step of an exported program, an operator's name and arguments, from its description, and runs it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf, nan
from types import MappingProxyType
from typing import Final, final

import torch
from torch.ao.quantization.fx import _decomposed  # noqa: F401 - importing it makes its operators known

from evalsuite.networks.programs._guards import check
from evalsuite.networks.programs._json import Json, as_list, as_mapping, as_name, only_entry
from evalsuite.networks.programs._operators import ALLOWED
from evalsuite.networks.programs._symbolic import WORDS, ForeignOperatorError, NotUnderstoodError

Value = object
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
_NUMBERS: Final = frozenset({"as_int", "as_float", "as_bool", "as_string"})
_LISTS: Final = MappingProxyType({"as_ints": "as_int", "as_floats": "as_float", "as_bools": "as_bool"})
_NAMED: Final = frozenset({"as_tensor", "as_sym_int", "as_sym_float", "as_sym_bool", "as_optional_tensor"})
_LISTED: Final = frozenset({"as_tensors", "as_optional_tensors", "as_sym_ints", "as_sym_floats", "as_sym_bools"})
_NOT_IN_JSON: Final = MappingProxyType({"Infinity": inf, "-Infinity": -inf, "NaN": nan})
_LONGEST: Final = 4096
"""Of a text or list of numbers: axes, sizes, an equation of einsum."""
_FIRST_TOO_LARGE: Final = 2**63
_KEYWORD: Final = 2


@final
@dataclass(frozen=True, kw_only=True)
class Step:
    """One call of an operator.

    Attributes:
        target: The operator's name.
        call: What runs it.
        inputs: Its arguments: values or names of values, and how they are handed over.
        outputs: Names of what it makes.
    """

    target: str
    call: Callable[..., object]
    inputs: tuple[Json, ...]
    outputs: tuple[Json, ...]

    @property
    def arguments(self) -> list[Json]:
        """What goes in."""
        return [as_mapping(each.get("arg")) for each in self.inputs]

    @property
    def mutates(self) -> bool:
        """Whether it writes over one of its arguments."""
        return any(written for _, written in _schema(self.call))

    def written(self, values: Sequence[Value]) -> list[Value]:
        """Those of `values`, one for each of `inputs`, that it writes over."""
        given = self._by_name(values) if self.mutates else {}
        return [given[name] for name, written in _schema(self.call) if written and name in given]

    def run(self, values: Sequence[Value], device: torch.device) -> Value:
        """What it makes of `values`, one for each of `inputs`; what it makes of nothing is made on `device`.

        Raises:
            NotUnderstoodError: It may not be run on them.
        """
        check(self.target, self._by_name(values))
        pairs = list(zip(self.inputs, values, strict=True))
        by_name = {str(each.get("name")): value for each, value in pairs if each.get("kind") == _KEYWORD}
        if _makes_constants(self.call):
            by_name["device"] = device
        return self.call(*(value for each, value in pairs if each.get("kind") != _KEYWORD), **by_name)

    def _by_name(self, values: Sequence[Value]) -> dict[str, Value]:
        """`values` by the names that the operator's schema has for them."""
        names = iter(_schema(self.call))
        return {
            str(each.get("name")) if each.get("kind") == _KEYWORD else next(names, ("", False))[0]: value
            for each, value in zip(self.inputs, values, strict=True)
        }


def _makes_constants(call: Callable[..., object]) -> bool:
    """Whether an operator takes no tensor, and a device to put a new one on."""
    if not isinstance(call, torch._ops.OpOverload):  # noqa: SLF001 - the type has no public name
        return False
    arguments = call._schema.arguments  # noqa: SLF001 - nothing public tells it
    types = {each.name: str(each.type) for each in arguments}
    return "device" in types and not any("Tensor" in each for each in types.values())


def _schema(call: Callable[..., object]) -> list[tuple[str, bool]]:
    """Names of an operator's arguments, and whether it writes over them; empty for arithmetic on sizes."""
    if not isinstance(call, torch._ops.OpOverload):  # noqa: SLF001 - the type has no public name
        return []
    arguments = call._schema.arguments  # noqa: SLF001 - nothing public tells it
    return [(each.name, each.alias_info is not None and each.alias_info.is_write) for each in arguments]


def read_step(node: Json) -> Step:
    """The step that a node of a graph describes.

    Raises:
        NotUnderstoodError: Its operator is not allowed, or it takes something that is neither number nor tensor.
    """
    target = as_name(node.get("target"))
    inputs = tuple(as_mapping(each) for each in as_list(node.get("inputs")))
    outputs = tuple(as_mapping(each) for each in as_list(node.get("outputs")))
    call = WORDS.get(target) or _operator(target)
    for each in inputs:
        _check(target, as_mapping(each.get("arg")))
    for each in outputs:
        only_entry(each)
    return Step(target=target, call=call, inputs=inputs, outputs=outputs)


def resolve(argument: Json, values: Mapping[str, Value], device: torch.device) -> Value:
    """What an argument stands for.

    Raises:
        NotUnderstoodError: It names nothing that is known.
    """
    kind, value = only_entry(argument)
    if kind in _NUMBERS:
        return value if kind == "as_string" else _number(value)
    if kind in _LISTS:
        return [_number(each) for each in as_list(value)]
    if kind in _NAMED:
        return _named(as_mapping(value), values)
    if kind in _LISTED:
        return [_named(as_mapping(each), values) for each in as_list(value)]
    constants: Mapping[str, Callable[[], Value]] = {
        "as_none": lambda: None,
        "as_int_lists": lambda: value,
        "as_scalar_type": lambda: DTYPES[value],
        "as_memory_format": lambda: _FORMATS[value],
        "as_layout": lambda: _layout(value),
        "as_device": lambda: device,  # wherever it was exported: it is run where the images are
    }
    try:
        return constants[kind]()
    except (KeyError, TypeError):
        raise NotUnderstoodError(f"expected dense numbers of a known type, got {kind} {value!r:.100}") from None


def keep(outputs: Sequence[Json], made: Value, values: dict[str, Value]) -> None:
    """Enters what a step made under its names.

    Raises:
        NotUnderstoodError: It made less than is named.
    """
    several = made if len(outputs) > 1 else (made,)
    if not isinstance(several, tuple | list) or len(several) < len(outputs):
        raise NotUnderstoodError(f"expected {len(outputs)} results of one step, got {type(made).__name__}")
    for output, value in zip(outputs, several, strict=False):
        kind, named = only_entry(output)
        if kind == "as_tensors":
            parts = value if isinstance(value, tuple | list) else ()
            names = [as_name(as_mapping(each).get("name")) for each in as_list(named)]
            values.update(zip(names, parts, strict=False))
        elif kind != "as_none" and (name := name_in(output)) is not None:
            values[name] = value


def name_in(argument: Json) -> str | None:
    """The name that an argument consists of; None where it is something else."""
    _, value = only_entry(argument)
    name = value.get("name", value.get("as_name")) if isinstance(value, dict) else None
    return name if isinstance(name, str) else None


def names_in(arguments: Sequence[Json]) -> set[str]:
    """All names in `arguments`, those in lists too."""
    names = {name_in(each) for each in arguments}
    for each in arguments:
        _, value = only_entry(each)
        if isinstance(value, list):
            names |= {name_in({"as_tensor": part.get("as_tensor", part)}) for part in value if isinstance(part, dict)}
    return {name for name in names if name is not None}


def _operator(target: str) -> Callable[..., object]:
    if target not in ALLOWED:
        raise ForeignOperatorError(f"expected operators that networks are made of, got {target!r:.200}")
    _, _, space, name, overload = target.split(".")
    packet = getattr(getattr(torch.ops, space), name, None)
    call = getattr(packet, overload, None) if packet is not None else None
    if not isinstance(call, torch._ops.OpOverload):  # noqa: SLF001 - the type has no public name
        # torchao's come with torchao, those of other versions of torch with them
        raise ForeignOperatorError(f"expected operators that are known here, got {target!r}")
    made: Callable[..., object] = call
    return made


def _check(target: str, argument: Json) -> None:
    """Make sure that an argument is a number, a text, some of these, or a name."""
    kind, value = only_entry(argument)
    accepted = _NAMED | _LISTED | {"as_none", "as_int_lists", "as_scalar_type", "as_memory_format", "as_layout"}
    if kind in _NUMBERS:
        fits = _is_number(kind, value)
    elif kind in _LISTS:
        several = as_list(value)
        fits = len(several) <= _LONGEST and all(_is_number(_LISTS[kind], each) for each in several)
    elif kind == "as_int_lists":
        several = [each for part in as_list(value) for each in as_list(part)]
        fits = len(several) <= _LONGEST and all(_is_number("as_int", each) for each in several)
    else:
        fits = kind in accepted | {"as_device"}
    if not fits:
        raise NotUnderstoodError(
            f"expected tensors and numbers as arguments of {target}, got {kind!r:.100} {value!r:.100}"
        )


def _is_number(kind: str, value: object) -> bool:
    if isinstance(value, str):
        return (kind == "as_string" and len(value) <= _LONGEST) or (kind == "as_float" and value in _NOT_IN_JSON)
    if isinstance(value, bool) or kind == "as_bool":
        return isinstance(value, bool) and kind == "as_bool"
    if isinstance(value, int):
        return kind in {"as_int", "as_float"} and abs(value) < _FIRST_TOO_LARGE
    return isinstance(value, float) and kind == "as_float"


def _number(value: object) -> object:
    # JSON has no infinity: torch writes it as a text
    return _NOT_IN_JSON.get(value, value) if isinstance(value, str) else value


def _layout(value: object) -> torch.layout:
    if value != _STRIDED:
        raise NotUnderstoodError(f"expected dense tensors, got layout {value!r:.100}")
    return torch.strided


def _named(named: Json, values: Mapping[str, Value]) -> Value:
    """A value by its name; numbers and nothing may stand there themselves."""
    if "as_none" in named:
        return None
    inner = named.get("as_tensor", named)
    name = inner.get("name", inner.get("as_name")) if isinstance(inner, dict) else None
    if name is None:
        plain = [(kind, value) for kind, value in named.items() if kind in {"as_int", "as_float", "as_bool"}]
        if len(plain) != 1 or not _is_number(*plain[0]):
            raise NotUnderstoodError(f"expected a name or a number, got {sorted(named)}")
        return _number(plain[0][1])
    if not isinstance(name, str) or name not in values:
        raise NotUnderstoodError(f"expected a name that stands before, got {name!r:.100}")
    return values[name]
