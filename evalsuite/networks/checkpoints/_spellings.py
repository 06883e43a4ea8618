"""Translates tensor names of other writers, and merges masks and other parts into the weights that they make up."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, final

from torch import Tensor

from evalsuite.networks.checkpoints._layout import Layout
from evalsuite.networks.effective_weights import effective
from evalsuite.networks.reparametrised import baked

# modules that torch, FSDP and activation checkpointing put around others
_WRAPPERS: Final = re.compile(r"(?<![^.])(module|_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
# names that widely used implementations of the same networks give to the same layers
_RENAMED: Final = (
    (re.compile(r"(?<![^.])linear\."), "fc."),
    (re.compile(r"\.(shortcut|convShortcut)\."), ".downsample."),
    (re.compile(r"(?<![^.])block(\d)\.layer\."), r"block\1."),
    # torchvision's own pattern for files from before dots were forbidden in the names of modules
    (re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12]\.)"), r"\1\2"),
)


@final
@dataclass(frozen=True, kw_only=True)
class Spelling:
    """The tensors of a file under other names.

    Attributes:
        tensors: By the new name.
        renamed: New name → the name in the file, where a rule for other writers' names changed it.
    """

    tensors: Mapping[str, Tensor]
    renamed: Mapping[str, str]


def spellings(tensors: Mapping[str, Tensor], layout: Layout) -> Iterator[Spelling]:
    """Ways to read the names of a file for the network of `layout`, the most literal first."""
    yield Spelling(tensors=tensors, renamed={})
    whole = _distinct(_put_together(tensors, layout), baked(effective(tensors), layout.transposed))
    bare = [each for each in map(_without_wrappers, whole) if each is not None]
    yield from (Spelling(tensors=each, renamed={}) for each in (*whole, *bare) if each.keys() != tensors.keys())
    for current in (*whole, *bare):
        names = {name: _rename(name) for name in current}
        renamed = _respelled(current, names)
        if renamed is not None:
            yield Spelling(tensors=renamed, renamed={new: old for old, new in names.items() if new != old})


def _put_together(tensors: Mapping[str, Tensor], layout: Layout) -> dict[str, Tensor]:
    """Masks and other parts put together, but for those that the network itself keeps as parts."""
    names = frozenset(layout.names)
    plain = {name: tensor for name, tensor in tensors.items() if _stands_in(name, names)}
    others = {name: tensor for name, tensor in tensors.items() if name not in plain}
    made = {**plain, **baked(effective(others), layout.transposed)}
    # in the order of the file, as far as names are the file's
    return {name: made[name] for name in (*(each for each in tensors if each in made), *made)}


def _stands_in(name: str, names: frozenset[str]) -> bool:
    """Whether one of `names` is what stands behind some prefix of `name`, wrappers left out."""
    parts = _WRAPPERS.sub("", name).split(".")
    return any(".".join(parts[k:]) in names for k in range(len(parts)))


def _distinct(first: dict[str, Tensor], second: dict[str, Tensor]) -> list[dict[str, Tensor]]:
    return [first] if first.keys() == second.keys() else [first, second]


def _without_wrappers(tensors: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
    return _respelled(tensors, {name: _WRAPPERS.sub("", name) for name in tensors})


def _respelled(tensors: Mapping[str, Tensor], names: Mapping[str, str]) -> dict[str, Tensor] | None:
    """None where nothing changes, or two tensors would get one name."""
    changed = {names[name]: tensor for name, tensor in tensors.items()}
    return changed if len(changed) == len(tensors) and changed.keys() != tensors.keys() else None


def _rename(name: str) -> str:
    for pattern, replacement in _RENAMED:
        name = pattern.sub(replacement, name)
    return name
