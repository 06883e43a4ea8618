"""Results of a small run, as `results.json` has them."""

import pytest

Results = dict[str, object]


def cell(task: str, network: str, verdict: str | None, **figures: object) -> Results:
    plain: Results = {
        "task": task,
        "measure": "error",
        "network": network,
        "n": 5000,
        "loss": 0.15,
        "low": 0.14,
        "high": 0.16,
        "difference": 0.001,
        "difference_low": -0.002,
        "difference_high": 0.004,
        "verdict": verdict,
        "settles_at": 9000 if verdict == "inconclusive" else None,
        "reason": None,
    }
    return plain | figures


def potential(
    family: str, task: str, ratio: float | None, failure: tuple[float, str] | None, **more: object
) -> Results:
    plain: Results = {
        "family": family,
        "task": task,
        "measure": "error",
        "margin": 0.005,
        "confidence": 0.95,
        "prune_potential": ratio,
        "commensurate": ratio,
        "first_failure": None if failure is None else {"ratio": failure[0], "verdict": failure[1]},
        "censored": failure is None,
        "nonmonotone": False,
        "reason": None if ratio is not None else "1 of 3 networks are not evaluated yet",
    }
    return plain | more


STANDARD: Results = {
    "n": 5000,
    "loss": 0.15,
    "low": 0.14,
    "high": 0.16,
    "confidence": 0.95,
    "not_finite": 0,
    "trivial": "always 'a'",
    "trivial_loss": 0.9,
    "shown_better": True,
}


@pytest.fixture
def results() -> Results:
    """One family at 0.3, 0.5 and 0.7: fog is shown up to 0.5 and not at 0.7, clean to the end, noise open at 0.5."""
    ratios = {"m-0.3": 0.30001, "m-0.5": 0.49998, "m-0.7": 0.7}
    verdicts = {
        "clean": ["commensurate"] * 3,
        "corruption/fog/3": ["commensurate", "commensurate", "not_commensurate"],
        "noise/uniform/0.1": ["commensurate", "inconclusive", "inconclusive"],
    }
    held = {"ratio": 0.30001, "network": "m-0.3", "family": "m", "binding_task": "noise/uniform/0.1"}
    deployable = {**held, "binding_measure": "error"}
    return {
        "schema": "evalsuite-results/1",
        "complete": True,
        "digests": dict.fromkeys(("store", "request", "results"), "0" * 64),
        "measures": [{"name": "error", "title": "error", "unit": "share", "required": True}],
        "run": {"id": "r", "margin": 0.005, "confidence": 0.95, "confidence_each": 0.95},
        "parent": {"id": "parent", "standard": dict(STANDARD)},
        "readings": [{"topic": "normalisation", "value": "none", "basis": "given", "reason": "", "option": ""}],
        "networks": [
            {"id": "parent", "role": "parent", "family": None, "prune_ratio": 0.0},
            *({"id": name, "role": "pruned", "family": "m", "prune_ratio": ratio} for name, ratio in ratios.items()),
        ],
        "tasks": [{"name": task, "kind": "x", "required": True, "unavailable": None} for task in verdicts],
        "cells": [
            *(cell(task, "parent", None) for task in verdicts),
            *(cell(t, n, v) for t, row in verdicts.items() for n, v in zip(ratios, row, strict=True)),
        ],
        "potential": [
            potential("m", "clean", 0.7, None),
            potential("m", "corruption/fog/3", 0.49998, (0.7, "not_commensurate")),
            potential("m", "noise/uniform/0.1", 0.30001, (0.49998, "inconclusive")),
        ],
        "families": [{"id": "m", "pruner": "magnitude", "seed": 0, "deployable": deployable}],
        "deployable": deployable,
    }
