"""Checks that an ONNX graph holds operators that only compute, and no sizes that depend on pixels."""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, final

from evalsuite.networks.programs._onnx_messages import Function, Graph, Model, Node, nodes

_STANDARD: Final = frozenset({"", "ai.onnx"})
_MICROSOFT: Final = frozenset(
    {
        *("BiasAdd", "BiasGelu", "BiasSplitGelu", "BiasSoftmax", "FastGelu", "Gelu", "QuickGelu", "GemmFastGelu"),
        *("FusedConv", "FusedGemm", "FusedMatMul", "FusedMatMulActivation", "TransposeMatMul", "NhwcMaxPool"),
        *("GroupNorm", "SkipGroupNorm", "SkipLayerNormalization", "Attention", "MultiHeadAttention", "QAttention"),
        *("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeMatMul", "MatMulIntegerToFloat", "MatMulInteger16"),
        *("MatMulNBits", "QGemm", "QLinearAdd", "QLinearMul", "QLinearConcat", "QLinearConv", "QLinearWhere"),
        *("QLinearAveragePool", "QLinearGlobalAveragePool", "QLinearReduceMean"),
        *("QLinearLeakyRelu", "QLinearSigmoid", "QLinearSoftmax"),
    }
)
"""What onnxruntime's optimiser and quantiser write into networks for images. Others of its operators read files
(EPContext), search text (BeamSearch) or are made for one device."""
_SIZED_BY: Final[Mapping[str, Set[int]]] = MappingProxyType(
    {
        "ConstantOfShape": {0}, "Expand": {1}, "Tile": {1, 2}, "Range": {0, 1, 2}, "Resize": {1, 2, 3}, "Upsample": {1},
        "Pad": {1}, "OneHot": {1}, "MaxUnpool": {2}, "CenterCropPad": {1}, "AffineGrid": {1}, "HannWindow": {0},
        "HammingWindow": {0}, "BlackmanWindow": {0}, "Col2Im": {1, 2}, "DFT": {1}, "STFT": {1, 3},
        "MelWeightMatrix": {0, 1}, "Loop": {0, 1}, "If": {0}, "Reshape": {1}, "Slice": {1, 2, 3, 4}, "TopK": {1},
        "Split": {1}, "Squeeze": {1}, "Unsqueeze": {1}, "SplitToSequence": {1}, "SequenceAt": {1}, "NonZero": {0},
        "Compress": {1}, "Unique": {0}, "NonMaxSuppression": {0, 1, 2, 3, 4}, "StringSplit": {0},
    }
)  # fmt: skip
"""Inputs whose numbers decide how much is computed: sizes of outputs, rounds of loops, which branch is taken."""
_MEASURES: Final = frozenset({"Shape", "Size"})
_RANDOM: Final = frozenset(
    {"RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Bernoulli", "Multinomial", "Dropout"}
)
_DEEPEST: Final = 12


def foreign_operator(model: Model) -> str | None:
    """The first operator that is none of ONNX's, of those that onnxruntime writes, or of the file's own functions."""
    functions = {(each.domain, each.name) for each in model.functions}
    for node in nodes(model):
        ours = node.domain in _STANDARD or (node.domain == "com.microsoft" and node.op_type in _MICROSOFT)
        if not ours and (node.domain, node.op_type) not in functions:
            return f"{node.domain}.{node.op_type}"
    return None


def sized_by_pixels(model: Model) -> str | None:
    """The first operator that computes more or less depending on what the images show; None: there is none.

    How much a network computes has to depend on the number of images alone, else a file that was run once, on blank
    images, may take all memory or never end on the next.
    """
    flow = _Flow(functions={(each.domain, each.name): each for each in model.functions})
    try:
        flow.follow(model.graph.node, {each.name for each in model.graph.input}, 0)
    except _SizedByPixels as error:
        return str(error)
    return None


@final
class _SizedByPixels(ValueError):  # noqa: N818 - a message on its way up, caught above
    """An operator makes a tensor whose size depends on pixels; carries the operator's name."""


@final
@dataclass(frozen=True, kw_only=True)
class _Flow:
    """Follows which values of a graph depend on the images.

    Attributes:
        functions: Of the file, by domain and name.
        memo: By function and by which inputs follow from pixels: which outputs do.
    """

    functions: Mapping[tuple[str, str], Function]
    memo: dict[tuple[str, str, tuple[bool, ...]], tuple[bool, ...]] = field(default_factory=dict)

    def follow(self, steps: Sequence[Node], given: Set[str], depth: int) -> Set[str]:
        """Names of all values that follow from the values `given`, these included.

        Raises:
            _SizedByPixels: One of them decides how much is computed.
        """
        if depth > _DEEPEST:
            raise _SizedByPixels(f"graphs in graphs, more than {_DEEPEST} deep")
        reached, before = set(given), -1
        # nodes need not stand in the order in which they are run
        while len(reached) != before:
            before = len(reached)
            for node in steps:
                reached.update(self._outputs(node, reached, depth))
        return reached

    def _outputs(self, node: Node, reached: Set[str], depth: int) -> Iterable[str]:
        follows = [name in reached for name in node.input]
        function = self.functions.get((node.domain, node.op_type))
        if function is not None:
            made = self._called(function, follows, depth)
            return [name for name, each in zip(node.output, made, strict=False) if each]
        if any(follows[k] for k in _SIZED_BY.get(node.op_type, ()) if k < len(follows)):
            raise _SizedByPixels(node.op_type)
        if node.op_type in _MEASURES:
            return []
        inside = [self._inside(node, graph, follows, reached, depth) for graph in _graphs(node)]
        return node.output if any(follows) or any(inside) or node.op_type in _RANDOM else []

    def _called(self, function: Function, follows: Sequence[bool], depth: int) -> tuple[bool, ...]:
        key = (function.domain, function.name, tuple(follows))
        if key not in self.memo:
            given = {name for name, each in zip(function.input, follows, strict=False) if each}
            reached = self.follow(function.node, given, depth + 1)
            self.memo[key] = tuple(name in reached for name in function.output)
        return self.memo[key]

    def _inside(self, node: Node, graph: Graph, follows: Sequence[bool], reached: Set[str], depth: int) -> bool:
        """Whether an output of a branch or body follows from pixels."""
        exact = node.op_type == "Loop"
        given = {
            value.name
            for k, value in enumerate(graph.input)
            if (k < len(follows) and follows[k] if exact else any(follows))
        }
        outputs = [each.name for each in graph.output]
        while True:
            pixels = self.follow(graph.node, reached | given, depth + 1)
            if not exact:
                return any(name in pixels for name in outputs)
            if outputs and outputs[0] in pixels:
                raise _SizedByPixels("Loop")
            # what one round gives is what the next one takes
            again = {value.name for value, name in zip(graph.input[1:], outputs, strict=False) if name in pixels}
            if again <= given:
                return any(name in pixels for name in outputs)
            given |= again


def _graphs(node: Node) -> list[Graph]:
    held = [graph for each in node.attribute for graph in (each.g, *each.graphs)]
    return [graph for graph in held if graph.ListFields()]
