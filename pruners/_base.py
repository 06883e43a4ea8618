"""The contract of a pruning method: a network and a number of weights go in, a pruned copy comes out."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, final

from torch import Tensor, nn

from neuralnets.training_hook import Hook

Scores = Mapping[str, Tensor]
"""Parameter name → score of every entry, in the shape of the parameter; larger is kept longer."""

Train = Callable[[nn.Module, Hook], nn.Module]
"""(network, what a method does at every step) → a trained copy, in evaluation mode."""

Need = Literal["data", "gradients", "training"]


@final
@dataclass(frozen=True, kw_only=True)
class Context:
    """Inputs of a pruning method beside the network: an example, training data, a way to train.

    Attributes:
        example: One input of the network's own shape, (1, c, h, w) in [0, 1]; only its shape and device matter.
        seed: Every random choice is derived from it.
        batches: Training batches (images, labels) on the device of `example`, the same ones anew at each call; None
            where a method has to do without data.
        train: Trains a copy of a network, by whatever recipe the caller trains with; None where nothing may be trained.

    Example:
        >>> from pruners import Context, Magnitude, remaining
        >>> context = Context(example=images[:1], batches=batches)
        >>> remaining(Magnitude()(network, keep=100, context=context))
        100
    """

    example: Tensor
    seed: int = 0
    batches: Callable[[], Iterable[tuple[Tensor, Tensor]]] | None = None
    train: Train | None = None


class Pruner(ABC):
    """A pruning method. Subclasses are frozen keyword-only dataclasses; fields are hyperparameters.

    Attributes:
        structure: What is removed as one: "weights" (masked) or "channels" (physically removed).
        when: Of which network the method is meant to be asked.
        criterion: What decides, in a few words.
        needs: What it asks of `Context` beside the example: training "data" (batches), "gradients" through the network
            on that data, "training" (train).
        paper: Where it was published.
        nested: Whether what survives a smaller `keep` also survives a larger one.
        adjusts: Whether weights that survive get other values.

    Example:
        >>> from pruners import Context, Hydra, Pruner
        >>> isinstance(Hydra(), Pruner), Hydra.structure, sorted(Hydra.needs)
        (True, 'weights', ['training'])
    """

    structure: ClassVar[Literal["weights", "channels"]]
    when: ClassVar[Literal["at any time", "at initialisation", "after training", "while training"]] = "after training"
    criterion: ClassVar[str] = ""
    needs: ClassVar[frozenset[Need]] = frozenset()
    paper: ClassVar[str] = ""
    nested: ClassVar[bool] = False
    adjusts: ClassVar[bool] = False

    @abstractmethod
    def __call__(self, network: nn.Module, *, keep: int, context: Context) -> nn.Module:
        """A pruned copy of `network` with `keep` prunable parameters left; `network` itself is not changed.

        Prunable are the weights of all convolutions and linear layers; biases and normalisation are not. A weight
        that is exactly zero counts as pruned already and stays so. Pruners that remove channels come as close to
        `keep` as whole channels allow.

        Raises:
            ValueError: `keep` is not in 1, ..., number of prunable parameters left, or the method cannot apply.
        """


def pruned_copy(pruner: Pruner, network: nn.Module, *, keep: int, context: Context) -> nn.Module:
    """What `pruner` makes of `network`; pruners of others may not keep to the contract.

    Raises:
        ValueError: As for a call, or it gives something else than a copy of such a network.
    """
    made: object = pruner(network, keep=keep, context=context)
    if made is network or type(made) is not type(network):
        given = "the network itself" if made is network else type(made).__name__
        raise ValueError(f"expected {type(pruner).__name__} to give a pruned copy of the network, got {given}")
    assert isinstance(made, nn.Module)  # noqa: S101 - of the type of a network
    return made
