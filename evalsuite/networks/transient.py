"""Finds buffers that hold a network's last pass: the state of a pass, and no part of the network."""

import torch
from torch import Tensor, nn

from evalsuite.networks.copies import copied
from neuralnets.device import device_of


def transient_buffers(network: nn.Module, shape: tuple[int, int, int]) -> frozenset[str]:
    """Names of buffers that no file keeps and that a pass overwrites, e.g. the membranes of spiking neurons.

    Other buffers that no file keeps are constants, such as tables of positions. Two passes of other images in other
    numbers tell them apart, on a copy; networks that keep all of their buffers are not run.

    Args:
        network: On its device.
        shape: (channels, height, width) of the images.
    """
    kept = network.state_dict().keys()
    if all(name in kept for name, _ in network.named_buffers()):
        return frozenset()
    copy = copied(network).eval()
    device = device_of(copy)
    snapshots: list[dict[str, Tensor]] = []
    with torch.no_grad():
        for n, grey in ((1, 0.25), (2, 0.75)):
            copy(torch.full((n, *shape), grey, device=device))
            snapshots.append({name: buffer.clone() for name, buffer in copy.named_buffers() if name not in kept})
    first, second = snapshots
    return frozenset(name for name in {*first, *second} if not _same(first.get(name), second.get(name)))


def _same(first: Tensor | None, second: Tensor | None) -> bool:
    return first is not None and second is not None and torch.equal(first, second)
