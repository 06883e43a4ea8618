"""Amounts of change in units of the image's range [0, 1], which many write in units of 1/255."""

import math
from typing import Final

_LARGEST: Final = 0.25
"""Root mean square, or mean absolute, change of a pixel that is still a budget: beyond it most images are in reach."""


def check_range(name: str, value: float) -> None:
    """Refuse an amount that is not in (0, 1].

    Raises:
        ValueError: The same amount in units of 255 is told, where that may have been meant.
    """
    if not value > 0:
        raise ValueError(f"expected {name} > 0, got {value:g}")
    if value > 1:
        meant = f": {value:g}/255 is {value / 255:.4g}" if value <= 255 else ""
        raise ValueError(f"expected {name} <= 1, since images are in [0, 1], got {value:g}{meant}")


def check_reach(norm: str, eps: float, shape: tuple[int, int, int]) -> None:
    """Refuse a ball of radius `eps` that holds no small change of images of `shape`.

    Args:
        norm: "linf", "l2" or "l1".
        eps: In units of [0, 1].
        shape: (channels, height, width).

    Raises:
        ValueError: The same budget in units of 255 is told, which may have been meant.
    """
    numbers = math.prod(shape)
    change = {"linf": 0.0, "l2": eps / math.sqrt(numbers), "l1": eps / numbers}[norm]
    if change > _LARGEST:
        raise ValueError(
            f"expected an {norm} budget that is a small change, got {eps:g}, which changes every number of a "
            f"{'x'.join(map(str, shape))} image by {change:.2g} of its range [0, 1]; in units of 255 it would be "
            f"{eps / 255:.4g}"
        )
