"""Runs programs of torch.export operator by operator, from their description.

torch.export.load is never called: it unpickles what it finds in the archive, evaluates texts as expressions for shapes
and compiles guards, so a file could run any code. Here the description is data - one of the operators that networks
are made of, by its name, and what goes into it - and what is not such a description is refused.
"""

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Final, final

import torch
from torch import Tensor, nn
from typing_extensions import override

from evalsuite.errors import RefusedInputError
from evalsuite.networks.programs._json import Json, as_list, as_mapping
from evalsuite.networks.programs._steps import Step, Value, keep, name_in, names_in, read_step, resolve
from evalsuite.networks.programs._symbolic import NotUnderstoodError

_UNEVEN: Final = 2
_LITTLE: Final = 2**26
"""Bytes that are not worth a refusal."""

_MOST_STEPS: Final = 50_000
"""Twenty times those of the largest networks that are in use, and seconds to run."""


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

    @property
    def size(self) -> int:
        """Bytes of what came out, each number of a view counted."""
        made = self.made if isinstance(self.made, tuple | list) else (self.made,)
        return sum(each.numel() * each.element_size() for each in made if isinstance(each, Tensor))


@final
@dataclass(frozen=True, kw_only=True)
class _Growth:
    """Bytes of a program's values: `first` for one image, `more` for each further one of `shape`."""

    shape: tuple[int, ...]
    first: int
    more: int


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
        nodes = as_list(graph.get("nodes"))
        if len(nodes) > _MOST_STEPS:
            raise NotUnderstoodError(f"expected a program of at most {_MOST_STEPS:,} steps, got {len(nodes):,}")
        self._steps = tuple(read_step(as_mapping(node)) for node in nodes)
        outputs = as_list(graph.get("outputs"))
        if len(outputs) != 1:
            raise NotUnderstoodError(f"expected one output, got {len(outputs)}")
        self._output = as_mapping(outputs[0])
        self.origins = _origins(self._steps, tensors)
        self.learnt = frozenset({name for each in self._steps for name in names_in(each.arguments)} & learnt)
        # what a step writes over would be another in the next batch
        self._writes = any(each.mutates for each in self._steps)
        self._dropped = _last_uses(self._steps, self._output)
        self._growth: _Growth | None = None
        self._weighed: set[int] = set()

    @override
    def forward(self, images: Tensor) -> Tensor:
        try:
            self.check_growth(len(images))
            outputs = self.run(images, lambda _: None)
        except NotUnderstoodError as error:
            raise RefusedInputError(f"expected a program that can be run on {len(images)} images: {error}") from error
        if not isinstance(outputs, Tensor):
            raise RefusedInputError(f"expected a program that gives a tensor, got {type(outputs).__name__}")
        return outputs

    def tensor(self, name: str) -> Tensor:
        """One of the network's tensors, by its name in the graph."""
        return self.get_buffer(self._named[name])

    def run(self, images: Tensor, on_step: Callable[[Called], None]) -> Value:
        """What the program gives; `on_step` hears of every step.

        Raises:
            NotUnderstoodError: A step may not be run on what it is given.
        """
        return self._run(images, {name: self.get_buffer(buffer) for name, buffer in self._named.items()}, on_step)

    def grow_with_batch(self, shape: tuple[int, ...], sizes: Mapping[int, int]) -> None:
        """From now on, refuse batches for which the program takes more memory than in proportion to their images.

        A program may compute sizes from the number of images: one that was run for a few may be made to take all
        memory for the next batch. Hence sizes are computed first, without numbers, for every new size of batch.

        Args:
            shape: Of an image.
            sizes: For two or more sizes of batch, 1 among them: bytes of all values that are computed.
        """
        largest = max(sizes)
        more = max(sizes[largest] - sizes[1], 0) // (largest - 1)
        self._growth = _Growth(shape=shape, first=sizes[1], more=more)
        self._weighed = set(sizes)

    def check_growth(self, count: int) -> None:
        """Computes sizes for a batch of `count` images.

        Raises:
            NotUnderstoodError: They are larger than for fewer images.
        """
        growth = self._growth
        if growth is None or count in self._weighed:
            return
        weight = self._weigh(count, growth.shape)
        if weight > _UNEVEN * (growth.first + count * growth.more) + _LITTLE:
            raise NotUnderstoodError(
                f"expected a program whose memory grows with the number of images, got {growth.first / 1e6:.1f} MB for "
                f"one and {weight / 1e6:.1f} MB for {count}"
            )
        self._weighed.add(count)

    def _weigh(self, count: int, shape: tuple[int, ...]) -> int:
        """Bytes of all values that are computed for `count` images of `shape`; computes none of them."""
        made: list[int] = []
        tensors = {name: self.get_buffer(buffer).to("meta") for name, buffer in self._named.items()}
        with torch.no_grad():
            images = torch.empty((count, *shape), device="meta")
            self._run(images, tensors, lambda called: made.append(called.size))
        return sum(made)

    def _run(self, images: Tensor, tensors: Mapping[str, Tensor], on_step: Callable[[Called], None]) -> Value:
        values: dict[str, Value] = {**tensors, self.images: images.clone() if self._writes else images}
        fixed = {_storage(tensor) for tensor in tensors.values()} if self._writes else set()
        for each, dropped in zip(self._steps, self._dropped, strict=True):
            given = [resolve(argument, values, images.device) for argument in each.arguments]
            if each.mutates:
                _check_written(each, given, fixed)
            made = each.run(given, images.device)
            names = tuple(name_in(argument) for argument in each.arguments)
            on_step(Called(target=each.target, given=tuple(given), names=names, made=made))
            keep(each.outputs, made, values)
            for name in dropped:
                values.pop(name, None)
        return resolve(self._output, values, images.device)


def _check_written(step: Step, given: Sequence[Value], fixed: Set[int]) -> None:
    """Refuse to write over a tensor of the network, by whatever name and through whatever view of it."""
    if any(isinstance(value, Tensor) and _storage(value) in fixed for value in step.written(given)):
        raise NotUnderstoodError(f"expected a network in evaluation mode, got one whose {step.target} changes it")


def _storage(tensor: Tensor) -> int:
    # not the address of its numbers: those without numbers have none
    identity: int = tensor.untyped_storage()._cdata  # noqa: SLF001 - nothing public tells storages apart
    return identity


def _origins(steps: Sequence[Step], tensors: Mapping[str, Tensor]) -> Mapping[str, frozenset[str]]:
    origins = {name: frozenset({name}) for name in tensors}
    for each in steps:
        given = names_in(each.arguments)
        if given <= origins.keys():
            sources = frozenset(origin for name in given for origin in origins[name])
            origins.update(dict.fromkeys(names_in(each.outputs), sources))
    return origins


def _last_uses(steps: Sequence[Step], output: Json) -> list[set[str]]:
    """For each step, the names that no later one needs."""
    needed = names_in([output])
    dropped: list[set[str]] = []
    for each in reversed(steps):
        names = names_in(each.arguments) | names_in(each.outputs)
        dropped.append(names - needed)
        needed |= names
    return dropped[::-1]
