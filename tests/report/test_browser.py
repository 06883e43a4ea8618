"""The report in a real Chromium, from a file, without a network."""

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from evalsuite.records.schema import parse_results
from evalsuite.report.page import Picture, render


def rendered(document: dict[str, object], pictures: Sequence[Picture] = ()) -> str:
    """The page of these results, read as a file is."""
    return render(parse_results(document), pictures)


pytestmark = [pytest.mark.browser, pytest.mark.slow]
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--enable-logging=stderr", "--v=0",
)  # fmt: skip
# answers with what the page looks like; it goes into a copy of the page whose policy admits it
PROBE = """
document.documentElement.dataset.probe = JSON.stringify({
  overflow: document.documentElement.scrollWidth > document.documentElement.clientWidth,
  background: getComputedStyle(document.body).backgroundColor,
  filter: !document.getElementById("filter-label").hidden,
  drawn: Array.from(document.querySelectorAll("main svg")).filter(s => s.getBoundingClientRect().height > 8).length,
});
"""


@pytest.fixture(scope="module")
def chromium() -> str:
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no chromium on this machine")
    return path


def opened(chromium: str, folder: Path, html: str, *, width: int = 1280) -> tuple[str, list[str]]:
    """The page after loading, and what the console said."""
    file = folder / "report.html"
    file.write_text(html, encoding="utf-8")
    command = [chromium, *FLAGS, f"--window-size={width},1400", f"--user-data-dir={folder / 'profile'}"]
    done = subprocess.run(
        [*command, "--dump-dom", file.as_uri()], capture_output=True, text=True, timeout=900, check=True
    )
    return done.stdout, re.findall(r".*(?:CONSOLE|Refused to|Content Security Policy).*", done.stderr)


@pytest.fixture(scope="module")
def html(made, strip) -> str:
    results = made(families=[("magnitude", 0), ("taylor", 0)], corruptions=("fog", "snow"), ratios=(0.5, 0.8, 0.9))
    return rendered(results, [Picture(task="clean", png=strip)])


def test_opens_without_a_word_of_complaint(chromium: str, html: str, tmp_path: Path) -> None:
    dom, console = opened(chromium, tmp_path, html)
    assert console == []
    assert '<h1 id="verdict">' in dom
    # the script has run: it shows the filter, which is hidden without it
    assert re.search(r'<label id="filter-label">', dom)
    assert re.search(r'<label id="filter-label" hidden', html)


def test_console_check_can_fail(chromium: str, html: str, tmp_path: Path) -> None:
    _, console = opened(chromium, tmp_path, html.replace("</body>", "<script>alert(1)</script></body>"))
    assert console


@pytest.mark.parametrize("width", [1280, 520])
def test_fits_its_window(chromium: str, html: str, tmp_path: Path, width: int) -> None:
    probed = re.sub("<meta http-equiv[^>]*>", "", html).replace("</body>", f"<script>{PROBE}</script></body>")
    dom, _ = opened(chromium, tmp_path, probed, width=width)
    result = re.search(r'data-probe="([^"]*)"', dom)
    assert result is not None
    answer = result.group(1).replace("&quot;", '"')
    assert '"overflow":false' in answer
    assert '"filter":true' in answer
    # one chart, eight panels, two marks of families
    assert '"drawn":11' in answer
