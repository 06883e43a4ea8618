"""Lists and sizes in the words of messages and reports."""

from collections.abc import Sequence


def listed(names: Sequence[str], most: int = 5) -> str:
    """The first `most` of `names`, and how many more there are: "a, b and 7 more"; empty for no names."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def times(sizes: Sequence[int]) -> str:
    """A shape: "3x32x32"."""
    return "x".join(map(str, sizes))
