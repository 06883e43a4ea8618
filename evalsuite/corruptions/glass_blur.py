"""Glass blur: pixels shuffled locally between two Gaussian blurs, as through frosted glass."""

from dataclasses import dataclass
from typing import ClassVar, Final, final

import torch
from torch import Tensor
from typing_extensions import override

from evalsuite.corruptions._base import Corruption
from evalsuite.corruptions._blocks import in_blocks
from evalsuite.corruptions._constants import Table, check_severity, constants, length_scale
from evalsuite.corruptions._gaussian import blur
from evalsuite.corruptions._levels import levels, raise_refusal, size, truncated
from evalsuite.randomness import fold, integers

_SIGMA_DELTA_PASSES: Final[Table[tuple[float, int, int]]] = {
    32: ((0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2)),
    64: ((0.1, 1, 1), (0.5, 1, 1), (0.6, 1, 2), (0.7, 2, 1), (0.9, 2, 2)),
    224: ((0.7, 1, 2), (0.9, 2, 1), (1.0, 2, 3), (1.1, 3, 2), (1.5, 4, 2)),
    299: ((0.8, 1, 3), (1.0, 3, 1), (1.1, 2, 4), (1.2, 4, 2), (1.6, 5, 2)),
}


@final
@dataclass(frozen=True, kw_only=True)
class GlassBlur(Corruption):
    """Blur, shuffle, blur (Hendrycks and Dietterich 2019, section 3).

    The published loop means to swap two pixels, but swaps views of one array: the pixel takes its neighbour's colour
    and the neighbour keeps it. Reproduced here, since the published sets were made that way.

    Attributes:
        severity: 1 to 5; pixels move by up to 1 px at 32 px and 1 to 4 px at 224 px.
    """

    group: ClassVar[str] = "blur"
    severity: int

    def __post_init__(self) -> None:
        check_severity(self.severity)

    @override
    @in_blocks
    def __call__(self, images: Tensor, keys: Tensor) -> Tensor:
        raise_refusal(self.unsupported_reason((images.shape[1], images.shape[2], images.shape[3])))
        sigma, delta, passes = constants(_SIGMA_DELTA_PASSES, self.severity, images.shape)
        scale, (height, width) = length_scale(images.shape), images.shape[-2:]
        source = _shuffle(keys.to(images.device), height, width, _reach(delta, scale), passes)
        blurred = truncated(blur(levels(images) / 255, sigma * scale))
        shuffled = levels(blurred).flatten(2).gather(2, source[:, None].expand(-1, images.shape[1], -1))
        return truncated(blur(shuffled.view(images.shape) / 255, sigma * scale))

    @override
    def unsupported_reason(self, shape: tuple[int, int, int]) -> str | None:
        _, delta, _ = constants(_SIGMA_DELTA_PASSES, self.severity, shape)
        least = 2 * _reach(delta, length_scale(shape)) + 1
        return None if min(shape[1:]) >= least else f"expected images of at least {least}x{least}, got {size(shape)}"


def _reach(delta: int, scale: float) -> int:
    return max(1, round(delta * scale))


def _shuffle(keys: Tensor, height: int, width: int, delta: int, passes: int) -> Tensor:
    """Index of the pixel whose colour each pixel ends up with, (n, height * width), int64.

    The loop visits the pixels from the last to the first and overwrites each with a neighbour, so a pixel whose
    neighbour was visited before takes what that one took: a chain of ever later pixels. All chains are
    followed at once by pointer jumping, in as many steps as the longest has binary digits.
    """
    here = torch.arange(height * width, device=keys.device)
    row, column = here // width, here % width
    visited = (row > delta) & (row <= height - delta) & (column > delta) & (column <= width - delta)
    source = here.expand(len(keys), -1)
    for number in range(passes):
        right, down = integers(fold(keys, number), -delta, delta, (2, height * width)).unbind(1)
        neighbour = torch.where(visited, here + down * width + right, here)
        chained = (neighbour > here) & visited[neighbour]
        end = torch.where(chained, neighbour, here)
        while not torch.equal(further := end.gather(1, end), end):
            end = further
        source = source.gather(1, neighbour.gather(1, end))
    return source
