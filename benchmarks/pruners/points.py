"""What the finished runs of the study hold, network by network."""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import final

import numpy as np
import numpy.typing as npt
from safetensors.torch import load_file

from evalsuite.analysis.evidence import Evidence
from evalsuite.records.store import opened
from evalsuite.records.stored import StoredNetwork
from evalsuite.statistics.proportion import clopper_pearson

Right = npt.NDArray[np.bool_]
"""(n,), per held-out example whether a network is right."""


@final
@dataclass(frozen=True, kw_only=True)
class Point:
    """One network.

    Attributes:
        setting: "weights" or "channels".
        method: The pruner, "... cascade", "... lottery ticket", "control: ..." or "parent".
        seed: Of the parent.
        target: Prune ratio that was asked for, 0 for networks that are not pruned.
        prune_ratio: As measured.
        flop_reduction: Likewise, counting operations with nonzero weights.
        narrowest: Filters or units with a nonzero weight in the layer that has fewest, the classifier left out; None
            where there is no file.
        n: Held-out examples.
        right: How many of them the network gets right.
    """

    setting: str
    method: str
    seed: int
    target: float
    prune_ratio: float
    flop_reduction: float
    narrowest: int | None
    n: int
    right: int

    @property
    def accuracy(self) -> float:
        """In percent."""
        return 100 * self.right / self.n

    @property
    def interval(self) -> tuple[float, float]:
        """In percent: Clopper and Pearson's at 95 %, over examples."""
        result = clopper_pearson(self.right, self.n, confidence=0.975)
        return 100 * result.low, 100 * result.high


def read_runs(folder: Path) -> dict[Point, Right]:
    """All networks of all finished runs under `folder`/<setting>/<run>-<seed>."""
    outcome: dict[Point, Right] = {}
    for results in sorted(folder.glob("*/*/results.json")):
        run, _, seed = results.parent.name.rpartition("-")
        outcome.update(_networks(results.parent, results.parents[1].name, run, int(seed)))
    return outcome


def _networks(run_folder: Path, setting: str, run: str, seed: int) -> Iterator[tuple[Point, Right]]:
    with opened(run_folder) as store:
        evidence = Evidence(store)
        (task,) = evidence.tasks
        labels = np.array(store.labels(task.shards))
        for network in evidence.networks:
            method, stored = _method(network, run), evidence.stored(task, network)
            if method is None or stored is None:
                continue
            right = stored.columns["prediction"] == labels
            point = Point(
                setting=setting,
                method=method,
                seed=seed,
                target=network.target_ratio or 0.0,
                prune_ratio=network.prune_ratio,
                flop_reduction=network.flop_reduction,
                narrowest=None if network.file is None else narrowest(run_folder / network.file),
                n=len(right),
                right=int(right.sum()),
            )
            yield point, right


def narrowest(file: Path) -> int:
    """See `Point`."""
    weights = [tensor for tensor in load_file(file).values() if tensor.ndim == 4]
    return min(int((weight.flatten(1) != 0).any(1).sum()) for weight in weights)


def _method(network: StoredNetwork, run: str) -> str | None:
    """None for networks that stand in another run as well."""
    if network.role == "control":
        return "control: " + ("dense" if network.target_ratio is None else network.id.partition("-")[0])
    if network.role == "parent":
        return "parent" if run == "methods" else None
    name = str(network.pruner)
    return {"cascade": f"{name}, cascade", "lottery": f"{name}, lottery ticket", "controls": None}.get(run, name)


def write_csv(points: Mapping[Point, Right], path: Path) -> None:
    """All points, one a line."""
    rows = sorted(points, key=lambda point: (point.setting, point.method, point.seed, point.target))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Point)], lineterminator="\n")
        writer.writeheader()
        for point in rows:
            ratios = {"prune_ratio": round(point.prune_ratio, 5), "flop_reduction": round(point.flop_reduction, 5)}
            writer.writerow(asdict(point) | ratios)
