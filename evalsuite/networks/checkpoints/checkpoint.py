"""Reads and writes networks as files.

Written: safetensors with a header that describes the network. Read: that, and what users have - state dicts of any
spelling, masked, channel-pruned - without running code from the file.
"""

import hashlib
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Final, final

import safetensors.torch
from torch import nn

from evalsuite.errors import RefusedInputError, UsageError
from evalsuite.files.atomic import write_atomically
from evalsuite.files.private_paths import portable
from evalsuite.interpretation import Interpretation
from evalsuite.networks.architectures.by_name import build, runs_users_code, split
from evalsuite.networks.architectures.input_convention import NO_ARGUMENTS, Arguments
from evalsuite.networks.attributes import restore as restore_scalars
from evalsuite.networks.attributes import scalars
from evalsuite.networks.checkpoints import _third_party
from evalsuite.networks.checkpoints._formats import Contents, read_contents
from evalsuite.networks.checkpoints._load_tensors import load_aligned, load_tensors, outputs
from evalsuite.networks.checkpoints._room import check_room
from evalsuite.networks.checkpoints._selection import select
from evalsuite.networks.checkpoints.extras import Statistics
from evalsuite.networks.checkpoints.header import Header, Step, decode, encode
from evalsuite.networks.checkpoints.input_normalisation import built_in
from evalsuite.networks.digest import tensor_digest
from evalsuite.networks.effective_weights import effective
from evalsuite.networks.normalized import Normalized
from evalsuite.version import __version__
from evalsuite.wording import times

_LONGEST_REASON: Final = 300


@final
@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A trained network with all that is needed to evaluate it.

    Attributes:
        network: Takes images in [0, 1]; in evaluation mode.
        arch: Name that `build` understands; None for a network of the user's own Python, which only they can rebuild.
        arguments: For `build`.
        class_count: Number of logits.
        classes: Names of the classes, where known.
        shape: (channels, height, width) of the images.
        data: Name of the data set it was trained on, where known; files tell no path outside of the working folder.
        lineage: What was done to it, first step first; e.g. {"step": "prune", "version": "0.1.0", "from": digest}.
        file_digest: sha256 of the file it was read from, 64 hex digits; None where it was not read.
        recorded_classes: Names of its outputs that a file of other makers holds, by the keys that lead to them.
        self_describing: Whether the file says itself what it holds, its normalisation included.
        interpretations: How the file was read; empty where it was not.
    """

    network: Normalized
    arch: str | None
    arguments: Arguments = field(default_factory=dict)
    class_count: int
    classes: tuple[str, ...] | None = None
    shape: tuple[int, int, int]
    data: str | None = None
    lineage: tuple[Step, ...] = ()
    file_digest: str | None = None
    recorded_classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    self_describing: bool = False
    interpretations: tuple[Interpretation, ...] = ()


def write(path: Path, checkpoint: Checkpoint) -> str:
    """Writes the checkpoint, whole or not at all; gives the file's sha256. The same checkpoint is the same bytes.

    Masks of torch.nn.utils.prune are multiplied into the weights. Folders are made as needed.
    """
    state = effective(checkpoint.network.state_dict())
    # cloned, because safetensors refuses tensors that share memory
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in state.items()}
    header = Header(
        arch=checkpoint.arch,
        arguments=dict(checkpoint.arguments),
        classes=checkpoint.classes,
        class_count=checkpoint.class_count,
        shape=checkpoint.shape,
        # a file is handed on; where data lie on this machine is nobody's business
        data=None if checkpoint.data is None else portable(checkpoint.data, str(Path.cwd())),
        lineage=tuple(dict(step) for step in checkpoint.lineage),
        attributes={name: dict(values) for name, values in scalars(checkpoint.network).items()},
        tensors=tensor_digest(tensors),
        written_by=__version__,
    )
    # one metadata key only: safetensors writes several in random order
    data = safetensors.torch.save(tensors, metadata={"evalsuite": encode(header)})
    write_atomically(path, data)
    return hashlib.sha256(data).hexdigest()


def read(  # noqa: PLR0913  (a front door has many bells)
    path: Path,
    *,
    arch: str | None = None,
    arguments: Arguments = NO_ARGUMENTS,
    classes: Sequence[str] | int | None = None,
    shape: tuple[int, int, int] | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    normalise: Statistics | None = None,
    weights: str | None = None,
    trusted: frozenset[str] = frozenset(),
) -> Checkpoint:
    """Reads evalsuite's own checkpoints, and with `arch` state dicts (torch, safetensors) of any network.

    The file says what it is, not its name. Own files describe themselves; only `arch` is looked at, where they name
    none. For others: the prefix under which all of the network's names stand is taken off, masks are multiplied in,
    weight and spectral norm computed, widths of channel-pruned networks and the number of classes read off the shapes.
    All that had to be decided stands in the checkpoint's `interpretations`.

    Args:
        path: The file.
        arch: As for `build`.
        arguments: As for `build`; `pruned_heads` (bool) says how attention was narrowed where shapes leave it open.
        classes: Names or number of the classes.
        shape: (channels, height, width); where None, the origin's convention.
        mean: Normalisation by which the network was trained. A file that holds its own wins; where there is none, the
            origin's convention, and for built-in networks and factories none at all (mean 0, std 1).
        std: Likewise.
        normalise: Mean and standard deviation per channel by which the network was trained, for images in [0, 1],
            where the user knows: these win over what stands beside the weights in a file, not over what is part of the
            network itself, as in own files.
        weights: Which set of weights, where a file holds several that differ, such as raw and averaged ones: the keys
            that lead to it, joined by dots. Own files hold one.
        trusted: sha256 digests of files that may run code when they are read.

    Raises:
        UsageError: No such file; architecture or shape are needed, or do not fit the tensors; no such set of weights.
        RefusedInputError: The file is damaged, holds numbers that are not finite, would have to be trusted, or names a
            factory, or words for it, that `arch` does not name too; it holds several sets of weights that differ and
            `weights` names none, weights that are integers, or a normalisation of images that are not in [0, 1].
    """
    contents = read_contents(path, trusted)
    if contents.header is not None:
        checkpoint = _read_described(path, contents, contents.header, arch, arguments)
        return replace(checkpoint, interpretations=_recorded(checkpoint.network, normalise, weights))
    request = _third_party.Request(
        arch=arch,
        arguments=arguments,
        classes=len(classes) if isinstance(classes, Sequence) else classes,
        shape=shape,
        normalisation=_both(mean, std),
        given=normalise,
        weights=weights,
    )
    result = _third_party.read(path, contents, request)
    return Checkpoint(
        network=result.network,
        arch=result.arch,
        arguments=result.arguments,
        class_count=result.class_count,
        classes=tuple(classes) if isinstance(classes, Sequence) else None,
        shape=result.shape,
        lineage=result.lineage,
        file_digest=contents.digest,
        recorded_classes={k: v for k, v in contents.records.classes.items() if len(v) == result.class_count},
        interpretations=result.interpretations,
    )


def restore(path: Path, network: nn.Module) -> nn.Module:
    """A copy of `network` with the tensors and widths of `path`, in evaluation mode; for files that name no `arch`.

    Raises:
        UsageError: No such file, or its tensors are not those of such a network.
        RefusedInputError: As for `read`.
    """
    contents = read_contents(path, frozenset())
    header = decode(contents.header, path) if contents.header is not None else None
    _check_sum(path, contents, header)
    name = "the given network"
    if header is None:
        aligned = select(path, contents.sets, network, arch=name, weights=None).candidate.aligned
        return load_aligned(aligned, network, path=path, name=name, read_heads=True).network.eval()
    loaded = load_tensors(contents.tensors, network, path=path, name=name, read_heads=False)
    restore_scalars(loaded.network, header.attributes)
    return loaded.network.eval()


def check_fits(checkpoint: Checkpoint, expected: tuple[int, ...], shape: tuple[int, int, int]) -> None:
    """Runs the network on one blank image of `shape`.

    Args:
        checkpoint: The network.
        expected: The shape of its outputs for one image; (classes,) where it classifies.
        shape: (channels, height, width).

    Raises:
        UsageError: It does not take such images, or gives other outputs.
    """
    actual = outputs(checkpoint.network, shape)
    if actual == expected:
        return
    if len(actual) == len(expected) == 1:
        raise UsageError(f"expected a network for the {expected[0]} classes of the data, got one for {actual[0]}")
    wanted = f"{times(expected)} numbers for an image of the data"
    raise UsageError(f"expected a network that gives {wanted}, got {times(actual)}")


def _read_described(path: Path, contents: Contents, text: str, arch: str | None, arguments: Arguments) -> Checkpoint:
    header = decode(text, path)
    _check_sum(path, contents, header)
    name, settings = (header.arch, header.arguments)
    if arch is not None:
        given, given_settings = split(arch, arguments)
        if name is not None and given != name:
            raise UsageError(f"expected --arch {name}, as the file says, or none at all, got {given!r}: {path}")
        name, settings = (name, settings) if name is not None else (given, given_settings)
    if name is None:
        way_out = "say --arch, or read it with evalsuite.networks.checkpoints.checkpoint.restore(path, network)"
        raise UsageError(f"expected an architecture, got a file whose network came from Python: {path}; {way_out}")
    if runs_users_code(name):
        _check_named(path, name, settings, arch, arguments)
    channels, side, _ = header.shape
    make = partial(build, name, classes=header.class_count, channels=channels, image_size=side, arguments=settings)
    try:
        if not runs_users_code(name):
            check_room(path, make, header.shape, sum(tensor.nbytes for tensor in contents.tensors.values()))
        bare = make()
    except (RuntimeError, MemoryError, ArithmeticError, TypeError, ValueError) as error:
        first = " ".join(str(error).split())[:_LONGEST_REASON]
        raise RefusedInputError(f"expected a header of a network that can be built, got {first}: {path}") from error
    blank = Normalized(bare, (0.0,) * channels, (1.0,) * channels)
    network = load_tensors(contents.tensors, blank, path=path, name=name, read_heads=False).network.eval()
    restore_scalars(network, header.attributes)
    assert isinstance(network, Normalized)  # noqa: S101  (a copy of `blank`)
    count = outputs(network, header.shape)[0]
    if count != header.class_count:
        raise RefusedInputError(f"expected {header.class_count} classes, as the header says, got {count}: {path}")
    return Checkpoint(
        network=network,
        arch=name,
        arguments=settings,
        class_count=count,
        classes=header.classes,
        shape=header.shape,
        data=header.data,
        lineage=header.lineage,
        file_digest=contents.digest,
        self_describing=True,
    )


def _check_named(path: Path, name: str, settings: Arguments, arch: str | None, arguments: Arguments) -> None:
    """Code of the user's own is called by their word alone; what a file hands to it beside numbers is theirs too.

    Raises:
        RefusedInputError: They did not name it, or not a word that the file hands to it, such as a further file's path.
    """
    if arch is None:
        # a name in a file would otherwise be a way to call any function there is
        raise RefusedInputError(f"expected --arch {name} beside a file that names code of yours to be called: {path}")
    given = split(arch, arguments)[1]
    for key, value in settings.items():
        if isinstance(value, str) and given.get(key) != value:
            option = shlex.quote(f"{name}?{key}={value}")
            raise RefusedInputError(f"expected --arch {option} beside a file that hands {key} to code of yours: {path}")


def _recorded(network: Normalized, given: Statistics | None, weights: str | None) -> tuple[Interpretation, ...]:
    reason = "evalsuite's own file"
    # the option may be meant for another file of the run
    one = reason if weights is None else f"{reason}, which holds one set; --weights {weights} is not taken"
    return (
        Interpretation(topic="weights", value="the whole file", basis="recorded", reason=one),
        built_in(network.mean.tolist(), network.std.tolist(), given, reason),
    )


def _both(
    mean: Sequence[float] | None, std: Sequence[float] | None
) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    if mean is None and std is None:
        return None
    if mean is None or std is None:
        raise UsageError(f"expected mean and std together, got mean {mean} and std {std}")
    return tuple(mean), tuple(std)


def _check_sum(path: Path, contents: Contents, header: Header | None) -> None:
    if header is not None and tensor_digest(contents.tensors) != header.tensors:
        raise RefusedInputError(f"expected the tensors that the header was written for, got changed ones: {path}")
