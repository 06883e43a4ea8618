"""The contract of a section of the page: a title, when it applies, and the values that its template shows."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, final

from markupsafe import Markup

from evalsuite.report.content.index import Index
from evalsuite.report.content.pictures import Picture
from evalsuite.report.content.templates import template_of

Values = Mapping[str, object]
"""What a template shows, by the names by which it shows it: texts, numbers, and objects with named fields."""


@final
@dataclass(frozen=True, kw_only=True)
class Contents:
    """What all sections are made from.

    Attributes:
        index: The results, looked up.
        pictures: Strips of sample images.
        pictures_left_out: How many are not shown, since the page would be too large.
        with_cells: Whether there is room for the table of all cells.
    """

    index: Index
    pictures: tuple[Picture, ...] = ()
    pictures_left_out: int = 0
    with_cells: bool = True


class Section(ABC):
    """A section of the page. Concrete subclasses are frozen dataclasses, each in a file of the template's name.

    Attributes:
        id: The anchor that links lead to.
        title: Its heading, also in the navigation.
        order: Sections stand in increasing order.
    """

    id: ClassVar[str]
    title: ClassVar[str]
    order: ClassVar[int]

    def applies(self, contents: Contents) -> bool:
        """Whether there is anything to show."""
        del contents
        return True

    @abstractmethod
    def values(self, contents: Contents) -> Values:
        """What the template shows, beside `id` and `title`."""

    @final
    def render(self, contents: Contents) -> Markup:
        """The section as HTML."""
        text = template_of(type(self)).render(id=self.id, title=self.title, **self.values(contents))
        return Markup(text)  # noqa: S704 - templates escape what they show
