"""WoodFisher: weights go that cost the least by the curvature of the loss, and the others make up for them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel
from typing_extensions import override

from neuralnets.losses import criterion
from neuralnets.weights import check_keep, prunable
from pruners._allocation import Allocation, allocate
from pruners._base import Context, Need, Pruner
from pruners._data import examples, scoring
from pruners._masks import Masks, apply_masks, nonzero

_MOST = 2**28
"""Numbers held at once as gradients, and as what blocks need: 1 GiB in float32, 2 GiB in float64."""

_TOGETHER = 16
"""Gradients that are taken in one pass."""


@final
@dataclass(frozen=True, kw_only=True)
class WoodFisher(Pruner):
    """Removes the weights w_q with the smallest rho_q = w_q^2 / (2 [F^-1]_qq) and moves the others to make up for it.

    Singh and Alistarh 2020 (arXiv:2004.14340): the optimal brain surgeon (Hassibi and Stork 1993) with the empirical
    Fisher F = damping I + 1/N sum_n g_n g_n^T in place of the Hessian, in blocks of consecutive weights of a layer;
    pruned weights have no part in it. The inverse is Woodbury's: (N damping I + G G^T)^-1 of N x N is all that is
    inverted, for all blocks at once, and F is never built. Removing one weight moves the others of its block by
    -w_q / [F^-1]_qq F^-1 e_q; several by the sum of these. That sum is exact only where the weights removed do not act
    on each other; `joint` solves for all of a block together, which is, for the quadratic, exact, and not in the paper.
    The paper prunes gradually, with training in between: large steps leave the region where the quadratic holds.

    Memory: N numbers per weight, layers taken one after the other where that is above 2^28 numbers.

    Attributes:
        gradients: N, at least 1, fewer where there are not as many examples; the authors' scripts take 400.
        per_gradient: Examples that each gradient is the mean of, at least 1. With 1, F is the Fisher of single
            examples; the paper takes 400 on ImageNet to cover more data, which shrinks F.
        damping: Added to the diagonal of F, above 0; the authors' scripts take 1e-5.
        block: Weights in a block, at least 1; the authors' scripts take 1000 to 20000, on ResNet-50 2000.
        joint: Whether the weights removed from a block are made up for together.
        allocation: How the layers share what is left, see `pruners._allocation`.

    Example:
        >>> from pruners import WoodFisher, prune, remaining
        >>> sparse = prune(network, WoodFisher(gradients=16), 0.5, example=images[:1], batches=batches)
        >>> remaining(network), remaining(sparse)
        (680, 340)
    """

    structure: ClassVar[Literal["weights"]] = "weights"
    criterion: ClassVar[str] = "loss of the optimal brain surgeon"
    needs: ClassVar[frozenset[Need]] = frozenset({"data", "gradients"})
    paper: ClassVar[str] = "Singh and Alistarh 2020, arXiv:2004.14340"
    nested: ClassVar[bool] = True
    adjusts: ClassVar[bool] = True
    gradients: int = 400
    per_gradient: int = 1
    damping: float = 1e-5
    block: int = 2000
    joint: bool = False
    allocation: Allocation = "global"

    def __post_init__(self) -> None:
        """Raise ValueError if a hyperparameter is out of range."""
        for name in ("gradients", "per_gradient", "block"):
            if getattr(self, name) < 1:
                raise ValueError(f"expected {name} >= 1, got {getattr(self, name)}")
        if not self.damping > 0:
            raise ValueError(f"expected damping > 0, got {self.damping}")

    @override
    def __call__(self, network: nn.Module, *, keep: int, context: Context) -> nn.Module:
        check_keep(network, keep)
        alive = nonzero(network)
        weights = {name: weight.detach().double() for name, weight in prunable(network).items()}
        with scoring(network) as model:
            data = _stacked(examples(context, self.gradients * self.per_gradient), self.per_gradient)
            parts = _parts(alive, len(data[1]))
            # where one part is all, its gradients are taken once
            taken = lru_cache(maxsize=1)(lambda part: example_gradients(model, part, data, alive))
            scores = {name: torch.zeros_like(weight) for name, weight in weights.items()}
            for part in parts:
                for name, rows in taken(part).items():
                    losses = _each_block(removal_losses, rows, [weights[name][alive[name]]], self.block, self.damping)
                    scores[name][alive[name]] = losses
            masks = allocate(self.allocation, scores, keep, alive, network, context.example)
            step = joint_step if self.joint else summed_step
            moved = dict(weights)
            for part in parts:
                for name, rows in taken(part).items():
                    inside = [weights[name][alive[name]], masks[name][alive[name]].double()]
                    moved[name] = weights[name].clone()
                    moved[name][alive[name]] += _each_block(step, rows, inside, self.block, self.damping)
        return _placed(apply_masks(network, masks), moved, masks)


def removal_losses(gradients: Tensor, weights: Tensor, damping: float) -> Tensor:
    """Rho of every weight (blocks, size), where `gradients` are (blocks, N, size)."""
    return weights.square() * damping / (2 * _left(gradients, _factor(gradients, damping)))


def summed_step(gradients: Tensor, weights: Tensor, stays: Tensor, damping: float) -> Tensor:
    """The sum of what each removal alone moves the others by, (blocks, size); where `stays` is 0, it means nothing."""
    factor = _factor(gradients, damping)
    removed = weights * (1 - stays) / _left(gradients, factor)
    return _pushed(gradients, factor, gradients, removed)


def joint_step(gradients: Tensor, weights: Tensor, stays: Tensor, damping: float) -> Tensor:
    """The move of those that stay that is best for all removals together, F_SS^-1 F_SQ w_Q, (blocks, size)."""
    inside = gradients * stays[:, None]
    return _pushed(inside, _factor(inside, damping), gradients, weights * (1 - stays))


def _factor(gradients: Tensor, damping: float) -> Tensor:
    """The Cholesky factor of N damping I + G G^T."""
    count = gradients.shape[1]
    kernel = gradients @ gradients.mT + count * damping * torch.eye(count, dtype=torch.float64, device=gradients.device)
    result: tuple[Tensor, Tensor] = torch.linalg.cholesky_ex(kernel)
    factor, failed = result
    if bool(failed.any()) or not bool(factor.isfinite().all()):
        raise ValueError(
            f"expected gradients small enough for a damping of {damping:g}, got up to {float(gradients.abs().max()):g}"
        )
    return factor


def _left(gradients: Tensor, factor: Tensor) -> Tensor:
    """Damping times the diagonal of F^-1, (blocks, size), in (0, 1]."""
    solved: Tensor = torch.linalg.solve_triangular(factor, gradients, upper=False)
    left: Tensor = 1 - solved.square().sum(1)
    return left.clamp_min(torch.finfo(torch.float64).eps)


def _pushed(moved: Tensor, factor: Tensor, removed: Tensor, by: Tensor) -> Tensor:
    """How removals push the others, (blocks, size): G^T K^-1 G' r, of gradients by what moves and by what goes."""
    pushed: Tensor = moved.mT @ torch.cholesky_solve(removed @ by[..., None], factor)
    return pushed.squeeze(-1)


def _each_block(
    work: Callable[..., Tensor], rows: Tensor, values: Sequence[Tensor], size: int, damping: float
) -> Tensor:
    """`work` on blocks of at most `size` of the columns of `rows` (N, n) and of `values` (n,), put together to (n,)."""
    count, columns = rows.shape
    size = max(1, min(size, columns))
    padding = -columns % size
    together = max(1, _MOST // (count * (size + count)))
    blocks = [
        work(
            F.pad(rows, (0, padding))[:, start * size : (start + together) * size]
            .double()
            .view(count, -1, size)
            .transpose(0, 1),
            *(F.pad(each, (0, padding))[start * size : (start + together) * size].view(-1, size) for each in values),
            damping,
        ).flatten()
        for start in range(0, (columns + padding) // size, together)
    ]
    return torch.cat([rows.new_zeros(0, dtype=torch.float64), *blocks])[:columns]


def example_gradients(
    network: nn.Module, names: Sequence[str], data: tuple[Tensor, Tensor], alive: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Gradients of the mean loss of each set of examples, (sets, alive entries), for each of `names`.

    Args:
        network: In eval mode.
        names: Parameters.
        data: Images (sets, examples, c, h, w) and right answers (sets, examples, ...).
        alive: Entries of the parameters that are asked for.

    Raises:
        ValueError: The network cannot run on many sets at once.
    """
    fixed = {name: parameter.detach() for name, parameter in network.named_parameters()}
    weights = {name: fixed[name] for name in names}

    def mean(weights: dict[str, Tensor], images: Tensor, labels: Tensor) -> Tensor:
        return criterion(functional_call(network, {**fixed, **weights}, (images,)), labels)

    slopes = vmap(grad(mean), in_dims=(None, 0, 0))
    gradients: dict[str, list[Tensor]] = {name: [] for name in names}
    for images, labels in zip(data[0].split(_TOGETHER), data[1].split(_TOGETHER), strict=True):
        try:
            with sdpa_kernel(SDPBackend.MATH):  # fused attention runs set by set
                each = slopes(weights, images, labels)
        except RuntimeError as error:
            raise ValueError(f"expected a network that torch.func can take gradients of, got: {error}") from error
        for name in names:
            gradients[name].append(each[name][:, alive[name]])
    return {name: torch.cat(rows) for name, rows in gradients.items()}


def _stacked(batches: list[tuple[Tensor, Tensor]], size: int) -> tuple[Tensor, Tensor]:
    """Sets of `size` examples, (sets, size, ...); what is over is left out unless it is all there is."""
    images, labels = (torch.cat(parts) for parts in zip(*batches, strict=True))
    size = min(size, len(labels))
    whole = len(labels) // size * size
    return images[:whole].unflatten(0, (-1, size)), labels[:whole].unflatten(0, (-1, size))


def _parts(alive: Mapping[str, Tensor], count: int) -> list[tuple[str, ...]]:
    """Layers in order, as many together as have `_MOST` numbers in `count` gradients."""
    parts: list[tuple[str, ...]] = []
    room = 0
    for name, mask in alive.items():
        numbers = count * int(mask.sum())
        if parts and numbers <= room:
            parts[-1] = (*parts[-1], name)
        else:
            parts.append((name,))
            room = _MOST
        room -= numbers
    return parts


def _placed(pruned: nn.Module, moved: Mapping[str, Tensor], masks: Masks) -> nn.Module:
    """Writes what moved into the survivors of `pruned` and gives it back; none becomes zero, which would prune it."""
    with torch.no_grad():
        for name, weight in prunable(pruned).items():
            value = moved[name].to(weight.dtype)
            if not bool(value[masks[name]].isfinite().all()):
                raise ValueError(f"expected a finite move of the weights that stay, got another in {name}")
            weight.copy_(torch.where(masks[name] & (value != 0), value, weight))
    return pruned
