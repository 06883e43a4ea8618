"""Curves of loss against prune ratio for one task, with the parent's level and the margin above it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast, final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from evalsuite.records.schema import Unit
from evalsuite.report.figures import style

_WIDTH, _HEIGHT = 236.0, 156.0
SMALLEST_SCALE = 0.0025
_UNPRUNED = 1e-6


@final
@dataclass(frozen=True, kw_only=True)
class Step:
    """One network of a family; shares in [0, 1].

    Attributes:
        ratio: Prune ratio.
        loss: Mean loss, or None where nothing was measured.
        low: Lower end of the band: the parent's loss plus the lower bound of the paired difference.
        high: Upper end of the band, likewise.
        shown: Whether it is shown to be commensurate; others get a hollow marker.
    """

    ratio: float
    loss: float | None
    low: float | None = None
    high: float | None = None
    shown: bool = False


@final
@dataclass(frozen=True, kw_only=True)
class Curve:
    """A family's steps in order of prune ratio; `look` picks colour and marker."""

    family: str
    steps: tuple[Step, ...]
    look: int = 0


def loss_panel(
    curves: Sequence[Curve],
    *,
    parent: float | None,
    margin: float,
    controls: Sequence[tuple[float, float]] = (),
    reach: tuple[float, float] = (3.0, 8.0),
    unit: Unit = "share",
) -> Figure:
    """A small panel around the parent's level; curves that leave it are far worse than the margin.

    Args:
        curves: One a family.
        parent: The parent's mean loss, or None.
        margin: How much worse still counts as commensurate.
        controls: (prune ratio, mean loss) of control networks: dotted lines for unpruned ones, crosses for others.
        reach: How many margins the panel shows below and above the parent.
        unit: What losses are in; shares are written in percent.
    """
    with mpl.rc_context(cast("dict[str, object]", dict(style.RC))):  # type: ignore[arg-type]
        figure = Figure(figsize=(_WIDTH / 72, _HEIGHT / 72), dpi=72)
        axes = figure.add_axes((40 / _WIDTH, 22 / _HEIGHT, (_WIDTH - 58) / _WIDTH, (_HEIGHT - 30) / _HEIGHT))
        bottom, top = _limits(curves, parent, margin, reach)
        _frame(axes, bottom, top, 100 if unit == "share" else 1)
        if parent is not None:
            axes.axhspan(parent, parent + margin, color=style.BAND, linewidth=0, zorder=0)
            axes.axhline(parent, color=style.INK, linewidth=1.0, zorder=1)
        for ratio, level in controls:
            if ratio < _UNPRUNED:
                axes.axhline(level, color=style.QUIET, linewidth=1.0, linestyle=style.DASHES[2], zorder=1)
            elif bottom <= level <= top:
                axes.plot(ratio, level, marker="x", color=style.QUIET, markersize=5, linestyle="none", zorder=2)
        for curve in curves:
            _curve(axes, curve, parent, bottom, top)
        return figure


def trend_panel(
    curves: Sequence[Curve], *, level: float, trends: Sequence[tuple[int, float, float | None, float | None]] = ()
) -> Figure:
    """A figure against the prune ratio that the unpruned network has at `level`; all of it is shown.

    Args:
        curves: One a family; with `trends` points alone, each with its interval.
        level: The value at prune ratio 0.
        trends: (look, slope, its lower and upper end): lines through (0, level), and their bands.
    """
    with mpl.rc_context(cast("dict[str, object]", dict(style.RC))):  # type: ignore[arg-type]
        figure = Figure(figsize=(_WIDTH / 72, _HEIGHT / 72), dpi=72)
        axes = figure.add_axes((40 / _WIDTH, 22 / _HEIGHT, (_WIDTH - 58) / _WIDTH, (_HEIGHT - 30) / _HEIGHT))
        values = [v for c in curves for s in c.steps for v in (s.loss, s.low, s.high) if v is not None]
        bottom, top = min([level, *values]), max([level, *values])
        air = 0.05 * max(top - bottom, 0.01)
        _frame(axes, bottom - air, top + air, 100, signed=True)
        axes.axhline(level, color=style.INK, linewidth=1.0, zorder=1)
        for look, slope, low, high in trends:
            axes.plot([0, 1], [level, level + slope], color=style.colour(look), linewidth=1.6, zorder=3)
            if low is not None and high is not None:
                ends = ([level, level + low], [level, level + high])
                axes.fill_between([0, 1], *ends, color=style.colour(look), alpha=0.2, linewidth=0, zorder=2)
        for curve in curves:
            if trends:
                _points(axes, curve)
            else:
                _curve(axes, curve, level, bottom - air, top + air)
        return figure


def _points(axes: Axes, curve: Curve) -> None:
    tone = style.colour(curve.look)
    for step in curve.steps:
        if step.loss is None or step.low is None or step.high is None:
            continue
        axes.plot([step.ratio] * 2, [step.low, step.high], color=tone, linewidth=0.9, alpha=0.6, zorder=3)
        axes.plot(step.ratio, step.loss, marker=style.marker(curve.look), color=tone, markersize=3.6, zorder=4)


def family_mark(look: int) -> Figure:
    """The sample of a legend: line and marker of the family that comes `look`-th."""
    with mpl.rc_context(cast("dict[str, object]", dict(style.RC))):  # type: ignore[arg-type]
        figure = Figure(figsize=(34 / 72, 16 / 72), dpi=72)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_xlim(0, 34)
        axes.set_ylim(0, 16)
        axes.set_axis_off()
        tone = style.colour(look)
        axes.plot([2, 32], [8, 8], color=tone, linewidth=1.8, clip_on=False)
        axes.plot(17, 8, marker=style.marker(look), color=tone, markersize=6.5, clip_on=False)
        return figure


def _limits(
    curves: Sequence[Curve], parent: float | None, margin: float, reach: tuple[float, float]
) -> tuple[float, float]:
    if parent is None:
        measured = [s.loss for c in curves for s in c.steps if s.loss is not None]
        return (min(measured, default=0.0) - 0.01, max(measured, default=1.0) + 0.01)
    scale = max(margin, SMALLEST_SCALE)
    return (parent - reach[0] * scale, parent + reach[1] * scale)


def _frame(axes: Axes, bottom: float, top: float, scale: int, *, signed: bool = False) -> None:
    axes.set_xlim(0, 1)
    axes.set_ylim(bottom, top)
    axes.set_xticks((0.0, 0.5, 1.0), ["0", "50", "100 %"])
    axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
    ticks = [t for t in axes.get_yticks() if bottom <= t <= top and (signed or t >= -1e-9)]
    axes.set_yticks(ticks, [f"{scale * t:.4g}" for t in ticks])
    axes.grid(visible=True, axis="y", color=style.RULE, linewidth=0.7, zorder=0)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, pad=5, labelsize=11)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)


def _curve(axes: Axes, curve: Curve, parent: float | None, bottom: float, top: float) -> None:
    tone = style.colour(curve.look)
    measured = [s for s in curve.steps if s.loss is not None]
    start = [] if parent is None else [Step(ratio=0.0, loss=parent, low=parent, high=parent)]
    path = [*start, *measured]
    band = [s for s in path if s.low is not None and s.high is not None]
    if len(band) > 1:
        low = [s.low for s in band if s.low is not None]
        high = [s.high for s in band if s.high is not None]
        axes.fill_between([s.ratio for s in band], low, high, color=tone, alpha=0.2, linewidth=0, zorder=2)
    axes.plot(
        [s.ratio for s in path], [s.loss for s in path if s.loss is not None], color=tone, linewidth=1.6, zorder=3
    )
    for shown in (True, False):
        dots = [s for s in measured if s.shown is shown and s.loss is not None and bottom <= s.loss <= top]
        axes.plot(
            [s.ratio for s in dots], [s.loss for s in dots if s.loss is not None], linewidth=0, zorder=4,
            marker=style.marker(curve.look), markersize=4.6, markeredgecolor=tone, markeredgewidth=1.2,
            markerfacecolor=tone if shown else style.PAPER, clip_on=False,
        )  # fmt: skip
