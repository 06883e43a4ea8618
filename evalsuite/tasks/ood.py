"""Out-of-distribution detection: does the network know that it has not learnt what it sees?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, final

from torch import nn
from typing_extensions import override

from evalsuite.data._base import Batch
from evalsuite.randomness import keys
from evalsuite.tasks._base import Domain, Observations, Seen, Task
from evalsuite.tasks._outliers import KINDS, outliers
from evalsuite.tasks._predict import predict
from evalsuite.tasks._strangers import content, drawn, photos


@final
@dataclass(frozen=True, kw_only=True)
class Ood(Task):
    """Shows every network each held-out example and one outlier that was drawn for it.

    Two scores of both are written down: the maximum softmax probability (Hendrycks and Gimpel 2017, arXiv:1610.02136)
    and the energy (Liu et al. 2020, arXiv:2010.03759, equation 4, with its sign turned: log sum exp of the logits).
    They are read by `ood_auroc` and `ood_fpr95`. The task asks nothing about errors, and so binds nothing by them.
    `ood/blobs`, `ood/all`, `ood/folder?at=data/textures`.

    Attributes:
        outliers: "noise": uniform in [0, 1], pixel by pixel. "shuffled": the example's own 4 x 4 tiles in another
            order, near the examples in colour and texture. "blobs": Hendrycks et al. 2019 (arXiv:1812.04606).
            "folder": photos, one drawn for each example, with replacement.
        at: Of "folder": its path; the character & cannot stand in it.
    """

    version: ClassVar[int] = 1
    path: ClassVar[tuple[str, ...]] = ("outliers",)
    whereabouts: ClassVar[frozenset[str]] = frozenset({"at"})
    usage: ClassVar[tuple[str, ...]] = ("ood/blobs", "ood/folder?at=DIR")

    outliers: Literal["noise", "shuffled", "blobs", "folder"]
    at: str = ""

    def __post_init__(self) -> None:
        if (self.outliers == "folder") != bool(self.at) or "&" in self.at:
            raise ValueError(f"expected at=FOLDER, without &, for ood/folder and for nothing else, got {self.at!r}")

    @override
    def observe(self, networks: Sequence[nn.Module], shard: Batch, *, seed: int) -> Seen:
        stream = keys(seed, f"ood/{self.outliers}", shard.ids).to(shard.images.device)
        if self.outliers == "folder":
            strangers = drawn(self.at, shard.images, stream)
        else:
            strangers = outliers(self.outliers, shard.images, stream)
        inside = predict(networks, shard.images, shard)
        outside = predict(networks, strangers, shard)
        return Seen(networks=tuple(map(_scores, inside, outside)), pictures=strangers)

    @override
    def refuses(self, domain: Domain) -> str | None:
        if self.outliers == "folder" and domain.shape[1] != domain.shape[2]:
            return f"photos are cut to squares, and images have {domain.shape[1]} × {domain.shape[2]} pixels"
        if self.outliers == "shuffled" and min(domain.shape[1:]) < 2:
            return f"images of {domain.shape[1]} × {domain.shape[2]} pixels have no tiles to shuffle"
        return None

    @classmethod
    @override
    def choices(cls, field: str, which: str) -> tuple[str, ...]:
        return KINDS if which == "all" else ()

    @override
    def passes(self) -> float:
        return 2.0

    @override
    def title(self) -> str:
        return f"outliers: {Path(self.at).name or self.outliers}"

    @override
    def identity(self) -> Mapping[str, object]:
        return {"photos": content(self.at)} if self.outliers == "folder" else {}

    @override
    def note(self, domain: Domain) -> str | None:
        return f"{len(photos(self.at))} photos, drawn with replacement" if self.outliers == "folder" else None


def _scores(inside: Observations, outside: Observations) -> Observations:
    return {
        "confidence": inside["confidence"],
        "energy": inside["energy"],
        "out_confidence": outside["confidence"],
        "out_energy": outside["energy"],
    }
