"""Networks that evalsuite did not write: state dicts and, where trusted, whole pickled networks."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

from torch import Tensor, nn
from torch.nn.utils import prune

from evalsuite.errors import UsageError
from evalsuite.networks._alignment import align, nearest
from evalsuite.networks._convention import Arguments, Convention
from evalsuite.networks._effective import named_tensors
from evalsuite.networks._formats import Contents, refuse_not_finite
from evalsuite.networks._header import Step
from evalsuite.networks._pour import outputs, pour
from evalsuite.networks.architectures import build, convention, split
from evalsuite.networks.normalized import Normalized
from evalsuite.version import __version__

Statistics = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and standard deviation of each channel."""
Settings = dict[str, int | float | str | bool]

_WRAPPERS: Final = (nn.DataParallel, nn.parallel.DistributedDataParallel)
# a number of classes that is no other width of any network
_TELLTALE: Final = 1009


@final
@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the user says about a file that does not describe itself; None: not said."""

    arch: str | None
    arguments: Arguments
    classes: int | None
    shape: tuple[int, int, int] | None
    normalisation: Statistics | None


@final
@dataclass(frozen=True, kw_only=True)
class Found:
    """What was made of it; fields as in `Checkpoint`."""

    network: Normalized
    arch: str | None
    arguments: Arguments
    class_count: int
    shape: tuple[int, int, int]
    lineage: tuple[Step, ...]


def read(path: Path, contents: Contents, asked: Asked) -> Found:
    """The network of `contents`; see `evalsuite.networks.checkpoint.read`."""
    whole = contents.network is not None
    if asked.arch is None and not whole:
        near = nearest((), contents.tensors)
        hint = f"; its names are those of {' or '.join(near)}" if near else ""
        raise UsageError(f"expected --arch beside a file that holds tensors only, got none{hint}: {path}")
    habits = convention(asked.arch) if asked.arch is not None and not whole else Convention()
    shape = asked.shape or habits.shape
    if shape is None:
        raise UsageError(f"expected the shape of the images (a data set, --data) beside {path}, got none")
    name, settings = (None, {}) if whole or asked.arch is None else split(asked.arch, asked.arguments)
    heads = _flag(settings)
    if contents.network is not None:
        network = _normalized(_unwrapped(contents.network), asked.normalisation, shape[0])
        refuse_not_finite(path, dict(named_tensors(network)))
    else:
        assert name is not None  # noqa: S101  (refused above; narrows the type)
        # where nothing tells the number, any will do: what does not fit is explained, what fits tells it by its output
        classes = habits.classes or _classes(contents.tensors, name, settings, shape) or asked.classes or 10
        built = build(name, classes=classes, channels=shape[0], image_size=shape[1], arguments=settings)
        poured = pour(contents.tensors, built, name=name, read_heads=True, whole_heads=heads)
        usual = (habits.mean, habits.std) if habits.mean is not None and habits.std is not None else None
        network = _normalized(poured.network, poured.aligned.normalisation or asked.normalisation or usual, shape[0])
    count = outputs(network.eval(), shape)[0]
    if asked.classes is not None and count != asked.classes:
        raise UsageError(f"expected a network for the {asked.classes} classes of the data, got one for {count}: {path}")
    lineage = (_unpickled(contents),) if whole else ()
    return Found(network=network, arch=name, arguments=settings, class_count=count, shape=shape, lineage=lineage)


def _classes(tensors: Mapping[str, Tensor], name: str, settings: Arguments, shape: tuple[int, int, int]) -> int | None:
    # the tensors that grow with the number of classes are those of the classifier
    probe = build(name, classes=_TELLTALE, channels=shape[0], image_size=shape[1], arguments=settings)
    grown = [key for key, tensor in probe.state_dict().items() if tensor.ndim and len(tensor) == _TELLTALE]
    found = align(tensors, probe).tensors
    counts = {len(found[key]) for key in grown if key in found and found[key].ndim}
    return counts.pop() if len(counts) == 1 else None


def _normalized(network: nn.Module, by: Statistics | None, channels: int) -> Normalized:
    if isinstance(network, Normalized):
        return network
    mean, std = by or ((0.0,) * channels, (1.0,) * channels)
    if channels == 1 and len(mean) == len(std) == 3:
        # the convention of colour networks, for one whose first layer takes gray
        mean, std = (sum(mean) / 3,), (sum(std) / 3,)
    if len(mean) != channels or len(std) != channels:
        raise UsageError(f"expected mean and std for {channels} channels, got {mean} and {std}")
    try:
        return Normalized(network, mean, std)
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
    seen = " ".join(contents.globals)
    return {"step": "unpickle", "version": __version__, "trusted": contents.digest, "globals": seen}


def _flag(settings: Settings) -> bool | None:
    value = settings.pop("pruned_heads", None)
    if value is None or isinstance(value, bool):
        return value
    raise UsageError(f"expected pruned_heads to be true or false, got {value!r}")
