"""Errors of parts that make networks, as refusals: what a method cannot do with a network is no fault of evalsuite."""

from collections.abc import Iterator
from contextlib import contextmanager

from evalsuite.errors import UsageError


@contextmanager
def refusing(what: str) -> Iterator[None]:
    """Inside, a ValueError or RuntimeError becomes one line that begins with `what`; it stays as the cause.

    Args:
        what: A part and what it fails at: "--pruner sipp cannot prune this network".

    Raises:
        UsageError: Instead of ValueError and RuntimeError. Others, such as AssertionError, are programming errors and
            stay what they are.
    """
    try:
        yield
    except (ValueError, RuntimeError) as error:
        lines = str(error).strip().splitlines()
        raise UsageError(f"{what}: {lines[0] if lines else type(error).__name__}") from error
