"""Puts the normalisation of images in front of a network, and records who chose it.

One rule for every front door: a network is normalised by what its file records, else by what the user says, else by the
custom of the library whose network it is, and else not at all. Nothing is derived from the data unless the user asks
for it: the judged network must not depend on which examples happen to lie beside it.
"""

import math
from dataclasses import replace
from typing import Final

from torch import nn

from evalsuite.errors import UsageError
from evalsuite.interpretation import Basis, Interpretation
from evalsuite.networks.architectures.input_convention import IMAGENET_MEAN, IMAGENET_STD
from evalsuite.networks.checkpoints.input_normalisation import words
from evalsuite.networks.normalized import Normalized

Statistics = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and standard deviation of each channel, of images in [0, 1]."""
TOPIC: Final = "normalisation"
OPTION: Final = "--normalise none|data|imagenet|MEAN/STD"
_IMAGENET: Final = (IMAGENET_MEAN, IMAGENET_STD)


def statistics_for(rule: str, data: Statistics, channels: int) -> Statistics:
    """Mean and standard deviation that `rule` stands for.

    Args:
        rule: "none", "data", "imagenet", or numbers in [0, 1] as `0.13/0.31` or `0.48,0.46,0.41/0.23,0.22,0.23`: one
            for all channels or one each.
        data: The statistics of the data set, for "data".
        channels: Of the images.

    Raises:
        UsageError: `rule` is none of these, or has another number of channels.
    """
    if rule == "none":
        return (0.0,) * channels, (1.0,) * channels
    if rule == "data":
        return data
    if rule == "imagenet":
        return _in_grey(_IMAGENET) if channels == 1 else _IMAGENET
    mean, slash, std = rule.partition("/")
    parts = [_numbers(text, rule) for text in (mean, std)] if slash else []
    if len(parts) != 2 or any(len(part) not in {1, channels} for part in parts):
        raise UsageError(
            f"--normalise: expected none, data, imagenet or MEAN/STD with one number or {channels} each "
            f"(0.13/0.31), got {rule!r}"
        )
    centre, spread = (part * channels if len(part) == 1 else part for part in parts)
    if max((*centre, *spread)) > 1 or min(centre) < 0 or min(spread) <= 0:
        scaled = "/".join(",".join(f"{number / 255:.4g}" for number in part) for part in (centre, spread))
        hint = f"; images are in [0, 1], so numbers in units of 255 are {scaled} here" if max(centre) > 1 else ""
        raise UsageError(f"--normalise: expected means in [0, 1] and deviations in (0, 1], got {rule!r}{hint}")
    return centre, spread


def in_front(
    network: nn.Module, rule: str | None, data: Statistics, channels: int
) -> tuple[Normalized, Interpretation]:
    """A network that was made in Python, normalised as the user says, and what was taken.

    One that evalsuite itself normalised says how; of any other, nothing is known unless the user says it.

    Raises:
        UsageError: The network says how it is normalised, and the user says something else.
    """
    if isinstance(network, Normalized):
        check_not_contradicted(network, rule, data)
        return network, _reading(network, "recorded", "part of the network")
    mean, std = statistics_for(rule or "none", data, channels)
    normalized = Normalized(network, mean, std)
    if rule is None:
        return normalized, _reading(normalized, "assumed", "a network in Python takes images in [0, 1] unless told")
    return normalized, _reading(normalized, "given", f"normalise {rule}")


def check_not_contradicted(network: Normalized, rule: str | None, data: Statistics) -> None:
    """Refuse a rule that says something else than what a network brings along.

    Raises:
        UsageError: Both are told.
    """
    if rule is None:
        return
    mean, std = statistics_for(rule, data, len(network.mean))
    pairs = zip((*network.mean.tolist(), *network.std.tolist()), (*mean, *std), strict=True)
    if not all(math.isclose(one, other, rel_tol=1e-4, abs_tol=1e-6) for one, other in pairs):
        raise UsageError(
            f"--normalise {rule}: expected what the network itself records ({in_words(network)}), "
            f"got {words((mean, std))}; leave the option out"
        )


def as_parent(reading: Interpretation) -> Interpretation:
    """The reading of a candidate that was normalised as its parent, since neither file nor user says how."""
    return replace(reading, reason="as the parent; the file does not say", option=OPTION)


def in_words(network: Normalized) -> str:
    """By which numbers `network` normalises."""
    return words((network.mean.tolist(), network.std.tolist()))


def _reading(network: Normalized, basis: Basis, reason: str) -> Interpretation:
    return Interpretation(topic=TOPIC, value=in_words(network), basis=basis, reason=reason, option=OPTION)


def _in_grey(statistics: Statistics) -> Statistics:
    mean, std = statistics
    return (sum(mean) / len(mean),), (sum(std) / len(std),)


def _numbers(text: str, rule: str) -> tuple[float, ...]:
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = (math.nan,)
    if not all(math.isfinite(value) for value in values):
        raise UsageError(f"--normalise: expected none, data, imagenet or MEAN/STD (0.13/0.31), got {rule!r}")
    return values
