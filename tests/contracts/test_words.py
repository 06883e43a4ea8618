"""Values are named by what they are: words that say nothing of it are refused as identifiers, everywhere."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("evalsuite", "pruners", "neuralnets", "tests", "benchmarks", "fuzz", "examples")
REFUSED = {"asked", "found", "known", "of", "own", "said", "seen", "told"}
PUBLISHED = {("evalsuite/records/schema.py", "of")}
"""Keys of results.json, which readers of earlier runs know."""


def defined(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Every name that a file gives to something, with its line."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name, node.lineno
            case ast.arg(arg=name) | ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield name, node.lineno
            case ast.alias(asname=str(name)) | ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)):
                yield name, node.lineno


def refused(tree: ast.AST, file: str = "") -> list[str]:
    return [
        f"{file}:{line}: {name}"
        for name, line in defined(tree)
        if name.strip("_").lower() in REFUSED and (file, name) not in PUBLISHED
    ]


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_identifier_is_a_word_that_says_nothing(folder: str) -> None:
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files
    assert [
        line
        for file in files
        for line in refused(ast.parse(file.read_text(encoding="utf-8")), file.relative_to(ROOT).as_posix())
    ] == []


@pytest.mark.parametrize(
    "code",
    [
        "found = 1",
        "def f(own): ...",
        "def told(): ...",
        "class Asked: ...",
        "for of in x: ...",
        "self._known = 1",
        "import x as seen",
        "[y for said in x]",
        "with x as found: ...",
        "if (found := x): ...",
    ],
)
def test_every_way_to_name_a_value_is_looked_at(code: str) -> None:
    assert len(refused(ast.parse(code))) == 1
