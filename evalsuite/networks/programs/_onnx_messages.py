"""Types for the protobuf messages of an ONNX file, as far as they are read, and a walk over all messages of a kind."""

from collections.abc import Iterator, Sequence
from typing import Protocol, cast


class _Descriptor(Protocol):
    name: str


class _Field(Protocol):
    message_type: object | None


class Message(Protocol):
    """Any message of protobuf."""

    DESCRIPTOR: _Descriptor

    def ListFields(self) -> Sequence[tuple[_Field, object]]: ...  # noqa: N802 - protobuf's own name
    def ClearField(self, name: str) -> None: ...  # noqa: N802 - protobuf's own name


class Entry(Protocol):
    """A key and its value."""

    key: str
    value: str


class Tensor(Message, Protocol):
    """A TensorProto."""

    name: str
    dims: Sequence[int]
    data_location: int
    raw_data: bytes
    external_data: Sequence[Entry]


class SparseTensor(Message, Protocol):
    """A SparseTensorProto."""

    dims: Sequence[int]


class Value(Protocol):
    """A ValueInfoProto."""

    name: str


class Attribute(Protocol):
    """An AttributeProto; `g` is an empty graph where it holds none."""

    g: "Graph"
    graphs: Sequence["Graph"]


class Node(Message, Protocol):
    """A NodeProto."""

    op_type: str
    domain: str
    input: Sequence[str]
    output: Sequence[str]
    attribute: Sequence[Attribute]


class Graph(Message, Protocol):
    """A GraphProto."""

    node: Sequence[Node]
    initializer: Sequence[Tensor]
    input: Sequence[Value]
    output: Sequence[Value]


class Function(Protocol):
    """A FunctionProto."""

    domain: str
    name: str
    node: Sequence[Node]
    input: Sequence[str]
    output: Sequence[str]


class Model(Message, Protocol):
    """A ModelProto."""

    graph: Graph
    functions: Sequence[Function]

    def SerializeToString(self, *, deterministic: bool) -> bytes: ...  # noqa: N802 - protobuf's own name


def tensors(model: Message) -> Iterator[Tensor]:
    """Every tensor: initializers, attributes, branches, bodies of loops, functions, halves of sparse tensors."""
    return (cast("Tensor", each) for each in _messages(model, "TensorProto"))


def sparse_tensors(model: Message) -> Iterator[SparseTensor]:
    """Every sparse tensor."""
    return (cast("SparseTensor", each) for each in _messages(model, "SparseTensorProto"))


def nodes(model: Message) -> Iterator[Node]:
    """Every node, also those in branches, bodies of loops and functions."""
    return (cast("Node", each) for each in _messages(model, "NodeProto"))


def graphs(model: Message) -> Iterator[Graph]:
    """Every graph, also branches and bodies of loops."""
    return (cast("Graph", each) for each in _messages(model, "GraphProto"))


def _messages(message: Message, name: str) -> Iterator[Message]:
    # by the fields that are set, not by a list of places: a place that is forgotten is one where a file hides things
    left = [message]
    while left:
        current = left.pop()
        if current.DESCRIPTOR.name == name:
            yield current
        for field, value in current.ListFields():
            if field.message_type is not None:
                left += reversed(value) if isinstance(value, Sequence) else [cast("Message", value)]
