"""The library's one call: `evalsuite.sweep(network, data, ...)`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast, final

from torch import nn

from evalsuite.analysis.results import Claimed, Row
from evalsuite.config.build import build_evaluation_settings, build_pruning_settings
from evalsuite.config.options import Spec
from evalsuite.config.settings import EvaluationSettings, PruningSettings
from evalsuite.config.spec import resolve
from evalsuite.data import Dataset, load, prepared
from evalsuite.files.private_paths import without_folders_in
from evalsuite.inputs.class_order import in_network_order
from evalsuite.inputs.read import Inputs, chosen_device, normalised_as_given
from evalsuite.networks.checkpoints.checkpoint import check_fits
from evalsuite.pipeline import Origin, run
from evalsuite.process.third_party_code import others_code
from evalsuite.progress import Reporter
from evalsuite.tasks._base import Task
from evalsuite.tasks._names import expand
from evalsuite.training import Recipe
from pruners import Pruner
from pruners.magnitude import Magnitude


@final
@dataclass(frozen=True, kw_only=True)
class Result:
    """What a sweep found.

    Attributes:
        folder: The run folder: report.html, results.json, the store and the networks.
        summary: `results.json` as a dictionary.
    """

    folder: Path
    summary: Row

    @property
    def deployable(self) -> Claimed | None:
        """Ratio, network and binding task of the family that goes furthest; None where evidence is missing."""
        return cast("Claimed | None", self.summary["deployable"])

    def commensurate(self, task: str, measure: str = "error", family: str | None = None) -> Row:
        """How far a task lets a family be pruned: ratio, prune potential, what ended the claim, verdict of every step.

        Args:
            task: Full name, e.g. "corruption/fog/3"; a path in it may be written as it was typed.
            measure: Name of the measure.
            family: E.g. "magnitude-0"; the first by default.

        Raises:
            KeyError: There is no such task, measure or family.
        """
        for row in cast(list[Row], self.summary["potential"]):
            named = row["task"] in {task, without_folders_in(task)}
            if named and row["measure"] == measure and family in {None, row["family"]}:
                return {**row, "steps": self._steps(cast(str, row["family"]), cast(str, row["task"]), measure)}
        raise KeyError(f"expected a task, measure and family of this run, got {task!r}, {measure!r}, {family!r}")

    def _steps(self, family: str, task: str, measure: str) -> list[Row]:
        networks = {n["id"]: n for n in cast(list[Row], self.summary["networks"]) if n["family"] == family}
        cells = cast(list[Row], self.summary["cells"])
        found = [c for c in cells if c["task"] == task and c["measure"] == measure and c["network"] in networks]
        steps = [{**cell, "prune_ratio": networks[cell["network"]]["prune_ratio"]} for cell in found]
        return sorted(steps, key=lambda step: cast(float, step["prune_ratio"]))


def sweep(  # noqa: PLR0913 - a front door has many bells
    network: nn.Module,
    data: Dataset | str,
    *,
    out: Path | str,
    pruner: Pruner | Sequence[Pruner] = Magnitude(),  # noqa: B008 - frozen
    preset: str = "quick",
    ratios: Sequence[float] | None = None,
    tasks: Sequence[Task | str] | None = None,
    retrain: Recipe | None = None,
    evaluation_settings: EvaluationSettings | None = None,
    options: Mapping[str, object] | None = None,
    device: str = "auto",
    normalise: str | None = None,
    classes: str | None = None,
    strict: bool = False,
    assume: Sequence[str] = (),
    accept_parent: bool = False,
    amend: bool = False,
    full_paths: bool = False,
    reporter: Reporter | None = None,
) -> Result:
    """Prune a trained network at increasing ratios, judge every one, and find how far each task lets it go.

    Args:
        network: Takes images in [0, 1] of the data's shape and returns logits; normalisation lives inside, unless
            `normalise` says what stands before it. Not changed.
        data: A data set or the name of one.
        out: Run folder; the same call again continues what is there.
        pruner: One or several; each makes a family.
        preset: What holds where nothing else is said, as on the command line, with the same verdicts.
        ratios: Target prune ratios in (0, 1); None: the preset's.
        tasks: Tasks, or names as on the command line; None: the preset's.
        retrain: Recipe for every step of the prune-retrain cascade; None: as the preset has it.
        evaluation_settings: Everything about the evaluation in one value; `tasks` and `options` are then left out.
        options: Fields of `EvaluationSettings`: margin, confidence, examples, seed. A margin is that of every task:
            those that the preset has for some of them are left out, unless `margin_for` is given too.
        device: cpu, cuda, cuda:N or auto.
        normalise: What is put before the network: "none", "data", "imagenet" or MEAN/STD, as on the command line; None:
            nothing, as an assumption that stands in the results.
        classes: What the network's outputs stand for, in order: "data", or names with commas in between.
        strict: Whether nothing may be assumed.
        assume: Patterns of topics that may be assumed even so, e.g. "class order".
        accept_parent: Whether to go on with a parent that is not shown to be better than a trivial answer.
        amend: Whether `out` may hold a run with other options, to be continued with these.
        full_paths: Whether results tell where files lie on this machine.
        reporter: Hears about progress.

    Raises:
        UsageError: Network, data and options do not fit together, or `out` belongs to another run.
        RefusedInputError: The parent is no standard, or something would have to be assumed that must not be.
    """
    place = chosen_device(device)
    with others_code("reading network and data"):
        dataset = in_network_order(load(data) if isinstance(data, str) else prepared(data), None, classes)
        parent = normalised_as_given(network, normalise, dataset)
        parent = replace(parent, network=parent.network.to(place))
        check_fits(parent, dataset.outputs, dataset.shape)
    inputs = Inputs(parent=parent, dataset=dataset, device=place)
    spec = _spec(preset, ratios, options or {})
    settings = evaluation_settings or _evaluation_settings(spec, tasks, options or {})
    making = _making(spec, inputs, (pruner,) if isinstance(pruner, Pruner) else tuple(pruner), retrain)
    folder = Path(out)
    origin = Origin(
        command="evalsuite.sweep",
        amend=amend,
        strict=strict,
        accepted=assume,
        accept_parent=accept_parent,
        full_paths=full_paths,
    )
    summary = run(inputs, making, settings, out=folder, origin=origin, reporter=reporter)
    return Result(folder=folder, summary=summary)


def _spec(preset: str, ratios: Sequence[float] | None, options: Mapping[str, object]) -> Spec:
    """The options by the rule of the command line; those of the network have been taken elsewhere."""
    given = {key: options[key] for key in ("margin", "margin_for") if key in options}
    return resolve({"ckpt": Path(), "preset": preset, **given, **({} if ratios is None else {"ratios": tuple(ratios)})})


def _evaluation_settings(
    spec: Spec, tasks: Sequence[Task | str] | None, options: Mapping[str, object]
) -> EvaluationSettings:
    found = build_evaluation_settings(spec)
    if tasks is not None:
        named = expand([task for task in tasks if isinstance(task, str)])
        found = replace(found, tasks=(*named, *(task for task in tasks if isinstance(task, Task))))
    return replace(found, **options)  # type: ignore[arg-type]


def _making(spec: Spec, inputs: Inputs, pruners: tuple[Pruner, ...], retrain: Recipe | None) -> PruningSettings:
    if retrain is not None:
        return PruningSettings(pruners=pruners, ratios=spec.ratios, recipe=retrain, seeds=spec.seeds)
    return replace(build_pruning_settings(spec, inputs), pruners=pruners)
