"""The contract of a hook into a training: what a method does at every step, such as pruning while it is trained."""

from abc import ABC

from torch import Tensor, nn


class Hook(ABC):  # noqa: B024 - what a subclass leaves out does nothing
    """A method's part in a training loop; may keep state, so every training gets one of its own.

    A loop calls, per optimiser step: `penalty`, added to the loss before the backward pass; `after_backward`, which may
    change gradients; `after_step`, which may change weights. `done` is the share of all steps before this one, in
    [0, 1). The network is the copy that is being trained. What a subclass leaves out does nothing.

    Example:
        >>> class Penalty(Hook):
        ...     def penalty(self, network, images, labels, done):
        ...         return 0.01 * sum(weight.abs().sum() for weight in network.parameters())
        >>> smaller = train(network, Penalty())
    """

    def penalty(self, network: nn.Module, images: Tensor, labels: Tensor, done: float) -> Tensor | None:
        """What is added to the loss of this batch, a scalar; None adds nothing."""
        del network, images, labels, done
        return None

    def after_backward(self, network: nn.Module, done: float) -> None:
        """Called with gradients in place, before the optimiser's step."""
        del network, done

    def after_step(self, network: nn.Module, done: float) -> None:
        """Called after the optimiser's step."""
        del network, done
