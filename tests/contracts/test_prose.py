"""Prose of the documents is wrapped, and what the bookshelf says of the sources is so."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted(ROOT.glob("docs/**/*.md")),
]
WIDTH = 120
ARCHITECTURE = ROOT / "docs" / "architecture.md"


def prose(text: str) -> Iterator[str]:
    """Lines that are neither code nor tables nor one link that cannot be broken."""
    fenced = False
    for line in text.splitlines():
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif not (fenced or line.startswith(("|", "    ", "![", "<")) or re.fullmatch(r"\W*\[.*\]\(\S+\)\W*", line)):
            yield line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_prose_is_wrapped(page: Path) -> None:
    assert [line for line in prose(page.read_text(encoding="utf-8")) if len(line) > WIDTH] == []


def test_long_lines_are_noticed() -> None:
    line = "word " * 30
    assert list(prose(f"{line}\n| {line}\n```\n{line}\n```\n[{line}](docs/page.md)\n")) == [line]


def layers() -> list[str]:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    (rooms,) = [each["layers"] for each in contracts if each.get("containers") == ["evalsuite"]]
    return [" | ".join(sorted(layer.split(" | "))) for layer in rooms]


def test_the_architecture_shows_the_layers_that_are_checked() -> None:
    diagram = re.findall(r"^ ?\d+ +(.*)$", ARCHITECTURE.read_text(encoding="utf-8"), re.MULTILINE)
    shown = [re.findall(r"[a-z]+", re.split(r"\s{8,}", line)[0]) for line in diagram]
    assert [" | ".join(sorted(rooms)) for rooms in shown] == layers()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_are_named_are_there(page: Path) -> None:
    if page.name == "CHANGELOG.md":  # tells what was
        return
    text = page.read_text(encoding="utf-8")
    example = "".join(re.findall(r"^# ([a-z_/]+)\.py$", text, re.MULTILINE)).split("/")[-1]
    for name in re.findall(r"`((?:evalsuite|pruners|neuralnets|tests|docs)/[\w./-]*)`", text):
        if not example or example not in name:  # where the page's own example would stand
            assert (ROOT / name).exists(), name


def test_functions_of_the_walk_stand_where_it_says() -> None:
    named = re.findall(
        r"((?:`\w+`(?:, | and )?)+)\s+(?:in|of)\s+`(evalsuite/[\w/]+\.py)`", ARCHITECTURE.read_text(encoding="utf-8")
    )
    assert len(named) > 14
    for functions, file in named:
        text = (ROOT / file).read_text(encoding="utf-8")
        for function in re.findall(r"\w+", functions.replace(" and ", " ")):
            assert re.search(rf"^ *(?:def|class) {function}\b", text, re.MULTILINE), f"{function} in {file}"


def test_every_room_is_on_the_map() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rooms = re.findall(r"^\| `([a-z/]+/)` \|", text, re.MULTILINE)
    folders = [f"{path.parent.relative_to(ROOT)}/" for path in ROOT.glob("evalsuite/*/__init__.py")]
    assert sorted(rooms) == sorted([*folders, "pruners/", "neuralnets/"])


def test_every_kind_has_its_story() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    pages = {path.name for path in (ROOT / "docs" / "extending").glob("*.md")} - {"README.md"}
    assert set(re.findall(r"\(docs/extending/([a-z-]+\.md)\)", text)) == pages


def test_every_decision_is_listed_and_has_its_three_parts() -> None:
    folder = ROOT / "docs" / "decisions"
    files = sorted(folder.glob("[0-9]*.md"))
    listed = re.findall(r"\((\d{4}-.*\.md)\)", (folder / "README.md").read_text(encoding="utf-8"))
    assert listed == [path.name for path in files]
    for path in files:
        assert re.findall(r"^## (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE) == [
            "Context",
            "Choice",
            "Rejected",
        ]
