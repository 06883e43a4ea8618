"""What does pruning do to robust networks, and can it raise certified accuracy?

    python benchmarks/robust_pruning.py [--write] [--seeds 3] [--threads 1]

Fashion-MNIST, all pixels moved by at most 0.1; a small network with batch norm, trained against attacks (the recipe
`pgd`) or with interval bounds (`ibp`), from several seeds. Each is pruned in one shot by magnitude and by HYDRA and
then trained again with the whole recipe; and, as in Li et al. 2022 (arXiv:2206.07311), by iterative magnitude pruning
that rewinds to the first weights and trains with the same recipe and NRSLoss, with random masks of the same ratios in
every layer as its control. A dense network that has had as many steps stands beside each. What has been made is kept:
the same command goes on where it stopped.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import final

import torch
from robust_pruning_page import write_page
from torch import Tensor, nn

from evalsuite.attacks._base import Budget
from evalsuite.attacks.pgd import Pgd as Attack
from evalsuite.data import Dataset, choose, load
from evalsuite.networks.normalized import Normalized
from evalsuite.training import Hook, Recipe, train
from evalsuite.training.ibp import Ibp
from evalsuite.training.pgd import Pgd
from evalsuite.training.standard import Standard
from neuralnets import bounds
from pruners import Context, cascade, hold_zeros, prunable, prune, remaining, same_ratios_random
from pruners.hydra import Hydra
from pruners.magnitude import Magnitude
from pruners.regularisers import hook
from pruners.regularisers.nrs import Nrs

CPU = torch.device("cpu")
EPS = 0.1
RATIOS = (0.5, 0.8, 0.95)
SLACK = 1e-5
"""By how much a margin has to be above 0: bounds are computed with rounding to nearest, in float32."""
_AT_ONCE = 50
"""Examples whose bounds are worked out together."""

Row = dict[str, Tensor]
"""Per example, in the order of the test set: right, survived, and certified by each method; then the shares `ratio` of
the weights that are gone and `unstable` of the ReLUs."""


@final
@dataclass(frozen=True, kw_only=True)
class Kind:
    """A way to train.

    Attributes:
        recipe: Of parents and of retraining.
        nrs: Weight of NRSLoss: 0.01 beside attacks and 0.001 beside bounds in the authors' configurations.
        first: What comes before it all, once for every seed; rewinding goes back to what it has made.
    """

    recipe: Recipe
    nrs: float
    first: Recipe | None = None


@final
@dataclass(frozen=True, kw_only=True)
class Study:
    """What is done how often.

    Attributes:
        data: Its training examples are those that are learnt from.
        kinds: Ways to train, by name.
        ratios: Share of all convolution and linear weights that is removed.
        filters: Of the first convolution; the second has twice as many, the hidden layer four times.
        attacked: Test examples that are attacked.
        certified: The first of them, for which bounds are worked out.
    """

    data: Dataset
    kinds: Mapping[str, Kind]
    ratios: tuple[float, ...] = RATIOS
    filters: int = 8
    attacked: int = 1000
    certified: int = 400


def whole(examples: int = 3200, epochs: int = 4) -> Study:
    """The study of the page."""
    data = load("fashion-mnist")
    assert data.train is not None
    return Study(
        data=replace(data, train=choose(data.train, examples, 0)),
        kinds={
            # attacked from the first step on, one seed in three learns next to nothing in so short a time
            "pgd": Kind(
                recipe=Pgd(epochs=epochs, eps=EPS, steps=3, step=0.5, flip=True),
                nrs=0.01,
                first=Standard(epochs=2, flip=True),
            ),
            "ibp": Kind(recipe=Ibp(epochs=epochs, eps=EPS, flip=True), nrs=0.001),
        },
    )


def network(study: Study, seed: int) -> nn.Module:
    """Two convolutions of stride 2 with batch norm, one hidden layer."""
    channels, side, _ = study.data.shape
    one, two, hidden = study.filters, 2 * study.filters, 4 * study.filters
    with torch.random.fork_rng():
        torch.set_rng_state(torch.Generator().manual_seed(seed).get_state())
        layers = nn.Sequential(
            nn.Conv2d(channels, one, 4, 2, padding=1, bias=False),
            nn.BatchNorm2d(one),
            nn.ReLU(),
            nn.Conv2d(one, two, 4, 2, padding=1, bias=False),
            nn.BatchNorm2d(two),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(two * (side // 4) ** 2, hidden),
            nn.ReLU(),
            nn.Linear(hidden, len(study.data.classes)),
        )
    return Normalized(layers, study.data.mean, study.data.std)


# --- making


def lineage(study: Study, kind: str, seed: int, folder: Path) -> None:
    """All networks of one way to train and one seed, each kept in a file with its row."""
    folder.mkdir(parents=True, exist_ok=True)
    start, chosen = network(study, seed), study.kinds[kind]
    if chosen.first is not None:
        start = _fit(study, chosen.first, seed, start)
    stable = hook(Nrs(weight=chosen.nrs, eps=EPS))
    fit = partial(_fit, study, chosen.recipe, seed)
    stand = partial(kept, study, folder)
    parent = stand("dense", 0.0, partial(fit, start))
    stand("dense again", 0.0, partial(fit, parent))
    for ratio in study.ratios:
        stand("magnitude", ratio, partial(_magnitude, study, parent, ratio, fit))
        stand("hydra", ratio, partial(_hydra, study, chosen.recipe, seed, parent, ratio, fit))
    lottery = [stand("imp + nrs", 0.0, partial(fit, start, beside=stable))]
    for place, ratio in enumerate(study.ratios):
        make = partial(_ticket, study, lottery, study.ratios[: place + 1], start, partial(fit, beside=stable))
        lottery.append(stand("imp + nrs", ratio, make))
        stand("random + nrs", ratio, partial(_drawn, start, lottery[-1], seed, partial(fit, beside=stable)))


def kept(study: Study, folder: Path, method: str, ratio: float, make: Callable[[], nn.Module]) -> nn.Module:
    """What `make` makes, judged; read from the file where it has been before."""
    file = folder / f"{method.replace(' ', '_')}-{ratio:g}.pt"
    if not file.is_file():
        began = time.perf_counter()
        made = make()
        trained = time.perf_counter()
        row = judge(study, made)
        part = file.with_suffix(".part")
        torch.save({"state": made.state_dict(), "row": row}, part)
        part.rename(file)
        print(
            f"{folder.name} {method} {ratio:g}: {message(row)} (made in {trained - began:.0f} s, judged in "
            f"{time.perf_counter() - trained:.0f} s)",
            file=sys.stderr,
            flush=True,
        )
    result = network(study, 0)
    result.load_state_dict(torch.load(file, weights_only=True)["state"])
    return result.eval()


def _fit(study: Study, recipe: Recipe, seed: int, start: nn.Module, beside: Hook | None = None) -> nn.Module:
    """`start` trained with the whole recipe; its zeros stay."""
    assert study.data.train is not None
    return train(start, study.data.train, recipe, seed=seed, device=CPU, after_step=hold_zeros(start), hook=beside)


def _magnitude(study: Study, parent: nn.Module, ratio: float, fit: Callable[[nn.Module], nn.Module]) -> nn.Module:
    # the same share of every layer, as HYDRA
    return fit(prune(parent, Magnitude(allocation="uniform"), ratio, example=torch.zeros(1, *study.data.shape)))


def _hydra(
    study: Study, recipe: Recipe, seed: int, parent: nn.Module, ratio: float, fit: Callable[[nn.Module], nn.Module]
) -> nn.Module:
    short = replace(recipe, epochs=max(1, recipe.epochs // 2))

    def scores(scored: nn.Module, hook: Hook) -> nn.Module:
        assert study.data.train is not None
        return train(scored, study.data.train, short, seed=seed, device=CPU, hook=hook)

    return fit(prune(parent, Hydra(), ratio, example=torch.zeros(1, *study.data.shape), train=scores))


def _ticket(
    study: Study,
    made: list[nn.Module],
    ratios: tuple[float, ...],
    start: nn.Module,
    fit: Callable[[nn.Module], nn.Module],
) -> nn.Module:
    """The next of iterative magnitude pruning: its weights are the first ones where the network before has some."""
    dense, *pruned = made
    steps = cascade(
        dense,
        Magnitude(),
        ratios,
        context=Context(example=torch.zeros(1, *study.data.shape)),
        retrain=lambda sparse, _: fit(sparse),
        rewind_to=start.state_dict(),
        start=pruned,
    )
    return next(steps).network


def _drawn(start: nn.Module, ticket: nn.Module, seed: int, fit: Callable[[nn.Module], nn.Module]) -> nn.Module:
    """The control of iterative pruning: as many weights in every layer, but any, from the same first weights."""
    return fit(same_ratios_random(start, ticket, Context(example=torch.zeros(1), seed=seed)))


# --- judging


def judge(study: Study, result: nn.Module) -> Row:
    """The row of a network.

    Raises:
        AssertionError: An example is certified and broken, or broken and survived, which only a defect can do.
    """
    result = deepcopy(result).eval().requires_grad_(requires_grad=False)
    batch = study.data.test.batch(0, study.attacked)
    right = _right(result, batch.images, batch.labels)
    attacked = Attack(steps=20)(result, batch, Budget(norm="linf", eps=EPS), seed=0).images
    assert (attacked - batch.images).abs().max() <= EPS + 1e-6
    survived = right & _right(result, attacked, batch.labels)
    images, labels = batch.images[: study.certified], batch.labels[: study.certified]
    row = certificates(result, images, labels, survived[: study.certified])
    for name in ("interval", "crown_ibp", "crown"):
        assert not (row[name] & ~survived[: study.certified]).any(), f"certified by {name}, and broken"
    gone = 1 - remaining(result) / sum(weight.numel() for weight in prunable(result).values())
    return row | {"right": right, "survived": survived, "ratio": torch.tensor(gone)}


@torch.no_grad()
def certificates(result: nn.Module, images: Tensor, labels: Tensor, survived: Tensor) -> Row:
    """Which examples are certified, each method together with those before it, and the share of open ReLUs.

    Intervals and CROWN-IBP are asked about all examples; CROWN, which is dear, where attack and they have failed.
    """
    graph, parts = bounds.trace(result, images[:1]), torch.arange(len(images)).split(_AT_ONCE)

    def above(margins: Callable[[bounds.Graph, bounds.Region, Tensor], Tensor], index: Tensor) -> Tensor:
        low = margins(graph, bounds.linf_ball(images[index], EPS), labels[index])
        return (low > SLACK).all(1)

    interval = torch.cat([above(bounds.interval_margins, part) for part in parts])
    crown_ibp = interval | torch.cat([above(bounds.crown_ibp_margins, part) for part in parts])
    crown = crown_ibp.clone()
    for part in (survived & ~crown_ibp).nonzero()[:, 0].split(_AT_ONCE):
        crown[part] = above(bounds.crown_margins, part)
    still = [bounds.preactivations(graph, bounds.linf_ball(images[part], EPS)) for part in parts]
    opened = sum(int(((each.low < 0) & (each.high > 0)).sum()) for result in still for each in result)
    every = sum(each.low.numel() for result in still for each in result)
    return {"interval": interval, "crown_ibp": crown_ibp, "crown": crown, "unstable": torch.tensor(opened / every)}


@torch.no_grad()
def _right(result: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    return torch.cat([result(part).argmax(1) for part in images.split(250)]) == labels


def message(row: Row) -> str:
    """A row in a line."""
    shares = {name: float(row[name].float().mean()) for name in ("right", "survived", "interval", "crown", "unstable")}
    return " ".join(f"{name} {share:.3f}" for name, share in shares.items())


def main() -> None:
    """Make what is missing, then write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("build/robust_pruning"), help="where networks are kept")
    parser.add_argument("--write", action="store_true", help="write results/robust_pruning.md and .svg")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    study = whole()
    for seed in range(options.seeds):
        for kind in study.kinds:
            lineage(study, kind, seed, options.folder / f"{kind}-{seed}")
    results = Path(__file__).parent / "results" if options.write else options.folder
    print(write_page(options.folder, results))


if __name__ == "__main__":
    main()
