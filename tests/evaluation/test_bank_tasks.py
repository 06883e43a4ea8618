"""Tasks with a bank of training examples: which ones, of whom, how often, and what is stored where."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import normalize
from small_families import resident
from torch import nn

from evalsuite.api import sweep
from evalsuite.config.settings import EvaluationSettings
from evalsuite.data import Dataset, Examples, choose, load
from evalsuite.engines._items import NetworkRef, split_into_shards
from evalsuite.engines.local import LocalEngine
from evalsuite.errors import UsageError
from evalsuite.evaluation.evaluate import evaluate_family, why_unavailable, write_missing
from evalsuite.evaluation.examples import domain_of, prepare_examples
from evalsuite.evaluation.missing import Population, missing_work
from evalsuite.extend import Domain
from evalsuite.progress import Silent
from evalsuite.randomness import keys
from evalsuite.records.store import NO_OTHER, Address, opened
from evalsuite.records.stored import Meta
from evalsuite.tasks._names import digest, parse
from evalsuite.tasks._outliers import outliers
from evalsuite.tasks.ood import Ood

pytestmark = pytest.mark.slow

TASK = Ood(outliers="blobs", knn=3, bank=40)


class Small(nn.Module):
    """Counts the images that it is shown."""

    def __init__(self, seed):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.body, self.out = nn.Linear(16, 6), nn.Linear(6, 3)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator))
        self.image_count = 0

    def features(self, images):
        return self.body(images.flatten(1) - 0.5).relu()

    def forward(self, images):
        self.image_count += len(images)
        return self.out(self.features(images))


def images(n, seed):
    return (torch.rand(n, 1, 4, 4, generator=torch.Generator().manual_seed(seed)) * 255).to(torch.uint8)


def dataset(**changed):
    train, test = (Examples.from_labels(images(n, seed), torch.arange(n) % 3) for n, seed in ((60, 0), (20, 1)))
    made = Dataset(
        name="toy", classes=("a", "b", "c"), shape=(1, 4, 4), train=train, test=test, mean=(0.5,), std=(0.5,)
    )
    return replace(made, **changed)


def family(count):
    """Networks, by what stands for them in items."""
    return {NetworkRef(id=f"n{k}", digest=f"d{k}"): Small(k).eval() for k in range(count)}


def plan(store, members, data=None, task=TASK, seed=0, parent=None):
    """The examples, and what is missing."""
    result = prepare_examples(EvaluationSettings(tasks=(task,), seed=seed), data or dataset(), dataset().test, store)
    (shards,) = result.shards.values()
    bank = [
        shard for training in result.training.values() for shard in split_into_shards(task, training, 10**6, training)
    ]
    population = Population(parent=parent or next(iter(members)), networks=tuple(members))
    return result, missing_work(task, shards, population, store, seed, bank=bank)


def engine_for(result, members, training=None):
    return LocalEngine(
        result.settings.tasks,
        result.for_task,
        resident(members.keys(), members.values()),
        device=torch.device("cpu"),
        banks=result.training if training is None else training,
    )


def compute(store, members, data=None, task=TASK, seed=0, reporter=None):
    outcome, work = plan(store, members, data, task, seed)
    engine = engine_for(outcome, members)
    write_missing([work], next(iter(members)), store, engine=engine, reporter=reporter or Silent())
    return outcome


def columns(store, member, result, seed=0):
    ((name, shards),) = result.shards.items()
    assert name
    address = {"network": member.digest, "seed": seed, "other": NO_OTHER}
    parts = [store.read(Address(task=cut.task_digest, examples=cut.examples, **address)) for cut in shards]
    return {column: np.concatenate([part[column] for part in parts]) for column in parts[0]}


def test_scores_are_those_of_an_exhaustive_search_in_the_chosen_bank(tmp_path):
    members, data = family(2), dataset()
    with opened(tmp_path, create=True) as store:
        actual = compute(store, members)
        bank, test = choose(data.train, 40, 0), data.test
        strange = outliers("blobs", test.pixels(range(20)), keys(0, "ood/blobs", test.ids))
        for member, network in members.items():
            text = columns(store, member, actual)
            with torch.inference_mode():
                features = [
                    normalize(network.features(subject).double().numpy())
                    for subject in (bank.pixels(range(40)), test.pixels(range(20)), strange)
                ]
            search = NearestNeighbors(n_neighbors=3, algorithm="brute").fit(features[0])
            near, far = (search.kneighbors(subject)[0][:, 2] for subject in features[1:])
            assert text["knn"] == pytest.approx(-near, abs=1e-5)
            assert text["out_knn"] == pytest.approx(-far, abs=1e-5)
            assert set(text) == {"confidence", "energy", "knn", "out_confidence", "out_energy", "out_knn"}


def test_each_network_studies_once_whatever_the_shards_and_only_if_it_is_asked(tmp_path, monkeypatch):
    monkeypatch.setattr(Ood, "shard_size", 7)
    members = family(3)
    first_two = dict(list(members.items())[:2])
    with opened(tmp_path, create=True) as store:
        compute(store, first_two)
        # 40 once, 2 for each of 20 examples, and one image in each of 6 batches and 3 shards to find the classifier
        assert [network.image_count for network in members.values()] == [40 + 40 + 6 + 3] * 2 + [0]
        assert plan(store, first_two)[1].items == ()
        _, work = plan(store, members)
        assert [[ref.id for ref in item.networks] for item in work.bank] == [["n2"]] * 6
        assert len(work.observe) == 3
        assert work.weight == 40 + 2 * 20
        compute(store, members)
        assert [network.image_count for network in members.values()] == [89] * 3


def test_results_depend_on_no_shard_no_batch_and_no_neighbour(tmp_path, monkeypatch):
    output = []
    for folder, size, order in (("a", 256, (0, 1, 2)), ("b", 7, (2, 0, 1)), ("c", 1, (1,))):
        monkeypatch.setattr(Ood, "shard_size", size)
        members = family(3)
        with opened(tmp_path / folder, create=True) as store:
            listed = list(members.items())
            computed = compute(store, dict(listed[k] for k in order))
            output.append(columns(store, listed[1][0], computed))
    for other in output[1:]:
        for column, values in output[0].items():
            np.testing.assert_allclose(other[column], values, rtol=1e-5, atol=1e-6, err_msg=column)


def test_a_killed_run_studies_again_and_finds_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(Ood, "shard_size", 6)

    class Stop(Silent):
        left = 9  # 7 batches of the bank, 2 of 4 shards

        def advance(self, amount, what, left=None, *, examples=0):
            self.left -= 1
            if not self.left:
                raise KeyboardInterrupt

    members = family(2)
    second = list(members)[1]
    with opened(tmp_path / "whole", create=True) as store:
        expected = columns(store, second, compute(store, members))
    with opened(tmp_path / "parts", create=True) as store:
        with pytest.raises(KeyboardInterrupt):
            compute(store, members, reporter=Stop())
        assert len(plan(store, members)[1].observe) == 2
        for column, values in columns(store, second, compute(store, members)).items():
            np.testing.assert_array_equal(values, expected[column])


def test_another_bank_is_another_address(tmp_path):
    members, data = family(1), dataset()
    with opened(tmp_path, create=True) as store:
        compute(store, members)
        assert plan(store, members)[1].items == ()
        pixels = data.train.images.clone()
        used = choose(data.train, 40, 0).positions
        left_out = next(k for k in range(60) if k not in used.tolist())
        pixels[left_out] = 0
        same = dataset(train=Examples.from_labels(pixels, data.train.labels))
        assert plan(store, members, same)[1].items == ()  # it is not in the bank
        pixels = pixels.clone()
        pixels[used[5]] = 0
        changed = dataset(train=Examples.from_labels(pixels, data.train.labels))
        assert plan(store, members, changed)[1].items != ()
        for task in (replace(TASK, bank=41), replace(TASK, knn=2), Ood(outliers="blobs")):
            assert plan(store, members, task=task)[1].items != ()
        # more than there are is all there are, whatever was asked for
        compute(store, members, task=replace(TASK, bank=60))
        assert plan(store, members, task=replace(TASK, bank=10_000))[1].items == ()


def test_the_seed_chooses_the_bank(tmp_path):
    with opened(tmp_path, create=True) as store:
        banks = [
            prepare_examples(EvaluationSettings(tasks=(TASK,), seed=seed), dataset(), dataset().test, store)
            for seed in (0, 0, 1)
        ]
    one, again, other = ({*bank.training["ood/blobs?knn=3&bank=40"].ids} for bank in banks)
    assert one == again != other
    assert other <= {*dataset().train.ids}
    assert not other & {*dataset().test.ids}


def test_a_bank_that_changes_under_way_is_noticed(tmp_path):
    members = family(1)
    with opened(tmp_path, create=True) as store:
        result, work = plan(store, members)
        other = {name: choose(dataset().train, 40, 1) for name in result.training}
        engine = engine_for(result, members, other)
        with pytest.raises(UsageError, match="files have changed"):
            write_missing([work], next(iter(members)), store, engine=engine, reporter=Silent())


def test_names_without_neighbours_keep_what_is_stored():
    # as addressed by version 2, which knew nothing of how neighbours are asked for
    assert digest(parse("ood/blobs")) == "464058cab6424bad"
    assert digest(parse("ood/noise")) == "7388708ca5073ab2"


def test_data_and_networks_that_cannot_be_asked_say_why(tmp_path):
    network = Small(0).eval()
    assert why_unavailable(TASK, dataset(), [network]) is None
    assert "the data have no training examples" in why_unavailable(TASK, dataset(train=None), [network])
    few = dataset(train=Examples.from_labels(images(2, 0), torch.arange(2)))
    assert "at least 3, and the data have 2 training examples" in why_unavailable(TASK, few, [network])
    assert why_unavailable(Ood(outliers="blobs"), dataset(train=None), [network]) is None
    bare = nn.Sequential(nn.Conv2d(1, 3, 4), nn.Flatten()).eval()
    assert "no linear layer" in why_unavailable(TASK, dataset(), [network, bare])
    assert why_unavailable(Ood(outliers="blobs"), dataset(), [bare]) is None
    with opened(tmp_path, create=True) as store:
        store.set_meta(Meta(members=()))
        result = prepare_examples(EvaluationSettings(tasks=(TASK,)), dataset(train=None), dataset().test, store)
        members = {NetworkRef(id="parent", digest="d"): network}
        engine, loader = engine_for(result, members), resident(members.keys(), members.values())
        evaluate_family(tuple(members), result, store, engine=engine, loader=loader, reporter=Silent())
        assert "training" in store.tasks()[0].unavailable
    assert network.image_count == 2  # an image for each time that it was looked for a classifier


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ood/blobs?knn=0", "1 <= knn <= bank, got 0 of 10000"),
        ("ood/blobs?knn=9&bank=8", "1 <= knn <= bank, got 9 of 8"),
        ("ood/blobs?bank=8", "beside knn=K"),
    ],
)
def test_options_that_make_no_sense(name, message):
    with pytest.raises(UsageError, match=message):
        parse(name)


def test_what_a_reader_is_told():
    domain = domain_of(dataset())
    assert domain == Domain(shape=(1, 4, 4), classes=3, training=60)
    assert TASK.note(domain) == "neighbours are sought among 40 training examples"
    assert Ood(outliers="blobs").note(domain) is None


def test_a_sweep_of_digits_tells_the_area_that_scikit_learn_tells(tmp_path):
    digits = load("digits")
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 24), nn.ReLU(), nn.Linear(24, 10))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(len(parameter))) / 5)
    task, measure = "ood/noise?knn=5", "ood_auroc?score=knn"
    judging = EvaluationSettings(
        tasks=(parse(task), Ood(outliers="noise")), examples=120, measures=("ood_auroc", measure)
    )
    result = sweep(network, digits, out=tmp_path, ratios=(0.5,), evaluation_settings=judging, accept_parent=True)
    cells = {(c["task"], c["measure"], c["network"]): c for c in result.summary["cells"]}
    assert ("ood/noise", measure, "parent") not in cells
    # the other scores are those of the task without neighbours
    for source in ("parent", "magnitude-0-0.5"):
        assert cells[task, "ood_auroc", source]["loss"] == cells["ood/noise", "ood_auroc", source]["loss"]

    test = choose(digits.test, 120, 0)
    strange = outliers("noise", test.pixels(range(120)), keys(0, "ood/noise", test.ids))
    with torch.inference_mode():
        bank, inside, outside = (
            normalize(network[:3](source).numpy())
            for source in (digits.train.pixels(range(len(digits.train))), test.pixels(range(120)), strange)
        )
    search = NearestNeighbors(n_neighbors=5).fit(bank)
    scores = -np.concatenate([search.kneighbors(source)[0][:, -1] for source in (inside, outside)])
    area = roc_auc_score(np.repeat([1, 0], 120), scores)
    assert cells[task, measure, "parent"]["loss"] == pytest.approx(1 - area, abs=1e-4)
    (facts,) = [t for t in json.loads((tmp_path / "results.json").read_text())["tasks"] if t["name"] == task]
    assert facts["note"] == f"neighbours are sought among {len(digits.train)} training examples"
    assert not facts["unavailable"]
