"""Decides by which mean and standard deviation images are normalised: the file's, the user's or the library's."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from evalsuite.errors import RefusedInputError, UsageError
from evalsuite.interpretation import Basis, Interpretation
from evalsuite.networks.architectures.input_convention import Convention
from evalsuite.networks.checkpoints.extras import Statistics

_OPTION: Final = "--normalise none|data|imagenet|MEAN/STD"
_TOPIC: Final = "normalisation"


def normalisation(
    path: Path,
    recorded: Mapping[str, Statistics],
    *,
    given: Statistics | None,
    handed_in: Statistics | None,
    convention: Convention,
    channels: int,
) -> tuple[Statistics, Interpretation]:
    """Mean and standard deviation per channel, for images in [0, 1], and where they come from.

    In this order: what the user gives, what the file records, what the caller hands in, the library's custom, none.

    Args:
        path: The file, for messages.
        recorded: Statistics that stand beside the weights, by name.
        given: By the user, who knows.
        handed_in: By the caller, e.g. those of the data set; taken only where the file records none.
        convention: Of the architecture's library.
        channels: Of the images.

    Raises:
        UsageError: What is given does not fit the images.
        RefusedInputError: What the file records contradicts itself, or is not for images in [0, 1].
    """
    if given is not None:
        statistics = _for_channels(given, channels)
        other = next((each for each in recorded.values() if words(each) != words(statistics)), None)
        reason = "" if other is None else f"and not {words(other)}, which the file records"
        return statistics, _interpretation(statistics, "given", reason)
    if recorded:
        names = ", ".join(map(repr, recorded))
        statistics = _for_channels(_spread(_recorded(path, recorded), channels), channels)
        return statistics, _interpretation(statistics, "recorded", f"{names} beside the weights")
    if handed_in is not None:
        statistics = _for_channels(handed_in, channels)
        return statistics, _interpretation(statistics, "assumed", "the file records none; these were handed in")
    if convention.mean is not None and convention.std is not None:
        statistics = _gray((convention.mean, convention.std), channels)
        basis: Basis = "recorded" if convention.published else "assumed"
        return _for_channels(statistics, channels), _interpretation(statistics, basis, convention.reason)
    nothing = (0.0,) * channels, (1.0,) * channels
    return nothing, _interpretation(nothing, "assumed", "neither the file nor an option says otherwise")


def built_in(mean: Sequence[float], std: Sequence[float], given: Statistics | None, reason: str) -> Interpretation:
    """For a network that brings its normalisation along, as a part: doubtful where the user says another one.

    Args:
        mean: Of the network.
        std: Likewise.
        given: By the user.
        reason: What brings it.
    """
    statistics = tuple(mean), tuple(std)
    if given is None or words(given) == words(statistics):
        return _interpretation(statistics, "recorded", reason)
    return _interpretation(statistics, "doubtful", f"{reason}; {words(given)}, as said, is not taken")


def words(statistics: tuple[Sequence[float], Sequence[float]]) -> str:
    """Mean and standard deviation to four digits; "none" for 0 and 1."""
    mean, std = statistics
    if not any(mean) and all(each == 1 for each in std):
        return "none: images in [0, 1] as they are"
    return f"mean {_numbers(mean)}, std {_numbers(std)}"


def _interpretation(statistics: Statistics, basis: Basis, reason: str) -> Interpretation:
    return Interpretation(topic=_TOPIC, value=words(statistics), basis=basis, reason=reason, option=_OPTION)


def _recorded(path: Path, recorded: Mapping[str, Statistics]) -> Statistics:
    first, *others = recorded.values()
    if any(other != first for other in others):
        listed = "; ".join(f"{name!r}: {words(each)}" for name, each in recorded.items())
        raise RefusedInputError(f"expected one normalisation beside the weights, got {listed}: {path}; say {_OPTION}")
    mean, std = first
    if all(0 <= each <= 1 for each in mean) and all(0 < each <= 1 for each in std):
        return first
    hint = "say --normalise MEAN/STD in units of [0, 1]"
    if all(0 <= each <= 255 for each in mean) and all(0 < each <= 255 for each in std):
        hint = f"where they count from 0 to 255, say --normalise {_numbers(mean, 255)}/{_numbers(std, 255)}"
    raise RefusedInputError(
        "expected a mean in [0, 1] and a standard deviation in (0, 1] beside the weights, as images are in [0, 1], "
        f"got mean {_numbers(mean)} and std {_numbers(std)}: {path}; {hint}"
    )


def _spread(statistics: Statistics, channels: int) -> Statistics:
    """One number for all channels, as torch's broadcasting has it."""
    mean, std = (each * channels if len(each) == 1 else each for each in statistics)
    return mean, std


def _for_channels(statistics: Statistics, channels: int) -> Statistics:
    mean, std = statistics
    if len(mean) != channels or len(std) != channels:
        raise UsageError(f"expected mean and std for {channels} channels, got {mean} and {std}")
    return mean, std


def _gray(statistics: Statistics, channels: int) -> Statistics:
    """The custom of colour networks, for one whose first layer takes gray."""
    mean, std = statistics
    return ((sum(mean) / 3,), (sum(std) / 3,)) if channels == 1 and len(mean) == len(std) == 3 else statistics


def _numbers(values: Sequence[float], scale: float = 1) -> str:
    return ",".join(f"{each / scale:.4g}" for each in values)
