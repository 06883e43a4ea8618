"""Evaluates a family: which tasks apply, what is missing, who computes it, and what the store has to know of it."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from torch import nn

from evalsuite.analysis import population_pairs
from evalsuite.config.settings import EvaluationSettings
from evalsuite.data._base import Dataset
from evalsuite.engines import local
from evalsuite.engines.shards import Member, Pair, Pending, chosen_for, pending, preceded
from evalsuite.evaluation.examples import Asked, domain_of
from evalsuite.parts.names import part_kind, part_name, part_settings
from evalsuite.problems import Classification
from evalsuite.process.third_party_code import others_code
from evalsuite.progress import Reporter
from evalsuite.records.facts import TaskFacts
from evalsuite.records.store import Store
from evalsuite.tasks._base import Task
from evalsuite.tasks._names import readings


def judge(
    members: Sequence[Member],
    parent: Member,
    asked: Asked,
    store: Store,
    reporter: Reporter,
) -> None:
    """Ask every network every task and store the observations; what is stored already is not computed again.

    Args:
        members: All networks, the parent included.
        parent: The network that the others are compared with.
        asked: What to ask, about which examples.
        store: Where observations go.
        reporter: Hears about progress.
    """
    with others_code("seeing which tasks make sense", networks={member.id: member.network for member in members}):
        networks = [member.network for member in members]
        store.set_tasks([_facts(task, asked, networks) for task in asked.judging.tasks])
        for member in members:
            member.network.eval().requires_grad_(requires_grad=False)  # attacks need gradients of images only
        todo = _missing(members, parent, asked, store)
    seed = asked.judging.seed
    local.run(todo, parent, asked.of, store, seed=seed, reporter=reporter, training=asked.training)


def _missing(members: Sequence[Member], parent: Member, asked: Asked, store: Store) -> list[Pending]:
    """The shards that the store lacks, in the order of the tasks."""
    networks = [member.network for member in members]
    domain = domain_of(asked.dataset)
    pairs = _pairs(members, store)
    found: list[Pending] = []
    for task in asked.judging.tasks:
        if refusal(task, asked.dataset, networks) is None:
            shards, seed = asked.shards[part_name(task)], asked.judging.seed
            todo = pending(shards, members, parent, store, seed, pairs=pairs, domain=domain)
            training = asked.training.get(part_name(task))
            found.extend(todo if training is None else preceded(todo, parent, training))
    return found


def _pairs(members: Sequence[Member], store: Store) -> list[Pair]:
    """Who is shown what was observed of whom, as the store knows the networks."""
    found = [store.network(made_from) for made_from in store.meta()["members"]]
    by_id = {member.id: member for member in members}
    known = [facts for facts in found if facts is not None and facts["id"] in by_id]
    return [Pair(of=by_id[of["id"]], to=by_id[to["id"]]) for of, to in population_pairs.pairs(known)]


def refusal(task: Task, dataset: Dataset, networks: Iterable[nn.Module]) -> str | None:
    """Why `task` makes no sense on this data, or for one of the networks; None where it does."""
    domain = domain_of(dataset)
    if task.of_classes and not isinstance(dataset.problem, Classification):
        return f"it asks about one class an image, and {dataset.name} is about {dataset.problem.title}"
    reasons = (task.refuses_network(network, domain) for network in networks)
    return task.refuses(domain) or next((reason for reason in reasons if reason is not None), None)


def _facts(task: Task, asked: Asked, networks: Sequence[nn.Module]) -> TaskFacts:
    judging, dataset, shards = asked.judging, asked.dataset, asked.shards[part_name(task)]
    domain = domain_of(dataset)
    unavailable = refusal(task, dataset, networks)
    return {
        "name": part_name(task),
        "kind": part_kind(task),
        "title": task.title(),
        "required": _required(task, judging, available=unavailable is None),
        "margin": chosen_for(task, judging.margin, judging.margin_for),
        "version": task.version,
        "parameters": {**part_settings(task), **task.identity()},
        "readings": readings(task),
        "note": task.note(domain),
        "unavailable": unavailable,
        "digest": asked.digest(task),
        "shards": [shard.examples for shard in shards],
        "n": shards[-1].stop if shards else 0,
    }


def _required(task: Task, judging: EvaluationSettings, *, available: bool) -> bool:
    """A task that cannot be asked is required only where it is asked for by its own name, not by a pattern."""
    if not available:
        return part_name(task) in judging.required
    return any(fnmatchcase(part_name(task), pattern) for pattern in judging.required)
