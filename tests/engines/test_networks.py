"""Networks are loaded when they are needed and let go: counted by who reads them, and by who is still alive."""

import gc
import weakref

import pytest
import torch
from small_families import Counting, examples, local

from evalsuite.engines._items import NetworkRef, split_into_shards
from evalsuite.engines._networks import LoadedSequence, NetworkLoader, affordable
from evalsuite.evaluation.evaluate import write_missing
from evalsuite.evaluation.missing import Population, missing_work
from evalsuite.progress import Silent
from evalsuite.records.store import opened
from evalsuite.tasks.adversarial import Adversarial
from evalsuite.tasks.features import Features
from evalsuite.tasks.noise import Noise

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("quick_collections")]

FAMILY = tuple(NetworkRef(id=f"n{k}", digest=f"d{k}", file=f"n{k}.safetensors") for k in range(6))
PARENT = NetworkRef(id="parent", digest="p")


class Disk:
    """Reads networks, and counts how often, and the most that were alive at once."""

    def __init__(self):
        self.reads, self.most = [], 0
        self._alive = weakref.WeakSet()

    def __call__(self, ref):
        self.reads.append(ref.id)
        network = Counting(int(ref.id[1:]))
        self._alive.add(network)
        gc.collect()
        self.most = max(self.most, len(self._alive))
        return network


def loader(disk, budget):
    made = NetworkLoader(disk, budget=budget)
    made.add(PARENT, Counting(99))
    return made


def rows(store):
    query = "SELECT task, network, examples, seed, parent, observations FROM shards ORDER BY 1, 2, 3, 5"
    return store._database.execute(query).fetchall()


@pytest.mark.parametrize(
    ("task", "reads"),
    [
        (Noise(), 1),
        (Adversarial(eps=0.1, attack="pgd"), 1),
        (Features(share=0.25, steps=2), 2),  # once to be observed, once to be shown what was observed of others
    ],
)
def test_a_family_larger_than_the_budget_is_evaluated_two_by_two(tmp_path, task, reads):
    data = examples(300)
    population = Population(
        parent=PARENT,
        networks=(PARENT, *FAMILY),
        pairs=tuple((source, ref) for source in (PARENT, *FAMILY) for ref in (PARENT, *FAMILY)),
    )
    stored = []
    for budget in (2, None):
        disk = Disk()
        engine = local([task], data, loader(disk, budget))
        assert engine.networks_at_once == budget
        with opened(tmp_path / f"{budget}", create=True) as store:
            shards = split_into_shards(task, data, 300)
            assert len(shards) > 1
            work = missing_work(task, shards, population, store, 0, at_once=engine.networks_at_once)
            write_missing([work], PARENT, store, engine=engine, reporter=Silent())
            stored.append(rows(store))
        expected = 6 if budget is None else 6 * reads
        assert len(disk.reads) == expected
        assert disk.most == (6 if budget is None else 2)
    assert stored[0] == stored[1] != []


def test_what_is_in_memory_is_not_read_again_and_the_longest_unused_goes():
    disk = Disk()
    held = loader(disk, 2)
    a, b, c = FAMILY[:3]
    held.load(a)
    held.load(b)
    held.load(a)
    assert disk.reads == ["n0", "n1"]
    held.load(c)
    assert [held.holds(ref) for ref in (a, b, c, PARENT)] == [True, False, True, True]
    held.load(a)
    assert disk.reads == ["n0", "n1", "n2"]


def test_networks_that_are_wanted_together_do_not_make_room_for_each_other():
    disk = Disk()
    held = loader(disk, 2)
    a, b, c = FAMILY[:3]
    held.load_all([a, b])
    held.load_all([c, a])  # of the two it is b that goes
    assert disk.reads == ["n0", "n1", "n2"]


def test_a_network_that_was_made_here_is_not_read():
    disk, made = Disk(), Counting(0)
    held = NetworkLoader(disk, budget=1)
    held.add(FAMILY[0], made)
    assert held.load(FAMILY[0]) is made
    assert disk.reads == []
    held.load(FAMILY[1])
    assert held.load(FAMILY[0]) is not made
    with pytest.raises(KeyError):
        held.load(PARENT)


def test_a_sequence_loads_what_is_looked_at():
    disk = Disk()
    sequence = LoadedSequence(FAMILY, loader(disk, 2))
    assert len(sequence) == 6
    assert isinstance(sequence[3], Counting)
    assert disk.reads == ["n3"]
    assert sequence[1:3].refs == FAMILY[1:3]
    assert sequence.take([5, 3]).refs == (FAMILY[5], FAMILY[3])
    assert list(sequence.in_memory()) == ["n3"]


def test_at_least_two_networks_are_affordable_and_at_most_half_of_the_memory():
    small, device = Counting(0), torch.device("cpu")
    few = torch.nn.Linear(1000, 1000)
    assert affordable(small, device) > 20 * affordable(few, device) > 40
    huge = torch.nn.Module()
    huge.weight = torch.nn.Parameter(torch.empty(1).expand(2**40))
    assert affordable(huge, device) == 2


@pytest.mark.parametrize("budget", [0, -1])
def test_a_budget_of_no_network_is_refused(budget):
    with pytest.raises(ValueError, match="at least one network"):
        NetworkLoader(Disk(), budget=budget)
