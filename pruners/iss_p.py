"""ISS-P: iterative soft shrinkage; in every step of a training the smallest weights shrink a little."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, final

import torch
from torch import Tensor, nn
from typing_extensions import override

from neuralnets.copies import copied
from neuralnets.training_hook import Hook
from neuralnets.weights import check_keep, prunable, remaining
from pruners._base import Context, Need, Pruner
from pruners._layerwise import even_counts, keep_largest
from pruners._masks import Masks, apply_masks, nonzero
from pruners._trained import trained


@final
@dataclass(frozen=True, kw_only=True)
class ISSP(Pruner):
    """Trains, and after every step multiplies the weights that are too small to be kept by `alpha`; then freezes.

    Iterative Soft Shrinkage-Percentage, Wang et al. 2023 (arXiv:2303.09650): which weights are too small is decided
    anew after every step, in each layer by the magnitude at the target ratio, so that a weight may come back. For the
    last part of the training the choice is frozen and the other weights are zero. With `alpha=0` this is iterative
    hard thresholding, the paper's IHT.

    Every layer has the same ratio, rounded so that exactly the asked number is left; the limit of 99.5 % of a layer in
    the authors' code is not kept, since it would contradict that number. The values of `alpha` and `shrink` are those
    of that code (100,000 of 300,000 steps, for super-resolution), not confirmed by the paper.

    Attributes:
        alpha: What small weights are multiplied by after every step, in [0, 1).
        shrink: Share of the training in which weights shrink, in [0, 1]; the rest trains with a frozen choice.

    Example:
        >>> from pruners import ISSP, prune, remaining
        >>> sparse = prune(network, ISSP(), 0.5, example=images[:1], train=train)
        >>> remaining(network), remaining(sparse)
        (680, 340)
    """

    structure: ClassVar[Literal["weights"]] = "weights"
    when: ClassVar[Literal["while training"]] = "while training"
    criterion: ClassVar[str] = "absolute value, again after every step"
    needs: ClassVar[frozenset[Need]] = frozenset({"training"})
    paper: ClassVar[str] = "Wang et al. 2023, arXiv:2303.09650"
    adjusts: ClassVar[bool] = True
    alpha: float = 0.95
    shrink: float = 1 / 3

    def __post_init__(self) -> None:
        """Raise ValueError if a hyperparameter is out of range."""
        if not 0 <= self.alpha < 1:
            raise ValueError(f"expected 0 <= alpha < 1, got {self.alpha}")
        if not 0 <= self.shrink <= 1:
            raise ValueError(f"expected 0 <= shrink <= 1, got {self.shrink}")

    @override
    def __call__(self, network: nn.Module, *, keep: int, context: Context) -> nn.Module:
        check_keep(network, keep)
        if keep == remaining(network):
            return copied(network)
        alive = nonzero(network)
        counts = even_counts(alive, keep)
        shrunk = trained(network, Shrinkage(alive, counts, alpha=self.alpha, until=self.shrink), context)
        # what became exactly zero cannot count as kept; where the choice is frozen, this is that choice
        left = {name: mask & alive[name] for name, mask in nonzero(shrunk).items()}
        return apply_masks(shrunk, keep_largest(_sizes(shrunk), counts, left))


@final
class Shrinkage(Hook):
    """After every step: all but the largest weights of each layer shrink; late in the training they are zero."""

    def __init__(self, alive: Mapping[str, Tensor], counts: Mapping[str, int], *, alpha: float, until: float) -> None:
        self._alive, self._counts = alive, counts
        self._alpha, self._until = alpha, until
        self._frozen: Masks | None = None

    @override
    @torch.no_grad()
    def after_step(self, network: nn.Module, done: float) -> None:
        masks = self._frozen
        if masks is None:
            sizes = _sizes(network)
            alive = {name: mask.to(sizes[name].device) for name, mask in self._alive.items()}
            masks = keep_largest(sizes, self._counts, alive)
            if done >= self._until:
                self._frozen = masks
        factor = self._alpha if self._frozen is None else 0.0
        for name, weight in prunable(network).items():
            weight.copy_(torch.where(masks[name], weight, weight * factor))


def _sizes(network: nn.Module) -> dict[str, Tensor]:
    return {name: weight.detach().abs() for name, weight in prunable(network).items()}
