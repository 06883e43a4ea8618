"""The contract of a hook: a caller's part in every step of a training, which may change loss, gradients and weights."""

from typing import Protocol

from torch import Tensor, nn


class Hook(Protocol):
    """Called with the network that is being trained; `done` is the share of steps before this one, in [0, 1)."""

    def penalty(self, network: nn.Module, images: Tensor, labels: Tensor, done: float) -> Tensor | None:
        """What is added to the loss of this batch, a scalar; None adds nothing."""
        ...

    def after_backward(self, network: nn.Module, done: float) -> None:
        """Called with gradients in place, before the optimiser's step."""
        ...

    def after_step(self, network: nn.Module, done: float) -> None:
        """Called after the optimiser's step."""
        ...
