"""Pictures of the page: strips of sample images as PNG files, embedded."""

import base64
from dataclasses import dataclass
from typing import final

from evalsuite.errors import UsageError
from evalsuite.report.content import formats

EXEMPLARS = "exemplars/"
"""What the name of a picture begins with that shows exemplars; the population's name follows."""
_PNG = b"\x89PNG\r\n\x1a\n"


@final
@dataclass(frozen=True, kw_only=True)
class Picture:
    """A strip of sample images as a task shows them to a network.

    Attributes:
        task: Name of the task, or `EXEMPLARS` and the name of a population.
        png: The strip as a PNG file.
    """

    task: str
    png: bytes


@final
@dataclass(frozen=True, kw_only=True)
class EmbeddedPicture:
    """A picture as the page holds it; sizes in pixels of the PNG."""

    task: str
    note: str
    width: int
    height: int
    source: str


def check_png(picture: Picture) -> None:
    """Make sure that a picture is a PNG file.

    Raises:
        UsageError: It is not.
    """
    if not picture.png.startswith(_PNG) or len(picture.png) < 24:
        raise UsageError(f"expected a PNG file as picture of {picture.task!r}, got {picture.png[:8]!r}")


def embedded(picture: Picture, *, title: str, note: str = "") -> EmbeddedPicture:
    """The picture under a title, which stands between backticks."""
    # the header chunk follows the signature: length, "IHDR", width, height
    width, height = (int.from_bytes(picture.png[k : k + 4]) for k in (16, 20))
    source = f"data:image/png;base64,{base64.b64encode(picture.png).decode()}"
    return EmbeddedPicture(task=formats.name(title), note=note, width=width, height=height, source=source)
