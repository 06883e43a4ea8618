"""What a network looks at: the pixels by which its prediction changes most, held against the parent's."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
import torch
from torch import Tensor, nn
from typing_extensions import override

from evalsuite.data._base import Batch
from evalsuite.networks.programs.program import differentiable
from evalsuite.problems import decided
from evalsuite.tasks._abilities import ChecksNetworks, ComparesToParent
from evalsuite.tasks._base import Domain, Observations, Task, TaskOutput


@final
@dataclass(frozen=True, kw_only=True)
class Saliency(Task, ComparesToParent, ChecksNetworks):
    """The most salient pixels by the gradient of the predicted class's logit, in absolute value, summed over channels.

    Simple gradients (Simonyan et al. 2014, arXiv:1312.6034), whose explanations are compared by the intersection of the
    most salient pixels (Ghorbani et al. 2019, arXiv:1710.10547). Every network explains the class that it
    predicts itself. Chance agrees on `share` of the pixels. Of equally salient pixels the first is taken.

    Columns: `top`, the class predicted; `salient`, packed bits, first pixel first; beside the parent
    `salient_overlap`, the share of the parent's most salient pixels that are the network's too.

    Attributes:
        share: Of pixels that count as most salient, in (0, 1).
    """

    version: ClassVar[int] = 2
    path: ClassVar[tuple[str, ...]] = ("share",)
    usage: ClassVar[tuple[str, ...]] = ("saliency/0.1",)

    share: float = 0.1

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise ValueError(f"expected 0 < share < 1, got {self.share}")

    @override
    def observe(self, networks: Sequence[nn.Module], shard: Batch, *, seed: int) -> TaskOutput:
        del seed
        return TaskOutput(networks=tuple(self._observed(network, shard.images) for network in networks))

    @override
    def unsupported_reason(self, domain: Domain) -> str | None:
        return "there is one pixel" if domain.shape[1] * domain.shape[2] < 2 else None

    @override
    def unsupported_network_reason(self, network: nn.Module, domain: Domain) -> str | None:
        if differentiable(network, domain.shape):
            return None
        return "a network of this run has no gradients (quantised, or run by onnxruntime)"

    @override
    def forward_passes(self, domain: Domain | None = None) -> float:
        del domain
        return 3.0

    @override
    def title(self) -> str:
        return f"the {100 * self.share:g} % most salient pixels"

    @override
    def compare(self, child: Observations, parent: Observations) -> Observations:
        ours, theirs = (np.asarray(each["salient"], dtype=np.uint8) for each in (child, parent))
        common, whole = (np.unpackbits(bits, axis=1).sum(axis=1) for bits in (ours & theirs, theirs))
        return {"salient_overlap": (common / whole).astype(np.float32)}

    def _observed(self, network: nn.Module, images: Tensor) -> Observations:
        shown = images.detach().clone().requires_grad_()
        with torch.enable_grad():
            logits = network(shown)
            (slope,) = torch.autograd.grad(logits.max(-1).values.sum(), shown)
        salience = slope.abs().sum(1).flatten(1)
        pixels = salience.shape[1]
        count = min(max(round(self.share * pixels), 1), pixels - 1)
        most = salience.argsort(dim=1, descending=True, stable=True)[:, :count]
        salient = torch.zeros(salience.shape, dtype=torch.bool, device=images.device).scatter(1, most, value=True)
        return {
            "top": decided(logits).to(torch.int32).cpu().numpy(),
            "salient": np.packbits(salient.cpu().numpy(), axis=1),
        }
