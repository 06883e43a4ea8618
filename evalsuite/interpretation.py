"""How an input was read: what the user gave, what a file says, what was measured, and what evalsuite assumes.

Whatever is assumed is said, and what cannot be known is asked: every reader of a network or of data hands on one
`Interpretation` for each thing that it had to know. They stand on stderr, in `results.json` and in the report, and
`--strict` refuses those that nobody confirmed.
"""

import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal, final

from evalsuite.errors import RefusedInputError

Basis = Literal["given", "recorded", "measured", "assumed", "doubtful"]
"""Where an answer comes from, from the surest to the least sure.

"given": an option says it. "recorded": the file itself says it. "measured": it was counted or computed. "assumed": a
rule of evalsuite or the custom of a library chose it, and another answer is possible. "doubtful": it contradicts
something else that is known.
"""
UNCONFIRMED = frozenset[Basis]({"assumed", "doubtful"})


@final
@dataclass(frozen=True, kw_only=True)
class Interpretation:
    """One thing that had to be known of an input.

    Attributes:
        topic: A noun, e.g. "normalisation"; several readings of one run may share a topic.
        value: What was taken, in a few words: "mean 0.1307, std 0.3081".
        basis: Where the answer comes from.
        reason: Why this answer: "the custom of torchvision's networks"; empty where `basis` says it all.
        option: What to type to confirm or change it: "--normalise none"; empty where no option can.
    """

    topic: str
    value: str
    basis: Basis
    reason: str = ""
    option: str = ""

    @property
    def confirmed(self) -> bool:
        """Whether somebody or something beside a rule of evalsuite vouches for it."""
        return self.basis not in UNCONFIRMED

    def sentence(self) -> str:
        """One line: topic, value, and where it comes from."""
        source = f"{self.basis}: {self.reason}" if self.reason else self.basis
        way_out = f"; {self.option} changes it" if self.option and not self.confirmed else ""
        return f"{self.topic}: {self.value} ({source}{way_out})"


def accepted(topic: str, basis: str, patterns: Iterable[str]) -> bool:
    """Whether one of `patterns` (`fnmatch`) accepts a reading that nobody confirmed.

    Who accepts that something is assumed does not accept that it is contradicted: a doubt has to be named as one,
    "doubtful normalisation".
    """
    meant = [pattern for pattern in patterns if basis != "doubtful" or pattern.startswith("doubtful")]
    return any(fnmatchcase(named(topic, basis), pattern) for pattern in meant)


def named(topic: str, basis: str) -> str:
    """What accepts a reading that nobody confirmed, and no reading of another kind."""
    return f"doubtful {topic}" if basis == "doubtful" else topic


def refuse_unconfirmed(readings: Iterable[Interpretation]) -> None:
    """Accept nothing that is only assumed.

    Raises:
        RefusedInputError: Something is; each is named with the option that confirms it.
    """
    open_questions = [reading for reading in readings if not reading.confirmed]
    if open_questions:
        listed = "".join(f"\n  {reading.sentence()}" for reading in open_questions)
        topics = ",".join(sorted({named(reading.topic, reading.basis) for reading in open_questions}))
        raise RefusedInputError(
            f"--strict: expected every input to be known, got {len(open_questions)} open:{listed}\n"
            f"  accepted as they are by --strict --assume {shlex.quote(topics)}, or by a policy's assumptions"
        )
