"""HYDRA: which weights stay is itself trained, with the caller's loss."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, final

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.parameter import Parameter
from typing_extensions import override

from neuralnets.copies import copied
from neuralnets.training_hook import Hook
from neuralnets.weights import check_keep, prunable, remaining
from pruners._base import Context, Need, Pruner
from pruners._data import trainer
from pruners._layerwise import even_counts, keep_largest
from pruners._masks import apply_masks, nonzero


@final
@dataclass(frozen=True, kw_only=True)
class Hydra(Pruner):
    """Trains a score for every weight; the weights with the largest scores of each layer stay.

    Sehwag et al. 2020 (arXiv:2002.10509). The loss is that of the caller's training: with a robust recipe, robustness
    is what is kept. In the forward pass a layer's weight is w where |s| is among the k largest of the layer and 0
    elsewhere; the gradient passes to |s| as if that choice were the identity. Scores start at
    sqrt(6 / fan_in) w / max|w|, so that training starts from magnitude pruning; every layer keeps the same fraction,
    rounded so that exactly the asked number is left.

    Only the scores are trained. Weights keep their values, and so do biases and normalisation, which the authors'
    code trains along; batch-norm statistics follow the batches in the meantime and are then as they were. The paper
    goes on to train the weights that stay: that is the retraining after pruning. How long and how fast scores learn
    is the caller's; the authors' code takes 20 epochs of SGD at 0.1 with a cosine.

    Example:
        >>> from pruners import Hydra, prune, remaining
        >>> sparse = prune(network, Hydra(), 0.5, example=images[:1], train=train)
        >>> remaining(network), remaining(sparse)
        (680, 340)
    """

    structure: ClassVar[Literal["weights"]] = "weights"
    criterion: ClassVar[str] = "trained score"
    needs: ClassVar[frozenset[Need]] = frozenset({"training"})
    paper: ClassVar[str] = "Sehwag et al. 2020, arXiv:2002.10509"

    @override
    def __call__(self, network: nn.Module, *, keep: int, context: Context) -> nn.Module:
        check_keep(network, keep)
        train = trainer(context)
        if keep == remaining(network):
            return copied(network)
        alive = nonzero(network)
        counts = even_counts(alive, keep)
        with torch.inference_mode(mode=False), torch.enable_grad():
            scored = train(Scored(network, counts), Hook())
        if not isinstance(scored, Scored):
            raise TypeError(f"expected training to return a copy of what it was given, got {type(scored).__name__}")
        scores = {name: score.to(alive[name].device) for name, score in scored.importance().items()}
        return apply_masks(network, keep_largest(scores, counts, alive))


@final
class Scored(nn.Module):
    """A network masked by trainable scores; nothing else is trained.

    The network inside keeps plain parameters, from which each forward pass computes the weights that it uses: copies,
    moves and masks work as with any network.
    """

    def __init__(self, network: nn.Module, counts: Mapping[str, int]) -> None:
        super().__init__()
        self.network = copied(network).float().requires_grad_(requires_grad=False)
        weights = prunable(self.network)
        self._names, self._counts = tuple(weights), dict(counts)
        self.scores = nn.ParameterList([Parameter(_first(weight)) for weight in weights.values()])

    @override
    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = functional_call(self.network, dict(self.weights()), (images,))
        return logits

    def weights(self) -> Mapping[str, Tensor]:
        """What the network inside is called with: of every prunable parameter the entries that count, 0 elsewhere."""
        weights = prunable(self.network)
        scores = dict(zip(self._names, (score.abs() for score in self.scores), strict=True))
        alive = {name: weight != 0 for name, weight in weights.items()}
        masks = keep_largest({name: score.detach() for name, score in scores.items()}, self._counts, alive)
        return {name: weight * _straight_through(masks[name], scores[name]) for name, weight in weights.items()}

    def importance(self) -> dict[str, Tensor]:
        """Of every prunable parameter of the network inside the score of every entry."""
        return {name: score.detach().abs() for name, score in zip(self._names, self.scores, strict=True)}


def _straight_through(mask: Tensor, score: Tensor) -> Tensor:
    # the difference is exactly 0, its gradient 1
    return mask.to(score.dtype) + (score - score.detach())


def _first(weight: Tensor) -> Tensor:
    largest = weight.detach().abs().max().clamp_min(torch.finfo(weight.dtype).tiny)
    fan_in = max(1, weight[0].numel())  # of one filter, also where the convolution is grouped
    scale: float = (6 / fan_in) ** 0.5
    return weight.detach() * (scale / largest)
