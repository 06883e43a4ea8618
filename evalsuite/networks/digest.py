"""Digests of networks: a hash of all that a network computes with."""

import hashlib
import json
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from evalsuite.networks.attributes import scalars, structure
from evalsuite.networks.effective_weights import named_tensors
from evalsuite.networks.packed_weights import packed
from evalsuite.networks.transient import transient_buffers

_BOOK_KEEPING = "num_batches_tracked"


def network_digest(network: nn.Module, shape: tuple[int, int, int] | None = None) -> str:
    """64 hex digits: sha256 over the modules in words and over all tensors, bit by bit.

    Names, shapes, types and bytes of parameters and buffers count, masks multiplied in, and the integers, scales and
    zero points of quantised layers; batch norm's
    `num_batches_tracked`, the device, training mode and `requires_grad` do not. Nor does what it remembers of its last
    pass, where the `shape` of its images is told.
    """
    fleeting = frozenset[str]() if shape is None else transient_buffers(network, shape)
    words = json.dumps([structure(network), scalars(network)], sort_keys=True)
    lasting = {name: tensor for name, tensor in named_tensors(network) if name not in fleeting}
    tensors = tensor_digest({**lasting, **packed(network)})
    return hashlib.sha256(f"{words}\n{tensors}".encode()).hexdigest()


def tensor_digest(tensors: Mapping[str, Tensor]) -> str:
    """64 hex digits: sha256 over names, types, shapes and bytes, in the order of the names."""
    total = hashlib.sha256()
    for name in sorted(tensors):
        if name.rpartition(".")[2] == _BOOK_KEEPING:
            continue
        tensor = tensors[name].detach().cpu().contiguous()
        total.update(f"{name}\x1f{tensor.dtype}\x1f{tuple(tensor.shape)}\x1f".encode())
        total.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()
