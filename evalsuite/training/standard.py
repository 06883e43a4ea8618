"""The plain recipe: cross-entropy, one rise and fall of the learning rate, shifted and mirrored images."""

from dataclasses import dataclass
from typing import final

from evalsuite.training._scheduled import Scheduled


@final
@dataclass(frozen=True, kw_only=True)
class Standard(Scheduled):
    """The schedule and the views that most recipes share, and the loss of the problem as it is."""
