"""Does the adversarial task say what robustbench says of the same network and images?

    python benchmarks/robustbench_protocol.py --ckpt model.safetensors [--examples 256] [--eps 0.02] [--write]

Runs `robustbench.eval.benchmark` (threat models Linf and L2) and the tasks `clean` and `adversarial`, one after the
other, on the first held-out examples of the checkpoint's own data set. robustbench leaves AutoAttack's seed open; here
both are given the same. The Python is `.venv-robustbench/bin/python`, which `make robustbench` makes.
"""

import argparse
import functools
import platform
import time
from importlib import import_module
from pathlib import Path

import numpy as np
import pyautoattack
import torch
from torch import Tensor, nn

from evalsuite.data import Batch, load
from evalsuite.networks.architectures._robustbench import zoo
from evalsuite.networks.checkpoints.checkpoint import read
from evalsuite.statistics.proportion import clopper_pearson
from evalsuite.tasks.adversarial import Adversarial
from evalsuite.tasks.clean import Clean

RESULT = Path(__file__).parent / "results" / "robustbench_protocol.md"
SEED = 0
THREATS = {"linf": "Linf", "l2": "L2"}


class SeededAutoAttack(pyautoattack.AutoAttack):
    """pyautoattack under the signature that robustbench calls, with a seed."""

    def __init__(
        self, model: nn.Module, *, norm: str, eps: float, version: str, device: torch.device, log_path: object
    ) -> None:
        del log_path
        pyautoattack.AutoAttack.__init__(self, model, norm=norm, eps=eps, version=version, device=device, seed=SEED)

    def run_standard_evaluation(self, images: Tensor, labels: Tensor, *, bs: int, state_path: None) -> Tensor:
        """The attacked images alone."""
        moved, _ = pyautoattack.AutoAttack.run_standard_evaluation(
            self, images, labels, batch_size=bs, state_path=state_path
        )
        return moved


def theirs(network: nn.Module, images: Tensor, labels: Tensor, norm: str, eps: float) -> tuple[float, float]:
    """Clean and robust accuracy by robustbench, on images that are handed to it in place of CIFAR-10."""
    zoo()  # gives robustbench the module that it misses
    evaluation = import_module("robustbench.eval")
    evaluation.AutoAttack = SeededAutoAttack
    evaluation.load_clean_dataset = lambda *_: (images, labels)
    benchmark = functools.partial(evaluation.benchmark, dataset="cifar10", device=torch.device("cpu"))
    clean, robust = benchmark(
        network, n_examples=len(labels), threat_model=THREATS[norm], eps=eps, batch_size=Adversarial.shard_size
    )
    return float(clean), float(robust)


def ours(network: nn.Module, images: Tensor, labels: Tensor, norm: str, eps: float) -> tuple[float, float]:
    """Clean and robust accuracy by the tasks, shard by shard."""
    examples = functools.partial(_batch, images, labels)
    right: list[list[np.bool_]] = [[], []]
    tasks = (Clean(), Adversarial(norm=norm, eps=eps))
    for result, task in zip(right, tasks, strict=True):
        for start in range(0, len(labels), Adversarial.shard_size):
            shard = examples(start, start + Adversarial.shard_size)
            (observed,) = task.observe([network], shard, seed=SEED).networks
            result.extend(observed["prediction"] == shard.labels.numpy())
    return float(np.mean(right[0])), float(np.mean(right[1]))


def _batch(images: Tensor, labels: Tensor, start: int, stop: int) -> Batch:
    ids = tuple(f"{number:08x}" for number in range(start, min(stop, len(labels))))
    return Batch(images=images[start:stop], labels=labels[start:stop], ids=ids)


def main() -> None:
    """Measure, print, and write with --write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ckpt", type=Path, required=True)
    parser.add_argument("--norm", choices=list(THREATS), default="linf")
    parser.add_argument("--eps", type=float, default=0.02)
    parser.add_argument("--examples", type=int, default=256)
    parser.add_argument("--write", action="store_true", help=f"write {RESULT.parent.name}/{RESULT.name}")
    options = parser.parse_args()
    checkpoint = read(options.ckpt)
    network, n = checkpoint.network.eval().requires_grad_(requires_grad=False), options.examples
    batch = load(str(checkpoint.data)).test.batch(0, n)
    rows, spent = [], []
    for name, judge in (("robustbench", theirs), ("evalsuite", ours)):
        began = time.perf_counter()
        rows.append((name, *judge(network, batch.images, batch.labels, options.norm, options.eps)))
        spent.append(time.perf_counter() - began)
    lines = ["| judged by | clean accuracy | robust accuracy | 95 % interval |", "|---|---:|---:|---:|"]
    for name, clean, robust in rows:
        interval = clopper_pearson(round(robust * n), n, confidence=0.975)
        lines.append(f"| {name} | {clean:.2%} | {robust:.2%} | {interval.low:.2%} to {interval.high:.2%} |")
    table = "\n".join(lines)
    print(table, f"time, ours / theirs: {spent[1] / spent[0]:.2f}", sep="\n")
    if options.write:
        command = f"--ckpt MODEL --norm {options.norm} --eps {options.eps:g} --examples {n} --write"
        RESULT.write_text(f"""# The same network judged by robustbench

`python benchmarks/robustbench_protocol.py {command}`:
{checkpoint.arch} on {checkpoint.data}, AutoAttack standard, {options.norm} {options.eps:g}, the first {n} examples,
batches of {Adversarial.shard_size}, seed {SEED}. CPU ({platform.machine()}, torch {torch.__version__}).

{table}

Time, ours over theirs, in this run: {spent[1] / spent[0]:.2f}.
""")


if __name__ == "__main__":
    main()
