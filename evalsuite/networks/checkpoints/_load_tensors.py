"""Loads the tensors of a file into a network of the same architecture, narrower or not."""

from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, final

import torch
from torch import Tensor, nn

from evalsuite.errors import EvalsuiteError, RefusedInputError, UsageError
from evalsuite.interpretation import Interpretation
from evalsuite.networks.checkpoints._alignment import Aligned, align
from evalsuite.networks.checkpoints._explanation import explain
from evalsuite.networks.checkpoints._layout import layout
from evalsuite.networks.checkpoints._upgrade import Metadata, with_metadata
from evalsuite.networks.checkpoints._widths import Narrowed, narrow, narrow_heads
from evalsuite.networks.checkpoints.precision import converted
from evalsuite.networks.normalized import Normalized
from evalsuite.process.culprit import culprit, is_memory, what_it_says
from evalsuite.wording import times
from neuralnets.device import device_of
from neuralnets.forward_hooks import attached
from neuralnets.modes import evaluating

NOTHING_NARROWER: Final[Mapping[str, str]] = MappingProxyType({})


@final
@dataclass(frozen=True, kw_only=True)
class Loaded:
    """A network that holds a file's tensors.

    Attributes:
        network: A copy.
        interpretations: What was converted, and what the constructor set because the file lacks it.
        narrower: Tensors of other shapes than built, by name, with both shapes: "10x50 instead of 10x64".
    """

    network: nn.Module
    interpretations: tuple[Interpretation, ...]
    narrower: Mapping[str, str]


def load_tensors(
    tensors: Mapping[str, Tensor], network: nn.Module, *, path: Path, name: str, read_heads: bool
) -> Loaded:
    """A copy of `network` with the widths and values of `tensors`.

    Args:
        tensors: By name, in any of the usual spellings.
        network: What the architecture builds.
        path: The file, for messages.
        name: The architecture, for messages.
        read_heads: Work out attention heads from shapes; otherwise something else tells them.

    Raises:
        UsageError: Names or shapes do not fit.
        RefusedInputError: A number is not finite, or not of the kind that the network has.
    """
    return load_aligned(align(tensors, network), network, path=path, name=name, read_heads=read_heads)


def load_aligned(
    aligned: Aligned,
    network: nn.Module,
    *,
    path: Path,
    name: str,
    read_heads: bool,
    whole_heads: bool | None = None,
    metadata: Metadata | None = None,
    constants: Callable[[Collection[str]], frozenset[str]] = lambda _: frozenset(),
) -> Loaded:
    """As `load_tensors`, from tensors under the network's own names.

    Args:
        aligned: The tensors.
        network: What the architecture builds.
        path: The file, for messages.
        name: The architecture, for messages.
        read_heads: As for `load_tensors`.
        whole_heads: How to read heads where shapes leave it open.
        metadata: What torch wrote beside the tensors, by names of modules.
        constants: Names of buffers that the file lacks → those of them that the constructor sets once and for all.

    Raises:
        UsageError: As for `load_tensors`.
        RefusedInputError: As for `load_tensors`.
    """
    narrowed = narrow(network, {key: tuple(tensor.shape) for key, tensor in aligned.tensors.items()})
    lacking = set(aligned.missing) - (constants(aligned.missing) if aligned.missing and not aligned.learnt else set())
    if lacking or aligned.beside.unexpected or narrowed.misshapen:
        raise UsageError(explain(aligned, narrowed.misshapen, name))
    if read_heads:
        narrow_heads(narrowed.network, network, whole=whole_heads)
    _refuse_untied(path, aligned, network)
    tensors, interpretations = converted(path, aligned.tensors, narrowed.network)
    # constants that the file leaves out stay as built; all else was matched above
    try:
        narrowed.network.load_state_dict(with_metadata(tensors, metadata or {}, network), strict=False)
    except (RuntimeError, ValueError) as error:
        first = str(error).strip().splitlines()[-1].strip()
        raise UsageError(f"expected tensors that {name} takes, got: {first}: {path}") from error
    readings = (*_narrower(narrowed, name), *interpretations, *_set_by_constructor(aligned.missing))
    built = network.state_dict()
    shapes = {
        key: f"{times(tuple(aligned.tensors[key].shape))} instead of {times(tuple(built[key].shape))}"
        for key in narrowed.changed
    }
    return Loaded(network=narrowed.network, interpretations=readings, narrower=shapes)


def _narrower(narrowed: Narrowed, name: str) -> tuple[Interpretation, ...]:
    if not narrowed.changed:
        return ()
    value = f"{len(narrowed.changed)} tensors are narrower than {name} builds them"
    return (Interpretation(topic="widths", value=value, basis="measured", reason="read off the shapes in the file"),)


def _set_by_constructor(names: tuple[str, ...]) -> tuple[Interpretation, ...]:
    if not names:
        return ()
    value = f"{', '.join(names[:5])}{' ...' if len(names) > 5 else ''} as the constructor sets them"
    return (Interpretation(topic="constructor", value=value, basis="assumed", reason="the file lacks these constants"),)


def _refuse_untied(path: Path, aligned: Aligned, network: nn.Module) -> None:
    for name, shared in layout(network).tied.items():
        one, other = aligned.tensors.get(name), aligned.tensors.get(shared)
        if one is not None and other is not None and not torch.equal(one, other):
            raise RefusedInputError(
                f"expected one tensor under {name!r} and {shared!r}, which the network shares, got two: {path}"
            )


def outputs(
    network: nn.Module, shape: tuple[int, int, int], narrower: Mapping[str, str] = NOTHING_NARROWER
) -> tuple[int, ...]:
    """The shape of the outputs for one blank image of `shape`: (classes,), or (channels, height, width).

    Args:
        network: Any.
        shape: (channels, height, width).
        narrower: As in `Loaded`, for messages: a tensor of a wrong shape is taken for that of a pruned layer.

    Raises:
        UsageError: The network does not take it, or gives something else.
    """
    if isinstance(network, Normalized) and len(network.mean) != shape[0]:
        # broadcasting would spread gray images over three channels
        got = f"one for {len(network.mean)} channels"
        raise UsageError(f"expected a network that takes images of shape {times(shape)}, got {got}{_grey(shape, got)}")
    image = torch.full((1, *shape), 0.5, device=device_of(network))
    with evaluating(network):
        logits = _outputs(network, image, narrower)
    if not isinstance(logits, Tensor) or logits.ndim not in {2, 4} or len(logits) != 1:
        got = f"shape {times(tuple(logits.shape))}" if isinstance(logits, Tensor) else type(logits).__name__
        raise UsageError(f"expected a network that gives one row of outputs, or one map of them, per image, got {got}")
    return tuple(logits.shape[1:])


def _outputs(network: nn.Module, image: Tensor, narrower: Mapping[str, str]) -> object:
    """What `network` gives for one image; its errors become a UsageError that names the layer."""
    try:
        with torch.inference_mode():
            return network(image)
    except EvalsuiteError:
        raise
    except Exception as error:
        if is_memory(error):
            raise
        to_blame = culprit(error)
        line = f" ({to_blame.place})" if to_blame is not None and to_blame.place else ""
        first = what_it_says(error)
        shape = tuple(image.shape[1:])
        reason = f"{first}{line}{_place(network, image, narrower)}{_grey(shape, first)}"
        raise UsageError(f"expected a network that takes images of shape {times(shape)}, got: {reason}") from error


def _place(network: nn.Module, image: Tensor, narrower: Mapping[str, str]) -> str:
    """In which layer the pass ends, and which tensors of the file have other shapes there, else anywhere."""
    layer = _failing_layer(network, image)
    there = [key for key in narrower if key.rpartition(".")[0] in {layer, f"network.{layer}"}] if layer else []
    listed = ", ".join(f"{key} is {narrower[key]}" for key in (there or list(narrower))[:3])
    return (f" in {layer!r}" if layer else "") + (f", where in the file {listed}" if listed else "")


def _failing_layer(network: nn.Module, image: Tensor) -> str:
    """The innermost module in which a pass ends that fails; empty where it cannot be told."""
    bare = network.network if isinstance(network, Normalized) else network
    entered: list[str] = []

    def enter(name: str) -> Callable[..., None]:
        return lambda *_: entered.append(name)

    def leave(*_: object) -> None:
        entered.pop()

    hooks = [
        handle
        for name, module in bare.named_modules()
        for handle in (module.register_forward_pre_hook(enter(name)), module.register_forward_hook(leave))
    ]
    # whatever is raised was raised before, and stands in the message
    with attached(hooks), suppress(Exception), torch.inference_mode():
        network(image)
    return entered[-1] if entered else ""


def _grey(shape: tuple[int, ...], got: str) -> str:
    """Photos are read in colour where nobody says otherwise."""
    return "; photos are read in grey by ?channels=1 behind folder:PATH" if shape[0] == 3 and "channels" in got else ""
