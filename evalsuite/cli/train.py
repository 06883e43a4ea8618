"""`evalsuite train`: a parent, by recipe."""

from pathlib import Path

import click

from evalsuite.cli._console import echo, reporter
from evalsuite.cli._options import PLACE
from evalsuite.process.threads import MOST_THREADS


@click.command(
    epilog="\b\nExamples:\n  evalsuite train --arch resnet8 --data fashion-mnist --out resnet8.safetensors\n"
    "  evalsuite train --arch lenet5 --data digits --epochs 20 --out lenet5.safetensors",
)
@click.option("--arch", required=True, help="As for sweep; see evalsuite list networks.")
@click.option("--data", required=True, help="As for sweep; see evalsuite list data.")
@click.option("--recipe", default="standard", show_default=True, help="See evalsuite list recipes.")
@click.option("--epochs", type=click.IntRange(min=1), help="Epochs (default: the recipe's).")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True)
@click.option("--device", default="auto", show_default=True, help="cpu, cuda, cuda:1 or auto.")
@click.option("--threads", type=click.IntRange(1, MOST_THREADS), help="CPU threads (default: all).")
@click.option("--out", type=PLACE, required=True, help="Checkpoint to write; early weights go beside it.")
def command(
    arch: str,
    data: str,
    recipe: str,
    epochs: int | None,
    seed: int,
    device: str,
    threads: int | None,
    out: Path,
) -> None:
    """Train a network on the training examples and write a self-describing checkpoint.

    Weights after the first 5 % of training go to OUT.early.safetensors, for `--rewind weights`.
    """
    import torch

    from evalsuite.pruning.train_parent import train_parent

    if threads is not None:
        torch.set_num_threads(threads)
    score = train_parent(
        arch=arch, data=data, recipe=recipe, epochs=epochs, seed=seed, device=device, out=out, reporter=reporter()
    )
    echo(f"{out}: {score} on the held-out examples", err=True)
