"""Decorrelation by persistence: the strongest correlations between neurons are pushed down."""

from dataclasses import dataclass
from typing import ClassVar, Literal, final

import numpy as np
import torch
from scipy.sparse.csgraph import minimum_spanning_tree
from torch import Tensor, nn
from typing_extensions import override

from pruners.regularisers._base import Regulariser
from pruners.regularisers._neurons import neurons


@final
@dataclass(frozen=True, kw_only=True)
class Persistence(Regulariser):
    """weight * T, which is large where neurons that are most alike are much alike.

    Ballester, Casacuberta and Escalera 2024 (PMLR 228, arXiv:2308.04870). The distance of two neurons is
    d = 1 - |correlation over the batch|; the deaths of zeroth persistent homology are the edges of the minimum
    spanning tree of all neurons, one fewer than there are neurons. The gradient flows through those distances; which
    pairs they belong to counts as constant.

    - "t1": T = - sum of d.
    - "t2": T = a std(d) - (1 - a) mean(d), the standard deviation that of a whole population.

    Neurons are, of everything that a convolution or linear layer but the first reads, the `share` with the largest
    mean |activation|, at least one, each position of a channel being a neuron; and all outputs. A neuron that says the
    same to all examples correlates with none. The paper looks at each layer's output; here it is what the next layers
    read of it, so that an activation called as a function is behind it too.

    The tree of n neurons takes O(n^2) memory and a little more time, on the CPU: for wide networks take a smaller
    `share`. The authors search the weight from 1e-6 to 100, and in their code "t1" diverges above about 0.1 on CIFAR;
    the default weight is ours.

    Attributes:
        variant: "t1" or "t2".
        share: Of the neurons of a layer, in (0, 1]; the authors take 0.005 for convolutional networks on CIFAR and 1
            for perceptrons on MNIST.
        a: In "t2" the part of the standard deviation, in [0, 1].

    Example:
        >>> from pruners.regularisers import Persistence
        >>> penalty = Persistence(weight=1.0, variant="t1")(network, images, labels)
        >>> penalty.shape, bool(penalty < 0)
        (torch.Size([]), True)
    """

    paper: ClassVar[str] = "Ballester et al. 2024, PMLR 228, arXiv:2308.04870"
    weight: float = 0.01
    variant: Literal["t1", "t2"] = "t2"
    share: float = 0.005
    a: float = 0.5

    @override
    def __post_init__(self) -> None:
        """Raise ValueError if a hyperparameter is out of range."""
        Regulariser.__post_init__(self)
        if not 0 < self.share <= 1:
            raise ValueError(f"expected 0 < share <= 1, got {self.share}")
        if not 0 <= self.a <= 1:
            raise ValueError(f"expected 0 <= a <= 1, got {self.a}")

    @override
    def __call__(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        values = neurons(network, images)
        chosen = [_loudest(layer.flatten(1), self.share) for layer in values.hidden]
        edges = deaths(torch.cat([*chosen, values.logits.flatten(1)], dim=1))
        if self.variant == "t1" or not len(edges):
            return -self.weight * edges.sum()
        return self.weight * (self.a * _deviation(edges) - (1 - self.a) * edges.mean())


def deaths(values: Tensor) -> Tensor:
    """Zeroth persistence deaths of neurons under the distance 1 - |correlation|: (neurons - 1,), float64, unordered.

    Args:
        values: (examples, neurons); gradients flow to it.
    """
    unit = _standardised(values.double())
    with torch.no_grad():
        distances = (1 - (unit.T @ unit).abs()).clamp_min(0).cpu().numpy()
    # to the solver 0 means no edge; what is added to all edges changes no tree
    tree = minimum_spanning_tree(np.triu(distances + 1, k=1)).tocoo()
    rows, columns = (torch.from_numpy(index.astype(np.int64)).to(values.device) for index in (tree.row, tree.col))
    return 1 - (unit[:, rows] * unit[:, columns]).sum(0).abs()


def _standardised(values: Tensor) -> Tensor:
    """Columns of mean 0 and length 1; columns without variation become 0."""
    centred = values - values.mean(0)
    length = centred.detach().norm(dim=0)
    # what float32 leaves of a constant is no variation
    varies = length > 1e-6 * values.detach().norm(dim=0)
    lengths = torch.linalg.vector_norm(torch.where(varies, centred, 1.0), dim=0)
    return torch.where(varies, centred / lengths, 0.0)


def _loudest(values: Tensor, share: float) -> Tensor:
    count = max(1, round(share * values.shape[1]))
    return values[:, values.detach().abs().mean(0).topk(count).indices]


def _deviation(values: Tensor) -> Tensor:
    # the root of exactly 0 has no gradient
    return values.var(correction=0).clamp_min(torch.finfo(values.dtype).tiny).sqrt()
