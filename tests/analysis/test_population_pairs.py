"""The second pass: every network is shown what was kept of every other, once, shard by shard."""

import contextlib

import numpy as np
import pytest
import torch

from evalsuite.analysis.population_pairs import WHOLE, features, pair_count, pairs, sources
from evalsuite.data import Examples
from evalsuite.engines import local
from evalsuite.engines.shards import Member, Pair, cuts, pending
from evalsuite.measures._base import Stored
from evalsuite.progress import Silent
from evalsuite.records.store import ALONE, Address, opened
from evalsuite.statistics.betting import interval
from evalsuite.tasks._names import digest
from evalsuite.tasks.clean import Clean
from evalsuite.tasks.features import Features, unpacked

N = 150
TASK = Features(share=0.25, steps=2)


class Linear(torch.nn.Module):
    def __init__(self, seed):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.randn(16, 3, generator=torch.Generator().manual_seed(seed)))
        self.weight.requires_grad_(False)

    def forward(self, images):
        return images.flatten(1) @ self.weight


class HaltError(Exception):
    pass


class Told:
    """Hears of the work, and stops it after so many reports."""

    def __init__(self, stop_after=None):
        self.total, self.done, self.reports, self._stop = 0.0, 0.0, 0, stop_after

    def start(self, stage, total):
        self.total = total

    def work_on(self, network, what=""):
        pass

    def enter_epoch(self, epoch, epochs):
        pass

    def skip(self, amount, what):
        pass

    def advance(self, amount, what, left=None, *, examples=0):
        self.done += amount
        self.reports += 1
        if self.reports == self._stop:
            raise HaltError

    def finish(self):
        pass

    def say(self, line):
        pass


def examples():
    images = (torch.rand(N, 1, 4, 4, generator=torch.Generator().manual_seed(0)) * 255).to(torch.uint8)
    return Examples.from_labels(images, torch.arange(N) % 3)


def members(count):
    return [Member(id=f"n{k}", digest=f"d{k}", network=Linear(k)) for k in range(count)]


def missing(family, store, task=TASK):
    everyone = [Pair(of=of, to=to) for of in family for to in family]
    return pending(cuts(task, examples(), N), family, family[0], store, 0, pairs=everyone)


def compute(todo, family, store, told=None):
    local.run(todo, family[0], lambda _: examples(), store, seed=0, reporter=told or Silent())


def stored(store, to, of):
    found = []
    for cut in cuts(TASK, examples(), N):
        other = of if of == ALONE else of.digest
        found.append(
            store.read(Address(task=digest(TASK), network=to.digest, examples=cut.examples, seed=0, other=other))
        )
    return {column: np.concatenate([part[column] for part in found]) for column in found[0]}


def test_what_is_stored_is_what_the_networks_say(tmp_path):
    family, batch = members(3), examples().batch(0, N)
    with opened(tmp_path, create=True) as store:
        told = Told()
        todo = missing(family, store)
        compute(todo, family, store, told)
        # three networks of 2 + 3 * 2 passes, six pairs of one
        assert told.total == told.done == N * (3 * 8 + 6)
        assert missing(family, store) == []
        for of in family:
            kept = torch.from_numpy(unpacked(stored(store, of, ALONE)["kept"], 16)).reshape(N, 1, 4, 4)
            shown = torch.where(kept, batch.images, 0.5)
            for to in family:
                expected = to.network(shown).softmax(-1)[range(N), batch.labels].numpy()
                if of is to:
                    found = stored(store, to, ALONE)["own_confidence"]
                else:
                    found = stored(store, to, of)["lent_confidence"]
                np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("reports", [1, 3, 4, 5, 8, 13])
def test_a_run_that_was_stopped_goes_on(tmp_path, reports):
    family = members(3)
    with opened(tmp_path / "cut", create=True) as store, opened(tmp_path / "whole", create=True) as whole:
        compute(missing(family, whole), family, whole)
        first, second = Told(stop_after=reports), Told()
        with contextlib.suppress(HaltError):
            compute(missing(family, store), family, store, first)
        assert first.reports == reports
        compute(missing(family, store), family, store, second)
        assert first.done + second.done == pytest.approx(first.total)
        rows = "SELECT task, network, examples, seed, parent, observations FROM shards ORDER BY 1, 2, 3, 5"
        assert store._database.execute(rows).fetchall() == whole._database.execute(rows).fetchall()


def test_a_network_that_comes_later_is_shown_to_all_and_shown_all(tmp_path):
    family = members(3)
    with opened(tmp_path, create=True) as store:
        compute(missing(family[:2], store), family, store)
        todo = missing(family, store)
        assert {m.id for p in todo for m in p.alone} == {"n2"}
        found = {(pair.of.id, pair.to.id) for p in todo for pair in p.crossed}
        assert found == {("n0", "n2"), ("n1", "n2"), ("n2", "n0"), ("n2", "n1")}


def test_same_tensors_are_shown_once_and_other_tasks_show_nothing(tmp_path):
    family = members(2)
    twin = Member(id="twin", digest=family[1].digest, network=family[1].network)
    with opened(tmp_path, create=True) as store:
        todo = missing([*family, twin], store)
        assert len([pair for p in todo for pair in p.crossed]) == 2 * len(cuts(TASK, examples(), N))
        assert not any(p.crossed for p in missing(family, store, Clean()))


def facts(identity, role="pruned", family=None, ratio=0.0, target=None):
    return {
        "id": identity, "digest": f"d-{identity}", "role": role, "family": family, "prune_ratio": ratio,
        "target_ratio": target,
    }  # fmt: skip


def many(families, ratios):
    found = [facts("parent", "parent")]
    for family in range(families):
        for step in reversed(range(ratios)):  # as they may come from elsewhere
            found.append(facts(f"{family}-{step}", family=f"f{family}", ratio=0.1 * step, target=0.1 * step))
            found.append(facts(f"random-{family}-{step}", "control", target=0.1 * step))
    return [*found, facts("separate", "control")]


def test_few_networks_are_all_compared():
    networks = many(1, 3)
    assert [each["id"] for each in sources(networks)] == [
        *("parent", "0-0", "0-1", "0-2", "random-0-2", "random-0-1", "random-0-0", "separate")
    ]
    assert len(pairs(networks)) == len(networks) ** 2
    assert pair_count(len(networks), 3) == len(networks) * (len(networks) - 1)


def test_of_many_networks_one_family_is_compared_and_the_parents_pixels_are_shown_to_all():
    networks = many(3, 5)
    assert len(networks) > WHOLE
    names = ["parent", "0-0", "0-1", "0-2", "0-3", "0-4", "separate"]
    assert [each["id"] for each in sources(networks)] == names
    found = [(of["id"], to["id"]) for of, to in pairs(networks)]
    assert len(set(found)) == len(found) == 7 * 7 + len(networks) - 7
    assert {to for of, to in found if of == "parent"} == {each["id"] for each in networks}
    assert {of for of, _ in found} == set(names)
    # separate networks are not in the plan of the family itself
    assert pair_count(len(networks), 5) == 6 * 5 + len(networks) - 6


class Asked:
    """As much of a run's evidence as is read."""

    def __init__(self, own, crossed):
        self.networks = [facts("parent", "parent"), facts("child", family="f")]
        self.meta = {"run": {"confidence": 0.9}}
        self.tasks = [
            {"name": name, "kind": kind, "unavailable": None} for name, kind in (("clean", "clean"), ("f", "features"))
        ]
        self._own, self._crossed = own, crossed

    def stored(self, task, network):
        found = self._own.get(network["id"])
        return None if found is None else Stored(own={"own_confidence": found}, to_parent={})

    def crossed(self, task, network, of):
        found = self._crossed.get((of["id"], network["id"]))
        return None if found is None else {"lent_confidence": found}


def test_rows_say_mean_interval_and_n_or_why_not():
    own = np.array([0.9, 0.7, 1.0, 0.8], np.float32)
    lent = np.array([0.5, 0.25, 0.0, 0.25], np.float32)
    broken = np.array([np.nan, 0.5, 0.5, 0.5], np.float32)
    rows = features(Asked({"parent": own}, {("parent", "child"): lent, ("child", "parent"): broken}))
    by_pair = {(row.pixels_from, row.seen_by): row for row in rows}
    assert len(rows) == len(by_pair) == 4
    assert {row.task for row in rows} == {"f"}
    first = by_pair["parent", "child"]
    assert (first.n, first.value, first.confidence, first.reason) == (4, 0.25, 0.9, None)
    ends = interval(lent.astype(float), confidence=0.9)
    assert (first.low, first.high) == (ends.low, ends.high)
    assert by_pair["parent", "parent"].value == pytest.approx(0.85)
    assert by_pair["child", "child"].reason == "not evaluated yet"
    assert by_pair["child", "parent"].reason == "the network puts out numbers that are not finite"
    assert by_pair["child", "parent"].value is None
