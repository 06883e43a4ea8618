"""What authors of parts build on: the contract of every kind of part, and the values that contracts speak of.

A part is a frozen keyword-only dataclass. It is known by the name of its file, or by that of an entry point in the
group of its kind: `evalsuite.tasks`, `evalsuite.measures`, `evalsuite.attacks`, `evalsuite.corruptions`,
`evalsuite.training`, `evalsuite.data`, `evalsuite.pruners`, `evalsuite.report.sections`, `evalsuite.export`. Tasks,
pruners and recipes are handed to `evalsuite.sweep` as they are, too.
"""

from evalsuite.attacks._base import Attack, Attacked, Budget, Flag
from evalsuite.corruptions._base import Corruption
from evalsuite.data import Batch, Dataset, Examples, Images, Source, TrainingAdvice
from evalsuite.export._base import Exporter
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
from evalsuite.progress import Reporter
from evalsuite.randomness import integers, keys, normal, uniform
from evalsuite.report.sections._base import Contents, Section
from evalsuite.tasks._abilities import ChecksNetworks, ComparesToParent, OwnExamples, Pairwise, PerNetwork, UsesBank
from evalsuite.tasks._base import Domain, Task, TaskOutput
from evalsuite.training import Hook, Recipe
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
    "Contents",
    "Context",
    "Corruption",
    "Dataset",
    "Domain",
    "Examples",
    "Exporter",
    "Flag",
    "Hook",
    "Images",
    "Measure",
    "Metric",
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
    "Scores",
    "Section",
    "Source",
    "Statistic",
    "Stored",
    "Task",
    "TaskOutput",
    "TrainingAdvice",
    "UsesBank",
    "WeightPruner",
    "WeightedStatistic",
    "integers",
    "keys",
    "normal",
    "uniform",
]
