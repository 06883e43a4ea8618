"""Tensors of a file ⇄ tensors of a network: other spellings of the same names, and what does not fit in words."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final, final

import torch
from torch import Tensor, nn

from evalsuite.networks._effective import effective
from evalsuite.networks.architectures import BUILT_IN, build

_WRAPPERS: Final = ("module.", "model.", "network.", "_orig_mod.")
# names that widely used implementations of the same networks give to the same layers
_RENAMED: Final = (
    (re.compile(r"^linear\."), "fc."),
    (re.compile(r"\.(shortcut|convShortcut)\."), ".downsample."),
    (re.compile(r"^block(\d)\.layer\."), r"block\1."),
)
# constants that a constructor sets; files may do without them
_CONSTANTS: Final = frozenset({"num_batches_tracked", "mu", "sigma"})
# heads that only training uses
_TRAINED_BY: Final = "aux_classifier."
# written by wrappers beside the network's own tensors
_FOREIGN: Final = frozenset({"n_averaged", "num_batches_tracked"})


@final
@dataclass(frozen=True, kw_only=True)
class Aligned:
    """Tensors of a file under the names of a network.

    Attributes:
        tensors: What both have.
        missing: What only the network has, constants left out.
        unexpected: What only the file has.
        normalisation: Mean and standard deviation per channel that stood beside the network's tensors in the file.
    """

    tensors: Mapping[str, Tensor]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    normalisation: tuple[tuple[float, ...], tuple[float, ...]] | None


def align(tensors: Mapping[str, Tensor], network: nn.Module) -> Aligned:
    """The spelling of the file's names that has most in common with the network's."""
    return _best(tensors, tuple(network.state_dict()))


def explain(aligned: Aligned, misshapen: tuple[str, ...], arch: str) -> str:
    """Why the tensors are not those of `arch`, and which built-in architectures have these names."""
    lines = [
        _some(aligned.missing, "it lacks"),
        _some(aligned.unexpected, "it has beside them"),
        _some(misshapen, "of another shape are"),
    ]
    near = nearest(aligned.unexpected, aligned.tensors)
    hint = f" Its names are those of {' or '.join(near)}." if near else " Is it another architecture (--arch)?"
    return f"expected the tensors of {arch}, got others: {'; '.join(filter(None, lines))}.{hint}"


def nearest(unexpected: tuple[str, ...], tensors: Mapping[str, Tensor]) -> tuple[str, ...]:
    """Built-in architectures whose tensors have exactly the given names."""
    blanks = {name: torch.empty(0) for name in (*tensors, *unexpected)}
    found: list[str] = []
    names = [*BUILT_IN, *(f"{name}?shortcut=padding" for name in BUILT_IN if name.startswith("resnet"))]
    for name in names:
        aligned = _best(blanks, _names(name))
        if not (aligned.missing or aligned.unexpected):
            found.append(name)
    return tuple(found)


@cache
def _names(arch: str) -> tuple[str, ...]:
    with torch.device("meta"):
        return tuple(build(arch, classes=10, channels=3, image_size=32).state_dict())


def _best(tensors: Mapping[str, Tensor], wanted: Sequence[str]) -> Aligned:
    candidates = [_compare(spelling, wanted) for spelling in _spellings(effective(tensors))]
    return min(candidates, key=lambda found: len(found.missing) + len(found.unexpected))


def _compare(given: Mapping[str, Tensor], names: Sequence[str]) -> Aligned:
    wanted = dict.fromkeys(names)
    mean, std = (_numbers(given.get(name)) for name in ("mean", "std"))
    beside = (mean, std) if mean is not None and std is not None and not {"mean", "std"} & wanted.keys() else None
    extra = (name for name in given if name not in wanted and not (beside and name in {"mean", "std"}))
    return Aligned(
        tensors={name: tensor for name, tensor in given.items() if name in wanted},
        missing=tuple(name for name in wanted if name not in given and _last(name) not in _CONSTANTS),
        unexpected=tuple(name for name in extra if not _idle(name)),
        normalisation=beside,
    )


def _spellings(tensors: Mapping[str, Tensor]) -> Iterator[Mapping[str, Tensor]]:
    current = dict(tensors)
    while True:
        yield current
        renamed = {_rename(name): tensor for name, tensor in current.items()}
        if len(renamed) == len(current):
            yield renamed
        wrapper = next((w for w in _WRAPPERS if any(name.startswith(w) for name in current)), None)
        if wrapper is None:
            return
        stripped = {name.removeprefix(wrapper): tensor for name, tensor in current.items()}
        if len(stripped) < len(current):
            return
        current = stripped


def _rename(name: str) -> str:
    for pattern, replacement in _RENAMED:
        name = pattern.sub(replacement, name)
    return name


def _numbers(tensor: Tensor | None) -> tuple[float, ...] | None:
    return tuple(tensor.flatten().tolist()) if tensor is not None and 0 < tensor.numel() <= 16 else None


def _idle(name: str) -> bool:
    return _last(name) in _FOREIGN or name.startswith(_TRAINED_BY)


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _some(names: tuple[str, ...], what: str) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"{what} {', '.join(names[:5])}{more}" if names else ""
