"""Adversarial examples inside a norm ball: an upper bound on robust accuracy."""

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
import torch
from torch import Tensor, nn
from typing_extensions import override

from evalsuite.attacks._base import Attack, Attacked, Budget, Flag, Norm
from evalsuite.attacks._validity import doubts, unbounded, zero_gradient
from evalsuite.data._base import Batch
from evalsuite.networks.programs.program import differentiable
from evalsuite.parts.registry import find
from evalsuite.problems import decided
from evalsuite.process.culprit import is_own
from evalsuite.process.third_party_code import OutputError
from evalsuite.tasks._abilities import ChecksNetworks, PerNetwork
from evalsuite.tasks._base import Column, Domain, Observations
from evalsuite.units import check_range, check_reach

PACKAGE = "evalsuite.attacks"
FLAGS = tuple(Flag)
_TOLERANCE = 1e-6


@final
@dataclass(frozen=True, kw_only=True)
class Adversarial(PerNetwork, ChecksNetworks):
    """Attacks every network; an example survives if the attacked image is still given its true class.

    The judge measures: the attack's images are checked against budget and range, and predicted again. Beside it stands
    what casts doubt on survival (Carlini et al. 2019, arXiv:1902.06705, section 3; Croce and Hein 2020): the column
    `flags` holds what was seen on the whole shard, one bit each in the order of `FLAGS`; of every example
    `zero_gradient` tells that the margin of the true class has no gradient there, `black_box` that it was broken
    without gradients after all that use them had failed, and `unbounded` that it even survives where any image will do.
    Of networks that have no gradients at all only attacks that need none are asked, and the first and the last of these
    are not written down.

    Attributes:
        norm: "linf", "l2" or "l1".
        eps: Budget in units of the image's range [0, 1], > 0: 8/255 is about 0.0314.
        attack: File in `evalsuite/attacks`: "autoattack" (the protocol), "pgd" (a quick look) or "square" (asks for
            outputs only).
    """

    version: ClassVar[int] = 4
    shard_size: ClassVar[int] = 128
    path: ClassVar[tuple[str, ...]] = ("norm", "eps")
    usage: ClassVar[tuple[str, ...]] = (
        "adversarial/linf/0.0314",
        "adversarial/l2/0.5?attack=pgd",
        "adversarial/l1/12?attack=square",
    )

    norm: Norm = "linf"
    eps: float = 0.0314
    attack: str = "autoattack"

    def __post_init__(self) -> None:
        if self.norm == "linf":
            check_range("eps", self.eps)
        if not self.eps > 0:
            raise ValueError(f"expected eps > 0, got {self.eps}")
        norms = find(PACKAGE, self.attack, Attack).norms
        if self.norm not in norms:
            raise ValueError(f"expected a norm that {self.attack} knows ({', '.join(norms)}), got {self.norm}")

    @override
    def observe_network(self, network: nn.Module, shard: Batch, *, seed: int) -> tuple[Observations, Tensor]:
        attack = find(PACKAGE, self.attack, Attack)()
        attacked = attack(network, shard, Budget(norm=self.norm, eps=self.eps), seed=seed)
        fault = self._fault(attacked, shard.images)
        if fault is not None and is_own(attack):
            raise AssertionError(f"{self.attack} {fault}")
        if fault is not None:
            raise OutputError(f"expected the attack {self.attack} to keep to its contract, got one that {fault}")
        with torch.inference_mode():
            before, after = decided(network(shard.images)), decided(network(attacked.images))
        # an image that is wrong as it is stands in its own ball: no attack can make it right
        prediction = torch.where(before == shard.labels, after, before)
        flags = attacked.flags | doubts(network, shard.images)
        columns: dict[str, Column] = {
            "prediction": prediction.to(torch.int32).cpu().numpy(),
            "flags": np.full(len(prediction), sum(1 << FLAGS.index(flag) for flag in flags), dtype=np.uint8),
        }
        if attack.gradients or differentiable(network, _shape(shard.images)):
            columns["zero_gradient"] = zero_gradient(network, shard).cpu().numpy()
            columns["unbounded"] = unbounded(network, shard, seed).cpu().numpy()
        if attacked.black_box is not None:
            columns["black_box"] = attacked.black_box.cpu().numpy()
        return columns, attacked.images

    @override
    def unsupported_reason(self, domain: Domain) -> str | None:
        if domain.classes < 2:
            return "an attack needs at least two classes"
        return None

    @override
    def check(self, domain: Domain) -> None:
        check_reach(self.norm, self.eps, domain.shape)

    @override
    def unsupported_network_reason(self, network: nn.Module, domain: Domain) -> str | None:
        if not find(PACKAGE, self.attack, Attack).gradients or differentiable(network, domain.shape):
            return None
        return (
            f"{self.attack} needs gradients, and a network of this run has none (quantised, or run by onnxruntime); "
            f"adversarial/{self.norm}/{self.eps:g}?attack=square asks for outputs only"
        )

    @override
    def forward_passes(self, domain: Domain | None = None) -> float:
        del domain
        return float(3 * find(PACKAGE, self.attack, Attack)().typical_steps())

    @override
    def title(self) -> str:
        ball = {"linf": "L∞", "l2": "L2", "l1": "L1"}[self.norm]
        title = {"autoattack": "AutoAttack", "pgd": "PGD", "square": "Square"}.get(self.attack, self.attack)
        return f"{title} {ball}, ε = {self.eps:.4g}"

    def _fault(self, attacked: object, images: Tensor) -> str | None:
        """How what an attack gives breaks the attacks' contract; None where it does not."""
        if not isinstance(attacked, Attacked):
            return f"gives {type(attacked).__name__} instead of Attacked"
        given = attacked.images
        if given.shape != images.shape or not given.is_floating_point():
            return f"gives images of {tuple(given.shape)}, {given.dtype} instead of {tuple(images.shape)}, floats"
        moved = (given - images).flatten(1)
        size = {"linf": moved.abs().amax(1), "l2": moved.norm(dim=1), "l1": moved.abs().sum(1)}[self.norm]
        # float32 sums over many pixels: the tolerance is relative to the budget; NaN is in no ball
        if not bool((size <= self.eps * (1 + 1e-4) + _TOLERANCE).all()):
            return f"left its budget: {float(size.max())} > {self.eps}"
        if not bool(((given >= -_TOLERANCE) & (given <= 1 + _TOLERANCE)).all()):
            return "left the range [0, 1]"
        return None


def _shape(images: Tensor) -> tuple[int, int, int]:
    _, channels, height, width = images.shape
    return channels, height, width
