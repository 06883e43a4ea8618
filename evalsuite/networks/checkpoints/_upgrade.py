"""Renames the tensors of old checkpoints by the rules of the network's own library.

Modules of torch and torchvision carry hooks for files of their earlier versions, and timm a filter for each family of
networks that knows how others name the same layers.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import cast

from torch import Tensor, nn

from evalsuite.networks.checkpoints._alignment import Aligned, alignments
from evalsuite.networks.checkpoints._layout import last
from evalsuite.networks.checkpoints._weight_sets import WeightSet
from evalsuite.networks.copies import copied

# masks and tables that old files hold and constructors make
_CONSTANTS = frozenset({"attn_mask", "relative_position_index", "relative_coords_table"})
_Filter = Callable[[dict[str, Tensor], nn.Module], object]
Metadata = Mapping[str, Mapping[str, object]]


def upgraded(source: WeightSet, aligned: Aligned, network: nn.Module) -> Iterator[tuple[str, Aligned]]:
    """Readings of a set of weights that does not fit as it stands: what did it, and what came out.

    Args:
        source: The set.
        aligned: The nearest reading; only its prefix is used.
        network: As its architecture builds it.
    """
    bare = {name.removeprefix(aligned.prefix): tensor for name, tensor in source.tensors.items()}
    ways = (
        (
            "the network's own rules for files of earlier versions",
            _by_hooks(bare, metadata_under(source, aligned.prefix), network),
        ),
        ("timm's rules for other writers' names", _by_filter(bare, network)),
    )
    for how, tensors in ways:
        if tensors is not None:
            yield from ((how, one) for one in alignments(tensors, network))


def metadata_under(source: WeightSet, prefix: str) -> Metadata:
    """What torch wrote beside the tensors under `prefix`, by the names of modules there."""
    stem = prefix.removesuffix(".")
    if not stem:
        return source.metadata
    inside = {name: entry for name, entry in source.metadata.items() if name == stem or name.startswith(prefix)}
    return {name.removeprefix(stem).removeprefix("."): entry for name, entry in inside.items()}


def with_metadata(tensors: Mapping[str, Tensor], metadata: Metadata, network: nn.Module) -> "OrderedDict[str, Tensor]":
    """A state_dict whose names follow the versions in `metadata`, the network's present ones where there is none."""
    state = OrderedDict(tensors)
    vars(state)["_metadata"] = metadata or getattr(network.state_dict(), "_metadata", {})
    return state


def _by_hooks(tensors: Mapping[str, Tensor], metadata: Metadata, network: nn.Module) -> dict[str, Tensor] | None:
    blank = copied(network)
    state = OrderedDict(tensors)
    vars(state)["_metadata"] = metadata
    try:
        keys = blank.load_state_dict(state, strict=False)
    except Exception:  # noqa: BLE001  (hooks of any library on tensors of any other; what they say is about their files)
        return None
    made = blank.state_dict()
    # loading would also turn integers into weights
    whole = not (keys.missing_keys or keys.unexpected_keys) and _integers(tensors) <= _integers(made)
    return dict(made) if whole else None


def _integers(tensors: Mapping[str, Tensor]) -> int:
    return sum(not tensor.is_floating_point() for tensor in tensors.values())


def _by_filter(tensors: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor] | None:
    module = type(network).__module__
    if not module.startswith("timm."):
        return None
    library_filter = cast("_Filter | None", getattr(import_module(module), "checkpoint_filter_fn", None))
    if library_filter is None:
        return None
    try:
        renamed = library_filter(dict(tensors), network)
    except Exception:  # noqa: BLE001  (as above)
        return None
    if not isinstance(renamed, Mapping):
        return None
    made = {name: tensor for name, tensor in renamed.items() if isinstance(name, str) and isinstance(tensor, Tensor)}
    return made if _only_renames(tensors, made) else None


def _only_renames(tensors: Mapping[str, Tensor], made: Mapping[str, Tensor]) -> bool:
    """Whether all of the file's numbers are used and no others.

    Filters also resize what was trained on other images, fill in zeros and drop layers: that is another network.
    """
    before, after = ({t.untyped_storage().data_ptr() for t in each.values()} for each in (tensors, made))
    dropped = [name for name, t in tensors.items() if t.untyped_storage().data_ptr() not in after]
    return after <= before and all(last(name) in _CONSTANTS for name in dropped)
