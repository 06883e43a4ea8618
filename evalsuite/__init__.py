"""evalsuite: how far can a trained network be pruned before each kind of robustness breaks?"""

from typing import TYPE_CHECKING

from evalsuite.version import __version__

if TYPE_CHECKING:
    from evalsuite.api import Result as Result
    from evalsuite.api import sweep as sweep

__all__ = ["Result", "__version__", "sweep"]


def __getattr__(name: str) -> object:
    # torch is imported when it is needed: `evalsuite --help` answers at once
    if name in {"Result", "sweep"}:
        from evalsuite import api

        return getattr(api, name)
    raise AttributeError(f"module 'evalsuite' has no attribute {name!r}")
