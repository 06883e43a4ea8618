"""Gaussian blur."""

from dataclasses import dataclass
from typing import ClassVar, Final, final

from torch import Tensor
from typing_extensions import override

from evalsuite.corruptions._base import Corruption
from evalsuite.corruptions._blocks import in_blocks
from evalsuite.corruptions._constants import NEXT_LEVEL, Table, check_severity, constants, length_scale
from evalsuite.corruptions._gaussian import blur, off_centre
from evalsuite.corruptions._levels import levels, raise_refusal, size, truncated

_SIGMA: Final[Table[float]] = {
    32: (0.4, 0.6, 0.7, 0.8, 1.0),
    64: (0.5, 0.75, 1.0, 1.25, 1.5),
    224: (1.0, 2.0, 3.0, 4.0, 6.0),
    299: (1.5, 2.5, 3.5, 4.5, 6.5),
}


@final
@dataclass(frozen=True, kw_only=True)
class GaussianBlur(Corruption):
    """A Gaussian low-pass filter (Hendrycks and Dietterich 2019, appendix B: validation corruptions).

    Attributes:
        severity: 1 to 5; sigma is 0.4 to 1 px at 32 px and 1 to 6 px at 224 px.
    """

    group: ClassVar[str] = "extra"
    severity: int

    def __post_init__(self) -> None:
        check_severity(self.severity)

    @override
    @in_blocks
    def __call__(self, images: Tensor, keys: Tensor) -> Tensor:
        raise_refusal(self.unsupported_reason((images.shape[1], images.shape[2], images.shape[3])))
        return truncated(blur(levels(images) / 255, self._sigma(images.shape)))

    @override
    def unsupported_reason(self, shape: tuple[int, int, int]) -> str | None:
        sigma = self._sigma(shape)
        if off_centre(sigma) >= NEXT_LEVEL:
            return None
        return (
            f"expected images on which the scaled blur reaches the next pixel, got {size(shape)} (sigma {sigma:.3g} px)"
        )

    def _sigma(self, shape: tuple[int, ...]) -> float:
        return constants(_SIGMA, self.severity, shape) * length_scale(shape)
