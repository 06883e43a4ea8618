"""Reads checkpoints of third parties: state dicts and, where trusted, whole pickled networks."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, final

from torch import nn
from torch.nn.utils import prune

from evalsuite.errors import UsageError
from evalsuite.interpretation import Interpretation
from evalsuite.networks.architectures.by_name import build, convention, runs_users_code, split, switches
from evalsuite.networks.architectures.input_convention import Arguments, Convention
from evalsuite.networks.checkpoints._alignment import nearest
from evalsuite.networks.checkpoints._constants import constants, refuse_drawn, refuse_lazy
from evalsuite.networks.checkpoints._formats import Contents, refuse_not_finite
from evalsuite.networks.checkpoints._load_tensors import load_aligned, outputs
from evalsuite.networks.checkpoints._readings import key_readings
from evalsuite.networks.checkpoints._selection import class_count, select
from evalsuite.networks.checkpoints._upgrade import metadata_under
from evalsuite.networks.checkpoints._whole import select_whole
from evalsuite.networks.checkpoints.extras import Statistics
from evalsuite.networks.checkpoints.header import Step
from evalsuite.networks.checkpoints.input_normalisation import built_in, normalisation
from evalsuite.networks.checkpoints.precision import single
from evalsuite.networks.effective_weights import named_tensors
from evalsuite.networks.normalized import Normalized
from evalsuite.version import __version__

Settings = dict[str, int | float | str | bool]

_WRAPPERS: Final = (nn.DataParallel, nn.parallel.DistributedDataParallel)
# a number of classes that is no other width of any network
_TELLTALE: Final = 1009


@final
@dataclass(frozen=True, kw_only=True)
class Request:
    """What the caller says about a file that does not describe itself; None: nothing.

    Attributes:
        arch: As for `evalsuite.networks.architectures.by_name.build`.
        arguments: Likewise.
        classes: Their number.
        shape: (channels, height, width) of the images.
        normalisation: By which the network was trained, where the file records none.
        given: By which the network was trained, whatever the file records.
        weights: Which set of weights of the file.
    """

    arch: str | None
    arguments: Arguments
    classes: int | None
    shape: tuple[int, int, int] | None
    normalisation: Statistics | None
    given: Statistics | None
    weights: str | None


@final
@dataclass(frozen=True, kw_only=True)
class ThirdParty:
    """A network read from a third party's file; fields as in `Checkpoint`."""

    network: Normalized
    arch: str | None
    arguments: Arguments
    class_count: int
    shape: tuple[int, int, int]
    lineage: tuple[Step, ...]
    interpretations: tuple[Interpretation, ...]


def read(path: Path, contents: Contents, request: Request) -> ThirdParty:
    """The network of `contents`; see `evalsuite.networks.checkpoints.checkpoint.read`."""
    if contents.networks:
        result = _whole(path, contents, request)
    elif request.arch is None:
        near = nearest(tuple(contents.tensors))
        hint = f"; its names are those of {' or '.join(near)}" if near else ""
        raise UsageError(f"expected --arch beside a file that holds tensors only, got none{hint}: {path}")
    else:
        result = _state_dict(path, contents, request, request.arch)
    if request.classes is not None and result.class_count != request.classes:
        got = f"got one for {result.class_count}: {path}"
        raise UsageError(f"expected a network for the {request.classes} classes of the data, {got}")
    return result


def _state_dict(path: Path, contents: Contents, request: Request, arch: str) -> ThirdParty:
    custom = convention(arch, contents.digest)
    shape = _shape(path, request.shape or custom.shape)
    name, settings = split(arch, request.arguments)
    heads = _flag(settings)
    arguments, switched = switches(name, settings, contents.digest)
    make = partial(build, name, channels=shape[0], image_size=shape[1], arguments=arguments)
    count = None
    if custom.classes is None:
        probe = make(classes=_TELLTALE)
        refuse_lazy(name, probe)
        count = class_count(contents.sets, probe, _TELLTALE, weights=request.weights)
    # where nothing tells the number, any will do: what does not fit is explained, what fits tells it by its output
    classes = custom.classes or count or request.classes or 10
    built = make(classes=classes)
    selection = select(path, contents.sets, built, arch=name, weights=request.weights)
    candidate = selection.candidate

    def constant(names: Collection[str]) -> frozenset[str]:
        return constants(lambda seed: make(classes=classes, seed=seed), shape, names)

    if runs_users_code(name):
        refuse_drawn(path, name, built, make(classes=classes, seed=1), shape)
    loaded = load_aligned(
        candidate.aligned,
        built,
        path=path,
        name=name,
        read_heads=True,
        whole_heads=heads,
        metadata={} if candidate.upgrade else metadata_under(candidate.source, candidate.aligned.prefix),
        constants=constant,
    )
    recorded = {**contents.records.statistics, **candidate.aligned.beside.statistics}
    network, normalised = _normalized(path, loaded.network, recorded, request, custom, shape[0])
    return ThirdParty(
        network=network,
        arch=name,
        arguments=arguments,
        class_count=outputs(network.eval(), shape, loaded.narrower)[0],
        shape=shape,
        lineage=(),
        interpretations=(
            selection.interpretation,
            *key_readings(candidate, request.weights),
            *loaded.interpretations,
            *switched,
            normalised,
        ),
    )


def _whole(path: Path, contents: Contents, request: Request) -> ThirdParty:
    shape = _shape(path, request.shape)
    chosen, interpretation = select_whole(path, contents.networks, request.weights)
    bare = _unwrapped(chosen)
    refuse_not_finite(path, dict(named_tensors(bare)))
    precise = single(bare)
    refuse_not_finite(path, dict(named_tensors(bare)))
    network, normalised = _normalized(path, bare, contents.records.statistics, request, Convention(), shape[0])
    return ThirdParty(
        network=network,
        arch=None,
        arguments={},
        class_count=outputs(network.eval(), shape)[0],
        shape=shape,
        lineage=(_unpickled(contents),),
        interpretations=(interpretation, *precise, normalised),
    )


def _shape(path: Path, shape: tuple[int, int, int] | None) -> tuple[int, int, int]:
    if shape is None:
        raise UsageError(f"expected the shape of the images (a data set, --data) beside {path}, got none")
    return shape


def _normalized(
    path: Path,
    network: nn.Module,
    recorded: Mapping[str, Statistics],
    request: Request,
    custom: Convention,
    channels: int,
) -> tuple[Normalized, Interpretation]:
    if isinstance(network, Normalized):
        reason = "part of the network in the file"
        return network, built_in(network.mean.tolist(), network.std.tolist(), request.given, reason)
    (mean, std), interpretation = normalisation(
        path,
        recorded,
        given=request.given,
        handed_in=request.normalisation,
        convention=custom,
        channels=channels,
    )
    try:
        return Normalized(network, mean, std), interpretation
    except ValueError as error:
        raise UsageError(str(error)) from error


def _unwrapped(network: nn.Module) -> nn.Module:
    """Without wrappers (DataParallel, torch.compile), masks of torch.nn.utils.prune multiplied in."""
    while isinstance(network, _WRAPPERS) or type(network).__name__ == "OptimizedModule":
        (network,) = network.children()
    for module in network.modules():
        masks = dict(module.named_buffers(recurse=False))
        for key in [key.removesuffix("_orig") for key, _ in module.named_parameters(recurse=False)]:
            if f"{key}_mask" in masks:
                prune.remove(module, key)
    return network


def _unpickled(contents: Contents) -> Step:
    imported = " ".join(contents.globals)
    return {"step": "unpickle", "version": __version__, "trusted": contents.digest, "globals": imported}


def _flag(settings: Settings) -> bool | None:
    value = settings.pop("pruned_heads", None)
    if value is None or isinstance(value, bool):
        return value
    raise UsageError(f"expected pruned_heads to be true or false, got {value!r}")
