"""Wraps a network so that it takes images in [0, 1] and normalises them itself."""

from collections.abc import Sequence
from typing import cast, final

import torch
from torch import Tensor, nn
from torch.fx import Proxy
from typing_extensions import override

from evalsuite.process.third_party_code import OutputError


@final
class Normalized(nn.Module):
    """network((images - mean) / std) for images (n, c, h, w) in [0, 1].

    `mean` and `std` are buffers of shape (c,), so attacks, budgets and corruptions live in [0, 1] whatever the network
    was trained on.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        """Wraps `network`, which is kept, not copied.

        Raises:
            ValueError: `mean` and `std` are not finite, of the same length, with std > 0.
        """
        nn.Module.__init__(self)
        centre, spread = torch.tensor(mean, dtype=torch.float32), torch.tensor(std, dtype=torch.float32)
        if centre.ndim != 1 or centre.shape != spread.shape or len(centre) == 0:
            raise ValueError(f"expected mean and std with one number per channel, got {mean} and {std}")
        if not (centre.isfinite().all() and spread.isfinite().all() and (spread > 0).all()):
            raise ValueError(f"expected a finite mean and std > 0, got {mean} and {std}")
        self.register_buffer("mean", centre)
        self.register_buffer("std", spread)
        self.network = network

    @override
    def forward(self, images: Tensor) -> Tensor:
        modes = torch.get_default_dtype(), torch.is_grad_enabled()
        outputs: object = self.network((images - self.mean[:, None, None]) / self.std[:, None, None])
        if modes != (torch.get_default_dtype(), torch.is_grad_enabled()):
            # what follows in the same task would compute otherwise
            torch.set_default_dtype(modes[0])
            torch.set_grad_enabled(modes[1])
        return _checked(outputs, images)


def _checked(outputs: object, images: Tensor) -> Tensor:
    """`outputs`, if that is what they are.

    Raises:
        OutputError: They are no tensor of numbers with as many rows as there are images, on the same device.
    """
    if isinstance(outputs, Proxy):  # the network is being taken apart
        return cast("Tensor", outputs)
    if not isinstance(outputs, Tensor):
        kind = type(outputs).__name__
        raise OutputError(f"expected a network that gives one tensor, got {kind}: return the logits alone from forward")
    if outputs.is_complex() or outputs.dtype == torch.bool:
        raise OutputError(f"expected a network that gives real numbers, got {outputs.dtype}")
    if outputs.device != images.device:
        raise OutputError(f"expected outputs on the device of the images, {images.device}, got {outputs.device}")
    if outputs.shape[:1] != images.shape[:1]:
        shape = f"shape {'x'.join(map(str, outputs.shape))}" if outputs.dim() else "a single number"
        expected = "a network that gives one row of outputs, or one map of them, per image"
        raise OutputError(f"expected {expected}, got {shape} for {len(images)}")
    return outputs
