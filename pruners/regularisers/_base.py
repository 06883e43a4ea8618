"""The regulariser contract: a network and a batch become a scalar that is added to the loss."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, final

from torch import Tensor, nn
from typing_extensions import override

from neuralnets.training_hook import Hook
from pruners._checks import check_at_least


@dataclass(frozen=True, kw_only=True)
class Regulariser(ABC):
    """A penalty. Subclasses are frozen keyword-only dataclasses; fields are hyperparameters.

    Attributes:
        paper: Where it was published.
        weight: What the penalty is multiplied by, at least 0.

    Example:
        >>> from pruners.regularisers import Regulariser, Slimming
        >>> isinstance(Slimming(weight=0.1), Regulariser), Slimming(weight=0.1).paper
        (True, 'Liu et al. 2017, arXiv:1708.06519')
    """

    paper: ClassVar[str] = ""
    weight: float

    def __post_init__(self) -> None:
        """Raise ValueError if a hyperparameter is out of range."""
        check_at_least(0, weight=self.weight)

    @abstractmethod
    def __call__(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        """The penalty, a scalar through which gradients flow to the parameters; `weight` is in it already.

        Args:
            network: In whatever mode it is; neither that nor its batch-norm statistics are changed.
            images: (n, c, h, w) in [0, 1], a batch of the training.
            labels: (n,).

        Raises:
            ValueError: The network has nothing of what is penalised.
        """

    def within(self, network: nn.Module, images: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
        """The penalty of (images, labels) in one training of `network`, whose modules stay what they are.

        For penalties that take a network apart, which is then done once and not at every step.

        Args:
            network: Not changed.
            images: (n, c, h, w), a batch of the training.

        Raises:
            ValueError: As for a call.
        """
        del images
        return partial(self, network)


def hook(regulariser: Regulariser) -> Hook:
    """What a training loop takes: `regulariser` added to the loss of every step."""
    return _Penalty(regulariser)


@final
class _Penalty(Hook):
    def __init__(self, regulariser: Regulariser) -> None:
        self._regulariser = regulariser
        self._within: tuple[nn.Module, Callable[[Tensor, Tensor], Tensor]] | None = None

    @override
    def penalty(self, network: nn.Module, images: Tensor, labels: Tensor, done: float) -> Tensor:
        del done
        if self._within is None or self._within[0] is not network:
            self._within = (network, self._regulariser.within(network, images))
        return self._within[1](images, labels)
