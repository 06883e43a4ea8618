"""Results as one JSON document, as `results.json` has them but for its white space."""

from dataclasses import dataclass
from json import dumps
from typing import final

from typing_extensions import override

from evalsuite.export._base import Exporter
from evalsuite.gate.checks import GateResult
from evalsuite.records.schema import Results


@final
@dataclass(frozen=True)
class Json(Exporter):
    """All of the results, for programs (`docs/schema/evalsuite-results-1.json`)."""

    @override
    def export(self, results: Results, verdict: GateResult | None = None) -> str:
        del verdict
        return dumps(results.document(), indent=2)
