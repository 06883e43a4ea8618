"""Which networks are shown what was observed of which, and what the results say of it."""

from types import SimpleNamespace as Namespace

import numpy as np
import pytest

from evalsuite.analysis.population_pairs import WHOLE, features, pair_count, pairs, sources
from evalsuite.extend import Stored
from evalsuite.records.stored import StoredNetwork
from evalsuite.statistics.betting import interval


def facts(identity, role="pruned", family=None, ratio=0.0, target=None):
    digest = f"d-{identity}"
    return StoredNetwork(id=identity, digest=digest, role=role, family=family, prune_ratio=ratio, target_ratio=target)


def many(families, ratios):
    result = [facts("parent", "parent")]
    for family in range(families):
        for step in reversed(range(ratios)):  # as they may come from elsewhere
            result.append(facts(f"{family}-{step}", family=f"f{family}", ratio=0.1 * step, target=0.1 * step))
            result.append(facts(f"random-{family}-{step}", "control", target=0.1 * step))
    return [*result, facts("separate", "control")]


def test_few_networks_are_all_compared():
    networks = many(1, 3)
    assert [each.id for each in sources(networks)] == [
        *("parent", "0-0", "0-1", "0-2", "random-0-2", "random-0-1", "random-0-0", "separate")
    ]
    assert len(pairs(networks)) == len(networks) ** 2
    assert pair_count(len(networks), 3) == len(networks) * (len(networks) - 1)


def test_of_many_networks_one_family_is_compared_and_the_parents_pixels_are_shown_to_all():
    networks = many(3, 5)
    assert len(networks) > WHOLE
    names = ["parent", "0-0", "0-1", "0-2", "0-3", "0-4", "separate"]
    assert [each.id for each in sources(networks)] == names
    outcome = [(subject.id, to.id) for subject, to in pairs(networks)]
    assert len(set(outcome)) == len(outcome) == 7 * 7 + len(networks) - 7
    assert {to for subject, to in outcome if subject == "parent"} == {each.id for each in networks}
    assert {subject for subject, _ in outcome} == set(names)
    # separate networks are not in the plan of the family itself
    assert pair_count(len(networks), 5) == 6 * 5 + len(networks) - 6


class StoredPairs:
    """As much of a run's evidence as is read."""

    def __init__(self, by_network, crossed):
        self.networks = [facts("parent", "parent"), facts("child", family="f")]
        self.meta = Namespace(run=Namespace(confidence=0.9))
        self.tasks = [
            Namespace(name=name, kind=kind, unavailable=None) for name, kind in (("clean", "clean"), ("f", "features"))
        ]
        self._by_network, self._crossed = by_network, crossed

    def stored(self, task, network):
        actual = self._by_network.get(network.id)
        return None if actual is None else Stored(columns={"own_confidence": actual}, to_parent={})

    def crossed(self, task, network, subject):
        computed = self._crossed.get((subject.id, network.id))
        return None if computed is None else {"lent_confidence": computed}


def test_rows_say_mean_interval_and_n_or_why_not():
    confidences = np.array([0.9, 0.7, 1.0, 0.8], np.float32)
    lent = np.array([0.5, 0.25, 0.0, 0.25], np.float32)
    broken = np.array([np.nan, 0.5, 0.5, 0.5], np.float32)
    rows = features(StoredPairs({"parent": confidences}, {("parent", "child"): lent, ("child", "parent"): broken}))
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
