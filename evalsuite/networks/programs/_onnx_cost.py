"""Counts what an ONNX network costs, from its file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from math import prod
from types import MappingProxyType, ModuleType
from typing import Final, Protocol, final

import numpy as np
import numpy.typing as npt

from evalsuite.networks.costs.cost import Cost

Array = npt.NDArray[np.generic]


@final
@dataclass(frozen=True, kw_only=True)
class _Place:
    """Positions of an operator's weight, and of the weight's zero point, among its inputs; None: zero is 0."""

    weight: int
    zero: int | None = None


_WEIGHTED: Final[Mapping[str, _Place]] = MappingProxyType(
    {
        "Conv": _Place(weight=1), "ConvTranspose": _Place(weight=1), "Gemm": _Place(weight=1),
        "MatMul": _Place(weight=1), "FusedConv": _Place(weight=1), "FusedGemm": _Place(weight=1),
        "FusedMatMul": _Place(weight=1), "ConvInteger": _Place(weight=1, zero=3),
        "MatMulInteger": _Place(weight=1, zero=3), "QLinearConv": _Place(weight=3, zero=5),
        "QLinearMatMul": _Place(weight=3, zero=5), "QGemm": _Place(weight=3, zero=5),
        "DynamicQuantizeMatMul": _Place(weight=1, zero=3), "MatMulIntegerToFloat": _Place(weight=1, zero=5),
    }
)  # fmt: skip
_THROUGH: Final = frozenset({"Transpose", "Reshape", "Identity", "Cast", "Unsqueeze", "Squeeze"})
_WHOLE: Final = frozenset({"If", "Loop", "Scan"})
_BIASES: Final = MappingProxyType(
    {"QLinearConv": frozenset({8}), "QGemm": frozenset({6}), "QLinearMatMul": frozenset[int]()}
)
_INDICES: Final = np.int64
"""Of shapes and axes: no parameters."""


class _Attribute(Protocol):
    name: str
    t: object


class _Node(Protocol):
    op_type: str
    attribute: Sequence[_Attribute]
    input: Sequence[str]
    output: Sequence[str]


@final
@dataclass(frozen=True, kw_only=True)
class _Weight:
    """A stored weight, and where it is not zero."""

    name: str
    size: int
    nonzero: int


def onnx_cost(data: bytes, images: tuple[int, ...]) -> Cost | str:
    """As `evalsuite.networks.costs.cost.cost`, for a batch of shape `images`; or why it cannot be told.

    Parameters are the numbers in the file less scales, zero points, shapes and single numbers; the statistics by which
    colour images are normalised count, since the file does not tell them apart. Integer weights are zero where they
    stand for zero.
    """
    onnx = import_module("onnx")
    model = onnx.load_model_from_string(data)
    nodes: Sequence[_Node] = model.graph.node
    if any(node.op_type in _WHOLE for node in nodes) or model.functions:
        return "the file has branches, loops or functions, whose operations are not counted"
    arrays: dict[str, Array] = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    arrays |= {n.output[0]: onnx.numpy_helper.to_array(n.attribute[0].t) for n in nodes if _is_tensor(n)}
    shapes = _shapes(onnx, data, images)
    made_by = {name: node for node in nodes for name in node.output}
    weights: dict[str, _Weight] = {}
    flops: list[tuple[int, int]] = []
    for node in nodes:
        place = _WEIGHTED.get(node.op_type)
        weight = None if place is None else _weight(node, place, arrays, made_by)
        if weight is None:
            continue
        positions = _positions(node, shapes)
        if positions is None:
            return f"the shape that {node.op_type} gives cannot be told from the file"
        weights[weight.name] = weight
        flops.append((weight.nonzero * positions, weight.size * positions))
    if not weights:
        return "no weights of convolutions or linear layers were found in the file"
    learnt = _learnt(nodes, arrays)
    others = [array for name, array in arrays.items() if name not in weights and name in learnt]
    return Cost(
        parameters=sum(w.size for w in weights.values()) + sum(a.size for a in others),
        nonzero=sum(w.nonzero for w in weights.values()) + sum(int(np.count_nonzero(a)) for a in others),
        prunable=sum(w.size for w in weights.values()),
        prunable_nonzero=sum(w.nonzero for w in weights.values()),
        flops=sum(sparse for sparse, _ in flops),
        dense_flops=sum(dense for _, dense in flops),
        megabytes=len(data) / 1e6,
    )


def _is_tensor(node: _Node) -> bool:
    return node.op_type == "Constant" and [each.name for each in node.attribute] == ["value"]


def _weight(node: _Node, place: _Place, arrays: Mapping[str, Array], made_by: Mapping[str, _Node]) -> _Weight | None:
    """The weight of an operator; None where it multiplies activations."""
    if len(node.input) <= place.weight:
        return None
    name, zero = node.input[place.weight], _at(node, place.zero, arrays)
    while name not in arrays:
        source = made_by.get(name)
        if source is None or source.op_type not in _THROUGH | {"DequantizeLinear"}:
            return None
        zero = _at(source, 2, arrays) if source.op_type == "DequantizeLinear" else zero
        name = source.input[0]
    array = arrays[name]
    return _Weight(name=name, size=array.size, nonzero=int(np.count_nonzero(array != _spread(zero, array))))


def _at(node: _Node, position: int | None, arrays: Mapping[str, Array]) -> Array | None:
    return arrays.get(node.input[position]) if position is not None and len(node.input) > position else None


def _spread(zero: Array | None, array: Array) -> Array:
    """One zero for all, or one for each slice along the axis that has as many."""
    if zero is None or zero.size == 1:
        return np.zeros(1, array.dtype) if zero is None else zero.reshape(-1)
    axis = next((k for k, size in enumerate(array.shape) if size == zero.size), 0)
    return zero.reshape([-1 if k == axis else 1 for k in range(array.ndim)])


def _positions(node: _Node, shapes: Mapping[str, tuple[int, ...]]) -> int | None:
    """At how many places of one image each weight is used."""
    if node.op_type.endswith("Gemm"):
        return 1
    shape = shapes.get(node.input[0] if node.op_type == "ConvTranspose" else node.output[0])
    if shape is None:
        return None
    return prod(shape[2:]) if "Conv" in node.op_type else prod(shape[1:-1])


def _learnt(nodes: Sequence[_Node], arrays: Mapping[str, Array]) -> set[str]:
    """Constants of more than one number that are neither scales and zero points nor shapes and axes."""
    used = {name for node in nodes for name in node.input}
    scales = {name for node in nodes for k, name in enumerate(node.input) if k in _scales(node.op_type)}
    return {
        name for name in (used & arrays.keys()) - scales if arrays[name].size > 1 and arrays[name].dtype != _INDICES
    }


def _scales(operator: str) -> frozenset[int]:
    """Where an operator has scales and zero points among its inputs."""
    if operator in {"QuantizeLinear", "DequantizeLinear"}:
        return frozenset({1, 2})
    return frozenset({1, 2, 4, 5, 6, 7, 8}) - _BIASES[operator] if operator in _BIASES else frozenset()


def _shapes(onnx: ModuleType, data: bytes, images: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """Shapes of all tensors for such a batch, as far as they can be told."""
    model = onnx.load_model_from_string(data)
    constants = {tensor.name for tensor in model.graph.initializer}
    (given,) = (each for each in model.graph.input if each.name not in constants)
    for dim, size in zip(given.type.tensor_type.shape.dim, images, strict=True):
        dim.dim_value = size
    # what the exporter wrote for another batch would contradict
    del model.graph.value_info[:]
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")
    try:
        inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
    except Exception:  # noqa: BLE001 - foreign code over a foreign file; what is not told is said
        return {}
    shapes: dict[str, tuple[int, ...]] = {}
    for value in (*inferred.graph.value_info, *inferred.graph.output, *inferred.graph.input):
        dims = value.type.tensor_type.shape.dim
        if all(dim.HasField("dim_value") for dim in dims):
            shapes[value.name] = tuple(dim.dim_value for dim in dims)
    return shapes
