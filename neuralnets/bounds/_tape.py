"""Runs a network on regions instead of tensors, and records every operation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, final

from torch import fx, nn
from torch.nn.modules.batchnorm import _BatchNorm
from typing_extensions import override

from neuralnets.bounds._graph import Graph, replaced, where
from neuralnets.bounds._layers import batch_norm
from neuralnets.bounds._operation import Operation, Regions
from neuralnets.bounds._region import Region
from neuralnets.bounds._translate import operation
from neuralnets.bounds._value import ACCEPTED, NotUnderstoodError, Understood, Value

_CALLS: Final = ("call_function", "call_method", "call_module")
_QUERIES: Final = ("shape", "ndim", "dtype", "device")


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class Step:
    """An operation, the places of its inputs, and the module it belongs to."""

    operation: Operation
    inputs: tuple[int, ...]
    name: str


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class Tape:
    """The operations of a pass and the region behind each of them.

    Place 0 is the input, place i + 1 what step i puts out; the last place is the network's output.

    Attributes:
        steps: In an order in which they can be taken.
        regions: One for each place.
    """

    steps: tuple[Step, ...]
    regions: Regions

    def into(self, step: Step) -> Regions:
        """The regions of a step's inputs."""
        return tuple(self.regions[place] for place in step.inputs)


def record(graph: Graph, region: Region) -> Tape:
    """The pass of `region` through a network.

    Raises:
        NotUnderstoodError: At a step for which there are no bounds.
    """
    recorder = _Recorder(graph, region)
    out: object = recorder.run(Value(place=0, region=region))
    if not isinstance(out, Value):
        raise NotUnderstoodError(f"expected a network that puts out one tensor, got {type(out).__name__}")
    return Tape(steps=tuple(recorder.steps[: out.place]), regions=tuple(recorder.regions[: out.place + 1]))


@final
class _Recorder(fx.Interpreter):
    """Interprets a graph: what depends on the input is recorded, everything else is computed as usual."""

    def __init__(self, graph: Graph, region: Region) -> None:
        fx.Interpreter.__init__(self, graph.network, garbage_collect_values=False, graph=graph.flow)
        self.extra_traceback = False
        self.statistics = graph.statistics
        self.tensors = {**graph.constants, **replaced(graph.network)}
        self.steps: list[Step] = []
        self.regions = [region]

    @override
    def run_node(self, n: fx.Node) -> object:
        depends = any(isinstance(self.env[source], Value) for source in n.all_input_nodes)
        if n.op not in _CALLS or not depends:
            return fx.Interpreter.run_node(self, n)
        args, kwargs = self.fetch_args_kwargs_from_env(n)
        try:
            return self._taken(n, args, kwargs)
        except NotUnderstoodError as error:
            raise NotUnderstoodError(f"{error} (in {where(n)})") from error

    @override
    def fetch_attr(self, target: str) -> object:
        return self.tensors[target] if target in self.tensors else fx.Interpreter.fetch_attr(self, target)

    def _taken(self, node: fx.Node, args: Sequence[object], kwargs: Mapping[str, object]) -> object:
        first = args[0] if args else None
        if isinstance(first, Value) and node.target in {"size", "dim"}:
            return getattr(first.low, str(node.target))(*args[1:], **kwargs)
        if isinstance(first, Value) and node.target is getattr and args[1] in _QUERIES:
            return getattr(first.low, str(args[1]))
        if node.op == "call_module":
            step_operation, inputs = self._module(str(node.target), args)
        else:
            step_operation, inputs = operation(node.target, args, kwargs)
        places = tuple(value.place for value in inputs)
        self.steps.append(Step(operation=step_operation, inputs=places, name=where(node)))
        self.regions.append(step_operation.image(tuple(self.regions[place] for place in places)))
        return Value(place=len(self.steps), region=self.regions[-1])

    def _module(self, name: str, args: Sequence[object]) -> Understood:
        module: nn.Module = self.submodules[name]
        if not isinstance(module, _BatchNorm) or not isinstance(args[0], Value):
            raise NotUnderstoodError(f"expected {ACCEPTED}, got {type(module).__name__}")
        return batch_norm(module, args[0], self.statistics.get(name))
