"""Bar chart of commensurate prune ratios by task: horizontal bars, one panel a family.

In the manner of Lost in Pruning (Liebenwein et al. 2021), whose prune potential stands beside as a diamond.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast, final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import ScaledTranslation

from evalsuite.report.content import formats
from evalsuite.report.figures import style

_WIDTH, _ROW, _HEAD, _FOOT = 1000.0, 19.0, 30.0, 40.0
_LETTER = 6.3
_DIGITS = 56.0
_LONGEST = 44


@final
@dataclass(frozen=True, kw_only=True)
class Bar:
    """How far one family came on one task; shares in [0, 1), None where nothing was measured.

    Attributes:
        commensurate: End of the bar.
        potential: The paper's prune potential, a diamond.
        censored: The bar ends where the grid ends.
        binding: This bar sets the deployable ratio.
        levels: Commensurate ratios that the bar sums up by their minimum; a tick each.
    """

    commensurate: float | None
    potential: float | None = None
    censored: bool = False
    binding: bool = False
    levels: tuple[float, ...] = ()


@final
@dataclass(frozen=True, kw_only=True)
class BarRow:
    """A task and one bar a family; without bars it is the heading of the rows that follow.

    Attributes:
        label: Name of the task or of the group.
        bars: In the order of the families.
        required: A task that does not count towards the deployable ratio is drawn lighter.
    """

    label: str
    bars: tuple[Bar, ...] = ()
    required: bool = True


def ratio_bars(rows: Sequence[BarRow], families: Sequence[str], *, deployable: Sequence[float | None] = ()) -> Figure:
    """One panel a family, one row a task, shared by all panels.

    Args:
        rows: From top to bottom.
        families: Titles of the panels.
        deployable: For each family the ratio at which a vertical line stands.
    """
    with mpl.rc_context(cast("dict[str, object]", dict(style.RC))):  # type: ignore[arg-type]
        height = _HEAD + _FOOT + _ROW * max(len(rows), 1)
        figure = Figure(figsize=(_WIDTH / 72, height / 72), dpi=72)
        left = min(max((len(_cut(r.label)) for r in rows), default=0) * _LETTER + 26, 300)
        width = (_WIDTH - left) / max(len(families), 1)
        for k, family in enumerate(families):
            box = (left + k * width, _FOOT, width - 44, height - _HEAD - _FOOT)
            axes = figure.add_axes((box[0] / _WIDTH, box[1] / height, box[2] / _WIDTH, box[3] / height))
            _frame(axes, len(rows), cut=_cut(family, int(width / _LETTER) - 4))
            line = deployable[k] if k < len(deployable) else None
            if line is not None:
                axes.axvline(line, color=style.ALERT, linewidth=1.2, linestyle=style.DASHES[1], zorder=1)
            for y, row in enumerate(rows):
                if row.bars:
                    _bar(axes, y, row.bars[k], required=row.required)
                if k == 0:
                    _label(axes, y, row)
        return figure


def _frame(axes: Axes, rows: int, *, cut: str) -> None:
    axes.set_xlim(0, 1)
    axes.set_ylim(rows - 0.4, -0.6)
    axes.set_yticks([])
    ticks = (0.0, 0.25, 0.5, 0.75, 1.0)
    axes.set_xticks(ticks, [f"{100 * t:.0f}" for t in ticks])
    axes.set_xlabel("prune ratio, %")
    axes.grid(visible=True, axis="x", color=style.RULE, linewidth=0.8, zorder=0)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, pad=6)
    for side in ("top", "right", "bottom"):
        axes.spines[side].set_visible(False)
    axes.set_title(cut, fontsize=11.5, fontweight="bold", loc="left", pad=10)


def _bar(axes: Axes, y: float, bar: Bar, *, required: bool) -> None:
    tone = style.ALERT if bar.binding else style.ACCENT
    if bar.commensurate is None:
        axes.text(0.008, y, "no evidence", va="center_baseline", fontsize=10, color=style.QUIET, fontstyle="italic")
        return
    if bar.commensurate > 0:
        axes.barh(y, bar.commensurate, height=0.64, color=tone, alpha=1.0 if required else 0.4, linewidth=0, zorder=2)
    for level in bar.levels:
        axes.plot([level, level], [y - 0.32, y + 0.32], color=tone, linewidth=1.4, zorder=3, clip_on=False)
    if bar.censored:
        beyond = axes.transData + ScaledTranslation(8 / 72, 0, axes.figure.dpi_scale_trans)
        axes.plot(
            bar.commensurate, y, marker=">", color=tone, markersize=6.5, linewidth=0, clip_on=False, transform=beyond
        )
    if bar.potential is not None:
        axes.plot(
            bar.potential, y, marker="D", markersize=5.5, markerfacecolor=style.PAPER, markeredgecolor=style.INK,
            markeredgewidth=1.1, linewidth=0, zorder=4, clip_on=False,
        )  # fmt: skip
    _figure(axes, y, bar, required=required)


def _figure(axes: Axes, y: float, bar: Bar, *, required: bool) -> None:
    """The ratio in digits, where nobody takes it for the diamond's: inside the bar, else beside it, else beyond all."""
    end, scale = bar.commensurate or 0.0, axes.get_position().width * _WIDTH
    inside = end * scale > _DIGITS
    marks = [m for m in (*bar.levels, bar.potential) if m is not None and m >= end]
    beside = all((m - end) * scale > _DIGITS for m in marks if m > end or end > 0)
    place = end if inside or beside else max([end, *marks])
    tone = style.PAPER if required else style.INK
    axes.annotate(
        formats.ratio(end), (place, y), xytext=(-9 if inside else 9, 0), textcoords="offset points",
        ha="right" if inside else "left", va="center_baseline", fontsize=10, color=tone if inside else style.INK,
        fontweight="bold" if bar.binding else "normal", annotation_clip=False,
    )  # fmt: skip


def _label(axes: Axes, y: float, row: BarRow) -> None:
    heading = not row.bars
    binding = any(bar.binding for bar in row.bars)
    axes.annotate(
        _cut(row.label), (0, y), xytext=(-10, 0), textcoords="offset points", ha="right", va="center_baseline",
        fontsize=11, fontweight="bold" if heading or binding else "normal", annotation_clip=False,
        color=style.QUIET if heading or not row.required else style.INK,
    )  # fmt: skip


def _cut(label: str, longest: int = _LONGEST) -> str:
    """Short enough to stand beside a bar; the table has the whole name."""
    return label if len(label) <= longest else f"{label[: longest - 1]}…"
