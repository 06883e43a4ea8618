"""What a sweep would compute, how long it would take, and the smallest margin that its examples can show."""

import math
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import torch

from evalsuite.analysis.population_pairs import pair_count
from evalsuite.config.build import build_evaluation_settings, build_pruning_settings
from evalsuite.config.build_inputs import build_inputs
from evalsuite.config.options import Spec
from evalsuite.config.settings import EvaluationSettings, PruningSettings
from evalsuite.data import choose
from evalsuite.evaluation.evaluate import why_unavailable
from evalsuite.evaluation.examples import check_task, domain_of, examples_for, limit, setting_for_task
from evalsuite.inputs.read import Inputs
from evalsuite.parts.names import part_name
from evalsuite.preview.estimates import NOT_COUNTED, Planned, estimates
from evalsuite.problems import Classification, Problem
from evalsuite.process.third_party_code import others_code
from evalsuite.progress import Reporter
from evalsuite.pruning.controls import control_count, stands_recalibrated
from evalsuite.statistics import betting, tango
from evalsuite.tasks._abilities import Pairwise, bank_size


def outlook(spec: Spec, *, reporter: Reporter | None = None) -> dict[str, object]:
    """Networks, tasks, shards and passes of a sweep with the options `spec`; nothing is pruned or judged.

    `smallest_margin` of a task is the upper bound of the difference if no example at all came out differently: with
    fewer examples than it takes to bring it under the margin, the task can only be inconclusive.

    With a `reporter` parts of the work are timed, and `estimate` says what the whole will take.
    """
    judge, loaded = build_evaluation_settings(spec), build_inputs(spec)
    with others_code("planning", networks={"parent": loaded.parent.network}):
        return _outlook(spec, judge, loaded, reporter)


def _outlook(spec: Spec, judge: EvaluationSettings, loaded: Inputs, reporter: Reporter | None) -> dict[str, object]:
    make = build_pruning_settings(spec, loaded)
    families = len(make.pruners) * make.seeds
    confidence = 1 - (1 - judge.confidence) / families
    tasks = _planned(judge, make, loaded)
    refused = {
        part_name(each.task): why_unavailable(each.task, loaded.dataset, [loaded.parent.network]) for each in tasks
    }
    network, shape = loaded.parent.network, loaded.dataset.shape
    return {
        "networks": _network_count(make, loaded),
        "families": families,
        "steps": len(make.ratios),
        "margin": judge.margin,
        "confidence_each": confidence,
        "images": list(shape),
        "normalisation": {"mean": network.mean.tolist(), "std": network.std.tolist()},
        "tasks": [_row(each, judge, loaded, confidence, refused[part_name(each.task)]) for each in tasks],
        "estimate": None
        if reporter is None
        else _estimate(loaded, make, [each for each in tasks if refused[part_name(each.task)] is None], reporter),
    }


def _network_count(make: PruningSettings, loaded: Inputs) -> int:
    pruned = len(make.pruners) * make.seeds * len(make.ratios)
    beside = stands_recalibrated(make, loaded) + (loaded.separate is not None)
    return 1 + pruned + control_count(make) + beside


def _planned(judge: EvaluationSettings, make: PruningSettings, loaded: Inputs) -> list[Planned]:
    test = loaded.dataset.test
    examples = choose(test, min(judge.examples, len(test)), judge.seed)
    networks, domain = _network_count(make, loaded), domain_of(loaded.dataset)
    planned: list[Planned] = []
    for task in judge.tasks:
        check_task(task, loaded.dataset)
        its = examples_for(task, judge, loaded.dataset, examples)
        planned.append(
            Planned(
                task=task,
                examples=its,
                n=min(limit(task, judge), len(its)),
                networks=networks,
                pairs=pair_count(networks, len(make.ratios)) if isinstance(task, Pairwise) else 0,
                training=min(bank_size(task), domain.training),
            )
        )
    return planned


def _row(
    planned: Planned, judge: EvaluationSettings, loaded: Inputs, confidence: float, unavailable: str | None
) -> dict[str, object]:
    task, n, networks = planned.task, planned.n, planned.networks
    each = networks * task.forward_passes(domain_of(loaded.dataset)) + planned.pairs
    return {
        "task": part_name(task),
        "examples": n,
        "shards": math.ceil(n / task.shard_size),
        "passes": n * each + networks * planned.training,
        "margin": setting_for_task(task, judge.margin, judge.margin_for),
        "smallest_margin": _smallest(n, confidence, loaded.dataset.problem),
        "unavailable": unavailable,
    }


def _estimate(loaded: Inputs, make: PruningSettings, tasks: Sequence[Planned], reporter: Reporter) -> dict[str, object]:
    rows = sorted(estimates(loaded, make, tasks, reporter), key=lambda row: -row.seconds)
    total = sum(row.seconds for row in rows)
    held = [row.megabytes for row in rows if row.megabytes is not None]
    on_gpu = loaded.device.type == "cuda"
    return {
        "seconds": total,
        "peak_megabytes": max(held, default=None),
        "memory_of": "the device" if on_gpu else "the process",
        "device": torch.cuda.get_device_name(loaded.device) if on_gpu else f"CPU, {torch.get_num_threads()} threads",
        "parts": [{**asdict(row), "share": row.seconds / total if total else 0.0} for row in rows],
        "not_counted": NOT_COUNTED,
    }


def _smallest(n: int, confidence: float, problem: Problem) -> float:
    """The upper bound of the difference where no loss of n examples has changed."""
    if isinstance(problem, Classification):
        return tango.upper(0, 0, n, confidence=confidence)
    return betting.upper(np.zeros(n), confidence=confidence, support=(-1.0, 1.0))
