"""What authors of parts build on: the contract of every kind of part, and the values that contracts speak of.

A part is a frozen keyword-only dataclass. It is known by the name of its file, or by that of an entry point in the
group of its kind: `evalsuite.tasks`, `evalsuite.measures`, `evalsuite.attacks`, `evalsuite.corruptions`,
`evalsuite.training`, `evalsuite.data`, `evalsuite.pruners`, `evalsuite.pruners.regularisers`,
`evalsuite.report.sections`, `evalsuite.export`, `evalsuite.engines`. Tasks, pruners, penalties and recipes
are handed to `evalsuite.sweep` as they are, too. `docs/extending/` has a page with a whole example for each kind.
"""

from evalsuite.attacks._base import Attack, Attacked, Budget, Flag, Norm
from evalsuite.corruptions._base import Corruption
from evalsuite.data import Batch, Dataset, Examples, Images, Source, TrainingAdvice
from evalsuite.engines._base import Engine, ItemResult
from evalsuite.engines._items import WorkItem
from evalsuite.engines.local import LocalEngine
from evalsuite.export._base import Exporter
from evalsuite.gate.checks import GateResult
from evalsuite.measures._base import (
    Annotations,
    Answers,
    Measure,
    Metric,
    Paired,
    ReadColumn,
    Statistic,
    Stored,
    WeightedStatistic,
)
from evalsuite.networks.architectures._base import Architecture
from evalsuite.problems import CLASSIFICATION, Classification, Column, Observations, Problem
from evalsuite.problems._base import Constant, Guess
from evalsuite.progress import Reporter
from evalsuite.randomness import integers, keys, normal, uniform
from evalsuite.records.schema import Results
from evalsuite.report.sections._base import Contents, Section, Values
from evalsuite.tasks._abilities import ChecksNetworks, ComparesToParent, OwnExamples, Pairwise, PerNetwork, UsesBank
from evalsuite.tasks._base import Domain, Task, TaskOutput
from evalsuite.training import Hook, Recipe
from evalsuite.training._scheduled import Scheduled
from pruners import ChannelPruner, Context, Pruner, Scores, WeightPruner
from pruners.regularisers import Regulariser

__all__ = [
    "CLASSIFICATION",
    "Annotations",
    "Answers",
    "Architecture",
    "Attack",
    "Attacked",
    "Batch",
    "Budget",
    "ChannelPruner",
    "ChecksNetworks",
    "Classification",
    "Column",
    "ComparesToParent",
    "Constant",
    "Contents",
    "Context",
    "Corruption",
    "Dataset",
    "Domain",
    "Engine",
    "Examples",
    "Exporter",
    "Flag",
    "GateResult",
    "Guess",
    "Hook",
    "Images",
    "ItemResult",
    "LocalEngine",
    "Measure",
    "Metric",
    "Norm",
    "Observations",
    "OwnExamples",
    "Paired",
    "Pairwise",
    "PerNetwork",
    "Problem",
    "Pruner",
    "ReadColumn",
    "Recipe",
    "Regulariser",
    "Reporter",
    "Results",
    "Scheduled",
    "Scores",
    "Section",
    "Source",
    "Statistic",
    "Stored",
    "Task",
    "TaskOutput",
    "TrainingAdvice",
    "UsesBank",
    "Values",
    "WeightPruner",
    "WeightedStatistic",
    "WorkItem",
    "integers",
    "keys",
    "normal",
    "uniform",
]
