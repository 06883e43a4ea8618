"""Validity flags of observations: reasons why a network may only seem to do well, under attack or otherwise."""

from collections.abc import Mapping

import numpy as np

Column = np.ndarray[tuple[int, ...], np.dtype[np.generic]]

NOT_FINITE = -2
"""In place of a class: the outputs held NaN or infinity (`evalsuite.problems.NOT_FINITE`)."""
FLAGS = ("randomised", "softmax output", "optimises at inference")
"""What the bits of the column `flags` mean, in order."""
SIGNS = {
    "zero_gradient": "zero gradients",
    "black_box": "black box beats white box",
    "unbounded": "survives any change of the image",
}
"""Columns that tell of single examples, and what they mean where they are more than a few."""
ODD = "outputs that are not finite"
_CLASSES = ("prediction", "top")
_SHARE = 0.002
_LEAST = 2


def validity_flags(columns: Mapping[str, Column]) -> tuple[str, ...]:
    """Reasons not to trust the observations of a network: outputs that are no numbers, and what attacks have shown.

    One shard with a flag is enough. Signs on single examples count where they are on more than 0.2 % of the examples,
    AutoAttack's threshold for Square, and on at least two.

    Args:
        columns: By name, each (n, ...).
    """
    flags: list[str] = []
    if count := _not_finite(columns):
        flags.append(f"{count} {ODD}")
    if "flags" in columns:
        bits = int(np.bitwise_or.reduce(columns["flags"].astype(np.int64)))
        flags += [flag for bit, flag in enumerate(FLAGS) if bits >> bit & 1]
    for column, meaning in SIGNS.items():
        if column in columns:
            count = int(np.count_nonzero(columns[column]))
            if count >= _LEAST and count > _SHARE * len(columns[column]):
                flags.append(meaning)
    return tuple(flags)


def _not_finite(columns: Mapping[str, Column]) -> int:
    """How many outputs were NaN or infinite, whatever was read off them."""
    classes = (columns[column] == NOT_FINITE for column in _CLASSES if column in columns)
    # an energy is NaN where outputs are probabilities
    numbers = (~np.isfinite(c) for name, c in columns.items() if c.dtype.kind == "f" and not name.endswith("energy"))
    return max((int(np.count_nonzero(odd)) for odd in (*classes, *numbers)), default=0)
