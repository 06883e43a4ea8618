"""Evaluates a family: which tasks apply, what is missing, who computes it, and what the store has to know of it."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from torch import nn

from evalsuite.data._base import Dataset, Examples
from evalsuite.engines import local
from evalsuite.facts import TaskFacts
from evalsuite.naming import kind, name, settings
from evalsuite.order import Judging
from evalsuite.plan import Member, Pending, chosen_for, cuts, pending
from evalsuite.progress import Reporter
from evalsuite.store import Store
from evalsuite.tasks._base import Domain, Task
from evalsuite.tasks._names import digest, readings


def judge(
    members: Sequence[Member],
    parent: Member,
    judging: Judging,
    dataset: Dataset,
    examples: Examples,
    store: Store,
    reporter: Reporter,
) -> None:
    """Ask every network every task and store the observations; what is stored already is not computed again.

    Args:
        members: All networks, the parent included.
        parent: The network that the others are compared with.
        judging: What to ask.
        dataset: Where the examples come from.
        examples: The chosen held-out examples, in order.
        store: Where observations go.
        reporter: Hears about progress.
    """
    store.set_examples(examples.ids, examples.labels.tolist())
    networks = [member.network for member in members]
    store.set_tasks([_facts(task, judging, dataset, examples, networks) for task in judging.tasks])
    for member in members:
        member.network.eval().requires_grad_(requires_grad=False)  # attacks need gradients of images only
    todo = missing(members, parent, judging, dataset, examples, store)
    local.run(todo, parent, examples, store, seed=judging.seed, reporter=reporter)


def missing(
    members: Sequence[Member],
    parent: Member,
    judging: Judging,
    dataset: Dataset,
    examples: Examples,
    store: Store,
) -> list[Pending]:
    """The shards that the store lacks, in the order of the tasks."""
    networks = [member.network for member in members]
    found: list[Pending] = []
    for task in judging.tasks:
        if refusal(task, dataset, networks) is None:
            shards = cuts(task, examples, limit(task, judging))
            found.extend(pending(shards, members, parent, store, judging.seed))
    return found


def refusal(task: Task, dataset: Dataset, networks: Iterable[nn.Module]) -> str | None:
    """Why `task` makes no sense on this data, or for one of the networks; None where it does."""
    domain = Domain(shape=dataset.shape, classes=len(dataset.classes))
    reasons = (task.refuses_network(network, domain) for network in networks)
    return task.refuses(domain) or next((reason for reason in reasons if reason is not None), None)


def limit(task: Task, judging: Judging) -> int:
    """How many examples a task is judged on."""
    return min(judging.examples, chosen_for(task, judging.examples, judging.examples_for))


def _facts(
    task: Task, judging: Judging, dataset: Dataset, examples: Examples, networks: Sequence[nn.Module]
) -> TaskFacts:
    domain = Domain(shape=dataset.shape, classes=len(dataset.classes))
    unavailable = refusal(task, dataset, networks)
    shards = cuts(task, examples, limit(task, judging))
    return {
        "name": name(task),
        "kind": kind(task),
        "title": task.title(),
        "required": _required(task, judging, available=unavailable is None),
        "margin": chosen_for(task, judging.margin, judging.margin_for),
        "version": task.version,
        "parameters": {**settings(task), **task.identity()},
        "readings": readings(task),
        "note": task.note(domain),
        "unavailable": unavailable,
        "digest": digest(task),
        "shards": [shard.examples for shard in shards],
        "n": shards[-1].stop if shards else 0,
    }


def _required(task: Task, judging: Judging, *, available: bool) -> bool:
    """A task that cannot be asked is required only where it is asked for by its own name, not by a pattern."""
    if not available:
        return name(task) in judging.required
    return any(fnmatchcase(name(task), pattern) for pattern in judging.required)
