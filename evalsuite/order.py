"""What a run is asked to do, as parts; `identity` says what its outcome depends on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import final

from torch import Tensor

from evalsuite.naming import name
from evalsuite.tasks._base import Task
from evalsuite.training._base import Recipe
from pruners import Pruner


@final
@dataclass(frozen=True, kw_only=True)
class Making:
    """How the family is made.

    Attributes:
        pruners: Each makes one family per seed.
        ratios: Target prune ratios in (0, 1), increasing.
        one_shot: Every network is pruned from the parent; else from the one before (prune-retrain cascade).
        recipe: Retrains every pruned network; None: batch-norm statistics are measured again, nothing is trained.
        rewind_to: Early weights that surviving weights take before retraining (weight rewinding); None: they stay and
            only the learning rate starts again (learning-rate rewinding, Renda et al. 2020).
        control: Whether a dense network is retrained as often, as a control.
        seeds: Families per pruner.
    """

    pruners: tuple[Pruner, ...]
    ratios: tuple[float, ...]
    one_shot: bool = False
    recipe: Recipe | None = None
    rewind_to: Mapping[str, Tensor] | None = None
    control: bool = False
    seeds: int = 1

    def identity(self, early: str | None) -> dict[str, object]:
        """What the networks depend on beside the parent, the data and the seed; `early`: digest of `rewind_to`."""
        return {
            "pruners": [name(pruner) for pruner in self.pruners],
            "ratios": list(self.ratios),
            "one_shot": self.one_shot,
            "recipe": None if self.recipe is None else name(self.recipe),
            "rewind_to": early,
            "control": self.control,
            "seeds": self.seeds,
        }


@final
@dataclass(frozen=True, kw_only=True)
class Judging:
    """What the family is asked, and how sure the answers must be.

    Attributes:
        tasks: In the order in which they are computed and shown.
        measures: Names of what is read off observations.
        required: Patterns (`fnmatch`) of task names that bind the deployable ratio.
        margin: Largest mean loss difference to the parent that counts as commensurate, in [0, 1).
        margin_for: Other margins for some tasks, by full name or kind.
        confidence: Of the run's claims, in (0.5, 1).
        examples: Held-out examples.
        examples_for: Fewer for some tasks, by full name or kind.
        seed: Every random draw is derived from it.
    """

    tasks: tuple[Task, ...]
    measures: tuple[str, ...] = ("error", "disagreement", "softmax_distance", "worst_class")
    required: tuple[str, ...] = ("*",)
    margin: float = 0.005
    margin_for: Mapping[str, float] = field(default_factory=dict)
    confidence: float = 0.95
    examples: int = 1000
    examples_for: Mapping[str, int] = field(default_factory=dict)
    seed: int = 0

    def identity(self) -> dict[str, object]:
        """What the verdicts depend on beside the networks and the data."""
        return {
            "tasks": [name(task) for task in self.tasks],
            "measures": list(self.measures),
            "required": list(self.required),
            "margin": self.margin,
            "margin_for": dict(sorted(self.margin_for.items())),
            "confidence": self.confidence,
            "examples": self.examples,
            "examples_for": dict(sorted(self.examples_for.items())),
            "seed": self.seed,
        }
