import re
from xml.etree import ElementTree as ET

import matplotlib as mpl
import pytest
from matplotlib.figure import Figure

from evalsuite.report.figures import Bar, BarRow, Curve, Step, embed, family_mark, loss_panel, ratio_bars

CURVE = Curve(
    family="magnitude-0",
    steps=(
        Step(ratio=0.5, loss=0.101, low=0.099, high=0.104, shown=True),
        Step(ratio=0.8, loss=0.108, low=0.103, high=0.113),
        Step(ratio=0.9, loss=None),
        Step(ratio=0.95, loss=0.5, low=0.45, high=0.55),
    ),
)


def bars() -> Figure:
    rows = [
        BarRow(label="corruption"),
        BarRow(label="fog/3", bars=(Bar(commensurate=0.62, potential=0.71, binding=True),)),
        BarRow(label="none/3", bars=(Bar(commensurate=None),)),
        BarRow(label="zero/3", bars=(Bar(commensurate=0.0, potential=0.0),)),
        BarRow(
            label="a $b_1$ <c> & d", bars=(Bar(commensurate=0.9, censored=True, levels=(0.9, 0.95)),), required=False
        ),
    ]
    return ratio_bars(rows, ["magnitude-0"], deployable=[0.62])


def texts(figure: Figure) -> list[str]:
    return [t.get_text() for axes in figure.axes for t in axes.texts]


def test_a_bar_is_as_long_as_its_ratio() -> None:
    (axes,) = bars().axes
    assert [p.get_width() for p in axes.patches] == [0.62, 0.9]
    assert axes.get_xlim() == (0, 1)


def test_what_was_not_measured_is_no_zero() -> None:
    result = texts(bars())
    assert result.count("no evidence") == 1
    assert [t for t in result if t.endswith("%")] == [f"{x}\N{NO-BREAK SPACE}%" for x in ("62.0", "0", "90.0")]


def test_one_panel_a_family() -> None:
    rows = [BarRow(label="clean", bars=tuple(Bar(commensurate=k / 10) for k in range(1, 5)))]
    figure = ratio_bars(rows, list("abcd"))
    assert [[p.get_width() for p in axes.patches] for axes in figure.axes] == [[0.1], [0.2], [0.3], [0.4]]
    assert ratio_bars([], []).axes == []


def test_panel_shows_parent_margin_and_band() -> None:
    (axes,) = loss_panel([CURVE], parent=0.1, margin=0.005, controls=[(0.0, 0.102)]).axes
    (margin,) = axes.patches
    assert margin.get_bbox().y0 == pytest.approx(0.1)
    assert margin.get_bbox().y1 == pytest.approx(0.105)
    line = next(artist for artist in axes.lines if len(artist.get_xdata()) == 4)
    # from the parent on; the step without a loss is left out
    assert list(line.get_xdata()) == [0.0, 0.5, 0.8, 0.95]
    assert list(line.get_ydata()) == [0.1, 0.101, 0.108, 0.5]
    filled, hollow = axes.lines[-2:]
    assert list(filled.get_xdata()) == [0.5]
    # 0.5 lies above the panel, which ends 8 margins above the parent
    assert list(hollow.get_xdata()) == [0.8]
    assert axes.get_ylim() == pytest.approx((0.085, 0.14))


def test_controls_of_their_own_ratio_are_crosses_inside_the_panel() -> None:
    controls = [(0.7, 0.12), (0.9, 0.9)]
    (axes,) = loss_panel([CURVE], parent=0.1, margin=0.005, controls=controls).axes
    crosses = [artist for artist in axes.lines if artist.get_marker() == "x"]
    assert [(list(c.get_xdata()), list(c.get_ydata())) for c in crosses] == [([0.7], [0.12])]


def test_panel_of_nothing() -> None:
    (axes,) = loss_panel([Curve(family="a", steps=(Step(ratio=0.5, loss=None),))], parent=None, margin=0.0).axes
    assert len(axes.patches) == 0


@pytest.mark.parametrize("figure", [bars(), loss_panel([CURVE], parent=0.1, margin=0.005), family_mark(3)])
def test_svg_is_plain(figure: Figure) -> None:
    text = embed.inline(figure, key="k", title="a <b> & c")
    root = ET.fromstring(text)  # noqa: S314
    assert root.tag == "svg"
    assert set(root.attrib) == {"viewBox", "role", "aria-labelledby"}
    assert root.find("title").text == "a <b> & c"
    ids = [e.attrib["id"] for e in root.iter() if "id" in e.attrib]
    assert len(ids) == len(set(ids))
    assert all(i.startswith("k-") for i in ids)
    assert not [e for e in root.iter() if "style" in e.attrib or e.tag in {"style", "script", "metadata"}]
    assert "http" not in text
    # every reference leads somewhere
    assert {r for v in re.findall(r'(?:href="|url\()(#[\w-]+)', text) for r in [v[1:]]} <= set(ids)


def test_svg_keeps_text_and_order() -> None:
    root = ET.fromstring(embed.inline(bars(), key="k", title="t"))  # noqa: S314
    outcome = [e.text for e in root.iter("text")]
    assert "a $b_1$ <c> & d" in outcome
    assert "magnitude-0" in outcome


def test_svg_bytes_do_not_depend_on_the_moment() -> None:
    assert embed.inline(bars(), key="k", title="t") == embed.inline(bars(), key="k", title="t")


def test_drawing_leaves_no_trace_in_matplotlib() -> None:
    before = dict(mpl.rcParams)
    embed.inline(bars(), key="k", title="t")
    assert dict(mpl.rcParams) == before


def test_paths_keep_their_shape() -> None:
    figure = Figure(figsize=(1, 1), dpi=72)
    figure.add_axes((0, 0, 1, 1)).set_axis_off()
    figure.axes[0].set_xlim(0, 72)
    figure.axes[0].set_ylim(72, 0)
    figure.axes[0].plot([0.04, 36.25, 71.96], [0, 10.26, 20], clip_on=False)
    root = ET.fromstring(embed.inline(figure, key="k", title="t"))  # noqa: S314
    (path,) = root.iter("path")
    # one point a unit, y downwards, a tenth of a point
    assert path.attrib["d"] == "M 0 0 L 36.2 10.3 L 72 20"


def test_glyphs_that_no_font_has_are_no_warning() -> None:
    row = BarRow(label="霧 \U0001f32b", bars=(Bar(commensurate=0.5),))
    assert "霧" in embed.inline(ratio_bars([row], ["a"]), key="k", title="t")
