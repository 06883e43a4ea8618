"""Certified robustness by bounds on the outputs: a lower bound on robust accuracy, with an attack beside it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import ClassVar, Literal, final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from typing_extensions import override

from evalsuite.attacks._base import Attack, Budget
from evalsuite.data._base import Batch
from evalsuite.networks.copies import copied
from evalsuite.networks.programs.program import artefact_in
from evalsuite.parts.registry import find
from evalsuite.problems import decided
from evalsuite.tasks._abilities import ChecksNetworks, PerNetwork
from evalsuite.tasks._base import Domain, Observations
from evalsuite.units import check_range, check_reach
from neuralnets import bounds

ABSTAIN = -1
ATTACKS = "evalsuite.attacks"
Method = Literal["interval", "crown-ibp", "crown"]
Margins = Callable[[nn.Module | bounds.Graph, bounds.Region, Tensor], Tensor]
_METHODS: Mapping[Method, Margins] = {
    "interval": bounds.interval_margins,
    "crown-ibp": bounds.crown_ibp_margins,
    "crown": bounds.crown_margins,
}
"""From cheap to tight."""
_COSTS: Mapping[Method, float] = {"interval": 2, "crown-ibp": 20, "crown": 400}
"""In forward passes, about."""
_NEAR = 1e-4
"""Relative to the largest logit: margins nearer to 0 than this are computed again in float64."""


@final
@dataclass(frozen=True, kw_only=True)
class Bounds(PerNetwork, ChecksNetworks):
    """Certifies that no image in the ball, pixels in [0, 1], is given another class than the image itself.

    The methods are tried from cheap to tight, each on what the ones before and the attack have left open (Gowal et al.
    2018, arXiv:1810.12715; Zhang et al. 2020, arXiv:1906.06316; Zhang et al. 2018, arXiv:1811.00866). `prediction` is
    the class where it is certified and -1 elsewhere, `top` the class of the image itself; `survives` tells which
    examples are given their true class before and after the attack. Between certified and surviving examples lies the
    truth. Where the attack breaks what is certified the run stops: one of the two is at fault.

    Attributes:
        norm: "linf" or "l2".
        eps: Radius of the ball in units of the image's range [0, 1], > 0.
        method: The tightest that is tried: "interval", "crown-ibp" or "crown".
        attack: File in `evalsuite/attacks` that is tried on the rightly classified examples.
    """

    version: ClassVar[int] = 2
    shard_size: ClassVar[int] = 64
    path: ClassVar[tuple[str, ...]] = ("norm", "eps")
    usage: ClassVar[tuple[str, ...]] = (
        "bounds/linf/0.0078?method=interval",
        "bounds/linf/0.0078?method=crown-ibp",
        "bounds/l2/0.1",
    )

    norm: Literal["linf", "l2"] = "linf"
    eps: float = 0.0078
    method: Method = "crown"
    attack: str = "pgd"

    def __post_init__(self) -> None:
        if self.norm == "linf":
            check_range("eps", self.eps)
        if not self.eps > 0:
            raise ValueError(f"expected eps > 0, got {self.eps}")
        norms = find(ATTACKS, self.attack, Attack).norms
        if self.norm not in norms:
            raise ValueError(f"expected a norm that {self.attack} knows ({', '.join(norms)}), got {self.norm}")

    @override
    def observe_network(self, network: nn.Module, shard: Batch, *, seed: int) -> tuple[Observations, None]:
        return self._columns(network, shard, seed), None

    @override
    def unsupported_reason(self, domain: Domain) -> str | None:
        if domain.classes < 2:
            return "a certificate needs at least two classes"
        return None

    @override
    def check(self, domain: Domain) -> None:
        check_reach(self.norm, self.eps, domain.shape)

    @override
    def unsupported_network_reason(self, network: nn.Module, domain: Domain) -> str | None:
        if artefact_in(network) is not None:
            return (
                "bounds are computed layer by layer, and a network of this run is a file that is run as it is; "
                "certified/l2/... asks for outputs only"
            )
        weight = next(chain(network.parameters(), network.buffers()))
        try:
            bounds.trace(network, torch.zeros(1, *domain.shape, dtype=weight.dtype, device=weight.device))
        except ValueError as error:
            return str(error)
        return None

    @override
    def forward_passes(self, domain: Domain | None = None) -> float:
        del domain
        steps = find(ATTACKS, self.attack, Attack)().typical_steps()
        return float(sum(_COSTS[method] for method in self._tried()) + 3 * steps)

    @override
    def title(self) -> str:
        ball = {"linf": "L∞", "l2": "L2"}[self.norm]
        return f"certified {ball}, ε = {self.eps:.4g} ({self.method.upper().replace('INTERVAL', 'IBP')})"

    def _columns(self, network: nn.Module, shard: Batch, seed: int) -> Observations:
        with torch.inference_mode():
            top = decided(network(shard.images))
        right = top == shard.labels
        survives = right.clone()
        survives[right] = self._survives(network, shard, right, seed)
        certified = self._certified(network, shard.images, top, broken=right & ~survives)
        if bool((certified & right & ~survives).any()):
            raise AssertionError(f"{self.attack} broke what {self.method} had certified: one of them is at fault")
        return {
            "prediction": _numbers(torch.where(certified, top, ABSTAIN)),
            "top": _numbers(top),
            "survives": survives.cpu().numpy(),
        }

    def _certified(self, network: nn.Module, images: Tensor, top: Tensor, broken: Tensor) -> Tensor:
        """(n,), whether `top` is the class of every image in the ball; the dearest method leaves `broken` ones out."""
        certified = torch.zeros_like(broken)
        graph = bounds.trace(network, images[:1])
        exact: bounds.Graph | None = None
        for method in self._tried():
            margins = _METHODS[method]
            rest = (~certified & ~broken if method == "crown" else ~certified).nonzero().flatten()
            if not len(rest):
                continue
            with torch.no_grad():
                low = margins(graph, self._ball(images[rest]), top[rest]).amin(1)
                near = low.abs() <= _NEAR * (1 + low.abs().amax())
                if bool(near.any()):
                    sure = images[rest[near]].double()
                    exact = exact or bounds.trace(copied(network).double(), sure[:1])
                    low[near] = margins(exact, self._ball(sure), top[rest[near]]).amin(1).sign().to(low.dtype)
            certified[rest] = low > 0
        return certified

    def _tried(self) -> tuple[Method, ...]:
        methods = tuple(_METHODS)
        return methods[: methods.index(self.method) + 1]

    def _ball(self, images: Tensor) -> bounds.Region:
        return bounds.linf_ball(images, self.eps) if self.norm == "linf" else bounds.l2_ball(images, self.eps)

    def _survives(self, network: nn.Module, shard: Batch, right: Tensor, seed: int) -> Tensor:
        """Of the rightly classified examples, which the attack leaves so."""
        part = Batch(
            images=shard.images[right],
            labels=shard.labels[right],
            ids=tuple(each for each, counts in zip(shard.ids, right.tolist(), strict=True) if counts),
        )
        if not len(part):
            return right[right]
        attack = find(ATTACKS, self.attack, Attack)()
        attacked = attack(network, part, Budget(norm=self.norm, eps=self.eps), seed=seed)
        with torch.inference_mode():
            after = decided(network(attacked.images))
        return after == part.labels


def _numbers(classes: Tensor) -> npt.NDArray[np.int32]:
    return classes.to(torch.int32).cpu().numpy()
