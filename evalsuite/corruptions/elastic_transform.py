"""Elastic transform: a random affine map, then every pixel displaced by a smooth random field."""

from dataclasses import dataclass
from typing import ClassVar, Final, Literal, final

import torch
from torch import Tensor
from torch.nn import functional as F
from typing_extensions import override

from evalsuite.corruptions._base import Corruption
from evalsuite.corruptions._blocks import in_blocks
from evalsuite.corruptions._constants import Table, check_severity, constants, length_scale, table_side
from evalsuite.corruptions._gaussian import smooth
from evalsuite.corruptions._levels import levels, raise_refusal, size, truncated
from evalsuite.randomness import fold, uniform

_LARGE: Final = ((2, 0.7, 0.1), (2, 0.08, 0.2), (0.05, 0.01, 0.02), (0.07, 0.01, 0.02), (0.12, 0.01, 0.02))
_ALPHA_SIGMA_AFFINE: Final[Table[tuple[float, float, float]]] = {
    32: ((0, 0, 0.08), (0.05, 0.2, 0.07), (0.08, 0.06, 0.06), (0.1, 0.04, 0.05), (0.1, 0.03, 0.03)),
    64: ((0, 0, 0.08), (0.05, 0.3, 0.06), (0.1, 0.08, 0.06), (0.1, 0.03, 0.03), (0.16, 0.03, 0.02)),
    224: _LARGE,
    299: _LARGE,
}
_UNIT: Final = {32: 32, 64: 64, 224: 244, 299: 360}
"""Pixels that the constants are multiples of; 244 is what the published generator has, not 224."""


@final
@dataclass(frozen=True, kw_only=True)
class ElasticTransform(Corruption):
    """Simard, Steinkraus and Platt 2003, with an affine map before it (Hendrycks and Dietterich 2019, section 3).

    Attributes:
        severity: 1 to 5; at 32 px the affine jitter is 2.6 down to 1 px and the field is absent at severity 1.
            Not monotone in difficulty.
    """

    group: ClassVar[str] = "digital"
    moves: ClassVar[bool] = True
    severity: int

    def __post_init__(self) -> None:
        check_severity(self.severity)

    @override
    @in_blocks
    def __call__(self, images: Tensor, keys: Tensor) -> Tensor:
        raise_refusal(self.unsupported_reason((images.shape[1], images.shape[2], images.shape[3])))
        alpha, sigma, jitter = constants(_ALPHA_SIGMA_AFFINE, self.severity, images.shape)
        unit = _UNIT[table_side(images.shape)] * length_scale(images.shape)
        height, width = images.shape[-2:]
        keys = keys.to(images.device)
        # the published generator stores the image in float32 between the two maps
        values = levels(images).div_(255).float()
        down, right = _affine(_jitter(keys, jitter * unit), height, width)
        values = _sample(values, down, right, "reflect101")
        if alpha == 0:
            return truncated(values)
        field = uniform(fold(keys, 1), (2, height, width), dtype=torch.float64).mul_(2).sub_(1)
        across, along = (smooth(field, sigma * unit, 3.0) * (alpha * unit)).float().double().unbind(1)
        down, right = _grid(height, width, images.device)
        return truncated(_sample(values, down + along, right + across, "reflect"))

    @override
    def unsupported_reason(self, shape: tuple[int, int, int]) -> str | None:
        return None if min(shape[1:]) >= 3 else f"expected images of at least 3x3, got {size(shape)}"


def _jitter(keys: Tensor, reach: float) -> Tensor:
    """Displacement (x, y) in pixels of three points, (n, 3, 2), float32 as in the published generator."""
    return uniform(fold(keys, 0), (3, 2), dtype=torch.float64).mul_(2).sub_(1).mul_(reach).float()


def _grid(height: int, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    rows = torch.arange(height, device=device, dtype=torch.float64)[:, None].expand(height, width)
    columns = torch.arange(width, device=device, dtype=torch.float64).expand(height, width)
    return rows, columns


def _affine(jitter: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Where each pixel comes from, (row, column), under the map that moves three points by `jitter`, (n, 3, 2).

    The points are corners of a square about the centre, a third of the image away: lower right, upper right
    and upper left. Their images span the map's two columns; a map that folds the plane is taken as OpenCV does,
    with an inverse of zero.
    """
    third = min(height, width) // 3
    x, y = width // 2, height // 2
    corners = torch.tensor([[x + third, y + third], [x + third, y - third], [x - third, y - third]])
    lower, upper, left = (corners.to(jitter.device).float() + jitter).double().unbind(1)
    along_x, along_y = (upper - left) / (2 * third), (lower - upper) / (2 * third)
    area = along_x[:, 0] * along_y[:, 1] - along_x[:, 1] * along_y[:, 0]
    inverse = torch.where(area == 0, 0.0, 1 / area)[:, None, None]
    rows, columns = _grid(height, width, jitter.device)
    off_x = columns - upper[:, 0, None, None]
    off_y = rows - upper[:, 1, None, None]
    part_x = (off_x * along_y[:, 1, None, None] - off_y * along_y[:, 0, None, None]) * inverse
    part_y = (off_y * along_x[:, 0, None, None] - off_x * along_x[:, 1, None, None]) * inverse
    return y - third + part_y, x + third + part_x


def _sample(values: Tensor, down: Tensor, right: Tensor, border: Literal["reflect", "reflect101"]) -> Tensor:
    """Bilinear reading of (n, c, h, w) at (n, h, w) places; computed in float64, kept in float32."""
    height, width = values.shape[-2:]
    # torch numbers places from -1 to 1, counted from pixel centres or from the outer edges of the border pixels,
    # and mirrors at the same lines
    centres = border == "reflect101"
    if centres:
        grid = torch.stack((right * (2 / (width - 1)) - 1, down * (2 / (height - 1)) - 1), dim=-1)
    else:
        grid = torch.stack(((2 * right + 1) / width - 1, (2 * down + 1) / height - 1), dim=-1)
    read = F.grid_sample(values.double(), grid, mode="bilinear", padding_mode="reflection", align_corners=centres)
    return read.float()
