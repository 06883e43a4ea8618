"""Formats of numbers and names, as a reader sees them. What was not measured is a dash, never a zero."""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType

from evalsuite.records.schema import Unit, Verdict

NOTHING = "–"
SIGNS: Mapping[Verdict | None, str] = MappingProxyType(
    {"commensurate": "✓", "not_commensurate": "✗", "inconclusive": "?", None: ""}
)
"""Verdicts as signs; None: there is none."""
_SPACE = "\N{NO-BREAK SPACE}"
_SCALES: dict[Unit, tuple[int, int]] = {"share": (100, 2), "nats": (1, 4)}
_MINUS = "\N{MINUS SIGN}"


def share(x: float | None, digits: int = 1) -> str:
    """A share in [0, 1] as percent: 0.618 → `61.8 %`, 0.5 → `50 %`; never rounded up to 100 %."""
    if x is None:
        return NOTHING
    while round(100 * x, digits) >= 100 > 100 * x and digits < 9:
        digits += 1
    text = f"{100 * x:.{digits}f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text).replace("-", _MINUS) + _SPACE + "%"


def ratio(x: float | None) -> str:
    """A share in a column of a table, one digit always: 0.59 → `59.0 %`."""
    if x is None or not x or round(100 * x, 1) >= 100:
        return share(x)
    return f"{100 * x:.1f}".replace("-", _MINUS) + _SPACE + "%"


def loss(x: float | None, unit: Unit = "share") -> str:
    """A loss without a sign for the unit, for columns of a table: a share in percent with two digits, nats with four.

    Args:
        x: In [0, 1], or in nats.
        unit: Which of them.
    """
    scale, digits = _SCALES[unit]
    return NOTHING if x is None else f"{scale * x:.{digits}f}"


def points(x: float | None, limit: float | None = None, unit: Unit = "share") -> str:
    """A difference of two losses in percentage points, or in nats, with its sign.

    Args:
        x: Difference.
        limit: A margin; digits are added until the rounded figure stands on the same side of it as `x`.
        unit: What the losses are in.
    """
    if x is None:
        return NOTHING
    scale, digits = _SCALES[unit]
    while limit is not None and digits < 9 and (round(scale * x, digits) <= scale * limit) != (x <= limit):
        digits += 1
    text = f"{scale * x:+.{digits}f}"
    # no sign on a zero: +0.00 and -0.00 would say more than is known
    return text[1:] if float(text) == 0 else text.replace("-", _MINUS)


def interval(low: float | None, high: float | None, limit: float | None = None, unit: Unit = "share") -> str:
    """`[-0.31, +0.52]` in percentage points, or in nats."""
    return NOTHING if low is None and high is None else f"[{points(low, limit, unit)}, {points(high, limit, unit)}]"


def span(low: float | None, high: float | None, unit: Unit = "share") -> str:
    """`[6.90, 8.12]`: an interval of a loss, in percent or in nats."""
    return NOTHING if low is None and high is None else f"[{loss(low, unit)}, {loss(high, unit)}]"


def margin(x: float) -> str:
    """`0.5 points`."""
    return f"{100 * x:g}{_SPACE}point{'' if 100 * x == 1 else 's'}"


def count(x: float | None) -> str:
    """`12 400`, digits in threes."""
    return NOTHING if x is None else f"{x:,.0f}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def or_dash(x: str | int | None) -> str:
    """What was recorded, or a dash where nothing was."""
    return NOTHING if x is None or x == "" else str(x)


def rough(x: float) -> str:
    """An estimated count, to two digits: 17 036 → `17 000`."""
    step = 10.0 ** max(len(f"{abs(x):.0f}") - 2, 0)
    return count(round(x / step) * step)


def moment(created: str) -> str:
    """`2026-11-21T09:15:00Z` → `2026-11-21 09:15 UTC`; what is no ISO date stays as it is."""
    try:
        at = datetime.fromisoformat(created)
    except ValueError:
        return created
    zone = f" {at.tzname()}" if at.tzinfo else ""
    return f"{at:%Y-%m-%d %H:%M}{zone}"


def many(n: int, noun: str, plural: str | None = None) -> str:
    """`1 task`, `3 tasks`."""
    return f"{count(n)}{_SPACE}{noun if n == 1 else plural or noun + 's'}"


def size(x: float | None) -> str:
    """A large count with three digits: `272 k`, `41.1 M`."""
    if x is None:
        return NOTHING
    for unit, step in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(x) >= step:
            return f"{x / step:.3g}{_SPACE}{unit}" if abs(x) < 999.5 * step else f"{x / step:,.0f}{_SPACE}{unit}"
    return f"{x:g}"


def figure(x: float | None) -> str:
    """Three significant digits without an exponent, for megabytes and milliseconds."""
    if x is None:
        return NOTHING
    return f"{x:.0f}" if abs(x) >= 100 else f"{x:.1f}" if abs(x) >= 10 else f"{x:.2f}" if abs(x) >= 0.1 else f"{x:.2g}"


def duration(seconds: float | None) -> str:
    """`48 s`, `12 min`, `3 h 20 min`."""
    if seconds is None:
        return NOTHING
    if seconds < 100:
        return f"{seconds:.3g}{_SPACE}s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes}{_SPACE}min"
    return f"{minutes // 60}{_SPACE}h {minutes % 60}{_SPACE}min"


def brief(digest: str) -> str:
    """The first 12 characters of a digest, where the whole stands elsewhere."""
    return digest if len(digest) <= 16 else f"{digest[:12]}…"


def name(x: str) -> str:
    """A foreign name between backticks; both the page and the summary set it as code."""
    return "`" + " ".join(x.replace("`", "'").split()) + "`"


def read_as(task: str, measure: str | None) -> str:
    """`corruption/fog/3`, or `corruption/fog/3:disagreement` where another measure than the error is read."""
    return name(task if measure in {None, "error"} else f"{task}:{measure}")


def listed(names: list[str], most: int = 6) -> str:
    """`a, b and c`; beyond `most`, `a, b and 7 more`."""
    shown = names if len(names) <= most else [*names[: most - 1], f"{len(names) - most + 1} more"]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}" if shown else "none"
