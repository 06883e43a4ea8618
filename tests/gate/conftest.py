"""Results of a small run, made of the schema's own parts: what a test changes in them is read as a file is."""

import pytest

from evalsuite.records.schema import (
    SCHEMA,
    Cell,
    Data,
    Deployable,
    Digests,
    Failure,
    Family,
    Measure,
    Network,
    Parent,
    Potential,
    Reading,
    Results,
    Run,
    Standard,
    Task,
    Verdict,
)

STANDARD = Standard(
    confidence=0.95,
    high=0.16,
    loss=0.15,
    low=0.14,
    n=5000,
    not_finite=0,
    shown_better=True,
    trivial="always 'a'",
    trivial_loss=0.9,
)


def cell(task: str, network: str, verdict: Verdict | None) -> Cell:
    return Cell(
        task=task,
        measure="error",
        network=network,
        n=5000,
        loss=0.15,
        low=0.14,
        high=0.16,
        parent_loss=0.149,
        difference=0.001,
        difference_low=-0.002,
        difference_high=0.004,
        verdict=verdict,
        settles_at=9000 if verdict == "inconclusive" else None,
        group=None,
        reason=None,
    )


def potential(task: str, ratio: float, failure: Failure | None) -> Potential:
    return Potential(
        family="m",
        task=task,
        measure="error",
        margin=0.005,
        confidence=0.95,
        prune_potential=ratio,
        commensurate=ratio,
        first_failure=failure,
        censored=failure is None,
        nonmonotone=False,
        reason=None,
    )


@pytest.fixture
def results() -> dict[str, object]:
    """One family at 0.3, 0.5 and 0.7: fog is shown up to 0.5 and not at 0.7, clean to the end, noise open at 0.5."""
    ratios = {"m-0.3": 0.30001, "m-0.5": 0.49998, "m-0.7": 0.7}
    verdicts: dict[str, list[Verdict]] = {
        "clean": ["commensurate"] * 3,
        "corruption/fog/3": ["commensurate", "commensurate", "not_commensurate"],
        "noise/uniform/0.1": ["commensurate", "inconclusive", "inconclusive"],
    }
    binding = {"binding_task": "noise/uniform/0.1", "binding_measure": "error"}
    deployable = Deployable(ratio=0.30001, network="m-0.3", family="m", **binding)
    pruned = [Network(id=name, role="pruned", family="m", prune_ratio=ratio) for name, ratio in ratios.items()]
    judged = [cell(task, name, each) for task, row in verdicts.items() for name, each in zip(ratios, row, strict=True)]
    return Results(
        schema=SCHEMA,
        run=Run(id="r", margin=0.005, confidence=0.95, confidence_each=0.95),
        data=Data(name="d"),
        parent=Parent(id="parent", standard=STANDARD),
        readings=(Reading(topic="normalisation", value="none", basis="given", reason="", option=""),),
        networks=(Network(id="parent", role="parent", family=None, prune_ratio=0.0), *pruned),
        measures=(Measure(name="error", title="error", unit="share", required=True),),
        tasks=tuple(Task(name=task, kind="x", required=True, unavailable=None) for task in verdicts),
        cells=(*(cell(task, "parent", None) for task in verdicts), *judged),
        potential=(
            potential("clean", 0.7, None),
            potential("corruption/fog/3", 0.49998, Failure(ratio=0.7, verdict="not_commensurate")),
            potential("noise/uniform/0.1", 0.30001, Failure(ratio=0.49998, verdict="inconclusive")),
        ),
        averages=(),
        aggregates=(),
        excess=(),
        excess_lines=(),
        exemplars=(),
        features=(),
        invariants=(),
        shipped=(),
        families=(Family(id="m", pruner="magnitude", seed=0, deployable=deployable),),
        deployable=deployable,
        complete=True,
        digests=Digests(store="0" * 64, request="0" * 64, results="0" * 64),
    ).document()
