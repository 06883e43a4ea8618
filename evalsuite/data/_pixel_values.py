"""Which value of an array of images is white, and what makes that doubtful."""

from evalsuite.errors import RefusedInputError

_DARK = 16
"""Digits of scikit-learn end at 16, masks at 1: 8-bit images that end so low were hardly meant to."""


def check_white(highest: float, where: str, *, eight_bit: bool, way_out: str) -> None:
    """Make sure that images are not so dark that another value is likely to be white.

    Args:
        highest: Of all values.
        where: Which images, for messages.
        eight_bit: Whether 255 is taken for white; else 1 is.
        way_out: What to do about it, for messages.

    Raises:
        RefusedInputError: All of 8-bit values are at most 16, or all others at most 1/255: divided by 255 once more.
    """
    # float32's 1/255 lies a little above the quotient
    white, least = (255, _DARK) if eight_bit else (1, 1.0001 / 255)
    if 0 < highest <= least:
        raise RefusedInputError(
            f"expected values of {where} up to about {white}, which is white in {'uint8' if eight_bit else 'floats'}, "
            f"got none above {highest:.4g}: {way_out}"
        )
