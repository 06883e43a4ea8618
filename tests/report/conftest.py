"""Synthetic results as a sweep would write them: error rates rise with the prune ratio, faster under shifts."""

import hashlib
import math
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest

Row = dict[str, object]
CORRUPTIONS = (
    "gaussian_noise", "shot_noise", "impulse_noise", "defocus_blur", "glass_blur", "motion_blur", "zoom_blur", "snow",
    "frost", "fog", "brightness", "contrast", "elastic_transform", "pixelate", "jpeg_compression", "speckle_noise",
    "gaussian_blur", "spatter", "saturate",
)  # fmt: skip
RATIOS = (0.2, 0.36, 0.488, 0.59, 0.672, 0.738, 0.79, 0.832, 0.866, 0.893, 0.914, 0.931, 0.945, 0.956, 0.965, 0.972)

NOTHING_MORE = {
    key: []
    for key in ("measures", "aggregates", "excess", "excess_lines", "exemplars", "features", "invariants", "shipped")
}
"""Tables of which these results have no rows."""


@dataclass(frozen=True, kw_only=True)
class Made:
    """What to make up."""

    families: Sequence[tuple[str, int]] = (("magnitude", 0),)
    severities: Sequence[int] = (3,)
    corruptions: Sequence[str] = CORRUPTIONS
    ratios: Sequence[float] = RATIOS
    measures: Sequence[str] = ("error", "disagreement", "softmax_distance", "worst_class")
    n: int = 10_000
    margin: float = 0.005
    confidence: float = 0.95
    unavailable: Sequence[str] = ()
    control: bool = True
    seed: int = 0
    extra: Sequence[str] = field(default=())


def make(made: Made) -> Row:
    """A whole results dictionary."""
    random = np.random.default_rng(made.seed)
    tasks = _tasks(made)
    networks = _networks(made)
    potential: list[Row] = []
    cells: list[Row] = []
    each = 1 - (1 - made.confidence) / max(1, len(made.families))
    for task in tasks:
        if task["unavailable"] is None:
            for measure in made.measures:
                result, reached = _judge(made, random, str(task["name"]), measure, networks, each)
                cells += result
                potential += reached
    claims = [c for c in (_claim(made, tasks, networks, potential, f"{p}-{s}") for p, s in made.families) if c]
    by_family = {c["family"]: c for c in claims}
    return {
        "schema": "evalsuite-results/1",
        "run": {
            "id": "resnet20-cifar10", "created": "2026-11-21T09:15:00Z", "device": "NVIDIA H100 80GB HBM3",
            "versions": {"evalsuite": "0.1.0", "torch": "2.15.0", "numpy": "2.4.6"}, "cpu_threads": 16,
            "spec_digest": "9f2c4d1e7a80b365", "seconds": 5123.4, "seed": 0, "margin": made.margin,
            "confidence": made.confidence, "confidence_each": each, "families": len(made.families),
            "command": "evalsuite sweep --ckpt resnet20.safetensors --data cifar10 --preset paper",
        },
        "data": {
            "name": "cifar10", "shape": [3, 32, 32], "examples": made.n, "overlap": 0, "digest": "41aa09c3e0d7f512",
            "classes": ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"],
        },
        "parent": {
            "id": "resnet20", "digest": "c0ffee1234567890", "arch": "resnet20", "arguments": {"classes": 10},
            "file": "resnet20.safetensors", "sha256": "7d" * 32,
            "lineage": [{"recipe": "standard", "epochs": 182, "seed": 0}],
        },
        "networks": networks,
        "tasks": tasks,
        "cells": cells,
        "potential": potential,
        "averages": _averages(made, tasks, potential),
        "families": [
            {"id": f"{p}-{s}", "pruner": p, "seed": s, "deployable": by_family.get(f"{p}-{s}")}
            for p, s in made.families
        ],
        "deployable": max(claims, key=lambda c: float(str(c["ratio"])), default=None),
        "complete": True,
        **NOTHING_MORE,
    }  # fmt: skip


def _tasks(made: Made) -> list[Row]:
    names = [("clean", "clean", "Held-out data as they are")]
    names += [
        (f"corruption/{c}/{s}", "corruption", f"{c.replace('_', ' ').capitalize()}, severity {s} of 5")
        for c in made.corruptions
        for s in made.severities
    ]
    names += [(f"noise/uniform/{e}", "noise", f"Uniform noise of {e}") for e in ("0.02", "0.05", "0.1")]
    names += [("adversarial/linf/0.0314", "adversarial", "AutoAttack, L-infinity 8/255")]
    names += [("certified/l2/0.25", "certified", "Randomised smoothing, L2 radius 0.25")]
    names += [(name, "extra", name) for name in made.extra]
    return [
        {
            "name": name, "kind": kind, "title": title, "required": kind != "certified", "version": 1, "shards": 40,
            "n": made.n if kind != "adversarial" else made.n // 2, "seconds": 12.5 + len(name),
            "parameters": {"severity": 3} if kind == "corruption" else {},
            "note": "32 px table" if kind == "corruption" else None,
            "flags": ["zero gradients"] if kind == "adversarial" else [],
            "unavailable": "its textures are not installed" if name in made.unavailable else None,
        }
        for name, kind, title in names
    ]  # fmt: skip


def _networks(made: Made) -> list[Row]:
    def network(name: str, role: str, family: str | None, pruner: str | None, ratio: float, seed: int) -> Row:
        kept = 1 - ratio
        return {
            "id": name, "role": role, "family": family, "digest": hashlib.sha256(name.encode()).hexdigest()[:16],
            "pruner": pruner, "structure": pruner and "unstructured", "target_ratio": ratio or None,
            "prune_ratio": ratio, "flop_reduction": ratio * 0.93, "parameters": 272_474,
            "nonzero": round(272_474 * kept), "prunable": 268_336, "prunable_nonzero": round(268_336 * kept),
            "flops": round(40_813_184 * (1 - 0.93 * ratio)), "dense_flops": 40_813_184, "megabytes": 1.09,
            "latency_ms": {"median": 3.21, "low": 3.17, "high": 3.26, "n": 50, "batch": 256},
            "seed": seed, "file": f"networks/{name}.safetensors",
        }  # fmt: skip

    outcome = [network("resnet20", "parent", None, None, 0.0, 0)]
    if made.control:
        outcome.append(network("resnet20-again", "control", None, None, 0.0, 1))
    for pruner, seed in made.families:
        for ratio in made.ratios:
            family = f"{pruner}-{seed}"
            outcome.append(network(f"{family}-{ratio:g}", "pruned", family, pruner, ratio, seed))
    return outcome


def _judge(
    made: Made, random: np.random.Generator, task: str, measure: str, networks: list[Row], confidence: float
) -> tuple[list[Row], list[Row]]:
    kind, _, rest = task.partition("/")
    level = float(rest.rpartition("/")[2] or 0) if kind == "corruption" else 3.0
    base = {"clean": 0.078, "corruption": 0.1 + 0.03 * level, "noise": 0.15, "adversarial": 0.62, "certified": 0.41}
    parent = (base.get(kind, 0.1) + 0.04 * random.random()) if measure == "error" else 0.0
    parent = 0.14 if measure == "worst_class" else parent
    frail = {"clean": 0.9, "corruption": 1.2 + 0.25 * level, "noise": 1.5, "adversarial": 2.2, "certified": 1.8}
    frailty = frail.get(kind, 1.0) * random.lognormal(0, 0.35) * (1.0 if measure in {"error", "worst_class"} else 3.0)
    n = made.n // 2 if kind == "adversarial" else made.n
    z = 1.6449 if confidence < 0.96 else 2.4
    cells: list[Row] = []
    for network in networks:
        ratio = float(str(network["prune_ratio"]))
        slope = {"magnitude": 1.0, "taylor": 0.55}.get(str(network["pruner"]), 1.0) * (
            1 + 0.1 * int(str(network["seed"]))
        )
        grown = slope * frailty * 2e-6 * (math.exp(11.5 * ratio) - 1) - (0.002 if 0 < ratio < 0.7 else 0.0)
        control = 0.002 * random.standard_normal() if network["role"] == "control" else None
        spread = math.sqrt((0.02 + 0.3 * abs(grown)) / n)
        difference = grown + 0.5 * spread * random.standard_normal() if control is None else control
        difference = 0.0 if network["role"] == "parent" else min(max(difference, -parent), 0.9 - parent)
        loss = parent + difference
        half = 1.96 * math.sqrt(max(loss * (1 - loss), 1e-4) / n)
        low, high = difference - z * spread, difference + z * spread
        verdict = "commensurate" if high <= made.margin else "not_commensurate" if low > made.margin else "inconclusive"
        settles = round(n * (z * spread / max(abs(difference - made.margin), 1e-4)) ** 2)
        cells.append(
            {
                "task": task, "measure": measure, "network": network["id"], "n": n, "loss": loss,
                "low": max(loss - half, 0.0), "high": min(loss + half, 1.0), "parent_loss": parent,
                "difference": difference, "difference_low": low, "difference_high": high,
                "verdict": None if network["role"] == "parent" else verdict,
                "settles_at": settles if verdict == "inconclusive" else None, "reason": None,
            }
        )  # fmt: skip
    reached = [_reach(made, f"{p}-{s}", task, measure, networks, cells, confidence) for p, s in made.families]
    return cells, [r for r in reached if r is not None]


def _reach(
    made: Made, family: str, task: str, measure: str, networks: list[Row], cells: list[Row], confidence: float
) -> Row | None:
    ratios = [float(str(n["prune_ratio"])) for n in networks if n["family"] == family]
    family_cells = [c for n in networks if n["family"] == family for c in cells if c["network"] == n["id"]]
    if not family_cells:
        return None
    shown = [c["verdict"] == "commensurate" for c in family_cells]
    within = [float(str(c["difference"])) <= made.margin for c in family_cells]
    end = shown.index(False) if False in shown else len(shown)
    return {
        "family": family, "task": task, "measure": measure, "margin": made.margin, "confidence": confidence,
        "prune_potential": max((r for r, w in zip(ratios, within, strict=True) if w), default=0.0),
        "commensurate": ratios[end - 1] if end else 0.0,
        "first_failure": None if end == len(shown) else {
            "ratio": ratios[end],
            "verdict": family_cells[end]["verdict"],
            "difference_high": family_cells[end]["difference_high"],
        },
        "censored": end == len(shown), "nonmonotone": any(shown[end:]), "reason": None,
    }  # fmt: skip


def _claim(made: Made, tasks: list[Row], networks: list[Row], potential: list[Row], family: str) -> Row | None:
    required = [t["name"] for t in tasks if t["required"]]
    claims = [p for p in potential if p["family"] == family and p["task"] in required and p["measure"] == "error"]
    if len(claims) < len(required) or not claims or not made.ratios:
        return None
    binding = min(claims, key=lambda p: float(str(p["commensurate"])))
    network = next(
        (n["id"] for n in networks if n["family"] == family and n["prune_ratio"] == binding["commensurate"]), "resnet20"
    )
    ended = binding["first_failure"] is not None
    return {
        "ratio": binding["commensurate"], "network": network, "family": family,
        "binding_task": binding["task"] if ended else None, "binding_measure": "error" if ended else None,
    }  # fmt: skip


def _averages(made: Made, tasks: list[Row], potential: list[Row]) -> list[Row]:
    rows: list[Row] = []
    kinds = {t["name"]: t["kind"] for t in tasks}
    for pruner, seed in made.families:
        claims = [p for p in potential if p["family"] == f"{pruner}-{seed}" and p["measure"] == "error"]
        sets = {"all tasks": claims, "all corruption tasks": [p for p in claims if kinds[p["task"]] == "corruption"]}
        for name, members in sets.items():
            values = [float(str(p["prune_potential"])) for p in members]
            if len(values) > 1:
                rows.append(
                    {
                        "family": f"{pruner}-{seed}", "set": name, "measure": "error",
                        "average": float(np.mean(values)), "minimum": min(values), "n": len(values),
                    }
                )  # fmt: skip
    return rows


def strip(width: int, height: int, *, seed: int = 0) -> bytes:
    """A PNG of smooth coloured blobs, written by hand."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    waves = [np.sin(x * random.uniform(0.05, 0.3) + random.uniform(0, 6)) * np.cos(y * 0.2) for _ in range(3)]
    pixels = np.uint8(127 + 90 * np.stack(waves, -1) + random.normal(0, 1, (height, width, 3)))
    raw = b"".join(b"\0" + row.tobytes() for row in pixels)

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")


@pytest.fixture(scope="session")
def made() -> Callable[..., Row]:
    """Makes results; keywords as in `Made`."""
    return lambda **options: make(Made(**options))


def _cell(task: str, network: str, difference: float, low: float, high: float, verdict: str | None) -> Row:
    return {
        "task": task, "measure": "error", "network": network, "n": 2000, "loss": 0.1 + difference,
        "low": 0.09, "high": 0.12, "parent_loss": 0.1, "difference": difference, "difference_low": low,
        "difference_high": high, "verdict": verdict, "settles_at": 8321 if verdict == "inconclusive" else None,
        "reason": None,
    }  # fmt: skip


@pytest.fixture
def tiny() -> Row:
    """Two tasks, two pruned networks; fog gives out at 71 %, clean never."""
    network = {"digest": "d", "pruner": "magnitude", "structure": "unstructured", "parameters": 1000, "seed": 0}
    task = {"version": 1, "shards": 1, "n": 2000, "seconds": 1.0, "parameters": {}, "note": None, "flags": []}
    bound = {"family": "magnitude-0", "binding_task": "corruption/fog/3", "binding_measure": "error"}
    deployable = {"ratio": 0.62, "network": "a", **bound}
    reach = {"family": "magnitude-0", "measure": "error", "margin": 0.005, "confidence": 0.95, "nonmonotone": False}
    return {
        "schema": "evalsuite-results/1",
        "run": {"id": "r", "created": "2026-11-21T09:15:00+00:00", "versions": {"evalsuite": "0.1.0"}, "device": "cpu",
                "spec_digest": "s", "command": "evalsuite sweep --ckpt m.pt", "seconds": 3.0, "seed": 0,
                "margin": 0.005, "confidence": 0.95, "families": 1, "cpu_threads": 1},
        "data": {"name": "digits", "shape": [1, 8, 8], "classes": ["0", "1"], "examples": 2000, "overlap": 0,
                 "digest": "e"},
        "parent": {"id": "m", "digest": "p", "arch": "lenet", "arguments": {}, "file": "m.pt", "sha256": "f",
                   "lineage": []},
        "networks": [
            {"id": "m", "role": "parent", "family": None, "prune_ratio": 0.0, **network},
            {"id": "a", "role": "pruned", "family": "magnitude-0", "prune_ratio": 0.62, **network},
            {"id": "b", "role": "pruned", "family": "magnitude-0", "prune_ratio": 0.71, **network},
        ],
        "tasks": [
            {"name": "clean", "kind": "clean", "title": "Clean", "required": True, "unavailable": None, **task},
            {"name": "corruption/fog/3", "kind": "corruption", "title": "Fog", "required": True, "unavailable": None,
             **task},
        ],
        "cells": [
            _cell("clean", "a", -0.001, -0.004, 0.002, "commensurate"),
            _cell("clean", "b", 0.001, -0.002, 0.004, "commensurate"),
            _cell("corruption/fog/3", "a", 0.001, -0.002, 0.004, "commensurate"),
            _cell("corruption/fog/3", "b", 0.004, 0.001, 0.007, "inconclusive"),
        ],
        "potential": [
            {"task": "clean", "prune_potential": 0.71, "commensurate": 0.71, "first_failure": None, "censored": True,
             **reach},
            {"task": "corruption/fog/3", "prune_potential": 0.71, "commensurate": 0.62, "censored": False,
             "first_failure": {"ratio": 0.71, "verdict": "inconclusive"}, **reach},
        ],
        "averages": [],
        **NOTHING_MORE,
        "families": [{"id": "magnitude-0", "pruner": "magnitude", "seed": 0, "deployable": deployable}],
        "deployable": deployable,
        "complete": True,
    }  # fmt: skip


@pytest.fixture(scope="session", name="strip")
def a_strip() -> bytes:
    """A real PNG."""
    return strip(70, 34)
