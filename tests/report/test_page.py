import base64
import hashlib
import re
import subprocess
import sys
from collections.abc import Sequence
from copy import deepcopy
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typing_extensions import override

from evalsuite.errors import UsageError
from evalsuite.records.schema import parse_results
from evalsuite.report import page
from evalsuite.report.content.templates import asset
from evalsuite.report.page import Picture, render

pytestmark = pytest.mark.slow


def rendered(document: dict[str, object], pictures: Sequence[Picture] = ()) -> str:
    """The page of these results, read as a file is."""
    return render(parse_results(document), pictures)


Row = dict[str, object]
VOID = {"meta", "col", "img", "br", "input", "wbr", "link", "hr"}
EVIL = '<script>alert("1")</script>"\'&`|$x_1$ javascript:'


class Checked(HTMLParser):
    """Stands on every tag: closed in order, no id twice, nothing inline, nothing from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.targets: list[str] = []
        self.tags: list[str] = []
        self.text: list[str] = []
        self.raw: dict[str, str] = {}
        self.policy = ""

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            assert not name.startswith("on"), (tag, name)
            assert name != "style", (tag, value)
            if name == "id":
                self.ids.append(str(value))
            if name in {"src", "srcset", "data", "action", "poster", "background"}:
                assert str(value).startswith("data:image/png;base64,"), (tag, value)
            if name in {"href", "xlink:href"} and tag != "a":
                assert str(value).startswith("#"), (tag, value)
            if name == "href" and str(value).startswith("#"):
                self.targets.append(str(value)[1:])
        if dict(attrs).get("http-equiv") == "Content-Security-Policy":
            self.policy = str(dict(attrs)["content"])

    @override
    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    @override
    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    @override
    def handle_data(self, data: str) -> None:
        inside = self.open[-1] if self.open else ""
        if inside in {"style", "script"}:
            self.raw[inside] = self.raw.get(inside, "") + data
        else:
            self.text.append(data)


def checked(html: str) -> Checked:
    result = Checked()
    result.feed(html)
    result.close()
    assert result.open == []
    assert len(result.ids) == len(set(result.ids))
    assert set(result.targets) <= set(result.ids)
    return result


def text(html: str) -> str:
    return " ".join("".join(checked(html).text).replace("\N{NO-BREAK SPACE}", " ").split())


@pytest.fixture(scope="module")
def whole(made) -> str:
    return rendered(
        made(families=[("magnitude", 0), ("taylor", 0)], corruptions=("fog", "snow"), ratios=(0.5, 0.8, 0.9))
    )


def test_page_is_well_formed_and_loads_nothing(whole: str) -> None:
    outcome = checked(whole)
    assert outcome.tags.count("h1") == 1
    assert outcome.tags.count("main") == 1
    assert "@import" not in outcome.raw["style"]
    assert "url(" not in outcome.raw["style"]
    assert "http" not in re.sub(r'http-equiv="', "", whole)


def test_policy_admits_our_style_and_script_only(whole: str) -> None:
    actual = checked(whole)

    def digest(name: str) -> str:
        return base64.b64encode(hashlib.sha256(actual.raw[name].encode()).digest()).decode()

    assert actual.policy == (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest('style')}'; "
        f"script-src 'sha256-{digest('script')}'; base-uri 'none'; form-action 'none'"
    )
    assert actual.tags.count("style") == actual.tags.count("script") == 1
    assert len(actual.raw["script"]) < 10_000


def test_every_figure_is_an_image_with_a_name_and_a_caption(whole: str) -> None:
    drawn = re.findall(r"<svg.*?</svg>", whole, re.DOTALL)
    # two bar charts panels in one, a panel for each of 7 tasks, a mark for each of 2 families
    assert len(drawn) == 1 + 8 + 2
    for svg in drawn:
        root = ET.fromstring(svg)  # noqa: S314
        assert root.attrib["role"] == "img"
        assert root.find("title").text
    for figure in re.findall(r"<figure.*?</figure>", whole, re.DOTALL):
        assert re.search(r"<figcaption>.*\w.*</figcaption>", figure, re.DOTALL)


def test_first_screen_answers_in_order(tiny: Row) -> None:
    output = text(rendered(tiny))
    order = [
        "Prune up to 62 %.",
        "At 71 % corruption/fog/3 is no longer shown to be within 0.5 points of the parent",
        "Judged by clean alone, it would have been 71 %.",
        "The margin is 0.5 points",
        "The confidence is 95 %",
        "Not covered",
        "Reproduce",
        "evalsuite sweep --ckpt m.pt",
        "How far, by task",
    ]
    places = [output.index(sentence) for sentence in order]
    assert places == sorted(places)


def test_cells_show_their_numbers(tiny: Row) -> None:
    printed = text_of_cells(rendered(tiny))
    assert "71.0 % 10.40 [9.00, 12.00] +0.40 [+0.10, +0.70] ? n ≈ 8 300 would settle it" in printed
    assert "62.0 % 9.90 [9.00, 12.00] −0.10 [−0.40, +0.20] ✓" in printed


def test_same_results_same_bytes(made) -> None:
    results = made(corruptions=("fog",), ratios=(0.5, 0.9))
    strips = [Picture(task="clean", png=_png(b"a"))]
    before = deepcopy(results)
    first = rendered(results, strips)
    assert results == before
    assert rendered(results, strips) == first
    assert rendered(dict(reversed(results.items())), strips) == first


def test_hostile_names(made) -> None:
    results = made(corruptions=("fog",), ratios=(0.5, 0.9), families=[(EVIL, 0), ("b", 0)], extra=(f"x/{EVIL}",))
    results["run"] |= {"id": EVIL, "command": EVIL, "versions": {EVIL: EVIL}, "device": EVIL}
    results["parent"] |= {"id": EVIL, "lineage": [{EVIL: EVIL}]}
    results["tasks"][0] |= {"note": EVIL, "title": EVIL, "flags": [EVIL], "parameters": {EVIL: [EVIL]}}
    results["tasks"][1]["unavailable"] = EVIL
    results["data"]["name"] = EVIL
    computed = checked(rendered(results, [Picture(task=f"x/{EVIL}", png=_png(b""))]))
    assert computed.tags.count("script") == 1
    assert "alert" not in computed.raw["script"]


@settings(max_examples=6)
@given(name=st.text(min_size=1, max_size=60))
def test_any_name(tiny: Row, name: str) -> None:
    results = deepcopy(tiny)
    results["families"][0]["id"] = name
    results["deployable"]["family"] = name
    for row in (*results["networks"][1:], *results["potential"]):
        row["family"] = name
    for row in (results["tasks"][1], *results["cells"][2:], results["potential"][1]):
        row["task" if "task" in row else "name"] = name
    html = rendered(results)
    checked(html)
    for svg in re.findall(r"<svg.*?</svg>", html, re.DOTALL):
        ET.fromstring(svg)  # noqa: S314


def test_what_was_not_measured_is_never_zero(tiny: Row) -> None:
    kept = {"task", "measure", "network"}
    for cell in tiny["cells"]:
        cell.update(dict.fromkeys(set(cell) - kept) | {"reason": "not evaluated yet"})
    for potential in tiny["potential"]:
        potential.update(dict.fromkeys(("prune_potential", "commensurate", "first_failure")))
    for network in tiny["networks"]:
        network.update(dict.fromkeys(("prune_ratio", "flop_reduction", "parameters", "nonzero", "flops", "megabytes")))
        network["latency_ms"] = {"median": None, "low": None, "high": None, "n": 5, "batch": 1}
    tiny |= {"deployable": None, "averages": [{"family": "magnitude-0", "set": "all", "measure": "error"}]}
    tiny["families"][0]["deployable"] = None
    html = rendered(tiny)
    spoken = text(html)
    body = spoken[spoken.index("How far, by task") : spoken.index("How it was made")]
    assert not re.search(r"(?<![\d.])0(\.0+)?( %| M| k|\b(?!\.))", body.replace("0/1", ""))
    assert "not evaluated yet" in spoken
    assert "No verdict: required evidence is missing." in spoken
    assert "no evidence" in html


def without(results: Row, *keys: str) -> Row:
    return results | {key: [] for key in keys}


def test_nothing_but_a_parent(tiny: Row) -> None:
    bare = without(tiny, "networks", "tasks", "cells", "potential", "averages", "families") | {"deployable": None}
    assert "No pruned network has been judged." in text(rendered(bare))
    least = {"run": {"id": "r", "margin": 0.005, "confidence": 0.95}, "data": {"name": "d"}, "parent": {"id": "p"}}
    assert "There is no pruned network to map." in text(rendered(bare | least))


@pytest.mark.parametrize("missing", ["cells", "potential", "families", "averages", "networks", "tasks"])
def test_parts_may_be_missing(tiny: Row, missing: str) -> None:
    checked(rendered(without(tiny, missing)))


def test_all_inconclusive(made) -> None:
    results = made(corruptions=("fog",), ratios=(0.5, 0.9), n=20)
    assert {c["verdict"] for c in results["cells"]} >= {"inconclusive"}
    assert "No pruned network is shown to be deployable." in text(rendered(results))


def test_one_task_and_one_network(made) -> None:
    results = made(corruptions=(), ratios=(0.31,), control=False)
    results["tasks"] = results["tasks"][:1]
    results["cells"] = [c for c in results["cells"] if c["task"] == "clean"]
    results["potential"] = [p for p in results["potential"] if p["task"] == "clean"]
    results["deployable"] = results["families"][0]["deployable"] = {
        "ratio": 0.31, "network": "magnitude-0-0.31", "family": "magnitude-0", "binding_task": None,
        "binding_measure": None,
    }  # fmt: skip
    output = text(rendered(results))
    assert "On the one required task, every network tested up to this ratio" in output
    assert "No required task gave out: 31 % is the largest ratio tested" in output


def test_close_ratios_and_long_names(made) -> None:
    ratios = tuple(0.9 + k / 1000 for k in range(8))
    html = rendered(made(corruptions=("a_corruption_with_a_name_" + "so_" * 40 + "long",), ratios=ratios))
    assert checked(html).tags.count("th") > 8
    assert "so_so_long/3" in text(html)


def test_a_hundred_tasks_stay_small(made) -> None:
    html = rendered(made(severities=(1, 2, 3, 4, 5), measures=("error", "disagreement", "worst_class")))
    assert len(html.encode()) < 1_500_000
    result = checked(html)
    assert "of each shift, the level that gives out first is shown" in "".join(result.text)
    assert "those of the other measures are in" in "".join(result.text)


def test_pictures_stand_with_their_tasks(tiny: Row) -> None:
    png = _png(b"x" * 50, width=70, height=34)
    html = rendered(tiny, [Picture(task="corruption/fog/3", png=png), Picture(task="of no task", png=png)])
    (image,) = re.findall("<img.*?>", html)
    assert 'width="70" height="34" alt="Sample images under corruption/fog/3"' in image
    assert base64.b64encode(png).decode() in image


def test_pictures_have_to_be_png(tiny: Row) -> None:
    with pytest.raises(UsageError, match="expected a PNG file as picture of 'clean', got b'GIF89a'"):
        rendered(tiny, [Picture(task="clean", png=b"GIF89a")])


def test_too_large_drops_pictures_then_cells(tiny: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    strips = [Picture(task="clean", png=_png(b"x" * 40_000))]
    full, bare = rendered(tiny, strips), rendered(tiny)
    monkeypatch.setattr(page, "LIMIT", len(bare.encode()) + 1000)
    assert len(full.encode()) > page.LIMIT
    dropped = text(rendered(tiny, strips))
    assert "1 picture left out: with them this file would be larger than 5 MB." in dropped
    assert "Every figure behind this report." in dropped
    monkeypatch.setattr(page, "LIMIT", 1000)
    assert "The table of all 4 cells is left out" in text(rendered(tiny, strips))


def test_measures_are_told(made) -> None:
    output = text(rendered(made(corruptions=("fog",), ratios=(0.5, 0.9), measures=("disagreement", "error"))))
    assert re.search(r"disagreement: commensurate to (between )?\d+", output)


def test_control_networks_are_named(made) -> None:
    output = text(rendered(made(corruptions=("fog",), ratios=(0.5, 0.9))))
    assert "resnet20-again (control)" in output
    assert (
        "Dotted lines are unpruned control networks, crosses other control networks at their own prune ratio." in output
    )


def test_seeds_of_a_pruner_are_averaged(made) -> None:
    results = made(corruptions=(), ratios=(0.5, 0.9), families=[("magnitude", 0), ("magnitude", 1)])
    rows = [{"family": f"magnitude-{k}", "set": "all", "measure": "error", "average": a, "minimum": m, "n": 6}
            for k, (a, m) in enumerate([(0.5, 0.2), (0.6, 0.4)])]  # fmt: skip
    # means 0.55 and 0.3; deviations (n in the denominator) 0.05 and 0.1
    expected = "magnitude, mean ± s.d. of 2 seeds all error 6 55.0 % ± 5.0 30.0 % ± 10.0"
    assert expected in text_of_cells(rendered(results | {"averages": rows}))


def text_of_cells(html: str) -> str:
    """Text with a space for every tag."""
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def test_needs_no_torch() -> None:
    code = "import sys, evalsuite.report.page, evalsuite.export.markdown; print('torch' in sys.modules)"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert output.stdout.strip() == "False"


@pytest.mark.parametrize(("dark", "least"), [(False, 4.5), (True, 4.5)])
def test_contrast(dark: bool, least: float) -> None:
    """WCAG 2.1: text on paper, and on every shade of the map."""
    css = asset("report.css")
    first, second = re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    colours = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", first)) | (
        dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", second)) if dark else {}
    )
    pairs = [(name, "paper") for name in ("ink", "quiet", "accent", "alert")] + [("ink", "wash"), ("alert", "paper")]
    pairs += [("on", f"s{k}") for k in range(9)]
    for front, back in pairs:
        a, b = sorted((_luminance(colours[front]), _luminance(colours[back])), reverse=True)
        assert (a + 0.05) / (b + 0.05) >= least, (front, back)


def _luminance(colour: str) -> float:
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _png(body: bytes, *, width: int = 8, height: int = 8) -> bytes:
    size = width.to_bytes(4) + height.to_bytes(4)
    return b"\x89PNG\r\n\x1a\n" + (13).to_bytes(4) + b"IHDR" + size + body


def test_no_page_shows_the_marks_of_its_code(made) -> None:
    results = made(corruptions=("fog",), ratios=(0.5, 0.9))
    results["tasks"][-1]["margin"] = 0.02
    html = re.sub(r"<(style|script).*?</\1>", "", rendered(results), flags=re.DOTALL)
    assert "2 points on" in text(html)
    assert "`" not in text(html)
