"""GraSP: weights go whose removal keeps the most of the gradient's flow."""

from dataclasses import dataclass
from typing import ClassVar, Literal, final

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from typing_extensions import override

from neuralnets.weights import prunable
from pruners._base import Context, Need, Scores
from pruners._checks import check_at_least
from pruners._data import scoring
from pruners._saliency import Batch, balanced, loss_slopes, use_batch_statistics
from pruners._weight_pruner import WeightPruner


@final
@dataclass(frozen=True, kw_only=True)
class GraSP(WeightPruner):
    """Keeps the weights with the largest theta * Hg, where g is the loss's gradient and H its Hessian.

    Wang et al. 2020 (arXiv:2002.07376), equation 8. Removing a weight changes the gradient flow |g|^2 by
    -2 theta * Hg to first order; the paper scores -theta * Hg and removes the largest, which keeps the largest
    theta * Hg. Scores are signed: weights whose removal would speed training up go first. g and H are those of the
    prunable weights, on the mean loss of all examples looked at. Hg comes from a second backward pass, so no Hessian is
    built: two forward, three backward passes. One step; layers may be emptied. The authors' code draws the linear
    layers anew before it scores; here the network is scored as it is. Signed scores go with the allocations "global",
    "uniform" and "erk" only.

    Attributes:
        per_class: Training examples of every class, at least 1; the paper takes 10.
        temperature: Logits are divided by it, above 0; the paper takes 200.
        batch_statistics: Whether batch normalisation uses the statistics of the batch, as the authors' own code does;
            see `pruners.snip.SNIP`.
        batch_size: Images that go through the network at once, at least 1; matters through batch statistics only.

    Example:
        >>> from pruners import GraSP, prune, remaining
        >>> sparse = prune(network, GraSP(per_class=2), 0.5, example=images[:1], batches=batches)
        >>> remaining(network), remaining(sparse)
        (680, 340)
    """

    when: ClassVar[Literal["at initialisation"]] = "at initialisation"
    criterion: ClassVar[str] = "effect on the gradient flow"
    needs: ClassVar[frozenset[Need]] = frozenset({"data", "gradients"})
    paper: ClassVar[str] = "Wang et al. 2020, arXiv:2002.07376"
    nested: ClassVar[bool] = True
    per_class: int = 10
    temperature: float = 200.0
    batch_statistics: bool = True
    batch_size: int = 128

    def __post_init__(self) -> None:
        """Raise ValueError if a hyperparameter is out of range."""
        check_at_least(1, per_class=self.per_class)
        if not self.temperature > 0:
            raise ValueError(f"expected temperature > 0, got {self.temperature}")
        check_at_least(1, batch_size=self.batch_size)

    @override
    def score(self, network: nn.Module, context: Context) -> Scores:
        # fused attention has no second derivative
        with scoring(network) as model, sdpa_kernel(SDPBackend.MATH):
            batches = balanced(model, context, per_class=self.per_class, batch_size=self.batch_size)
            if self.batch_statistics:
                use_batch_statistics(model)
            weights = prunable(model)
            products = hessian_gradient(model, weights, batches, self.temperature)
            return {name: weight.detach() * products[name] for name, weight in weights.items()}


def hessian_gradient(
    network: nn.Module, weights: dict[str, nn.Parameter], batches: list[Batch], temperature: float
) -> dict[str, Tensor]:
    """Hg of the mean cross-entropy of softmax(logits / temperature), for each of `weights`."""
    examples = sum(len(labels) for _, labels in batches)
    each = [loss_slopes(network, weights, batch, temperature=temperature) for batch in batches]
    gradient = [sum(slopes, torch.zeros(())) / examples for slopes in zip(*each, strict=True)]
    products = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    for batch in batches:
        slopes = loss_slopes(network, weights, batch, temperature=temperature, differentiable=True)
        along = torch.stack([(g * slope).sum() for g, slope in zip(gradient, slopes, strict=True)]).sum() / examples
        along_gradient = torch.autograd.grad(along, list(weights.values()), allow_unused=True, materialize_grads=True)
        for name, product in zip(weights, along_gradient, strict=True):
            products[name] += product
    return products
