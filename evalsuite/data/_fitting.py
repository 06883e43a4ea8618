"""Decides which size the images of a data set of photos have, and whether photos are resized for it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, final, get_args

from evalsuite.data._photos import Fit
from evalsuite.data._preparation import CROP, Interpolation, Preparation, Wanted
from evalsuite.data._survey import Header, common_size
from evalsuite.errors import UsageError
from evalsuite.interpretation import Interpretation

_KINDS: Final[tuple[Interpolation, ...]] = get_args(Interpolation)


@final
@dataclass(frozen=True, kw_only=True)
class Fitting:
    """How photos become images of one size, and why.

    Attributes:
        size: Height and width of an image, in pixels.
        fit: As of `Photos`.
        preparation: Everything else.
        readings: What was decided, and on what ground.
    """

    size: int
    fit: Fit
    preparation: Preparation
    readings: tuple[Interpretation, ...]


def fitting(
    headers: Sequence[Header], path: Path, *, user: Wanted, network: Wanted, preparation: Preparation
) -> Fitting:
    """Decide on size and resizing: what the user says, else what the network is used to, else what the photos tell.

    It is decided for all photos alike: either each has the size already, or each is resized and cropped.

    Args:
        headers: Of the photos.
        path: Of the folder, for messages.
        user: What the options say.
        network: What the network is used to.
        preparation: What is decided already; size, crop and interpolation are put in.

    Raises:
        UsageError: Nobody tells the size, or there is no such interpolation.
    """
    shared = common_size(headers)
    size, size_reading = _size(headers, shared, path, user, network)
    if shared == size and user.crop is None:
        reading = Interpretation(
            topic="resizing",
            value=f"none: all {len(headers)} photos that were looked at have {size} x {size} pixels",
            basis="measured",
            option="?crop=SHARE",
        )
        return Fitting(size=size, fit="keep", preparation=preparation, readings=(size_reading, reading))
    prepared = replace(
        preparation,
        crop=user.crop or network.crop or CROP,
        interpolation=_interpolation(user.interpolation or network.interpolation or "bilinear"),
    )
    readings = (size_reading, _resizing(headers, size, prepared, user, network))
    return Fitting(size=size, fit="resize", preparation=prepared, readings=readings)


def _size(
    headers: Sequence[Header], shared: int | None, path: Path, user: Wanted, network: Wanted
) -> tuple[int, Interpretation]:
    topic, option = "image size", "?size=PIXELS"
    if user.size is not None:
        return user.size, Interpretation(topic=topic, value=_pixels(user.size), basis="given", reason="?size=")
    if network.size is not None:
        value, reason = _pixels(network.size), "what the network takes"
        if shared not in {None, network.size}:
            reason += f"; the photos have {shared} x {shared}"
            option = f"?size={shared}"
        return network.size, Interpretation(topic=topic, value=value, basis=network.basis, reason=reason, option=option)
    if shared is not None:
        reason = "that of all photos; nothing tells the network's"
        return shared, Interpretation(topic=topic, value=_pixels(shared), basis="assumed", reason=reason, option=option)
    raise UsageError(
        f"expected ?size=PIXELS behind folder:{path}, since no network tells the size of its images and photos have "
        f"others, got {_sizes(headers)}"
    )


def _resizing(
    headers: Sequence[Header], size: int, prepared: Preparation, user: Wanted, network: Wanted
) -> Interpretation:
    same = sum(header.size == (size, size) for header in headers)
    value = (
        f"the shorter side to {prepared.resized(size)} pixels ({prepared.interpolation}), of which the centre of "
        f"{size} is kept (crop {prepared.crop:.4g}); {same} of {len(headers)} photos have {size} x {size} already"
    )
    option = f"?crop=SHARE&interpolation={'|'.join(_KINDS)}"
    if user.crop is not None and user.interpolation is not None:
        return Interpretation(topic="resizing", value=value, basis="given", reason="?crop= and ?interpolation=")
    if network.crop is not None or network.interpolation is not None:
        reason = "what the network is used to"
        return Interpretation(topic="resizing", value=value, basis=network.basis, reason=reason, option=option)
    reason = "the custom for ImageNet (Krizhevsky et al. 2012), as torchvision's networks have it"
    return Interpretation(topic="resizing", value=value, basis="assumed", reason=reason, option=option)


def _interpolation(name: str) -> Interpolation:
    if name not in _KINDS:
        raise UsageError(f"expected interpolation to be one of {', '.join(_KINDS)}, got {name!r}")
    return name


def _pixels(size: int) -> str:
    return f"{size} x {size} pixels"


def _sizes(headers: Sequence[Header]) -> str:
    sizes = sorted({header.size for header in headers}, key=lambda size: size[0] * size[1])
    if not sizes:
        return "no photo that can be read"
    smallest, largest = (f"{width} x {height}" for width, height in (sizes[0], sizes[-1]))
    return f"{smallest} in all" if len(sizes) == 1 else f"{len(sizes)} sizes from {smallest} to {largest}"
