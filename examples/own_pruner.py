"""A pruning method of one's own, swept beside a built-in one: python examples/own_pruner.py.

In a package of one's own, an entry point makes it `--pruner far-from-the-mean` on the command line:

    [project.entry-points."evalsuite.pruners"]
    far-from-the-mean = "my_package:FarFromTheMean"
"""

from dataclasses import dataclass
from tempfile import mkdtemp
from typing import ClassVar, final

import torch
from torch import nn

import evalsuite
from evalsuite.extend import Context, Scores, WeightPruner
from pruners import prunable


@final
@dataclass(frozen=True, kw_only=True)
class FarFromTheMean(WeightPruner):
    """Keeps the weights that are far from the mean of their layer, in standard deviations."""

    criterion: ClassVar[str] = "distance to the mean of the layer"
    paper: ClassVar[str] = "an example"

    def score(self, network: nn.Module, context: Context) -> Scores:  # noqa: ARG002 - needs no data
        """(w - mean) / deviation, in absolute value."""
        weights = {name: weight.detach() for name, weight in prunable(network).items()}
        return {name: ((weight - weight.mean()) / weight.std()).abs() for name, weight in weights.items()}


if __name__ == "__main__":
    digits = evalsuite.load_data("digits")
    recipe = evalsuite.named_recipe("standard?epochs=20", architecture="", data="digits")
    bare = nn.Sequential(nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
    network = evalsuite.train(bare, digits.train, recipe, seed=0, device=torch.device("cpu"))
    tasks = ["clean", "noise/uniform/0.1", "corruption/common/3"]
    result = evalsuite.sweep(network, "digits", out=mkdtemp(), pruner=[FarFromTheMean(), "magnitude"], tasks=tasks)
    for family in result.summary["families"]:
        print(family["id"], result.commensurate("clean", family=family["id"])["prune_potential"])
    print(result.folder / "report.html")
