"""Saturate: colours made paler or stronger."""

from dataclasses import dataclass
from typing import ClassVar, Final, final

from torch import Tensor
from typing_extensions import override

from evalsuite.corruptions._base import Corruption
from evalsuite.corruptions._blocks import in_blocks
from evalsuite.corruptions._constants import Table, check_severity, constants
from evalsuite.corruptions._hsv import to_hsv, to_rgb
from evalsuite.corruptions._levels import levels, raise_refusal, truncated

_LARGE: Final = ((0.3, 0.0), (0.1, 0.0), (2.0, 0.0), (5.0, 0.1), (20.0, 0.2))
_FACTOR_AND_SHIFT: Final[Table[tuple[float, float]]] = {
    32: ((0.3, 0.0), (0.1, 0.0), (1.5, 0.0), (2.0, 0.1), (2.5, 0.2)),
    64: ((0.3, 0.0), (0.1, 0.0), (2.0, 0.0), (5.0, 0.1), (30.0, 0.2)),
    224: _LARGE,
    299: _LARGE,
}


@final
@dataclass(frozen=True, kw_only=True)
class Saturate(Corruption):
    """Saturation multiplied and shifted in HSV (Hendrycks and Dietterich 2019, appendix B: validation corruptions).

    Attributes:
        severity: 1 to 5; 1 and 2 fade the colours (x 0.3, x 0.1), 3 to 5 strengthen them (up to x 2.5 + 0.2 at 32 px).
    """

    group: ClassVar[str] = "extra"
    severity: int

    def __post_init__(self) -> None:
        check_severity(self.severity)

    @override
    @in_blocks
    def __call__(self, images: Tensor, keys: Tensor) -> Tensor:
        raise_refusal(self.unsupported_reason((images.shape[1], images.shape[2], images.shape[3])))
        factor, shift = constants(_FACTOR_AND_SHIFT, self.severity, images.shape)
        hue, saturation, value = to_hsv(levels(images) / 255)
        return truncated(to_rgb(hue, (saturation * factor + shift).clamp_(0, 1), value))

    @override
    def unsupported_reason(self, shape: tuple[int, int, int]) -> str | None:
        return (
            None if shape[0] == 3 else f"expected images with 3 channels, since gray has no saturation, got {shape[0]}"
        )
