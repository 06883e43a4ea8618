"""Files that are shipped in the place of tested networks: whether they are what was tested."""

from evalsuite.records.schema import Results, Shipped
from evalsuite.report import _words as words

Row = tuple[str, ...]
_VERDICTS = {"same outputs": "✓ same outputs", "same predictions": "≈ same predictions", "differs": "✗ differs"}


def rows(results: Results) -> tuple[Row, ...]:
    """file, network, format, examples, other predictions, their share, largest, median difference, verdict, digest."""
    return tuple(_row(each) for each in results.shipped)


def differing(results: Results, network: str | None = None) -> tuple[str, ...]:
    """One sentence for each file that is another network than the one it is said to be, of one or of all networks."""
    return tuple(
        sentence(each) for each in results.shipped if not each.holds and (network is None or each.of == network)
    )


def sentence(shipped: Shipped) -> str:
    """What was found of one file."""
    who = f"The file {words.name(shipped.id)}, shipped as {words.name(shipped.of)},"
    match shipped.verdict:
        case "same outputs":
            return f"{who} gives the same outputs on all {words.count(shipped.n)} examples, but for rounding."
        case "same predictions":
            return (
                f"{who} gives the same predictions on all {words.count(shipped.n)} examples; elsewhere at most "
                f"{words.share(shipped.high, 2)} may be others, and its outputs differ by up to "
                f"{words.figure(shipped.largest)}."
            )
        case "differs":
            return (
                f"{who} gives {words.many(shipped.disagreements, 'other prediction')} on {words.count(shipped.n)} "
                f"examples: what was shown for {words.name(shipped.of)} does not hold for it{_hint(shipped)}."
            )


def _hint(shipped: Shipped) -> str:
    return "" if shipped.hint is None else f" ({shipped.hint})"


def _row(each: Shipped) -> Row:
    return (
        each.id, each.of, each.kind or words.NOTHING, words.count(each.n), words.count(each.disagreements),
        f"{words.loss(each.share)} {words.span(each.low, each.high)}", words.figure(each.largest),
        words.figure(each.median), _VERDICTS[each.verdict] + _hint(each), each.sha256 or words.NOTHING,
    )  # fmt: skip
