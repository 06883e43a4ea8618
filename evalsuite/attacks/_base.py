"""The contract of an attack: images in, images inside the budget out; the task decides whether it succeeded."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Literal, final

from torch import Tensor, nn

from evalsuite.data._base import Batch

Norm = Literal["linf", "l2", "l1"]


class Flag(StrEnum):
    """A sign that a network only seems robust, on a whole batch: AutoAttack's own checks (Croce and Hein 2020)."""

    RANDOMISED = "randomised"
    PROBABILITIES = "softmax output"
    DYNAMIC = "optimises at inference"


@final
@dataclass(frozen=True, kw_only=True)
class Budget:
    """A norm, and the radius within which an image may be moved.

    Attributes:
        norm: "linf", "l2" or "l1".
        eps: Radius of the ball around the image, in units of the image's range [0, 1], > 0.
    """

    norm: Norm
    eps: float


@final
@dataclass(frozen=True, kw_only=True)
class Attacked:
    """The images that an attack returns, and its flags.

    Attributes:
        images: (n, c, h, w): where no adversarial example was found, the image itself or any other in the budget.
        flags: Reasons for doubt, of the whole batch.
        black_box: (n,), bool: broken without gradients after all that use gradients had failed; None where no attack
            without gradients came last.
    """

    images: Tensor
    flags: frozenset[Flag] = frozenset()
    black_box: Tensor | None = None


class Attack(ABC):
    """Looks for misclassified images near the given ones. Subclasses are frozen keyword-only dataclasses.

    Attributes:
        norms: Norms that the attack knows.
        gradients: Whether it needs the network's gradients; if not, it asks for outputs only.
    """

    norms: ClassVar[tuple[Norm, ...]]
    gradients: ClassVar[bool] = True

    @abstractmethod
    def typical_steps(self) -> int:
        """About how many gradient steps an example costs on average, for plans and the time that is left."""

    @abstractmethod
    def __call__(self, network: nn.Module, batch: Batch, budget: Budget, *, seed: int) -> Attacked:
        """Attack `network`, which is in evaluation mode, has parameters without gradient and returns logits.

        `batch` is not changed. Random starts are derived from `seed`.
        """
