"""Out-of-distribution detection: does the network know that it has not learnt what it sees?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, final

import torch
from torch import Tensor, nn
from typing_extensions import override

from evalsuite.data._base import Batch
from evalsuite.randomness import keys
from evalsuite.tasks._abilities import ChecksNetworks, UsesBank
from evalsuite.tasks._base import Column, Domain, Observations, Task, TaskOutput
from evalsuite.tasks._nearest import distances
from evalsuite.tasks._outliers import KINDS, outliers
from evalsuite.tasks._penultimate import classifier, penultimate
from evalsuite.tasks._photo_outliers import content, drawn, photos
from evalsuite.tasks._predict import predict
from neuralnets.device import device_of

_BANK = 10_000


@final
@dataclass(frozen=True, kw_only=True)
class Ood(Task, UsesBank, ChecksNetworks):
    """Shows every network each held-out example and one outlier that was drawn for it.

    Scores of both are written down: the maximum softmax probability (Hendrycks and Gimpel 2017, arXiv:1610.02136), the
    energy (Liu et al. 2020, arXiv:2010.03759, equation 4, with its sign turned: log sum exp of the logits) and, with
    `knn`, the negative distance to the k-th nearest training example, by the features that go into the last layer,
    scaled to length 1 (Sun et al. 2022, arXiv:2204.06507). They are read by `ood_auroc` and `ood_fpr95`. The task asks
    nothing about errors, and so binds nothing by them. `ood/blobs`, `ood/all?knn=10`, `ood/folder?at=data/textures`.

    Attributes:
        outliers: "noise": uniform in [0, 1], pixel by pixel. "shuffled": the example's own 4 x 4 tiles in another
            order, near the examples in colour and texture. "blobs": Hendrycks et al. 2019 (arXiv:1812.04606).
            "folder": photos, one drawn for each example, with replacement.
        at: Of "folder": its path; the character & cannot stand in it.
        knn: Which of the nearest training examples counts, >= 1; None leaves their score out. The paper takes the 50th
            of the 50 000 training examples of CIFAR-10: a thousandth of the bank.
        bank: Of `knn`: training examples to choose from, >= knn, or all if there are fewer. Every network is run on
            them once, and its features of them are kept in memory until the task is done.
    """

    version: ClassVar[int] = 2
    path: ClassVar[tuple[str, ...]] = ("outliers",)
    location_fields: ClassVar[frozenset[str]] = frozenset({"at", "knn", "bank"})
    usage: ClassVar[tuple[str, ...]] = ("ood/blobs", "ood/blobs?knn=10", "ood/folder?at=DIR")

    outliers: Literal["noise", "shuffled", "blobs", "folder"]
    at: str = ""
    knn: int | None = None
    bank: int = _BANK

    def __post_init__(self) -> None:
        if (self.outliers == "folder") != bool(self.at) or "&" in self.at:
            raise ValueError(f"expected at=FOLDER, without &, for ood/folder and for nothing else, got {self.at!r}")
        if self.knn is not None and not 1 <= self.knn <= self.bank:
            raise ValueError(f"expected 1 <= knn <= bank, got {self.knn} of {self.bank}")
        if self.knn is None and self.bank != _BANK:
            raise ValueError(f"expected bank={self.bank} beside knn=K, got it alone")

    @override
    def observe(self, networks: Sequence[nn.Module], shard: Batch, *, seed: int) -> TaskOutput:
        outside_images = self._outliers(shard, seed)
        inside = predict(networks, shard.images, shard)
        outside = predict(networks, outside_images, shard)
        return TaskOutput(networks=tuple(map(_scores, inside, outside)), pictures=outside_images)

    @override
    def bank_size(self) -> int:
        return self.bank if self.knn is not None else 0

    @override
    def fit_bank(self, network: nn.Module, training: Batch) -> Tensor:
        with penultimate([network], training.images[:1]) as features, torch.inference_mode():
            network(training.images)
        return features[0]

    @override
    def observe_with_bank(
        self, networks: Sequence[nn.Module], shard: Batch, banks: Sequence[Tensor], *, seed: int
    ) -> TaskOutput:
        outside_images = self._outliers(shard, seed)
        with penultimate(networks, shard.images[:1]) as features:
            inside = predict(networks, shard.images, shard)
            near = [*map(self._knn_scores, features, banks)]
            outside = predict(networks, outside_images, shard)
            far = [*map(self._knn_scores, features, banks)]
        columns = [
            {**_scores(*both), "knn": score, "out_knn": out_score}
            for both, score, out_score in zip(zip(inside, outside, strict=True), near, far, strict=True)
        ]
        return TaskOutput(networks=tuple(columns), pictures=outside_images)

    @override
    def unsupported_reason(self, domain: Domain) -> str | None:
        if self.outliers == "folder" and domain.shape[1] != domain.shape[2]:
            return f"photos are cut to squares, and images have {domain.shape[1]} × {domain.shape[2]} pixels"
        if self.outliers == "shuffled" and min(domain.shape[1:]) < 2:
            return f"images of {domain.shape[1]} × {domain.shape[2]} pixels have no tiles to shuffle"
        if self.knn is not None and domain.training < self.knn:
            have = f"{domain.training} training examples" if domain.training else "no training examples"
            return f"neighbours are sought among training examples, at least {self.knn}, and the data have {have}"
        return None

    @override
    def unsupported_network_reason(self, network: nn.Module, domain: Domain) -> str | None:
        if self.knn is None:
            return None
        place = device_of(network)
        if classifier(network, torch.full((1, *domain.shape), 0.5, device=place)) is not None:
            return None
        return "no linear layer of a network of this run puts out its logits: it tells no features to compare (a file?)"

    @classmethod
    @override
    def choices(cls, field: str, which: str) -> tuple[str, ...]:
        return KINDS if which == "all" else ()

    @override
    def forward_passes(self, domain: Domain | None = None) -> float:
        del domain
        return 2.0

    @override
    def title(self) -> str:
        return f"outliers: {Path(self.at).name or self.outliers}" + (", by neighbours too" if self.knn else "")

    @override
    def identity(self) -> Mapping[str, object]:
        identity: dict[str, object] = {"photos": content(self.at)} if self.outliers == "folder" else {}
        return identity if self.knn is None else {**identity, "knn": self.knn}

    @override
    def note(self, domain: Domain) -> str | None:
        notes = [f"{len(photos(self.at))} photos, drawn with replacement"] if self.outliers == "folder" else []
        if self.knn is not None:
            notes.append(f"neighbours are sought among {min(self.bank, domain.training)} training examples")
        return "; ".join(notes) or None

    def _outliers(self, shard: Batch, seed: int) -> Tensor:
        stream = keys(seed, f"ood/{self.outliers}", shard.ids).to(shard.images.device)
        if self.outliers == "folder":
            return drawn(self.at, shard.images, stream)
        return outliers(self.outliers, shard.images, stream)

    def _knn_scores(self, features: Tensor, bank: Tensor) -> Column:
        assert self.knn is not None  # noqa: S101 - there is no bank without
        return -distances(features, bank, self.knn).float().cpu().numpy()


def _scores(inside: Observations, outside: Observations) -> Observations:
    return {
        "confidence": inside["confidence"],
        "energy": inside["energy"],
        "out_confidence": outside["confidence"],
        "out_energy": outside["energy"],
    }
