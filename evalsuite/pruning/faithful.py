"""Whether a network can be pruned faithfully: a copy computes with its own weights, and a zero stays a zero in use.

Asked before anything is pruned. Pruners work on copies and store zeros; both say nothing where forward() computes with
other tensors than those that its layers hold.
"""

from collections.abc import Iterable, Sequence
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn.parameter import Parameter

from evalsuite.errors import UsageError
from evalsuite.networks.copies import copied
from evalsuite.networks.costs._weights_in_use import InUse, Nonzeros, prunable_names, weights_in_use
from evalsuite.parts.names import part_name
from evalsuite.pruning.refusals import refusing
from evalsuite.wording import listed
from neuralnets.forward_pass import Multiplications, multiplications
from neuralnets.probes import ramp
from neuralnets.storage import storage_key
from pruners import ChannelPruner, Pruner, coupled_channels, prunable

_SHOWN: Final = 3
_HALF: Final = 0.5
_NEARLY: Final = 0.9


def check_faithful(network: nn.Module, pruners: Sequence[Pruner], image: Tensor) -> None:
    """Refuse what would be measured as pruned and is not, or the other way round.

    Args:
        network: To be pruned; not changed.
        pruners: The methods.
        image: (1, c, h, w) on the device of `network`; only its shape and device matter.

    Raises:
        UsageError: A copy of `network` computes with tensors of another network, nothing of it is prunable, a layer
            does not use its own weight, or for pruners of single weights: zeros that are stored are not zero in use.
    """
    images = ramp(image.shape[1:], image.device)
    copy = copied(network)
    before, followed = multiplications(network, images), multiplications(copy, images)
    _check_own_tensors(network, before, followed)
    _check_layers_use_their_weights(copy, followed)
    if not prunable_names(copy) & followed.used:
        raise UsageError(
            "expected a network with convolutions, linear or recurrent layers or attention to prune, got none that a "
            "forward pass uses"
        )
    for place, pruner in enumerate(pruners):
        with refusing(cannot_prune(pruner)):
            prunable(copy)
            # the first one will say so at its first step; of the others it would be said after hours
            if place and isinstance(pruner, ChannelPruner) and not coupled_channels(copy, image):
                raise ValueError("expected a network with channels that can be removed, got one where all have to stay")
    # a weight that is used as it is stored keeps its zeros
    computed = {source for use in followed.uses if not use.stored for source in use.sources}
    of_weights = next((pruner for pruner in pruners if pruner.structure == "weights"), None)
    if of_weights is not None and computed & prunable_names(copy):
        _check_zeros(copied(network), images, of_weights)


def cannot_prune(pruner: Pruner) -> str:
    """The beginning of a refusal."""
    method, mark, settings = part_name(pruner).partition("?")
    return f"--pruner {method.replace('_', '-')}{mark}{settings} cannot prune this network"


def _check_own_tensors(network: nn.Module, first: Multiplications, second: Multiplications) -> None:
    """`first`: what a pass of `network` met; `second`: what a pass of its copy did."""
    storages = {storage_key(tensor) for tensor in (*network.parameters(), *network.buffers())}
    # weights that stand outside: met by both, and learnt; tables that all networks share may stand there
    before = {storage_key(tensor) for tensor in first.constants if isinstance(tensor, Parameter)}
    shared = [tensor for tensor in second.constants if storage_key(tensor) in storages | before]
    if shared:
        raise UsageError(
            f"expected a network whose copies compute with their own weights, got one that goes on using those of the "
            f"original{_places(network, shared)}: a forward() that was replaced by a function, or a hook, holds on to "
            "it; write it as a method of a class that uses `self`"
        )


def _check_layers_use_their_weights(network: nn.Module, followed: Multiplications) -> None:
    owners = {each: each.rpartition(".")[0].partition(".parametrizations")[0] for each in prunable_names(network)}
    used = {owners[each] for each in followed.used & owners.keys()}
    idle = [owner for owner in dict.fromkeys(owners.values()) if owner in followed.called and owner not in used]
    if idle:
        raise UsageError(
            f"expected layers that compute with their own weights, got {_listed(idle)}, called without using its own: "
            "zeros in it would change nothing"
        )


def _check_zeros(network: nn.Module, images: Tensor, pruner: Pruner) -> None:
    """Set half of every weight of `network` to zero, and see whether half of what is multiplied is zero."""
    learnt, names = dict(network.named_parameters()), list(prunable(network))
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for each in names:
            half = torch.rand(learnt[each].shape, generator=draw) < _HALF
            learnt[each].masked_fill_(half.to(images.device), 0)
    in_use = weights_in_use(multiplications(network, images).uses, learnt, frozenset(names), Nonzeros())
    lost = [each for each in in_use if not _keeps_zeros(each, [learnt[n] for n in each.sources & frozenset(names)])]
    if lost:
        layers = sorted({n.rpartition(".")[0] for each in lost for n in each.sources & frozenset(names)})
        kinds = sorted({type(network.get_submodule(layer)).__name__ for layer in layers})
        raise UsageError(
            f"{cannot_prune(pruner)}: {_listed(layers)} ({', '.join(kinds)}) "
            "compute with other weights than they store, and a stored zero is not a zero in use, as where weights are "
            "standardised: give a network whose layers compute with what they store"
        )


def _keeps_zeros(weight: InUse, stored: Sequence[Tensor]) -> bool:
    whole = sum(tensor.numel() for tensor in stored)
    zeros = sum(int((tensor == 0).sum()) for tensor in stored)
    used = weight.entries - weight.nonzero
    if weight.entries == whole:
        return used >= zeros
    return used >= _NEARLY * zeros * weight.entries / whole  # of a part of the weights about as many


def _places(network: nn.Module, tensors: Iterable[Tensor]) -> str:
    """The layers that hold tensors with the same values."""
    learnt = [(each, tensor) for each, tensor in network.named_parameters()]
    layers = [
        each.rpartition(".")[0]
        for each, tensor in learnt
        if any(tensor.shape == other.shape and torch.equal(tensor, other.to(tensor.device)) for other in tensors)
    ]
    return f" in {_listed(list(dict.fromkeys(layers)))}" if layers else ""


def _listed(names: Sequence[str]) -> str:
    return listed([each.removeprefix("network.") or "the network" for each in names], _SHOWN)
