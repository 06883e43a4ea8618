"""What is missing is computed, once, for whom it is missing."""

import contextlib
import pickle

import pytest
from small_families import Counting, examples, local, refs, resident

from evalsuite.engines._items import CompareItem, NetworkRef, ObserveItem, split_into_shards
from evalsuite.engines._recording import RecordingEngine
from evalsuite.evaluation.evaluate import write_missing
from evalsuite.evaluation.examples import setting_for_task
from evalsuite.evaluation.missing import Population, missing_work
from evalsuite.evaluation.pace import Pace
from evalsuite.progress import Silent
from evalsuite.records.store import opened
from evalsuite.tasks.adversarial import Adversarial
from evalsuite.tasks.clean import Clean
from evalsuite.tasks.noise import Noise


def missing(task, data, family, store, **more):
    population = Population(parent=more.pop("parent", family[0]), networks=tuple(family))
    return missing_work(task, split_into_shards(task, data, len(data)), population, store, 0, **more)


def compute(work, data, loader, store, parent, reporter=None):
    engine = local([work.task], data, loader)
    write_missing([work], parent, store, engine=engine, reporter=reporter or Silent())


def all_rows(store):
    query = "SELECT task, network, examples, seed, parent, observations FROM shards ORDER BY 1, 2, 3, 5"
    return store._database.execute(query).fetchall()


def test_only_what_is_missing_is_computed(tmp_path):
    data, family, networks = examples(), refs(3), [Counting(k) for k in range(3)]
    loader = resident(family, networks)
    shards = split_into_shards(Noise(), data, 600)
    assert [(s.start, s.stop, len(s)) for s in shards] == [(0, 256, 256), (256, 512, 256), (512, 600, 88)]
    with opened(tmp_path, create=True) as store:
        compute(missing(Noise(), data, family[:2], store), data, loader, store, family[0])
        assert [network.calls for network in networks] == [3, 3, 0]
        assert missing(Noise(), data, family[:2], store).items == ()
        work = missing(Noise(), data, family, store)
        assert [tuple(ref.id for ref in item.unobserved) for item in work.observe] == [("n2",)] * 3
        compute(work, data, loader, store, family[0])
        # the parent runs once more beside the new network: softmax distances need both on the same inputs
        assert [network.calls for network in networks] == [6, 3, 3]
        assert missing(Noise(), data, family, store).items == ()


def test_results_do_not_depend_on_who_is_asked_together(tmp_path):
    data, family, task = examples(300), refs(3), Noise(level=0.3)
    loader = resident(family, [Counting(k) for k in range(3)])
    with opened(tmp_path / "together", create=True) as one, opened(tmp_path / "apart", create=True) as two:
        compute(missing(task, data, family, one), data, loader, one, family[0])
        for ref in (family[0], family[2], family[1]):
            compute(missing(task, data, [ref], two, parent=family[0]), data, loader, two, family[0])
        assert all_rows(one) == all_rows(two) != []


def test_items_are_small_values_that_another_process_can_be_sent(tmp_path):
    data, family = examples(300), refs(3)
    with opened(tmp_path, create=True) as store:
        comparing = missing(Clean(), data, family, store)
        alone = missing(Adversarial(eps=0.2, attack="pgd"), data, family, store)
    assert all(isinstance(item, CompareItem) for item in comparing.observe)
    assert all(isinstance(item, ObserveItem) for item in alone.observe)
    for item in (*comparing.items, *alone.items):
        sent = pickle.dumps(item)
        assert len(sent) < 1000
        assert pickle.loads(sent) == item  # noqa: S301 - dumped above


def test_dear_tasks_are_stored_network_by_network(tmp_path):
    data, family, task = examples(20), refs(3), Adversarial(eps=0.2, attack="pgd")

    class StopError(Exception):
        pass

    class Stopping:
        done = 0

        def __getattr__(self, _):
            return lambda *_args, **_options: None

        def advance(self, amount, what, left=None, *, examples=0):
            self.done += amount > 0
            if self.done == 2:
                raise StopError

    with opened(tmp_path, create=True) as store:
        loader = resident(family, [Counting(k) for k in range(3)])
        with contextlib.suppress(StopError):
            compute(missing(task, data, family, store), data, loader, store, family[0], Stopping())
        (item,) = missing(task, data, family, store).observe
        assert [ref.id for ref in item.networks] == ["n2"]


def test_same_tensors_are_computed_once(tmp_path):
    data, family = examples(10), refs(2)
    twin = NetworkRef(id="twin", digest=family[1].digest)
    with opened(tmp_path, create=True) as store:
        (item,) = missing(Clean(), data, [*family, twin], store).observe
    assert [ref.digest for ref in item.unobserved] == ["d0", "d1"]
    assert [ref.digest for ref in item.networks] == ["d1"]
    assert [ref.digest for ref in item.runs] == ["d0", "d1"]


@pytest.mark.parametrize("at_once", [1, 2, 3, None])
def test_groups_of_networks_give_the_same_and_are_worked_on_one_after_another(tmp_path, at_once):
    data, family, task = examples(600), refs(5), Noise(level=0.3)
    loader = resident(family, [Counting(k) for k in range(5)])
    with opened(tmp_path / "whole", create=True) as whole, opened(tmp_path / "groups", create=True) as store:
        compute(missing(task, data, family, whole), data, loader, whole, family[0])
        work = missing(task, data, family, store, at_once=at_once)
        recorder = RecordingEngine(local([task], data, loader))
        write_missing([work], family[0], store, engine=recorder, reporter=Silent())
        assert recorder.items == list(work.items)
        assert all_rows(store) == all_rows(whole)
    groups = [
        tuple(ref.id for ref in item.wanted if ref != family[0])
        for item in work.observe
        if isinstance(item, CompareItem)
    ]
    assert all(len(group) <= (at_once or 5) for group in groups)
    # a group is finished on all three shards before the next one begins
    assert groups == [group for group in dict.fromkeys(groups) for _ in range(3)]


def test_the_most_special_choice_wins():
    by_task = {"noise": 100, "noise/uniform/0.1": 7}
    assert setting_for_task(Noise(), 5, by_task) == 7
    assert setting_for_task(Noise(level=0.2), 5, by_task) == 100
    assert setting_for_task(Clean(), 5, by_task) == 5


def test_time_left_follows_each_tasks_own_pace():
    pace = Pace({"slow": 20.0, "quick": 100.0})
    pace.took("slow", 10.0, 5.0)
    assert pace.left() == 10 * 0.5 + 100 * 0.5  # nothing is known of the second task yet
    pace.took("quick", 100.0, 1.0)
    assert pace.left() == 10 * 0.5
    pace.give_up("slow")
    assert pace.left() == 0
