"""Which normalisation stands before a network, and who says so.

One rule for every front door: a network is normalised by what its file records, else by what the user says, else by the
custom of the library whose network it is, and else not at all. Nothing is derived from the data unless the user asks
for it: the judged network must not depend on which examples happen to lie beside it.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from evalsuite.errors import UsageError
from evalsuite.interpretation import Interpretation
from evalsuite.networks._convention import IMAGENET_MEAN, IMAGENET_STD
from evalsuite.networks.checkpoint import Checkpoint
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


def apply(checkpoint: Checkpoint, rule: str | None, data: Statistics) -> Checkpoint:
    """`checkpoint` with the normalisation that the rule above gives it, and with a reading that says which and why.

    Args:
        checkpoint: As read: normalised by what its file records or by its library's custom, else not.
        rule: What the user says (see `statistics_for`); None where they say nothing.
        data: The statistics of the data set.

    Raises:
        UsageError: The file describes itself, and the user says something else.
    """
    recorded = next((each for each in checkpoint.interpretations if each.topic == TOPIC), None)
    if rule is None:
        return checkpoint if recorded is not None else with_reading(checkpoint, _unsaid(checkpoint))
    mean, std = statistics_for(rule, data, checkpoint.shape[0])
    if checkpoint.self_describing and not _same(checkpoint.network, mean, std):
        raise UsageError(
            f"--normalise {rule}: expected what the checkpoint itself records ({in_words(checkpoint.network)}), "
            f"got {numbers(mean, std)}; leave the option out"
        )
    network = Normalized(checkpoint.network.network, mean, std).eval()
    reason = f"--normalise {rule}" + (f", instead of {recorded.value}" if recorded is not None else "")
    reading = Interpretation(topic=TOPIC, value=in_words(network), basis="given", reason=reason)
    return with_reading(replace(checkpoint, network=network), reading)


def as_parent(checkpoint: Checkpoint, parent: Normalized) -> Checkpoint:
    """A candidate of which neither file nor user says how it is normalised: as the parent whose descendant it is."""
    network = Normalized(checkpoint.network.network, parent.mean.tolist(), parent.std.tolist()).eval()
    reading = Interpretation(
        topic=TOPIC,
        value=in_words(network),
        basis="assumed",
        reason="as the parent; the file does not say",
        option=OPTION,
    )
    return with_reading(replace(checkpoint, network=network), reading)


def with_reading(checkpoint: Checkpoint, reading: Interpretation) -> Checkpoint:
    """`checkpoint` with `reading` in place of any other of the same topic."""
    others = tuple(each for each in checkpoint.interpretations if each.topic != reading.topic)
    return replace(checkpoint, interpretations=(*others, reading))


def in_words(network: Normalized) -> str:
    """By which numbers `network` normalises."""
    return numbers(network.mean.tolist(), network.std.tolist())


def numbers(mean: Sequence[float], std: Sequence[float]) -> str:
    """A mean and a standard deviation in words; what leaves images as they are is "none"."""
    if not any(mean) and all(each == 1 for each in std):
        return "none: images in [0, 1] as they are"
    centre, spread = (_shortest(part) for part in (mean, std))
    return f"mean {centre}, std {spread}"


def _shortest(values: Sequence[float]) -> str:
    texts = [f"{value:.4g}" for value in values]
    return texts[0] if len(set(texts)) == 1 else ",".join(texts)


def _unsaid(checkpoint: Checkpoint) -> Interpretation:
    """What stands where the user says nothing."""
    if checkpoint.self_describing:
        return Interpretation(topic=TOPIC, value=in_words(checkpoint.network), basis="recorded")
    return Interpretation(
        topic=TOPIC,
        value=in_words(checkpoint.network),
        basis="assumed",
        reason="neither the file nor an option says otherwise",
        option=OPTION,
    )


def _same(network: Normalized, mean: Sequence[float], std: Sequence[float]) -> bool:
    pairs = zip((*network.mean.tolist(), *network.std.tolist()), (*mean, *std), strict=True)
    return all(math.isclose(one, other, rel_tol=1e-4, abs_tol=1e-6) for one, other in pairs)


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
