"""SNIP: weights go without which the loss at the start would change the least."""

from dataclasses import dataclass
from typing import ClassVar, Literal, final

from torch import nn
from typing_extensions import override

from neuralnets.weights import prunable
from pruners._base import Context, Need, Scores
from pruners._checks import check_at_least
from pruners._data import scoring
from pruners._saliency import balanced, loss_slopes, use_batch_statistics
from pruners._weight_pruner import WeightPruner


@final
@dataclass(frozen=True, kw_only=True)
class SNIP(WeightPruner):
    """Keeps the weights with the largest connection sensitivity |dL/dc| at c = 1, where c multiplies the weight.

    Lee et al. 2019 (arXiv:1810.02340), equations 5 and 6. By the chain rule dL/dc = theta dL/dtheta, so that no masks
    are needed. L is the mean loss of all examples looked at. Equation 6 divides by the sum of all sensitivities, which
    changes no rank and is left out. One step; with a global allocation layers may be emptied.

    Attributes:
        per_class: Training examples of every class, at least 1. The paper looks at one batch of 100 or 128 images;
            10 of every class is what later comparisons took.
        batch_statistics: Whether batch normalisation uses the statistics of the batch, as the authors' own code does.
            At initialisation the running ones (mean 0, variance 1) normalise nothing, and scores of deep layers come
            from activations that no training will ever see; comparisons that score that way get other masks.
        batch_size: Images that go through the network at once, at least 1; matters through batch statistics only.

    Example:
        >>> from pruners import SNIP, prune, remaining
        >>> sparse = prune(network, SNIP(per_class=2), 0.5, example=images[:1], batches=batches)
        >>> remaining(network), remaining(sparse)
        (680, 340)
    """

    when: ClassVar[Literal["at initialisation"]] = "at initialisation"
    criterion: ClassVar[str] = "sensitivity of the loss to the connection"
    needs: ClassVar[frozenset[Need]] = frozenset({"data", "gradients"})
    paper: ClassVar[str] = "Lee et al. 2019, arXiv:1810.02340"
    nested: ClassVar[bool] = True
    per_class: int = 10
    batch_statistics: bool = True
    batch_size: int = 128

    def __post_init__(self) -> None:
        """Raise ValueError if a hyperparameter is out of range."""
        check_at_least(1, per_class=self.per_class, batch_size=self.batch_size)

    @override
    def score(self, network: nn.Module, context: Context) -> Scores:
        with scoring(network) as model:
            batches = balanced(model, context, per_class=self.per_class, batch_size=self.batch_size)
            if self.batch_statistics:
                use_batch_statistics(model)
            weights = prunable(model)
            each = [loss_slopes(model, weights, batch) for batch in batches]
            examples = sum(len(labels) for _, labels in batches)
            return {
                name: (weight.detach() * sum(slopes) / examples).abs()
                for (name, weight), slopes in zip(weights.items(), zip(*each, strict=True), strict=True)
            }
