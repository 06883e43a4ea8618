"""What a sweep would compute, and the smallest margin that its examples can show."""

import math

import numpy as np

from evalsuite.asked import examples_of, limit
from evalsuite.data import choose
from evalsuite.decide import betting, tango
from evalsuite.findings.crossing import pair_count
from evalsuite.inputs import inputs
from evalsuite.judging import domain_of, refusal
from evalsuite.making.controls import control_count
from evalsuite.naming import name
from evalsuite.plan import chosen_for
from evalsuite.problems import Classification, Problem
from evalsuite.resolve import judging, making
from evalsuite.spec import Spec


def outlook(spec: Spec) -> dict[str, object]:
    """Networks, tasks, shards and passes of a sweep with the options `spec`; nothing is pruned or judged.

    `smallest_margin` of a task is the upper bound of the difference if no example at all came out differently: with
    fewer examples than it takes to bring it under the margin, the task can only be inconclusive.
    """
    judge, loaded = judging(spec), inputs(spec)
    make = making(spec, loaded)
    families = len(make.pruners) * make.seeds
    confidence = 1 - (1 - judge.confidence) / families
    examples = choose(loaded.dataset.test, min(judge.examples, len(loaded.dataset.test)), judge.seed)
    networks = 1 + families * len(make.ratios) + control_count(make) + (loaded.separate is not None)
    pairs = pair_count(networks, len(make.ratios))
    domain = domain_of(loaded.dataset)
    rows: list[dict[str, object]] = []
    for task in judge.tasks:
        first = networks * min(task.training(), domain.training)
        n = min(limit(task, judge), len(examples_of(task, judge, loaded.dataset, examples)))
        rows.append(
            {
                "task": name(task),
                "examples": n,
                "shards": math.ceil(n / task.shard_size),
                "passes": n * (networks * task.passes_on(domain) + task.crosses * pairs) + first,
                "margin": chosen_for(task, judge.margin, judge.margin_for),
                "smallest_margin": _smallest(n, confidence, loaded.dataset.problem),
                "unavailable": refusal(task, loaded.dataset, [loaded.parent.network]),
            }
        )
    return {
        "networks": networks,
        "families": families,
        "steps": len(make.ratios),
        "margin": judge.margin,
        "confidence_each": confidence,
        "tasks": rows,
    }


def _smallest(n: int, confidence: float, problem: Problem) -> float:
    """The upper bound of the difference where no loss of n examples has changed."""
    if isinstance(problem, Classification):
        return tango.upper(0, 0, n, confidence=confidence)
    return betting.upper(np.zeros(n), confidence=confidence, support=(-1.0, 1.0))
