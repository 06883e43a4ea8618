"""evalsuite: how far can a trained network be pruned before each kind of robustness breaks?

`sweep` prunes and evaluates, `evaluate` compares networks that were made elsewhere, `load` reads a finished run; all
give a `Result`. Parts of one's own are built on the classes of `evalsuite.extend` and of `pruners`.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from evalsuite.version import __version__

if TYPE_CHECKING:
    from evalsuite.api import evaluate as evaluate
    from evalsuite.api import sweep as sweep
    from evalsuite.config.settings import EvaluationSettings as EvaluationSettings
    from evalsuite.data import Dataset as Dataset
    from evalsuite.data import load as load_data
    from evalsuite.errors import EvalsuiteError as EvalsuiteError
    from evalsuite.errors import IncompleteEvidenceError as IncompleteEvidenceError
    from evalsuite.errors import RefusedInputError as RefusedInputError
    from evalsuite.errors import UsageError as UsageError
    from evalsuite.progress import Reporter as Reporter
    from evalsuite.result import Result as Result
    from evalsuite.result import load as load
    from evalsuite.training import named as named_recipe
    from evalsuite.training import train as train

__all__ = [
    "Dataset",
    "EvalsuiteError",
    "EvaluationSettings",
    "IncompleteEvidenceError",
    "RefusedInputError",
    "Reporter",
    "Result",
    "UsageError",
    "__version__",
    "evaluate",
    "load",
    "load_data",
    "named_recipe",
    "sweep",
    "train",
]

_PLACES = {
    "Dataset": "data:Dataset",
    "EvalsuiteError": "errors:EvalsuiteError",
    "EvaluationSettings": "config.settings:EvaluationSettings",
    "IncompleteEvidenceError": "errors:IncompleteEvidenceError",
    "RefusedInputError": "errors:RefusedInputError",
    "Reporter": "progress:Reporter",
    "Result": "result:Result",
    "UsageError": "errors:UsageError",
    "evaluate": "api:evaluate",
    "load": "result:load",
    "load_data": "data:load",
    "named_recipe": "training:named",
    "sweep": "api:sweep",
    "train": "training:train",
}
"""Module and name of each; imported when it is asked for, since `import evalsuite` shall not take as long as torch."""


def __getattr__(name: str) -> object:
    if name not in _PLACES:
        raise AttributeError(f"module 'evalsuite' has no attribute {name!r}")
    module, _, attribute = _PLACES[name].partition(":")
    return getattr(import_module(f"evalsuite.{module}"), attribute)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
