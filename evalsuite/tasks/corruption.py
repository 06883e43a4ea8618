"""Common corruptions at one severity (Hendrycks and Dietterich 2019, arXiv:1903.12261)."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import ClassVar, final

from torch import Tensor, nn
from typing_extensions import override

from evalsuite.corruptions import SETS
from evalsuite.corruptions import _base as corruptions
from evalsuite.corruptions._constants import label
from evalsuite.data._base import Batch
from evalsuite.parts.registry import find
from evalsuite.process.culprit import is_own
from evalsuite.process.third_party_code import OutputError
from evalsuite.randomness import keys
from evalsuite.tasks._abilities import ComparesToParent
from evalsuite.tasks._base import Domain, Task, TaskOutput
from evalsuite.tasks._predict import predict

PACKAGE = "evalsuite.corruptions"


@final
@dataclass(frozen=True, kw_only=True)
class Corruption(Task, ComparesToParent):
    """Corrupts every image once, for all networks.

    Severities of one corruption share their random draws.

    Attributes:
        corruption: One of the 15 common (`common`) or 4 further (`extra`) corruptions; `all` stands for all 19,
            `mix1` and `mix2` for the two halves of Lost in Pruning.
        severity: 1 to 5; the paper judges at 3.
    """

    version: ClassVar[int] = 3
    path: ClassVar[tuple[str, ...]] = ("corruption", "severity")
    of_classes: ClassVar[bool] = False
    usage: ClassVar[tuple[str, ...]] = ("corruption/fog/3", "corruption/common/1-5")

    corruption: str
    severity: int = 3

    def __post_init__(self) -> None:
        self._part()  # an unknown name or severity is refused here, with the accepted ones

    @override
    def observe(self, networks: Sequence[nn.Module], shard: Batch, *, seed: int) -> TaskOutput:
        stream = keys(seed, f"corruption/{self.corruption}", shard.ids).to(shard.images.device)
        part = self._part()
        images = part(shard.images, stream)
        if not is_own(part):
            _check(images, shard.images, self.corruption)
        return TaskOutput(networks=predict(networks, images, shard), pictures=images)

    @override
    def unsupported_reason(self, domain: Domain) -> str | None:
        part = self._part()
        if domain.shape[0] not in {1, 3} or max(domain.shape[1:]) == 1:
            return "corruptions are of gray and colour images"
        if part.moves and domain.problem.aligned:
            return "pixels are moved, and the right answers stand where the pixels stood"
        return part.unsupported_reason(domain.shape)

    @override
    def note(self, domain: Domain) -> str | None:
        return label(domain.shape)

    @override
    def identity(self) -> Mapping[str, object]:
        return asdict(self._part())  # type: ignore[call-overload, no-any-return]

    @override
    def title(self) -> str:
        return f"{self.corruption.replace('_', ' ')}, severity {self.severity}"

    @classmethod
    @override
    def choices(cls, field: str, which: str) -> tuple[str, ...]:
        if field == "severity":
            return tuple("12345") if which == "all" else ()
        return SETS[which]

    def _part(self) -> corruptions.Corruption:
        part = find(PACKAGE, self.corruption, corruptions.Corruption)
        return part(severity=self.severity)  # type: ignore[call-arg]


def _check(images: object, before: Tensor, name: str) -> None:
    """Refuse what a plug-in's corruption makes of images that are no images any more.

    Raises:
        OutputError: They have another shape or type, or values outside of [0, 1].
    """
    if not isinstance(images, Tensor) or images.shape != before.shape or images.dtype != before.dtype:
        given = f"{tuple(images.shape)}, {images.dtype}" if isinstance(images, Tensor) else type(images).__name__
        raise OutputError(f"expected the corruption {name} to give {tuple(before.shape)}, {before.dtype}, got {given}")
    low, high = float(images.min()), float(images.max())
    # written so that a NaN is refused too
    if not (low >= 0 and high <= 1):
        raise OutputError(f"expected the corruption {name} to give images in [0, 1], got values from {low} to {high}")
