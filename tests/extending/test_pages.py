"""Pages of `docs/extending/`: every example is installed as another's package, and what the page tries holds.

All of them are tried in one child process, since importing torch takes longer than most of them.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from evalsuite.parts.registry import built_in

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "extending"
INDEX = FOLDER / "README.md"
PAGES = sorted(path for path in FOLDER.glob("*.md") if path != INDEX)
LONGEST = 160

TRIAL = """
import json, sys, traceback
failures = {}
for name, code in json.load(open(sys.argv[1])).items():
    try:
        exec(compile(code, name, "exec"), {"__name__": name})
    except BaseException:
        failures[name] = traceback.format_exc()
print(json.dumps(failures))
"""


def blocks(page: Path, language: str) -> list[str]:
    """Fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def module_of(page: Path) -> str:
    """The file that the first line of the example names."""
    first, _, _ = blocks(page, "python")[0].partition("\n")
    assert re.fullmatch(r"# [a-z_/]+\.py", first), f"{page.name}: expected the example to begin with the file's name"
    return first.removeprefix("# ")


def install(page: Path, site: Path) -> None:
    """Write the example, its template and its entry points, as an installer would."""
    file = site / module_of(page)
    file.parent.mkdir(exist_ok=True)
    file.write_text(blocks(page, "python")[0], encoding="utf-8")
    if file.parent != site:
        (file.parent / "__init__.py").touch()
    for template in blocks(page, "html"):
        file.with_suffix(".html").write_text(template, encoding="utf-8")
    facts = site / f"{file.stem}-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {file.stem}\nVersion: 1.0\n", encoding="utf-8")
    points = "".join(blocks(page, "toml"))
    points = re.sub(r'^\[project\.entry-points\."([a-z._]+)"\]$', r"[\1]", points, flags=re.MULTILINE)
    (facts / "entry_points.txt").write_text(points.replace('"', ""), encoding="utf-8")


@pytest.fixture(scope="module")
def failures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The tracebacks of what did not hold, by page."""
    place = tmp_path_factory.mktemp("extending")
    site = place / "site"
    site.mkdir()
    (before,) = blocks(INDEX, "python")
    trials = {}
    for page in PAGES:
        example, *tries = blocks(page, "python") or [""]
        if example and tries:
            install(page, site)
            trials[page.stem] = f"{before}\n{tries[-1]}"
    (place / "trials.json").write_text(json.dumps(trials), encoding="utf-8")
    ended = subprocess.run(
        [sys.executable, "-c", TRIAL, str(place / "trials.json")],
        cwd=place,
        env={**os.environ, "PYTHONPATH": f"{site}{os.pathsep}{ROOT}", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return dict(json.loads(ended.stdout.splitlines()[-1]))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_example_works(failures: dict[str, str], page: Path) -> None:
    assert len(blocks(page, "python")) == 2, "expected an example, and a block that tries it"
    assert "assert " in blocks(page, "python")[1]
    assert page.stem not in failures, failures[page.stem]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_examples_import_public_modules_only(page: Path) -> None:
    imported = re.findall(
        r"^(?:from|import) ((?:evalsuite|pruners|neuralnets)[\w.]*)", "".join(blocks(page, "python")), re.M
    )
    accepted = {"evalsuite", "evalsuite.extend", "pruners"} | (
        {"evalsuite.config.options"} if page.stem == "option" else set()
    )
    assert set(imported) <= accepted


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_answers_what_an_author_asks(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text.index("## Try it") < text.index("## What to test it against")
    assert len(text.splitlines()) <= LONGEST
    for test in re.findall(r"`(tests/[\w/]+(?:\.py|/))", text):
        assert (ROOT / test).exists(), test


def rows() -> list[list[str]]:
    """The cells of the index, without backticks."""
    table = re.findall(r"^\| .*\]\(.*\) \|$", INDEX.read_text(encoding="utf-8"), re.MULTILINE)
    return [[cell.strip().replace("`", "") for cell in row.strip("|").split("|")] for row in table]


def test_the_index_names_every_page_and_folders_that_are_there() -> None:
    assert {re.findall(r"\((.*)\)", page)[0] for *_, page in rows()} == {page.name for page in PAGES}
    for _, folder, group, _ in rows():
        assert (ROOT / folder).exists()
        if group.startswith("evalsuite."):
            assert built_in(folder.rstrip("/").replace("/", "."))


def test_the_index_and_the_pages_name_the_same_groups() -> None:
    for *_, group, page in rows():
        shown = re.findall(
            r'entry-points\."(.*)"', (FOLDER / re.findall(r"\((.*)\)", page)[0]).read_text(encoding="utf-8")
        )
        assert shown == ([group] if group.startswith("evalsuite.") else [])
