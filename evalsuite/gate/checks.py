"""Checks of a gate, and their verdict as one outcome and exit code."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import final


@final
class Outcome(StrEnum):
    """Of a check or of the gate."""

    PASS = "pass"
    FAIL = "fail"
    INCOMPLETE = "incomplete"


@final
@dataclass(frozen=True, kw_only=True)
class Check:
    """One demand of the policy on one task of one network or family.

    Attributes:
        requirement: The demand's key in the policy, e.g. "max_loss".
        limit: What is demanded, e.g. "0.2".
        task: The task, or the pattern that matched none.
        measure: What was read off it; None for the deployable ratio.
        network: The network or family that was judged; None where there was none.
        outcome: Pass, fail on complete evidence, or incomplete.
        message: One sentence with the numbers.
        planned: False where the run never meant to evaluate such a task.
    """

    requirement: str
    limit: str
    task: str
    measure: str | None
    network: str | None
    outcome: Outcome
    message: str
    planned: bool = True


@final
@dataclass(frozen=True, kw_only=True)
class JudgedNetwork:
    """A network that the verdict is about: this one, and no other file of the same name.

    Attributes:
        id: Its name in the run.
        tensors: Digest of its tensors, as `networks[].digest` of results.json.
        sha256: SHA-256 of its file; None where the run read or wrote none.
        file: Where that lies in the run folder; None where it was made elsewhere.
    """

    id: str
    tensors: str | None
    sha256: str | None
    file: str | None


@final
@dataclass(frozen=True, kw_only=True)
class GateResult:
    """The verdict on a run.

    Attributes:
        policy: The policy's name.
        checks: In the order of the policy; none is incomplete, since nothing was shown.
        networks: What was judged; a policy of ratios alone judges the network at the deployable ratio.
        digests: Of the results' evidence (`store`), of what was asked (`request`), and of the results themselves.
    """

    policy: str
    checks: tuple[Check, ...]
    networks: tuple[JudgedNetwork, ...] = ()
    digests: Mapping[str, str] = field(default_factory=dict)

    @property
    def outcome(self) -> Outcome:
        """Fail if any check failed, else incomplete if any is, else pass."""
        outcomes = {check.outcome for check in self.checks} or {Outcome.INCOMPLETE}
        return next((o for o in (Outcome.FAIL, Outcome.INCOMPLETE) if o in outcomes), Outcome.PASS)

    @property
    def exit_code(self) -> int:
        """0 pass, 1 fail, 3 incomplete."""
        return {Outcome.PASS: 0, Outcome.FAIL: 1, Outcome.INCOMPLETE: 3}[self.outcome]


def as_dict(result: GateResult) -> dict[str, object]:
    """What `--json` prints: the policy's name, the outcome, the exit code, every check, and what was judged."""
    checks = [{**asdict(check), "outcome": str(check.outcome)} for check in result.checks]
    return {
        "policy": result.policy,
        "outcome": str(result.outcome),
        "exit_code": result.exit_code,
        "checks": checks,
        "networks": [asdict(network) for network in result.networks],
        "digests": dict(result.digests),
    }
