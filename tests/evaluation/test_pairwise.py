"""Pairwise tasks: every network is shown what was kept of every other, once, shard by shard."""

import contextlib

import numpy as np
import pytest
import torch
from small_families import Counting, examples, local, refs, resident

from evalsuite.engines._items import NetworkRef, split_into_shards
from evalsuite.evaluation.evaluate import write_missing
from evalsuite.evaluation.missing import Population, address, missing_work
from evalsuite.progress import Silent
from evalsuite.records.store import opened
from evalsuite.tasks.clean import Clean
from evalsuite.tasks.features import Features, unpacked

pytestmark = pytest.mark.slow

N = 150
TASK = Features(share=0.25, steps=2)
DATA = examples(N)


class HaltError(Exception):
    pass


class Counted:
    """Counts the work, and stops it after so many reports."""

    def __init__(self, stop_after=None):
        self.total, self.done, self.reports, self._stop = 0.0, 0.0, 0, stop_after

    def start(self, stage, total):
        self.total = total

    def work_on(self, network, what=""):
        pass

    def advance(self, amount, what, left=None, *, examples=0):
        self.done += amount
        self.reports += 1
        if self.reports == self._stop:
            raise HaltError

    def finish(self):
        pass


def networks(count):
    return [Counting(k) for k in range(count)]


def missing(family, store, task=TASK, at_once=None):
    everyone = tuple((source, network) for source in family for network in family)
    population = Population(parent=family[0], networks=tuple(family), pairs=everyone)
    return missing_work(task, split_into_shards(task, DATA, N), population, store, 0, at_once=at_once)


def compute(work, family, made, store, reporter=None):
    engine = local([TASK], DATA, resident(family, made))
    write_missing([work], family[0], store, engine=engine, reporter=reporter or Silent())


def stored(store, network, other=None):
    parts = [store.read(address(shard, network, 0, other)) for shard in split_into_shards(TASK, DATA, N)]
    return {column: np.concatenate([part[column] for part in parts]) for column in parts[0]}


def all_rows(store):
    query = "SELECT task, network, examples, seed, parent, observations FROM shards ORDER BY 1, 2, 3, 5"
    return store._database.execute(query).fetchall()


def test_what_is_stored_is_what_the_networks_say(tmp_path):
    family, made, batch = refs(3), networks(3), DATA.batch(0, N)
    with opened(tmp_path, create=True) as store:
        counted = Counted()
        compute(missing(family, store), family, made, store, counted)
        # three networks of 2 + 3 * 2 passes, six pairs of one
        assert counted.total == counted.done == N * (3 * 8 + 6)
        assert missing(family, store).items == ()
        for source in family:
            kept = torch.from_numpy(unpacked(stored(store, source)["kept"], 16)).reshape(N, 1, 4, 4)
            shown = torch.where(kept, batch.images, 0.5)
            for ref, network in zip(family, made, strict=True):
                expected = network(shown).softmax(-1)[range(N), batch.labels].numpy()
                if source is ref:
                    result = stored(store, ref)["own_confidence"]
                else:
                    result = stored(store, ref, source)["lent_confidence"]
                np.testing.assert_allclose(result, expected, rtol=1e-5)


@pytest.mark.parametrize("at_once", [None, 2])
@pytest.mark.parametrize("reports", [1, 3, 4, 5, 8, 13])
def test_a_run_that_was_stopped_goes_on(tmp_path, reports, at_once):
    family, made = refs(3), networks(3)
    with opened(tmp_path / "cut", create=True) as store, opened(tmp_path / "whole", create=True) as whole:
        compute(missing(family, whole), family, made, whole)
        first, second = Counted(stop_after=reports), Counted()
        with contextlib.suppress(HaltError):
            compute(missing(family, store, at_once=at_once), family, made, store, first)
        assert first.reports == reports
        compute(missing(family, store), family, made, store, second)
        assert first.done + second.done == pytest.approx(first.total)
        assert all_rows(store) == all_rows(whole)


def test_a_network_that_comes_later_is_shown_to_all_and_shown_all(tmp_path):
    family, made = refs(3), networks(3)
    with opened(tmp_path, create=True) as store:
        compute(missing(family[:2], store), family, made, store)
        work = missing(family, store)
        assert {ref.id for item in work.observe for ref in item.networks} == {"n2"}
        pairs = {(item.source.id, ref.id) for item in work.pairwise for ref in item.networks}
        assert pairs == {("n0", "n2"), ("n1", "n2"), ("n2", "n0"), ("n2", "n1")}


def test_same_tensors_are_shown_once_and_other_tasks_show_nothing(tmp_path):
    family = refs(2)
    twin = NetworkRef(id="twin", digest=family[1].digest)
    with opened(tmp_path, create=True) as store:
        work = missing([*family, twin], store)
        pairs = [(item.shard.start, item.source.digest, ref.digest) for item in work.pairwise for ref in item.networks]
        assert len(pairs) == len(set(pairs)) == 2 * len(split_into_shards(TASK, DATA, N))
        assert missing(family, store, Clean()).pairwise == ()
