"""Common corruptions on the training images: the robust training of Lost in Pruning (Liebenwein et al. 2021)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, final

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn
from typing_extensions import override

from evalsuite.corruptions import MIX1
from evalsuite.corruptions._base import Corruption
from evalsuite.errors import UsageError
from evalsuite.registry import find
from evalsuite.training._base import keeping
from evalsuite.training._scheduled import Scheduled

_HIGHEST = 5
_KEYS = 1 << 62


@final
@dataclass(frozen=True, kw_only=True)
class Augmented(Scheduled):
    """Cross-entropy on images each of which is corrupted anew, or left as it is; then shifted and mirrored.

    Corruptions are the nine of `mix1`; the ten of `mix2` are kept for testing, `corruption/mix2/3`. They have the
    strength that they have in tasks: by the size of the images. The authors trained with the constants for 224 pixels
    on images of 32, which are much stronger, made once for all epochs.

    Attributes:
        severity: 1 to 5, for `levels` "one".
        levels: "one": none or one of the nine, each with probability 1/10, at `severity`. "all": one of the nine, at
            a severity drawn from 0 (left as it is), ..., 5, as the authors' code does.
    """

    ahead: ClassVar[int] = 8

    severity: int = 3
    levels: Literal["one", "all"] = "one"

    @override
    def __post_init__(self) -> None:
        Scheduled.__post_init__(self)
        if not 1 <= self.severity <= _HIGHEST:
            raise UsageError(f"expected severity to be from 1 to {_HIGHEST}, got {self.severity}")
        if self.levels not in {"one", "all"}:
            raise UsageError(f"expected levels to be one or all, got {self.levels!r}")

    @override
    def prepared(self, images: Tensor, generator: Generator) -> Tensor:
        keys = torch.randint(_KEYS, (len(images),), generator=generator)
        which = self._drawn(len(images), generator)
        changed = images.clone()
        # a corruption takes little longer for fifty images than for six
        for kind in which.unique().tolist():
            part = self._part(kind)
            if part is not None:
                own = (which == kind).nonzero()[:, 0]
                there = own.to(images.device)
                changed[there] = part(images[there], keys[own])
        return changed

    @override
    def loss(self, network: nn.Module, images: Tensor, labels: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        del generator
        logits: Tensor = network(images)
        return F.cross_entropy(logits, labels), logits

    @override
    def prescribed(self, *, architecture: str, data: str) -> "Augmented":
        del architecture
        return keeping(self, _SETTINGS.get(data, self))

    def _drawn(self, n: int, generator: Generator) -> Tensor:
        """For each image a number: 0 for none, else 1 + corruption + 9 x (severity - 1)."""
        if self.levels == "one":
            kind = torch.randint(len(MIX1) + 1, (n,), generator=generator)
            return torch.where(kind > 0, kind + len(MIX1) * (self.severity - 1), 0)
        corruption = torch.randint(len(MIX1), (n,), generator=generator)
        severity = torch.randint(_HIGHEST + 1, (n,), generator=generator)
        return torch.where(severity > 0, 1 + corruption + len(MIX1) * (severity - 1), 0)

    def _part(self, kind: int) -> Corruption | None:
        if kind == 0:
            return None
        severity, corruption = divmod(kind - 1, len(MIX1))
        part = find("evalsuite.corruptions", MIX1[corruption], Corruption)
        return part(severity=severity + 1)  # type: ignore[call-arg]


# schedules are those of the standard recipe
_SETTINGS: Mapping[str, Augmented] = {
    "digits": Augmented(epochs=20),
    "mnist": Augmented(epochs=6),
    "fashion-mnist": Augmented(epochs=6, flip=True),
    "svhn": Augmented(epochs=12, batch_size=128, learning_rate=0.2, shift=4),
    "cifar10": Augmented(epochs=30, batch_size=128, learning_rate=0.2, shift=4, flip=True),
    "cifar100": Augmented(epochs=30, batch_size=128, learning_rate=0.2, shift=4, flip=True),
}
