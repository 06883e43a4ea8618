"""Section: sample images as the tasks show them."""

from dataclasses import dataclass
from typing import final

from typing_extensions import override

from evalsuite.report.content.index import Index
from evalsuite.report.content.pictures import EmbeddedPicture, Picture, check_png, embedded
from evalsuite.report.figures.losses import chosen
from evalsuite.report.sections._base import Contents, Section, Values

_A_ROW = 3


@final
@dataclass(frozen=True, kw_only=True)
class PictureGroup:
    """Pictures under one heading: a kind of tasks, or several kinds that have few."""

    kind: str
    pictures: tuple[EmbeddedPicture, ...]


@final
@dataclass(frozen=True)
class Pictures(Section):
    """What the tasks look like."""

    id = "pictures"
    title = "What the tasks look like"
    order = 40

    @override
    def values(self, contents: Contents) -> Values:
        return {"left_out": contents.pictures_left_out, "groups": _groups(contents.index, contents.pictures)}


def _groups(index: Index, pictures: tuple[Picture, ...]) -> tuple[PictureGroup, ...]:
    """Pictures by kind, of the tasks that have a panel."""
    by_task: dict[str, list[Picture]] = {}
    for picture in pictures:
        check_png(picture)
        by_task.setdefault(picture.task, []).append(picture)
    groups = [
        PictureGroup(
            kind=group.kind,
            pictures=tuple(
                embedded(picture, title=task.name, note=task.note or "")
                for task in chosen(index, group)
                for picture in by_task.get(task.name, ())
            ),
        )
        for group in index.groups
    ]
    few = [group for group in groups if 0 < len(group.pictures) < _A_ROW]
    many = [group for group in groups if len(group.pictures) >= _A_ROW]
    shared = PictureGroup(
        kind=", ".join(group.kind for group in few), pictures=tuple(each for group in few for each in group.pictures)
    )
    return (*([shared] if few else []), *many)
