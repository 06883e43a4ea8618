"""Compares a shipped file with the network that was tested: is it the same network?

A verdict on a network says nothing of a file that computes something else. A file that is said to be a network of the
run is held against it on the run's held-out examples:

- "same outputs": every output is the same but for rounding. What was shown for the network holds for the file.
- "same predictions": outputs differ by more, and every example is given the same class. What was shown of errors on
  these examples holds; how often predictions may differ elsewhere stands beside it as an interval.
- "differs": some examples are given another class. Nothing that was shown for the network holds for the file: the run
  ends with exit code 1, as a gate that fails does, and every policy fails. The file is asked every task all the same,
  and the report shows how it fares. A file that is meant to differ, being quantised say, is a candidate of its own.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, final

import torch
from torch import Tensor, nn

from evalsuite.data import Examples
from evalsuite.errors import RefusedInputError
from evalsuite.networks.checkpoints.checkpoint import Checkpoint
from evalsuite.networks.normalized import Normalized
from evalsuite.networks.programs.program import artefact_in
from evalsuite.process.third_party_code import others_code
from evalsuite.records.schema import OutputComparison
from evalsuite.statistics.proportion import clopper_pearson
from neuralnets.device import device_of
from neuralnets.precision import full_float32

_TOLERANCE: Final = 1e-4
"""Of the largest output: libraries round float32 in other places; two networks that differ are further apart."""
_BATCH: Final = 256
_FEW: Final = 64

Statistics = tuple[Sequence[float], Sequence[float]]


@final
@dataclass(frozen=True, kw_only=True)
class ShippedFile:
    """A file that is said to be a network of the run, after export.

    Attributes:
        id: Its name in results.
        tested_as: The network's.
        path: Where it was read from.
        read: Reads it, on the run's device; may be called again.
    """

    id: str
    tested_as: str
    path: Path
    read: Callable[[], Checkpoint]


def compare_outputs(
    tested: nn.Module,
    network: nn.Module,
    shipped: ShippedFile,
    examples: Examples,
    *,
    sha256: str,
    confidence: float,
    statistics: Statistics,
) -> OutputComparison:
    """Ask both networks about all examples and compare what they say.

    Args:
        tested: A network of the run, in evaluation mode.
        network: What the file that is said to be it computes, on the same device.
        shipped: The file.
        examples: The run's held-out examples, at least one.
        sha256: Of the file.
        confidence: Of the interval, in (0.5, 1).
        statistics: Mean and standard deviation by which the parent normalises; tried where outputs differ.

    Raises:
        RefusedInputError: One of them gives outputs that are not finite.
    """
    both = {shipped.tested_as: tested, shipped.id: network}
    with others_code("holding the file that is shipped against it", networks=both):
        expected, actual = _outputs(tested, examples), _outputs(network, examples)
    for source, outputs in ((shipped.tested_as, expected), (shipped.path, actual)):
        if not bool(outputs.isfinite().all()):
            raise RefusedInputError(f"expected finite outputs, got NaN or infinity from {source}")
    apart = (actual - expected).abs()
    tolerance = _TOLERANCE * float(expected.abs().max())
    differ = actual.argmax(1) != expected.argmax(1) if examples.problem.logits else ~(apart <= tolerance)
    disagreements = int(differ.view(len(examples), -1).any(1).sum())
    verdict = _verdict(disagreements, float(apart.max()), tolerance)
    artefact = artefact_in(network)
    share = clopper_pearson(disagreements, len(examples), confidence=confidence)
    return OutputComparison(
        id=shipped.id,
        of=shipped.tested_as,
        file=str(shipped.path),
        sha256=sha256,
        kind="checkpoint" if artefact is None else artefact.info.kind,
        n=len(examples),
        disagreements=disagreements,
        share=disagreements / len(examples),
        low=share.low,
        high=share.high,
        confidence=confidence,
        largest=float(apart.max()),
        median=float(apart.flatten().median()),
        tolerance=tolerance,
        verdict=verdict,
        hint=None if verdict == "same outputs" else _hint(network, expected, examples, statistics, tolerance),
    )


def _verdict(
    disagreements: int, largest: float, tolerance: float
) -> Literal["same outputs", "same predictions", "differs"]:
    if disagreements:
        return "differs"
    return "same outputs" if largest <= tolerance else "same predictions"


@full_float32()
@torch.inference_mode()
def _outputs(network: nn.Module, examples: Examples) -> Tensor:
    device = device_of(network)
    parts = torch.arange(len(examples)).split(_BATCH)
    return torch.cat([network(examples.pixels(part).to(device)).float().cpu() for part in parts])


def _hint(
    shipped: nn.Module, expected: Tensor, examples: Examples, statistics: Statistics, tolerance: float
) -> str | None:
    """What would make the outputs the same, where that is known."""
    artefact = artefact_in(shipped)
    if artefact is None:
        return None
    first = examples.select(range(min(_FEW, len(examples))))
    channels = len(statistics[0])
    for before, option in ((statistics, "normalised"), (((0.0,) * channels, (1.0,) * channels), "images")):
        other = Normalized(artefact, *before).to(device_of(shipped)).eval()
        apart = (_outputs(other, first) - expected[: len(first)]).abs()
        if bool((apart <= tolerance).all()):
            return f"with --artefact-input {option} its outputs are the same"
    return None
