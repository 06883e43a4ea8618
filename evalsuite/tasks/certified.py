"""Certified robustness by randomized smoothing (Cohen, Rosenfeld and Kolter 2019, arXiv:1902.02918)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, final

import numpy as np
import numpy.typing as npt
import torch
from scipy.stats import beta, norm
from torch import Tensor, nn
from typing_extensions import override

from evalsuite.data._base import Batch
from evalsuite.problems import NOT_FINITE, decided
from evalsuite.randomness import fold, keys, normal
from evalsuite.tasks._base import Domain, Task, TaskOutput
from evalsuite.units import check_range

ABSTAIN = -1
CertifiedColumns = dict[str, np.generic]
_BATCH = 512


@final
@dataclass(frozen=True, kw_only=True)
class Certified(Task):
    """Certifies the smoothed network: the class that the network gives most often under N(0, sigma²) noise.

    CERTIFY of the paper (section 3.2): the class is chosen on `n0` draws, its probability is bounded from below on
    `n` further draws (Clopper and Pearson at `alpha`), the radius is sigma Φ⁻¹(bound), and where the bound is at most
    1/2 the network abstains. A network that was not trained under such noise certifies little.

    Attributes:
        norm: "l2", the only norm for which this certificate holds.
        radius: An example counts where it is right and certified to at least this L2 radius, in units of [0, 1]; > 0.
        sigma: Standard deviation of the noise, in units of the image's range [0, 1], > 0.
        n0: Draws that choose the class.
        n: Draws that bound its probability. The largest radius that n draws can show is sigma Φ⁻¹(alpha^(1/n)).
        alpha: Probability with which a certificate may be wrong, per example.
    """

    version: ClassVar[int] = 2
    shard_size: ClassVar[int] = 32
    path: ClassVar[tuple[str, ...]] = ("norm", "radius")
    read_parameters: ClassVar[frozenset[str]] = frozenset({"radius"})
    usage: ClassVar[tuple[str, ...]] = ("certified/l2/0.25?sigma=0.25",)

    norm: Literal["l2"] = "l2"
    radius: float = 0.25
    sigma: float = 0.25
    n0: int = 100
    n: int = 1000
    alpha: float = 0.001

    def __post_init__(self) -> None:
        check_range("sigma", self.sigma)
        if self.n0 < 1 or self.n < 1:
            raise ValueError(f"expected n0 >= 1 and n >= 1, got {self.n0} and {self.n}")
        if not 0 < self.alpha < 1:
            raise ValueError(f"expected 0 < alpha < 1, got {self.alpha}")
        reach = float(self.sigma * norm.ppf(self.alpha ** (1 / self.n)))
        if not 0 < self.radius <= reach:
            raise ValueError(
                f"expected 0 < radius <= {reach:.4g} (the most that n = {self.n} draws at sigma = {self.sigma:g} "
                f"can certify), got {self.radius:g}"
            )

    @override
    def observe(self, networks: Sequence[nn.Module], shard: Batch, *, seed: int) -> TaskOutput:
        stream = keys(seed, f"certified/{self.sigma:g}", shard.ids).to(shard.images.device)
        rows = [self._certify(networks, image, key) for image, key in zip(shard.images, stream, strict=True)]
        joined = tuple(
            {column: np.array([row[k][column] for row in rows]) for column in rows[0][0]} for k in range(len(networks))
        )
        noisy = shard.images + self.sigma * normal(fold(stream, 0), shard.images.shape[1:])
        return TaskOutput(networks=joined, pictures=noisy.clamp(0, 1))

    @override
    def forward_passes(self, domain: Domain | None = None) -> float:
        del domain
        return float(self.n0 + self.n)

    @override
    def title(self) -> str:
        return f"certified L2 radius {self.radius:g} (σ = {self.sigma:g})"

    def _certify(self, networks: Sequence[nn.Module], image: Tensor, key: Tensor) -> list[CertifiedColumns]:
        chosen = self._counts(networks, image, key, 0, self.n0)
        counted = self._counts(networks, image, key, self.n0, self.n0 + self.n)
        return [self._bound(first, then) for first, then in zip(chosen, counted, strict=True)]

    def _bound(self, first: npt.NDArray[np.int64], counts: npt.NDArray[np.int64]) -> CertifiedColumns:
        """Counts of classes, and last of draws whose outputs are not finite: one of them and nothing is certified."""
        top = int(first[:-1].argmax())
        broken = bool(first[-1] or counts[-1])
        votes = int(counts[top])
        share = float(beta.ppf(self.alpha, votes, self.n - votes + 1)) if votes and not broken else 0.0
        abstains = share <= 0.5
        return {
            "prediction": np.int32(NOT_FINITE if broken else ABSTAIN if abstains else top),
            "radius": np.float32(0.0 if abstains else self.sigma * norm.ppf(share)),
            "votes": np.int32(votes),
            "top": np.int32(top),
        }

    @torch.inference_mode()
    def _counts(
        self, networks: Sequence[nn.Module], image: Tensor, key: Tensor, start: int, stop: int
    ) -> list[npt.NDArray[np.int64]]:
        """How often each network gives each class, and last none, in draws start, ..., stop - 1, the same for all."""
        total: list[Tensor | int] = [0] * len(networks)
        for first in range(start, stop, _BATCH):
            draws = fold(key, torch.arange(first, min(first + _BATCH, stop)))
            noisy = image + self.sigma * normal(draws, image.shape)
            for k, network in enumerate(networks):
                logits = network(noisy)
                classes = logits.shape[1]
                given = decided(logits)
                total[k] = total[k] + torch.bincount(given.where(given >= 0, classes), minlength=classes + 1)
        return [torch.as_tensor(counts).cpu().numpy() for counts in total]
