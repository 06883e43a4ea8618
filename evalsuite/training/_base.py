"""The contract of a recipe: all of a training that is not the network, the examples or the seed."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields, replace
from typing import ClassVar, TypeVar, final

from torch import Generator, Tensor, nn

from evalsuite.data import TrainingAdvice
from evalsuite.errors import UsageError
from evalsuite.problems import Classification, Problem
from neuralnets.losses import criterion

Kind = TypeVar("Kind", bound="Recipe")


@final
@dataclass(frozen=True, kw_only=True)
class Progress:
    """The state of a training after an epoch, as a caller hears of it.

    Attributes:
        epoch: Finished epochs, from 1.
        epochs: All of them.
        loss: Mean loss of the epoch's batches, as they were seen (augmented).
        score: One minus their mean loss as the problem has it, likewise, in [0, 1]; of classes the accuracy.
        seconds_left: Estimated from the epochs so far.
    """

    epoch: int
    epochs: int
    loss: float
    score: float
    seconds_left: float


@dataclass(frozen=True, kw_only=True)
class Recipe(ABC):
    """How to train, or retrain, a network by stochastic gradient descent with momentum.

    Subclasses are frozen keyword-only dataclasses; fewer epochs are had by `dataclasses.replace(recipe, epochs=2)`.

    Attributes:
        epochs: Passes over the training examples, at least 1.
        batch_size: Examples per step, at least 1; an epoch leaves out what does not fill its last batch.
        learning_rate: The highest of the schedule, above 0.
        momentum: In [0, 1).
        weight_decay: Factor of half the squared norm of all parameters, at least 0.
        nesterov: Whether the gradient is taken after the momentum step (Sutskever et al. 2013).
        ahead: Steps whose images are `prepare_images` together.
        needs_class_labels: Whether the loss is defined only where the right answer is one class an image.
    """

    ahead: ClassVar[int] = 1
    needs_class_labels: ClassVar[bool] = False

    epochs: int
    batch_size: int
    learning_rate: float
    momentum: float = 0.9
    weight_decay: float = 5e-4
    nesterov: bool = True

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise UsageError(f"expected epochs to be at least 1, got {self.epochs}")
        if self.batch_size < 1:
            raise UsageError(f"expected batch_size to be at least 1, got {self.batch_size}")
        if not self.learning_rate > 0:
            raise UsageError(f"expected learning_rate to be above 0, got {self.learning_rate}")
        if not 0 <= self.momentum < 1:
            raise UsageError(f"expected momentum to be in [0, 1), got {self.momentum}")
        if not self.weight_decay >= 0:
            raise UsageError(f"expected weight_decay to be at least 0, got {self.weight_decay}")

    @abstractmethod
    def rate(self, step: int, steps_per_epoch: int) -> float:
        """The learning rate of optimiser step `step` = 0, 1, ..., epochs * steps_per_epoch - 1."""

    def prepare_images(self, images: Tensor, generator: Generator) -> Tensor:
        """What `augment` is handed in place of `images`: for what is cheaper for many images than for a batch.

        Called with the images of `ahead` steps at once; arguments and result as of `augment`.
        """
        del generator
        return images

    def augment(self, images: Tensor, generator: Generator) -> Tensor:
        """What the network sees in place of `images` (n, c, h, w), float32 in [0, 1]; same shape and range.

        Not called where a shifted or mirrored image has another right answer (`Problem.views`).

        Args:
            images: Not changed.
            generator: On the CPU; the only source of randomness.
        """
        del generator
        return images

    def augment_together(self, images: Tensor, truths: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        """As `augment`, of images and of right answers whose pixels stand where theirs stand (`Problem.aligned`).

        Args:
            images: (n, c, h, w), not changed.
            truths: (n, ..., height, width), not changed.
            generator: On the CPU; the only source of randomness.
        """
        del generator
        return images, truths

    def loss(self, network: nn.Module, images: Tensor, labels: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        """The loss to go down, and the outputs from which the score is read; here `criterion`.

        Args:
            network: In training mode.
            images: (n, c, h, w), augmented.
            labels: (n,); of problems without classes the right answers, (n, ...).
            generator: On the CPU; for losses that draw, e.g. noise or the start of an attack.
        """
        del generator
        logits: Tensor = network(images)
        return criterion(logits, labels), logits

    def unsupported_reason(self, problem: Problem) -> str | None:
        """Why networks cannot be trained by this recipe for `problem`, or None where they can."""
        if self.needs_class_labels and not isinstance(problem, Classification):
            return f"its loss asks about one class an image, and the data are about {problem.title}"
        return None

    def prepare_network(self, network: nn.Module, images: Tensor) -> nn.Module:
        """What `loss` is handed for `network`, from the first step of a training to the last; here `network` itself.

        For losses that look into a network: it is taken apart once, before the first step.

        Args:
            network: The copy that is trained, on its device.
            images: (n, c, h, w), some of the training examples, on that device; n >= 1.

        Raises:
            UsageError: The loss is not defined for this network.
        """
        del images
        return network

    def scheduled_at(self, done: float) -> "Recipe":
        """The recipe for the step before which the share `done`, in [0, 1), of training lies; here always the same.

        For losses with a schedule of their own, such as the growing radius of certified training.
        """
        del done
        return self

    def prescribed(self, *, architecture: str, advice: TrainingAdvice) -> "Recipe":
        """The recipe as it was published for the architecture of that name and such data; here as it is.

        What was set to something else than the default stays (`with_overrides`).
        """
        del architecture, advice
        return self

    def for_retraining(self) -> "Recipe":
        """The recipe as its source sets it for retraining after pruning; here as it is."""
        return self

    def fine_tuning_rate(self) -> float:
        """The constant learning rate of fine-tuning: where schedules in steps end, two decades below the highest.

        Renda, Frankle and Carbin 2020 (arXiv:2003.02389) fine-tune at the last rate of the training; that of a cosine
        is 0.
        """
        return 0.01 * self.learning_rate


def with_overrides(given: Kind, published: Kind) -> Kind:
    """`published`, except for the fields that `given` has set to something else than their default."""
    set_by_hand = [field.name for field in fields(given) if getattr(given, field.name) != field.default]
    changed = {name: getattr(given, name) for name in set_by_hand}
    return replace(published, **changed)
