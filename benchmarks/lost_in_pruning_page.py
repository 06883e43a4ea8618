"""What `lost_in_pruning.py` has made, as a page, figures and points."""

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np
from lost_in_pruning_figures import draw_errors, draw_excess, draw_noise, draw_potentials
from lost_in_pruning_runs import (
    DISTRIBUTIONS,
    Point,
    Reached,
    Summary,
    by_clean,
    errors,
    groups,
    lines,
    read_runs,
    summary,
)

_FIGURES = {"potential": draw_potentials, "errors": draw_errors, "noise": draw_noise, "excess": draw_excess}


def write_page(folder: Path, out: Path) -> Path:
    """Write `page.md`, figures and two tables of points to `out`; returns the page."""
    result = read_runs(folder)
    out.mkdir(parents=True, exist_ok=True)
    for name, draw in _FIGURES.items():
        draw(result, out / f"{name}.svg")
    _write(out / "points.csv", Point, (asdict(p) for p in result.points))
    _write(out / "potentials.csv", Reached, (asdict(r) for r in result.reached))
    page = out / "page.md"
    page.write_text("\n".join(_page(result)) + "\n", encoding="utf-8")
    return page


def _page(result: Summary) -> Iterator[str]:
    counts = ", ".join(str(n) for n in sorted({point.n for point in result.points}))
    margins = ", ".join(f"{100 * margin:g}" for margin in sorted({reached.margin for reached in result.reached}))
    yield "# Lost in Pruning on a small scale"
    yield ""
    yield f"Every figure from {counts} held-out examples, margin {margins} points."
    yield from ("", "## Prune potential over training and test distributions", "", *_potential_table(result))
    yield from ("", "![Prune potential by task](potential.svg)", "")
    yield from ("## Errors", "", *_error_table(result), "", "![Error against prune ratio](errors.svg)", "")
    yield from ("## What clean test data alone would ship", "", *_clean_table(result))
    yield from ("", "## Noise", "", "![Prune potential against noise](noise.svg)", "")
    yield from ("## Difference in excess error", "", *_excess_table(result))
    yield from ("", "![Difference in excess error](excess.svg)", "")
    yield "Points: `points.csv` (errors), `potentials.csv`."


def _potential_table(result: Summary) -> Iterator[str]:
    yield "Percent; mean ± standard deviation over seeds of the average and of the minimum over the distributions."
    yield "Trained on clean data: clean against all corruptions at severity 3. Augmented: clean and mix1 against mix2."
    yield ""
    yield "| training | pruner | distributions | seeds | average | minimum |"
    yield "|---|---|---|---|---|---|"
    for training, pruner, title, seeds, tasks, over in summary(result):
        average, minimum = (f"{s.mean:.1f} ± {s.std:.1f}" for s in (over.average, over.minimum))
        yield f"| {training} | {pruner} | {title} ({tasks}) | {seeds} | {average} | {minimum} |"


def _error_table(result: Summary) -> Iterator[str]:
    yield "Percent, mean and range over the seeds, of parents and of networks at large prune ratios: on clean data, on"
    yield "corruptions that the robust training has seen (mix1) and on those that it has not (mix2)."
    yield ""
    yield f"| training | network | {' | '.join(DISTRIBUTIONS)} |"
    yield "|---|---|---|---|---|"
    message: set[str] = set()
    for training, pruner in groups(result):
        subject = [errors(result, training, pruner, tasks) for tasks in DISTRIBUTIONS.values()]
        for place, network in ((0, "parent"), (-2, pruner), (-1, pruner)):
            at = network if place == 0 else f"{network} at {subject[0][0][place]:.0f} %"
            if f"{training} {at}" not in message:
                yield f"| {training} | {at} | {' | '.join(_range(values[:, place]) for _, values in subject)} |"
            message.add(f"{training} {at}")


def _range(values: np.ndarray) -> str:
    return f"{values.mean():.1f} ({values.min():.1f} to {values.max():.1f})"


def _clean_table(result: Summary) -> Iterator[str]:
    yield "Each seed's network at the prune potential of clean data, on the test distributions: pairs of a network and"
    yield "a corruption, by whether one-sided bounds show it to be worse than its parent by more than the margin."
    yield ""
    yield "| training | pruner | clean potential by seed, % | shown worse | shown within | open |"
    yield "|---|---|---|---|---|---|"
    for training, pruner in groups(result):
        observed = by_clean(result, training, pruner)
        ratios = ", ".join(f"{100 * ratio:.1f}" for ratio in observed.ratios)
        undecided = observed.pairs - observed.worse - observed.within
        within = f"{observed.worse} of {observed.pairs} | {observed.within}"
        yield f"| {training} | {pruner} | {ratios} | {within} | {undecided} |"


def _excess_table(result: Summary) -> Iterator[str]:
    yield "Points at a prune ratio of 100 %, by least squares through the origin;"
    yield "the 95 % interval resamples whole seeds."
    yield ""
    yield "| training | pruner | networks | slope | interval |"
    yield "|---|---|---|---|---|"
    for training, pruner, networks, fitted in lines(result):
        low, high = fitted.slope_low, fitted.slope_high
        interval = "one seed" if low is None or high is None else f"{100 * low:+.2f} to {100 * high:+.2f}"
        yield f"| {training} | {pruner} | {networks} | {100 * fitted.slope:+.2f} | {interval} |"


def _write(path: Path, kind: type[Point] | type[Reached], rows: Iterable[Mapping[str, object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(kind)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
