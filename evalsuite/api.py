"""Python's front door: `sweep(network, data, ...)` and `evaluate(parent, candidates, data, ...)`."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from os import PathLike
from pathlib import Path
from typing import final

import torch
from torch import nn

from evalsuite import pipeline
from evalsuite.config.build import build_evaluation_settings, build_pruning_settings
from evalsuite.config.build_inputs import build_candidate, build_inputs, inputs_from_python
from evalsuite.config.caution import caution
from evalsuite.config.keywords import GivenParts, check_apart, resolve_options, with_options_of
from evalsuite.config.options import Spec
from evalsuite.config.settings import EvaluationSettings
from evalsuite.data import Dataset
from evalsuite.errors import UnknownNameError, UsageError
from evalsuite.inputs.candidate_names import PARENT, candidate_names, shipped_names
from evalsuite.inputs.read import Inputs
from evalsuite.notebook import notebook_reporter
from evalsuite.pipeline import Candidate, Origin, ShippedFile
from evalsuite.progress import Reporter
from evalsuite.result import Result

NetworkOrFile = nn.Module | str | PathLike[str]
"""A network that takes images in [0, 1] and returns logits (`normalise` says what else stands before it), or a file."""
Candidates = Mapping[str, NetworkOrFile] | Sequence[str | PathLike[str]]


@with_options_of("sweep")
def sweep(
    network: NetworkOrFile,
    data: Dataset | str | None = None,
    *,
    out: Path | str,
    evaluation_settings: EvaluationSettings | None = None,
    amend: bool = False,
    reporter: Reporter | None = None,
    **options: object,
) -> Result:
    """Prune a trained network at increasing ratios, evaluate every one, and find how far each task lets it go.

    Args:
        network: Takes images in [0, 1] of the data's shape and returns logits, or the file of such a network. Not
            changed.
        data: A data set or the name of one; None: the one that the network's file names.
        out: Run folder; the same call again continues what is there.
        evaluation_settings: Everything about the evaluation in one value; options of the evaluation are then left out.
        amend: Whether `out` may hold a run with other options, to be continued with these.
        reporter: Hears about progress; None: a notebook shows it, elsewhere nothing is said.
        options: Those of `evalsuite sweep`, named alike; tasks, pruners, penalties and a recipe may be parts.

    Raises:
        UsageError: Network, data and options do not fit together, or `out` belongs to another run.
        RefusedInputError: The parent is no standard, or something would have to be assumed that must not be.
    """
    request = _request(network, data, options, "sweep", evaluation_settings)
    with _threads(request.spec.threads):
        inputs = request.inputs()
        results = pipeline.run(
            inputs,
            build_pruning_settings(request.spec, inputs, request.parts),
            evaluation_settings or build_evaluation_settings(request.spec, request.parts),
            out=Path(out),
            origin=_origin("evalsuite.sweep", request.spec, amend=amend),
            reporter=reporter or notebook_reporter(),
        )
    return Result(folder=Path(out), results=results)


@with_options_of("evaluate")
def evaluate(
    parent: NetworkOrFile,
    candidates: Candidates = (),
    data: Dataset | str | None = None,
    *,
    out: Path | str,
    shipped: Mapping[str, str | PathLike[str]] | None = None,
    evaluation_settings: EvaluationSettings | None = None,
    amend: bool = False,
    reporter: Reporter | None = None,
    **options: object,
) -> Result:
    """Evaluate networks that were made elsewhere against their parent, on the same examples.

    Args:
        parent: As `network` of `sweep`: what the candidates are compared with.
        candidates: Networks or their files by name, or files alone, which are called by their names without endings.
            Where none are given the parent is evaluated alone.
        data: A data set or the name of one; None: the one that the parent's file names.
        out: Run folder; the same call again continues what is there.
        shipped: By the name of a candidate (or "parent") the file that is shipped as it, which is compared with it.
        evaluation_settings: As for `sweep`.
        amend: As for `sweep`.
        reporter: As for `sweep`.
        options: Those of `evalsuite evaluate`, with the same names and meanings.

    Raises:
        UsageError: Networks, data and options do not fit together, or `out` belongs to another run.
        RefusedInputError: The parent is no standard, a shipped file gives outputs that are not finite, or something
            would have to be assumed that must not be.
    """
    request = _request(parent, data, options, "evaluate", evaluation_settings)
    networks = _named(candidates)
    files = _shipped(shipped or {}, networks)
    with _threads(request.spec.threads):
        inputs = request.inputs()
        results = pipeline.evaluate(
            inputs,
            {name: _candidate(each, request.spec, inputs) for name, each in networks.items()},
            evaluation_settings or build_evaluation_settings(request.spec, request.parts),
            out=Path(out),
            origin=_origin("evalsuite.evaluate", request.spec, amend=amend),
            reporter=reporter or notebook_reporter(),
            shipped=[
                ShippedFile(
                    id=name, tested_as=network, path=file, read=partial(build_candidate, file, request.spec, inputs)
                )
                for name, network, file in files
            ],
        )
    return Result(folder=Path(out), results=results)


@final
@dataclass(frozen=True, kw_only=True)
class _Request:
    """What a call asks for: the network, its data, and the settings of the run."""

    network: nn.Module | Path
    data: Dataset | str | None
    spec: Spec
    parts: GivenParts

    def inputs(self) -> Inputs:
        if isinstance(self.network, Path):
            if isinstance(self.data, Dataset):
                raise UsageError("expected the name of a data set beside the file of a network, got a data set")
            return build_inputs(self.spec)
        if self.data is None:
            raise UsageError("expected a data set, or the name of one, beside a network that is handed over: data=...")
        return inputs_from_python(self.network, self.data, self.spec)


def _request(
    network: NetworkOrFile,
    data: Dataset | str | None,
    options: Mapping[str, object],
    command: str,
    settings: EvaluationSettings | None,
) -> _Request:
    given = network if isinstance(network, nn.Module) else Path(network)
    check_apart(options, settings)
    spec, parts = resolve_options(
        options,
        command,
        ckpt=given if isinstance(given, Path) else Path(),
        data=data if isinstance(data, str) else None,
    )
    return _Request(network=given, data=data, spec=spec, parts=parts)


def _origin(command: str, spec: Spec, *, amend: bool) -> Origin:
    return Origin(command=command, amend=amend, full_paths=spec.full_paths, engine=spec.engine, **caution(spec))


def _candidate(network: nn.Module | Path, spec: Spec, inputs: Inputs) -> Candidate:
    file = None if isinstance(network, nn.Module) else network
    return Candidate(read=partial(build_candidate, network, spec, inputs), file=file)


def _named(candidates: Candidates) -> dict[str, nn.Module | Path]:
    if not isinstance(candidates, Mapping):
        return dict(candidate_names([Path(file) for file in candidates]))
    if reserved := {PARENT, "separate"} & candidates.keys():
        raise UsageError(f"candidates: expected other names than that of another network, got {reserved.pop()!r}")
    return {name: network if isinstance(network, nn.Module) else Path(network) for name, network in candidates.items()}


def _shipped(
    shipped: Mapping[str, str | PathLike[str]], candidates: Mapping[str, object]
) -> list[tuple[str, str, Path]]:
    for name in shipped:
        if name not in {PARENT, *candidates}:
            raise UnknownNameError("candidate", name, (PARENT, *candidates))
    return shipped_names([(name, Path(file)) for name, file in shipped.items()], candidates)


@contextmanager
def _threads(number: int | None) -> Iterator[None]:
    """While it lasts, torch uses so many threads; None: as many as before."""
    before = torch.get_num_threads()
    if number is not None:
        torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
