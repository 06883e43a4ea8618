"""Figures of the report, each usable on its own: plain values in, a matplotlib `Figure` out, no pyplot."""

from evalsuite.report.figures.bars import Bar, BarRow, ratio_bars
from evalsuite.report.figures.curves import Curve, Step, family_mark, loss_panel, trend_panel

__all__ = ["Bar", "BarRow", "Curve", "Step", "family_mark", "loss_panel", "ratio_bars", "trend_panel"]
