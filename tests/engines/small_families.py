"""A small family for tests of engines and of who asks them: linear classifiers that count their forward passes."""

import torch

from evalsuite.data import Examples
from evalsuite.engines._items import NetworkRef
from evalsuite.engines._networks import NetworkLoader
from evalsuite.engines.local import LocalEngine


class Counting(torch.nn.Module):
    """A linear classifier of images of 4 x 4 that counts its forward passes."""

    def __init__(self, seed):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.randn(16, 3, generator=torch.Generator().manual_seed(seed)))
        self.weight.requires_grad_(False)
        self.calls = 0

    def forward(self, images):
        self.calls += 1
        return images.flatten(1) @ self.weight


def examples(n=600):
    images = (torch.rand(n, 1, 4, 4, generator=torch.Generator().manual_seed(0)) * 255).to(torch.uint8)
    return Examples.from_labels(images, torch.arange(n) % 3)


def refs(count):
    return tuple(NetworkRef(id=f"n{k}", digest=f"d{k}") for k in range(count))


def resident(family, networks):
    """A loader that holds `networks`, which have no file."""
    loader = NetworkLoader(lambda ref: {}[ref.digest])
    for ref, network in zip(family, networks, strict=True):
        loader.add(ref, network)
    return loader


def local(tasks, data, loader, **banks):
    """An engine on the CPU whose tasks are all asked about `data`."""
    return LocalEngine(tasks, lambda _: data, loader, device=torch.device("cpu"), **banks)
