"""Shards: what is missing is computed, once, for whom it is missing."""

import contextlib

import torch

from evalsuite.data import Examples
from evalsuite.engines import local
from evalsuite.engines.shards import Member, chosen_for, cuts, pending
from evalsuite.progress import Silent
from evalsuite.records.store import opened
from evalsuite.tasks.adversarial import Adversarial
from evalsuite.tasks.clean import Clean
from evalsuite.tasks.noise import Noise


class Counting(torch.nn.Module):
    """A linear classifier that counts its forward passes."""

    def __init__(self, seed):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.randn(16, 3, generator=torch.Generator().manual_seed(seed)))
        self.weight.requires_grad_(False)
        self.calls = 0

    def forward(self, images):
        self.calls += 1
        return images.flatten(1) @ self.weight


def examples(n=600):
    images = (torch.rand(n, 1, 4, 4, generator=torch.Generator().manual_seed(0)) * 255).to(torch.uint8)
    return Examples.from_labels(images, torch.arange(n) % 3)


def members(count):
    return [Member(id=f"n{k}", digest=f"d{k}", network=Counting(k)) for k in range(count)]


def compute(todo, family, data, store):
    local.run(todo, family[0], lambda _: data, store, seed=0, reporter=Silent())


def test_only_what_is_missing_is_computed(tmp_path):
    data, family = examples(), members(3)
    shards = cuts(Noise(), data, 600)
    assert [(s.start, s.stop) for s in shards] == [(0, 256), (256, 512), (512, 600)]
    with opened(tmp_path, create=True) as store:
        compute(pending(shards, family[:2], family[0], store, 0), family, data, store)
        assert [m.network.calls for m in family] == [3, 3, 0]
        assert pending(shards, family[:2], family[0], store, 0) == []
        todo = pending(shards, family, family[0], store, 0)
        assert [tuple(m.id for m in p.alone) for p in todo] == [("n2",)] * 3
        compute(todo, family, data, store)
        # the parent runs once more beside the new network: softmax distances need both on the same inputs
        assert [m.network.calls for m in family] == [6, 3, 3]
        assert pending(shards, family, family[0], store, 0) == []


def test_results_do_not_depend_on_who_is_asked_together(tmp_path):
    data, family = examples(300), members(3)
    with opened(tmp_path / "together", create=True) as one, opened(tmp_path / "apart", create=True) as two:
        shards = cuts(Noise(level=0.3), data, 300)
        compute(pending(shards, family, family[0], one, 0), family, data, one)
        for member in (family[0], family[2], family[1]):
            compute(pending(shards, [member], family[0], two, 0), family, data, two)
        rows = "SELECT task, network, examples, seed, parent, observations FROM shards ORDER BY 1, 2, 3, 5"
        assert one._database.execute(rows).fetchall() == two._database.execute(rows).fetchall()


def test_dear_tasks_are_stored_network_by_network(tmp_path):
    data, family = examples(20), members(3)
    shards = cuts(Adversarial(eps=0.2, attack="pgd"), data, 20)

    class StopError(Exception):
        pass

    class Stop:
        def __init__(self):
            self.done = 0

        def start(self, stage, total):
            pass

        def finish(self):
            pass

        def say(self, line):
            pass

        def work_on(self, network, what=""):
            pass

        def advance(self, amount, what, left=None, *, examples=0):
            self.done += amount > 0
            if self.done == 2:
                raise StopError

    with opened(tmp_path, create=True) as store:
        with contextlib.suppress(StopError):
            local.run(
                pending(shards, family, family[0], store, 0), family[0], lambda _: data, store, seed=0, reporter=Stop()
            )
        todo = pending(shards, family, family[0], store, 0)
        assert [m.id for m in todo[0].alone] == ["n2"]


def test_same_tensors_are_computed_once(tmp_path):
    data, family = examples(10), members(2)
    twin = Member(id="twin", digest=family[1].digest, network=family[1].network)
    with opened(tmp_path, create=True) as store:
        (todo,) = pending(cuts(Clean(), data, 10), [*family, twin], family[0], store, 0)
    assert [m.digest for m in todo.alone] == ["d0", "d1"]


def test_the_most_special_choice_wins():
    by_task = {"noise": 100, "noise/uniform/0.1": 7}
    assert chosen_for(Noise(), 5, by_task) == 7
    assert chosen_for(Noise(level=0.2), 5, by_task) == 100
    assert chosen_for(Clean(), 5, by_task) == 5


def test_time_left_follows_each_tasks_own_pace():
    data, family = examples(20), members(1)
    with_clean, with_noise = (cuts(task, data, 20)[0] for task in (Clean(), Noise()))
    slow = local.Pending(cut=with_clean, alone=(family[0],), related=(), weight=10.0)
    quick = local.Pending(cut=with_noise, alone=(family[0],), related=(), weight=100.0)
    pace = local._Pace([slow, slow, quick])
    pace.took(slow, 5.0)
    assert pace.left() == 10 * 0.5 + 100 * 0.5  # nothing is known of the second task yet
    pace.took(quick, 1.0)
    assert pace.left() == 10 * 0.5
