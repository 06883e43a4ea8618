"""SynFlow: weights go that carry the least of the flow from input to output, without a look at data."""

from dataclasses import dataclass
from typing import ClassVar, Literal, final

import torch
from torch import nn
from typing_extensions import override

from neuralnets.weights import check_keep, prunable, remaining
from pruners._base import Context, Pruner
from pruners._checks import check_at_least
from pruners._flow import positive, synaptic_flow
from pruners._masks import apply_masks, keep_global, nonzero


@final
@dataclass(frozen=True, kw_only=True)
class SynFlow(Pruner):
    """Keeps the weights with the largest synaptic flow, theta dR/dtheta with R = 1^T (prod_l |theta_l|) 1.

    Tanaka et al. 2020 (arXiv:2006.05467), algorithm 1: scored anew in each of `iterations` steps, in which the number
    of weights falls exponentially; one global threshold. Needs no data. Every layer carries the same flow in total, so
    that, scored often enough, none is emptied while another still has weights to give. What is scored, and how
    functions that conserve no flow are replaced, stands in `pruners._flow`.

    Attributes:
        iterations: Number of steps n, at least 1; the paper takes 100.

    Example:
        >>> from pruners import SynFlow, prune, remaining
        >>> sparse = prune(network, SynFlow(iterations=10), 0.5, example=images[:1])
        >>> remaining(network), remaining(sparse)
        (680, 340)
    """

    structure: ClassVar[Literal["weights"]] = "weights"
    when: ClassVar[Literal["at initialisation"]] = "at initialisation"
    criterion: ClassVar[str] = "synaptic flow from input to output"
    paper: ClassVar[str] = "Tanaka et al. 2020, arXiv:2006.05467"
    iterations: int = 100

    def __post_init__(self) -> None:
        """Raise ValueError if there is no step."""
        check_at_least(1, iterations=self.iterations)

    @override
    def __call__(self, network: nn.Module, *, keep: int, context: Context) -> nn.Module:
        check_keep(network, keep)
        before = left = remaining(network)
        masks = nonzero(network)
        with torch.inference_mode(mode=False):
            model = positive(network)
            weights = prunable(model)
            ones = torch.ones(context.example.shape, dtype=torch.float64, device=context.example.device)
            for step in range(1, self.iterations + 1):
                target = round(before * (keep / before) ** (step / self.iterations))
                if target == left:
                    continue
                left = target
                masks = keep_global(synaptic_flow(model, ones, weights), left, masks)
                with torch.no_grad():
                    for name, weight in weights.items():
                        weight.masked_fill_(~masks[name], 0)
        return apply_masks(network, masks)
