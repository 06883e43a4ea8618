"""Decides which value of an array of images is white, and says what makes that doubtful."""

from typing import Final

from evalsuite.errors import RefusedInputError
from evalsuite.interpretation import Interpretation

TOPIC: Final = "pixel values"
_DARK = 16
"""Digits of scikit-learn end at 16, masks at 1: 8-bit images that end so low were hardly meant to."""
_BRIGHT: Final = 200 / 255
"""What photos nearly always reach, as a share of white: below it, white may be another value, such as 127 or 100."""


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


def white_taken(highest: float, white: int, kind: str, option: str) -> Interpretation:
    """That `white` is white, as values of a type have it; only assumed where no value comes near it.

    Args:
        highest: Of all values of all images.
        white: 255 or 1.
        kind: The type of the values, e.g. "uint8".
        option: What to type where another value is white; empty where nothing can be typed.
    """
    value = f"{white} is white"
    if highest < _BRIGHT * white:
        reason = f"as {kind} has it, but the highest value of all images is {highest:.4g}"
        return Interpretation(topic=TOPIC, value=value, basis="assumed", reason=reason, option=option)
    return Interpretation(topic=TOPIC, value=value, basis="recorded", reason=kind)
