"""The functions of the study, on the digits."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn

from evalsuite.data import load
from evalsuite.training.ibp import Ibp
from evalsuite.training.pgd import Pgd
from evalsuite.training.standard import Standard
from neuralnets import bounds
from pruners import prunable, remaining

pytestmark = pytest.mark.slow

RATIOS = (0.5, 0.9)


@pytest.fixture(scope="module")
def modules() -> Iterator[tuple[ModuleType, ModuleType]]:
    folder = str(Path(__file__).parents[2] / "benchmarks")
    sys.path.insert(0, folder)
    yield import_module("robust_pruning"), import_module("robust_pruning_page")
    sys.path.remove(folder)
    del sys.modules["robust_pruning"], sys.modules["robust_pruning_page"]


@pytest.fixture(scope="module")
def robust(modules: tuple[ModuleType, ModuleType]) -> ModuleType:
    return modules[0]


@pytest.fixture(scope="module")
def page(modules: tuple[ModuleType, ModuleType]) -> ModuleType:
    return modules[1]


@pytest.fixture(scope="module")
def study(robust: ModuleType) -> object:
    data = load("digits")
    return robust.Study(
        data=replace(data, train=data.train.select(range(128))),
        kinds={
            "pgd": robust.Kind(recipe=Pgd(epochs=1, eps=0.1, steps=1, step=1.0), nrs=0.01, first=Standard(epochs=1)),
            "ibp": robust.Kind(recipe=Ibp(epochs=1, eps=0.1), nrs=0.001),
        },
        ratios=RATIOS,
        filters=2,
        attacked=40,
        certified=20,
    )


@pytest.fixture(scope="module")
def folder(robust: ModuleType, study: object, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("robust")
    for kind in study.kinds:
        robust.lineage(study, kind, 0, folder / f"{kind}-0")
    return folder


def weights(robust: ModuleType, study: object, file: Path) -> dict[str, Tensor]:
    network = robust.network(study, 0)
    network.load_state_dict(torch.load(file, weights_only=True)["state"])
    return {name: weight.detach() for name, weight in prunable(network).items()}


@pytest.mark.parametrize("kind", ["pgd", "ibp"])
def test_as_many_weights_are_left_as_are_said(robust: ModuleType, study: object, folder: Path, kind: str) -> None:
    files = sorted(file.name for file in (folder / f"{kind}-0").iterdir())
    pruned = [
        f"{method}-{ratio:g}.pt" for method in ("hydra", "imp_+_nrs", "random_+_nrs", "magnitude") for ratio in RATIOS
    ]
    assert files == sorted([*pruned, "dense-0.pt", "dense_again-0.pt", "imp_+_nrs-0.pt"])
    total = remaining(robust.network(study, 0))
    for name in files:
        result = weights(robust, study, folder / f"{kind}-0" / name)
        ratio = float(name.rpartition("-")[2].removesuffix(".pt"))
        left = sum(int(weight.count_nonzero()) for weight in result.values())
        assert left == round((1 - ratio) * total), name
        row = torch.load(folder / f"{kind}-0" / name, weights_only=True)["row"]
        assert row["ratio"].item() == pytest.approx(1 - left / total)
        if name.startswith(("magnitude", "hydra")):
            # the same share of every layer
            for weight in result.values():
                assert int(weight.count_nonzero()) == pytest.approx((1 - ratio) * weight.numel(), abs=1)


def test_lottery_tickets_are_nested(robust: ModuleType, study: object, folder: Path) -> None:
    half, tenth = (weights(robust, study, folder / "ibp-0" / f"imp_+_nrs-{ratio:g}.pt") for ratio in RATIOS)
    for name, weight in tenth.items():
        assert not (weight.bool() & ~half[name].bool()).any()


def test_the_random_control_has_as_much_of_every_layer(robust: ModuleType, study: object, folder: Path) -> None:
    for ratio in RATIOS:
        ticket, drawn = (
            weights(robust, study, folder / "ibp-0" / f"{method}_+_nrs-{ratio:g}.pt") for method in ("imp", "random")
        )
        assert [int(w.count_nonzero()) for w in ticket.values()] == [int(w.count_nonzero()) for w in drawn.values()]
        assert any((ticket[name].bool() != drawn[name].bool()).any() for name in ticket)


def test_it_goes_on_where_it_stopped(
    robust: ModuleType, study: object, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = folder / "ibp-0" / "imp_+_nrs-0.9.pt"
    before = torch.load(lost, weights_only=True)
    lost.unlink()
    trained = []
    real = robust.train
    monkeypatch.setattr(robust, "train", lambda *args, **kwargs: trained.append(args) or real(*args, **kwargs))
    robust.lineage(study, "ibp", 0, folder / "ibp-0")
    assert len(trained) == 1
    after = torch.load(lost, weights_only=True)
    for part in ("state", "row"):
        assert all(torch.equal(value, after[part][name]) for name, value in before[part].items())


def test_a_network_that_always_says_the_same(robust: ModuleType, study: object) -> None:
    network = robust.network(study, 0).train()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        network.network[-1].bias[3] = 1.0
    row = robust.judge(study, network)
    threes = study.data.test.labels[:40] == 3
    assert torch.equal(row["right"], threes)
    assert torch.equal(row["survived"], threes)
    for method in ("interval", "crown_ibp", "crown"):
        assert torch.equal(row[method], threes[:20])
    assert row["unstable"] == 0
    assert row["ratio"] == 1
    assert network.training
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_open_relus_by_hand(robust: ModuleType, study: object) -> None:
    # of 2 filters one is open everywhere (weights on one pixel of either sign), all behind it sees zeros
    network = robust.network(study, 0).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        network.network[1].weight.fill_(1.0)
        network.network[0].weight[0, 0, 1:3, 1:3] = torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    images = torch.full((3, 1, 8, 8), 0.5)
    none = torch.zeros(3, dtype=torch.bool)
    row = robust.certificates(network, images, none.long(), none)
    # ReLUs: 2 maps of 4 x 4, 4 of 2 x 2, 8 neurons
    assert row["unstable"].item() == pytest.approx(16 / (32 + 16 + 8))


@pytest.mark.parametrize("method", ["interval", "crown_ibp"])
def test_a_certificate_that_an_attack_refutes_ends_it(
    robust: ModuleType, study: object, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    network: nn.Module = robust.network(study, 0)
    monkeypatch.setattr(bounds, f"{method}_margins", lambda _graph, ball, _labels: torch.ones(len(ball.low), 9))
    with pytest.raises(AssertionError, match=f"certified by {method}, and broken"):
        robust.judge(study, network)


def keep(folder: Path, name: str, *, right: list[int], crown: list[int]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    bits = {"right": right, "survived": right, "interval": crown, "crown_ibp": crown, "crown": crown}
    row = {key: torch.tensor(value, dtype=torch.bool) for key, value in bits.items()}
    row |= {"ratio": torch.tensor(float(name.rpartition("-")[2])), "unstable": torch.tensor(0.25)}
    torch.save({"state": {}, "row": row}, folder / f"{name}.pt")


def test_differences_are_paired(page: ModuleType, tmp_path: Path) -> None:
    for seed, crown in enumerate(([1, 1, 1, 0], [0, 1, 1, 0])):
        keep(tmp_path / f"ibp-{seed}", "dense_again-0", right=[1, 1, 1, 0], crown=[0, 1, 0, 0])
        keep(tmp_path / f"ibp-{seed}", "magnitude-0.5", right=[1, 1, 1, 0], crown=crown)
    keep(tmp_path / "ibp-2", "dense_again-0", right=[1] * 4, crown=[1] * 4)
    points = page.read(tmp_path)
    dense, pruned = points
    # the third seed has not been finished
    assert [point.method for point in points] == ["dense again", "magnitude"]
    assert len(pruned.rows) == 2
    assert page.against(dense, points, "crown") is None
    outcome = page.against(pruned, points, "crown")
    assert outcome.tolist() == [[1, 0, 1, 0], [0, 0, 1, 0]]
    assert page.difference(outcome).startswith("+37.5 [")
    assert page.difference(outcome).endswith("(+50.0, +25.0)")
    assert pruned.values("crown").tolist() == [0.5, 1, 1, 0]
    assert page.share(pruned.values("crown")).startswith("62.5% [")


def test_the_page_keeps_what_was_written_by_hand(page: ModuleType, folder: Path, tmp_path: Path) -> None:
    written = page.write_page(folder, tmp_path)
    text = written.read_text()
    assert text.count("| IMP + NRSLoss |") == 2 * len(RATIOS) * 2
    assert (tmp_path / "robust_pruning.svg").stat().st_size > 1000
    written.write_text(text + "\nIt holds.\n")
    assert page.write_page(folder, tmp_path).read_text() == text + "\nIt holds.\n"
