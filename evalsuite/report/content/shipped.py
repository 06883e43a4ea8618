"""Sentences about files that are shipped in the place of tested networks: whether they are what was tested."""

from evalsuite.records.schema import Results, Shipped
from evalsuite.report.content import formats


def differing(results: Results, network: str | None = None) -> tuple[str, ...]:
    """One sentence for each file that is another network than the one it is said to be, of one or of all networks."""
    return tuple(
        sentence(each) for each in results.shipped if not each.holds and (network is None or each.of == network)
    )


def sentence(shipped: Shipped) -> str:
    """What was found of one file."""
    who = f"The file {formats.name(shipped.id)}, shipped as {formats.name(shipped.of)},"
    match shipped.verdict:
        case "same outputs":
            return f"{who} gives the same outputs on all {formats.count(shipped.n)} examples, but for rounding."
        case "same predictions":
            return (
                f"{who} gives the same predictions on all {formats.count(shipped.n)} examples; elsewhere at most "
                f"{formats.share(shipped.high, 2)} may be others, and its outputs differ by up to "
                f"{formats.figure(shipped.largest)}."
            )
        case "differs":
            return (
                f"{who} gives {formats.many(shipped.disagreements, 'other prediction')} on {formats.count(shipped.n)} "
                f"examples: what was shown for {formats.name(shipped.of)} does not hold for it{hint(shipped)}."
            )


def hint(shipped: Shipped) -> str:
    """What may explain a difference, in parentheses."""
    return "" if shipped.hint is None else f" ({shipped.hint})"
