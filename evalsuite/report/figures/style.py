"""Colours, markers and type of the figures. Okabe and Ito (2008): distinct to colour-blind readers."""

from collections.abc import Mapping
from types import MappingProxyType

INK = "#1f2328"
QUIET = "#5c6570"
RULE = "#d5d9de"
BAND = "#e9ebee"
PAPER = "#fffffe"
ACCENT = "#0072b2"
ALERT = "#c25000"
"""Vermillion, darkened until white text on it has a contrast of 4.5."""
FAMILIES = (ACCENT, "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("-", (0, (5, 1.5)), (0, (1.0, 2.2)))
RC: Mapping[str, object] = MappingProxyType(
    {
        "svg.fonttype": "none",
        "svg.hashsalt": "evalsuite",
        # task names may hold dollar signs
        "text.parse_math": False,
        "font.family": "DejaVu Sans",
        "font.size": 11.0,
        "text.color": INK,
        "axes.labelcolor": INK,
        "axes.edgecolor": QUIET,
        "axes.linewidth": 0.8,
        "axes.facecolor": "none",
        "axes.unicode_minus": True,
        "figure.facecolor": "none",
        "savefig.facecolor": "none",
        "savefig.edgecolor": "none",
        "savefig.transparent": False,
        "xtick.color": QUIET,
        "ytick.color": QUIET,
        "xtick.labelcolor": INK,
        "ytick.labelcolor": INK,
        "path.simplify": False,
    }
)
"""What every figure is drawn with; passed to `matplotlib.rc_context`."""


def colour(look: int) -> str:
    """Colour of the family that comes `look`-th."""
    return FAMILIES[look % len(FAMILIES)]


def marker(look: int) -> str:
    """Marker of that family: with the colour, 42 looks before one returns."""
    return MARKERS[look % len(MARKERS)]
