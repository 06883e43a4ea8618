"""N:M sparsity: of every m weights in a row at most n stay, as hardware with sparse matrix units reads them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, final

import torch
from torch import Tensor, nn
from typing_extensions import override

from neuralnets.layers import TRANSPOSED
from neuralnets.weights import check_keep, prunable
from pruners._allocation import Allocation, allocate
from pruners._base import Context, Pruner
from pruners._masks import Masks, apply_masks, keep_global, nonzero


@final
@dataclass(frozen=True, kw_only=True)
class NM(Pruner):
    """Keeps the n largest of every m consecutive weights along the input dimension; needs no data.

    Mishra et al. 2021 (arXiv:2104.08378) for 2:4; Zhou et al. 2021 (arXiv:2102.04010) for other n and m. In a
    convolution the m weights are of m consecutive input channels at the same place of the kernel. Layers whose number
    of input channels (per group) m does not divide cannot take the pattern, usually the first; they stay dense as long
    as the others suffice. The papers leave some layers dense by hand; here all that can take the pattern do.

    The pattern fixes the ratio, but exactly `keep` weights are left, whatever it is. Say P weights are left where all
    layers that can take the pattern do:

    - keep = P: that network.
    - keep < P: the pattern holds everywhere; of its survivors, and of the layers that cannot take it, the smallest go,
      shared out over the layers by `allocation`.
    - keep > P: the pattern cannot hold everywhere. Layers take it one after the other, for only a whole layer runs
      faster, those first that lose the smallest share of their sum of squares. In the last of them groups take it one
      after the other, those first that lose the least; one group may be half done. The other layers stay as they are.

    Attributes:
        n: Survivors in each group at most, at least 1.
        m: Weights in a group, above n.
        allocation: How the layers share what is left if that is less than P, see `pruners._allocation`.

    Example:
        >>> from pruners import NM, prune, remaining
        >>> sparse = prune(network, NM(n=2, m=4), 0.5, example=images[:1])
        >>> remaining(network), remaining(sparse)
        (680, 340)
    """

    structure: ClassVar[Literal["weights"]] = "weights"
    criterion: ClassVar[str] = "absolute value among m neighbours"
    paper: ClassVar[str] = "Mishra et al. 2021, arXiv:2104.08378"
    nested: ClassVar[bool] = True
    n: int = 2
    m: int = 4
    allocation: Allocation = "uniform"

    def __post_init__(self) -> None:
        """Raise ValueError if this is no pattern."""
        if not 1 <= self.n < self.m:
            raise ValueError(f"expected 1 <= n < m, got n = {self.n}, m = {self.m}")

    @override
    def __call__(self, network: nn.Module, *, keep: int, context: Context) -> nn.Module:
        check_keep(network, keep)
        sizes = {name: weight.detach().double().abs() for name, weight in prunable(network).items()}
        alive = nonzero(network)
        inside = {name: mask & self._inside(network, name, sizes[name]) for name, mask in alive.items()}
        excess = keep - sum(int(mask.sum()) for mask in inside.values())
        if excess <= 0:
            masks = allocate(self.allocation, sizes, keep, inside, network, context.example)
        else:
            outside = {name: mask & ~inside[name] for name, mask in alive.items()}
            more = keep_global(self._priorities(network, sizes, outside), excess, outside)
            masks = {name: mask | more[name] for name, mask in inside.items()}
        return apply_masks(network, masks)

    def _inside(self, network: nn.Module, name: str, sizes: Tensor) -> Tensor:
        """True for what the pattern leaves of one weight, in its shape."""
        if not _divides(network, name, self.m):
            return torch.ones_like(sizes, dtype=torch.bool)
        groups = _grouped(network, name, sizes, self.m)
        stays = torch.zeros_like(groups, dtype=torch.bool)
        largest = groups.argsort(dim=-1, descending=True, stable=True)[..., : self.n]
        return _ungrouped(network, name, stays.scatter(-1, largest, value=True))

    def _priorities(self, network: nn.Module, sizes: Mapping[str, Tensor], outside: Masks) -> dict[str, Tensor]:
        """How long weights outside the pattern stay: layer by layer, then group by group, then by size."""
        losses = {name: sizes[name].square() * mask for name, mask in outside.items()}
        shares = {
            name: float(loss.sum() / sizes[name].square().sum().clamp_min(1e-300)) for name, loss in losses.items()
        }
        priorities = {}
        for turn, name in enumerate(sorted(shares, key=lambda name: shares[name])):
            if not _divides(network, name, self.m):
                priorities[name] = torch.zeros_like(sizes[name])
                continue
            lost = _grouped(network, name, losses[name], self.m)
            turns = _places(lost.sum(-1).flatten()).view(lost.shape[:-1])
            score = turn + (turns[..., None] + (_places(lost) + 1) / (self.m + 1)) / turns.numel()
            priorities[name] = _ungrouped(network, name, score)
        return priorities


def _places(values: Tensor) -> Tensor:
    """Of each value how many stand behind it in order of size along the last dimension, the first of a tie ahead."""
    order = values.argsort(dim=-1, descending=True, stable=True)
    places = torch.arange(values.shape[-1] - 1, -1, -1, dtype=torch.float64, device=values.device)
    return torch.empty_like(values).scatter(-1, order, places.expand_as(values))


def _inputs(network: nn.Module, name: str) -> int:
    """The dimension of a weight along which a layer sums."""
    return 0 if isinstance(network.get_submodule(name.rpartition(".")[0]), TRANSPOSED) else 1


def _divides(network: nn.Module, name: str, m: int) -> bool:
    module = network.get_submodule(name.rpartition(".")[0])
    # the groups of a transposed convolution share its first dimension
    groups = module.groups if isinstance(module, TRANSPOSED) else 1
    return network.get_parameter(name).shape[_inputs(network, name)] // groups % m == 0


def _grouped(network: nn.Module, name: str, values: Tensor, m: int) -> Tensor:
    groups: Tensor = values.movedim(_inputs(network, name), -1).unflatten(-1, (-1, m))
    return groups


def _ungrouped(network: nn.Module, name: str, groups: Tensor) -> Tensor:
    flat: Tensor = groups.flatten(-2)
    return flat.movedim(-1, _inputs(network, name))
