"""Decides what a run may assume, by its options and by the policy that it will be held to."""

from typing import TypedDict

from evalsuite.config.options import Spec
from evalsuite.gate.policy import read_policy


class Cautions(TypedDict):
    """Fields of `pipeline.Origin`."""

    strict: bool
    accepted: tuple[str, ...]
    accept_parent: bool


def caution(spec: Spec) -> Cautions:
    """A policy refuses what is only assumed, so a run that will be held to one refuses it at once, not after hours."""
    accepted = () if spec.gate is None else read_policy(spec.gate).terms.assumptions
    return Cautions(
        strict=spec.strict or spec.gate is not None,
        # what a policy lets pass is not what `--strict` does
        accepted=spec.assume if spec.strict else accepted,
        accept_parent=spec.accept_parent,
    )
