"""The engine of this process: any order, nothing of a store, and one item at a time."""

import numpy as np
import pytest
import torch
from small_families import Counting, examples, local, refs, resident

from evalsuite.engines._items import BankItem, CompareItem, ObserveItem, PairwiseItem, split_into_shards
from evalsuite.engines._recording import RecordingEngine
from evalsuite.engines.local import LocalEngine
from evalsuite.errors import UsageError
from evalsuite.tasks.clean import Clean
from evalsuite.tasks.features import Features
from evalsuite.tasks.noise import Noise
from evalsuite.tasks.ood import Ood

N = 300


def family(count=3):
    return refs(count), [Counting(k) for k in range(count)]


def by_key(results):
    return {
        (result.item.shard.start, each.network.id, each.other and each.other.id): each.columns
        for result in results
        for each in result.observations
    }


def items_of(task, networks, data):
    parent, *others = networks
    return [
        CompareItem(shard=shard, seed=0, parent=parent, networks=tuple(others), unobserved=networks)
        for shard in split_into_shards(task, data, len(data))
    ]


def test_items_give_the_same_in_any_order():
    (networks, made), data, task = family(), examples(N), Noise(level=0.2)
    items = items_of(task, networks, data)
    forth, back = (
        by_key(local([task], data, resident(networks, made)).compute(order)) for order in (items, reversed(items))
    )
    assert forth.keys() == back.keys()
    assert len(forth) == 2 * (3 + 2)  # on two shards: three networks, two comparisons
    for key, columns in forth.items():
        for column, values in columns.items():
            np.testing.assert_array_equal(values, back[key][column])


def test_items_are_taken_one_by_one():
    (networks, made), data, taken = family(), examples(N), []

    def counted():
        for item in items_of(Clean(), networks, data):
            taken.append(item)
            yield item

    results = local([Clean()], data, resident(networks, made)).compute(counted())
    assert taken == []
    first = next(results)
    assert taken == [first.item]
    assert [result.item for result in results] == taken[1:]


def test_only_what_is_wanted_comes_back():
    (networks, made), data, task = family(), examples(20), Clean()
    parent, second, third = networks
    (shard,) = split_into_shards(task, data, 20)
    engine = local([task], data, resident(networks, made))
    (result,) = engine.compute(
        [CompareItem(shard=shard, seed=0, parent=parent, networks=(second,), unobserved=(third,))]
    )
    assert {(each.network.id, each.other and each.other.id) for each in result.observations} == {
        ("n2", None),
        ("n1", "n0"),
    }
    (alone,) = engine.compute([ObserveItem(shard=shard, seed=0, networks=(third,))])
    (columns,) = (each.columns for each in alone.observations)
    assert "probabilities" not in columns  # a comparison needs them, nobody stores them
    np.testing.assert_array_equal(columns["prediction"], by_key([result])[0, "n2", None]["prediction"])


def test_pictures_are_those_of_the_first_shard():
    (networks, made), data, task = family(), examples(N), Clean()
    shown = [
        result.pictures
        for result in local([task], data, resident(networks, made)).compute(items_of(task, networks, data))
    ]
    assert torch.equal(shown[0], data.batch(0, 8).images)
    assert shown[1:] == [None]


def test_others_observations_come_with_the_item():
    (networks, made), data, task = family(2), examples(20), Features(share=0.25, steps=2)
    (shard,) = split_into_shards(task, data, 20)
    engine = local([task], data, resident(networks, made))
    (itself,) = engine.compute([ObserveItem(shard=shard, seed=0, networks=networks[:1])])
    observed = itself.observations[0].columns
    item = PairwiseItem(shard=shard, seed=0, source=networks[0], networks=networks[1:], observed=observed)
    (result,) = engine.compute([item])
    (row,) = result.observations
    assert (row.network, row.other, list(row.columns)) == (networks[1], networks[0], ["lent_confidence"])
    expected = task.observe_pair(made[1], data.batch(0, 20), observed)
    np.testing.assert_array_equal(row.columns["lent_confidence"], expected["lent_confidence"])


def test_examples_are_read_once_a_task_and_checked():
    (networks, made), data, reads = family(), examples(N), []
    loader, device = resident(networks, made), torch.device("cpu")
    engine = LocalEngine([Clean(), Noise()], lambda task: reads.append(task) or data, loader, device=device)
    for task in (Clean(), Noise()):
        for items in (items_of(task, networks, data), items_of(task, networks, data)):
            assert len(list(engine.compute(items))) == 2
    assert reads == [Clean(), Noise()]
    others = items_of(Clean(), networks, data.select(range(N - 1, -1, -1)))
    with pytest.raises(UsageError, match="clean: expected the examples that its shards were cut from"):
        list(engine.compute(others))


class Layered(torch.nn.Module):
    """A classifier with features."""

    def __init__(self, seed):
        super().__init__()
        self.body, self.head = torch.nn.Linear(16, 6), torch.nn.Linear(6, 3)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator))

    def forward(self, images):
        return self.head(self.body(images.flatten(1)).relu())


def test_banks_stay_with_the_engine_until_another_task_begins():
    networks, data, task = refs(2), examples(40), Ood(outliers="blobs", knn=2, bank=30)
    made = [Layered(k).eval() for k in range(2)]
    training = examples(30)
    (shard,), bank = split_into_shards(task, data, 40, training), split_into_shards(task, training, 30, training)
    tasks = [task, Clean()]
    engine = local(tasks, data, resident(networks, made), banks={shard.task: training})
    fitting = [BankItem(shard=each, seed=0, networks=networks) for each in bank]
    assert [result.observations for result in engine.compute(fitting)] == [()]
    observing = [ObserveItem(shard=shard, seed=0, networks=networks)]
    (result,) = engine.compute(observing)
    assert all("knn" in each.columns for each in result.observations)
    list(engine.compute(items_of(Clean(), networks, data)))
    with pytest.raises(KeyError):
        list(engine.compute(observing))


def test_a_recorder_hands_items_on():
    (networks, made), data = family(), examples(N)
    items = items_of(Clean(), networks, data)
    inner = local([Clean()], data, resident(networks, made))
    recorder = RecordingEngine(inner)
    assert [result.item for result in recorder.compute(items)] == items
    assert recorder.calls == [items]
    assert recorder.networks_at_once == inner.networks_at_once
