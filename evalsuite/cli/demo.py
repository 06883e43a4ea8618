"""`evalsuite demo`: the embedded example, start to finish."""

from pathlib import Path

import click

from evalsuite.cli._console import echo, reporter
from evalsuite.cli._options import PLACE

# handwritten digits, 8 x 8: small enough for minutes, real enough to show that robustness goes before accuracy
_TASKS = (
    "clean",
    "noise/uniform/0.15",
    "noise/gaussian/0.1",
    *(f"corruption/{name}/2" for name in ("gaussian_noise", "impulse_noise", "brightness", "pixelate")),
    "corruption/jpeg_compression/3",
    "adversarial/linf/0.03?attack=pgd",
    "certified/l2/0.1?sigma=0.1&n=300",
)
_SWEEP = (
    "--ratios=0.3,0.5,0.7,0.8,0.9,0.95,0.98",
    "--pruner=magnitude,filter-norm",
    "--retrain=standard",
    "--epochs=6",
    f"--tasks={','.join(_TASKS)}",
    "--margin=0.03",
    "--margin-for=adversarial=0.05,certified=0.1",
    "--examples=600",
    "--examples-for=certified=100",
    # on images of 64 pixels a second thread costs more than it gives
    "--threads=1",
)
_STEPS = """\
evalsuite demo: how far can a small network be pruned before its robustness goes?
  1. train a ResNet-8 on 1197 handwritten digits of scikit-learn
  2. prune it to seven ratios, by single weights and by whole filters, and retrain every one of the 14 networks
  3. judge all 15 on 600 held-out digits: as they are, noisy, corrupted, attacked, certified
  4. decide what is shown, and write a report; one to two minutes in all, and the same command does nothing twice"""


@click.command(epilog="\b\nExample:\n  evalsuite demo --out reports/demo")
@click.option("--out", type=PLACE, default=Path("reports/demo"), show_default=True)
@click.pass_context
def command(ctx: click.Context, out: Path) -> None:
    """Train a small network on scikit-learn's digits, prune it, judge it, and report - in a minute or two."""
    from evalsuite.cli.sweep import command as sweep

    echo(*_STEPS.splitlines(), err=True)
    parent = out / "resnet8.safetensors"
    if not parent.exists():
        import torch

        from evalsuite.pruning.train_parent import train_parent
        from evalsuite.records.heartbeat import recorded

        torch.set_num_threads(1)
        with recorded(reporter(), out) as progress:
            score = train_parent(
                arch="resnet8",
                data="digits",
                recipe="standard",
                epochs=20,
                seed=0,
                device="cpu",
                out=parent,
                reporter=progress,
            )
        echo(f"trained {parent}: {score} on the held-out digits", err=True)
    with sweep.make_context("sweep", ["--ckpt", str(parent), "--out", str(out), *_SWEEP], parent=ctx.parent) as inner:
        sweep.invoke(inner)
