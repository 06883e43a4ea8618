"""Common corruptions on the training images: the robust training of Lost in Pruning (Liebenwein et al. 2021)."""

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Literal, final

import torch
from torch import Generator, Tensor
from typing_extensions import override

from evalsuite.corruptions import MIX1
from evalsuite.corruptions._base import Corruption
from evalsuite.errors import UsageError
from evalsuite.parts.registry import find
from evalsuite.problems import Problem
from evalsuite.training._scheduled import Scheduled

_HIGHEST = 5
_KEYS = 1 << 62


@final
@dataclass(frozen=True, kw_only=True)
class Augmented(Scheduled):
    """Cross-entropy on images each of which is corrupted anew, or left as it is; then shifted and mirrored.

    Corruptions are the nine of `mix1`; the ten of `mix2` are kept for testing, `corruption/mix2/3`. They have the
    strength that they have in tasks: by the size of the images. The authors trained with the constants for 224 pixels
    on images of 32, which are much stronger, made once for all epochs. Corruptions that refuse images of this size
    (on 8 pixels a blur may not reach the next one) are never drawn.

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
    def prepare_images(self, images: Tensor, generator: Generator) -> Tensor:
        keys = torch.randint(_KEYS, (len(images),), generator=generator)
        shape = (images.shape[1], images.shape[2], images.shape[3])
        corruption, severity = self._drawn(len(images), usable(shape, self.severities), generator)
        changed = images.clone()
        # a corruption takes little longer for fifty images than for six
        for kind, strength in torch.stack((corruption, severity), 1).unique(dim=0).tolist():
            if strength:
                matching = ((corruption == kind) & (severity == strength)).nonzero()[:, 0]
                there = matching.to(images.device)
                changed[there] = _part(MIX1[kind], strength)(images[there], keys[matching])
        return changed

    @property
    def severities(self) -> tuple[int, ...]:
        """Those that are drawn."""
        return (self.severity,) if self.levels == "one" else tuple(range(1, _HIGHEST + 1))

    @override
    def unsupported_reason(self, problem: Problem) -> str | None:
        if problem.aligned:
            return "corruptions of mix1 move pixels, and the right answers stand where the pixels stood"
        return Scheduled.unsupported_reason(self, problem)

    def _drawn(self, n: int, kinds: tuple[int, ...], generator: Generator) -> tuple[Tensor, Tensor]:
        """Place in `MIX1` and severity (0: left as it is) for each of n images, (n,) each."""
        places = torch.tensor(kinds)
        if self.levels == "one":
            which = torch.randint(len(kinds) + 1, (n,), generator=generator)
            return places[(which - 1).clamp(min=0)], torch.where(which > 0, self.severity, 0)
        which = torch.randint(len(kinds), (n,), generator=generator)
        return places[which], torch.randint(_HIGHEST + 1, (n,), generator=generator)


@lru_cache(maxsize=16)
def usable(shape: tuple[int, int, int], severities: tuple[int, ...]) -> tuple[int, ...]:
    """Places in `MIX1` of the corruptions that images of `shape` (c, h, w) can have at all of `severities`.

    Raises:
        UsageError: There are none.
    """
    applicable = [
        k for k, kind in enumerate(MIX1) if all(_part(kind, s).unsupported_reason(shape) is None for s in severities)
    ]
    if not applicable:
        raise UsageError(f"expected images that a corruption of mix1 can be applied to, got images of {shape}")
    return tuple(applicable)


def _part(kind: str, severity: int) -> Corruption:
    part = find("evalsuite.corruptions", kind, Corruption)
    return part(severity=severity)  # type: ignore[call-arg]
