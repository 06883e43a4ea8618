"""Fingerprints a network by its outputs for a few synthetic images, which change when its code does.

A network's digest tells its weights and its modules, not the code that they run: a `forward` may be corrected between
two runs, a library may be another. The answers tell.
"""

from typing import Final

import torch
from torch import Tensor, nn

from evalsuite.networks.repeatable import differ
from neuralnets.device import device_of
from neuralnets.precision import full_float32

Answers = list[list[float]]
"""Some outputs for each image."""

_IMAGES: Final = 6
_KEPT: Final = 64
"""Outputs of an image, at most: those of a map are picked evenly."""


@full_float32()
@torch.inference_mode()
def answers(network: nn.Module, shape: tuple[int, int, int]) -> Answers | None:
    """What `network`, in evaluation mode, puts out for the same few images every time; None where that is random.

    Args:
        network: On any device.
        shape: (channels, height, width) of an image.
    """
    images = _images(shape).to(device_of(network))
    first, second = _outputs(network, images), _outputs(network, images)
    return None if differ(first, second) else first.tolist()


def changed(before: Answers, now: Answers) -> bool:
    """Whether the same weights answer otherwise, by more than other kernels and threads make of them."""
    first, second = torch.tensor(before), torch.tensor(now)
    return first.shape != second.shape or differ(first, second)


def _images(shape: tuple[int, int, int]) -> Tensor:
    """Noise, and the same much darker: no code that looks at its images treats all of them alike."""
    noise = torch.rand(_IMAGES, *shape, generator=torch.Generator().manual_seed(0))
    return noise * torch.linspace(1, 0.1, _IMAGES).view(-1, 1, 1, 1)


def _outputs(network: nn.Module, images: Tensor) -> Tensor:
    outputs: Tensor = network(images).float().flatten(1).cpu()
    return outputs[:, torch.linspace(0, outputs.shape[1] - 1, min(_KEPT, outputs.shape[1])).long()]
