"""What a run is asked to do, as parts; `identity` says what its outcome depends on."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, final

from torch import Tensor

from evalsuite.data.slices import Slices
from evalsuite.parts.names import name
from evalsuite.problems import Classification, Problem
from evalsuite.tasks._base import Task
from evalsuite.training._base import Recipe
from pruners import Pruner
from pruners.regularisers import Regulariser

Budget = Literal["parameters", "flops", "latency"]
Rewind = Literal["learning-rate", "weights", "none"]
Control = Literal[
    "dense", "shuffled", "random", "reinitialised", "scratch", "scratch-budget", "width", "depth", "copycat"
]


@final
@dataclass(frozen=True, kw_only=True)
class Making:
    """How the family is made.

    Attributes:
        pruners: Each makes one family per seed.
        ratios: Target prune ratios in (0, 1), increasing.
        one_shot: Every network is pruned from the parent; else from the one before (prune-retrain cascade).
        budget: What ratios are shares of: prunable "parameters", "flops" (of what stands: dense operations of networks
            whose channels go, nonzero weights of masked ones) or measured "latency" of one image.
        recipe: Retrains every pruned network; None: batch-norm statistics are measured again, nothing is trained.
        full: The recipe by which networks are trained from scratch; only for controls.
        rewind: Where retraining starts (Renda, Frankle and Carbin 2020, arXiv:2003.02389). "learning-rate": the
            schedule starts again, from the weights that survived. "weights": these take their early values first.
            "none": fine-tuning, at a small constant rate.
        rewind_to: Early weights, for "weights".
        adapters: Rank of low-rank adapters that are trained instead of the weights, and merged afterwards; None trains
            the weights.
        regularisers: What is added to the loss in retraining.
        controls: Networks to hold the pruned ones against, see `evalsuite.pruning.controls`.
        seeds: Families per pruner.
    """

    pruners: tuple[Pruner, ...]
    ratios: tuple[float, ...]
    one_shot: bool = False
    budget: Budget = "parameters"
    recipe: Recipe | None = None
    full: Recipe | None = None
    rewind: Rewind = "learning-rate"
    rewind_to: Mapping[str, Tensor] | None = None
    adapters: int | None = None
    regularisers: tuple[Regulariser, ...] = ()
    controls: tuple[Control, ...] = ()
    seeds: int = 1

    def identity(self, early: str | None) -> dict[str, object]:
        """What the networks depend on beside the parent, the data and the seed; `early`: digest of `rewind_to`."""
        full = {} if self.full is None else {"full": name(self.full)}
        return {
            **full,
            "pruners": [name(pruner) for pruner in self.pruners],
            "ratios": list(self.ratios),
            "one_shot": self.one_shot,
            "budget": self.budget,
            "recipe": None if self.recipe is None else name(self.recipe),
            "rewind": self.rewind,
            "rewind_to": early,
            "adapters": self.adapters,
            "regularisers": [name(regulariser) for regulariser in self.regularisers],
            "controls": list(self.controls),
            "seeds": self.seeds,
        }


@final
@dataclass(frozen=True, kw_only=True)
class Judging:
    """What the family is asked, and how sure the answers must be.

    Attributes:
        tasks: In the order in which they are computed and shown.
        measures: Names of what is read off observations; None: what the problem is usually judged by.
        required: Patterns (`fnmatch`) of task names that bind the deployable ratio.
        margin: Largest mean loss difference to the parent that counts as commensurate, in [0, 1).
        margin_for: Other margins for some tasks, by full name or kind.
        confidence: Of the run's claims, in (0.5, 1).
        examples: Held-out examples.
        examples_for: Fewer for some tasks, by full name or kind.
        seed: Every random draw is derived from it.
        slices: Attributes of the held-out examples, for `worst_slice`; None where there are none.
    """

    tasks: tuple[Task, ...]
    measures: tuple[str, ...] | None = None
    required: tuple[str, ...] = ("*",)
    margin: float = 0.005
    margin_for: Mapping[str, float] = field(default_factory=dict)
    confidence: float = 0.95
    examples: int = 1000
    examples_for: Mapping[str, int] = field(default_factory=dict)
    seed: int = 0
    slices: Slices | None = None

    def on(self, problem: Problem) -> "Judging":
        """The same, with measures; where answers are no classes, the problem's own loss is always among them."""
        if self.measures is None:
            return replace(self, measures=problem.measures)
        if isinstance(problem, Classification) or problem.measures[0] in self.measures:
            return self
        return replace(self, measures=(problem.measures[0], *self.measures))

    def identity(self) -> dict[str, object]:
        """What the verdicts depend on beside the networks and the data."""
        sliced = {} if self.slices is None else {"slices": self.slices.digest}
        return {
            **sliced,
            "tasks": [name(task) for task in self.tasks],
            "measures": list(self.measures or ()),
            "required": list(self.required),
            "margin": self.margin,
            "margin_for": dict(sorted(self.margin_for.items())),
            "confidence": self.confidence,
            "examples": self.examples,
            "examples_for": dict(sorted(self.examples_for.items())),
            "seed": self.seed,
        }
