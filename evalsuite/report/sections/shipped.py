"""Section: files that are shipped in the place of tested networks, compared with these."""

from dataclasses import dataclass
from typing import final

from typing_extensions import override

from evalsuite.records.schema import Shipped
from evalsuite.report.content import formats
from evalsuite.report.content.shipped import hint
from evalsuite.report.sections._base import Contents, Section, Values

_VERDICTS = {"same outputs": "✓ same outputs", "same predictions": "≈ same predictions", "differs": "✗ differs"}


@final
@dataclass(frozen=True, kw_only=True)
class ShippedRow:
    """A shipped file beside the network that it is said to be."""

    file: str
    network: str
    format: str
    examples: str
    disagreements: str
    share: str
    largest: str
    median: str
    verdict: str
    sha256: str


@final
@dataclass(frozen=True)
class ShippedFiles(Section):
    """Shipped files beside the networks that they are said to be."""

    id = "shipped"
    title = "Shipped files"
    order = 100

    @override
    def applies(self, contents: Contents) -> bool:
        return bool(contents.index.results.shipped)

    @override
    def values(self, contents: Contents) -> Values:
        return {"rows": tuple(map(_row, contents.index.results.shipped))}


def _row(shipped: Shipped) -> ShippedRow:
    """Word one shipped file's comparison as a row of the table."""
    return ShippedRow(
        file=shipped.id,
        network=shipped.of,
        format=shipped.kind or formats.NOTHING,
        examples=formats.count(shipped.n),
        disagreements=formats.count(shipped.disagreements),
        share=f"{formats.loss(shipped.share)} {formats.span(shipped.low, shipped.high)}",
        largest=formats.figure(shipped.largest),
        median=formats.figure(shipped.median),
        verdict=_VERDICTS[shipped.verdict] + hint(shipped),
        sha256=shipped.sha256 or formats.NOTHING,
    )
