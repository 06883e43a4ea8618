"""Other names for the same tensors: masks and other parts put together, wrappers left out, names of other writers."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, final

from torch import Tensor

from evalsuite.networks._effective import effective
from evalsuite.networks._layout import Layout
from evalsuite.networks._reparametrised import baked

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
    whole = baked(effective(tensors), layout.transposed)
    if whole.keys() != tensors.keys():
        yield Spelling(tensors=whole, renamed={})
    bare = _respelled(whole, {name: _WRAPPERS.sub("", name) for name in whole})
    if bare is not None:
        yield Spelling(tensors=bare, renamed={})
    for current in (whole, *([bare] if bare is not None else [])):
        names = {name: _rename(name) for name in current}
        renamed = _respelled(current, names)
        if renamed is not None:
            yield Spelling(tensors=renamed, renamed={new: old for old, new in names.items() if new != old})


def _respelled(tensors: Mapping[str, Tensor], names: Mapping[str, str]) -> dict[str, Tensor] | None:
    """None where nothing changes, or two tensors would get one name."""
    changed = {names[name]: tensor for name, tensor in tensors.items()}
    return changed if len(changed) == len(tensors) and changed.keys() != tensors.keys() else None


def _rename(name: str) -> str:
    for pattern, replacement in _RENAMED:
        name = pattern.sub(replacement, name)
    return name
