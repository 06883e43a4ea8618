"""Named sets of options: what a run looks at and how long it takes. Every option given by hand wins over its preset."""

from collections.abc import Mapping

_EARLY = [0.2, 0.4, 0.55, 0.7, 0.8, 0.9, 0.95, 0.98]
# the retrained ratios of the paper's ResNet-56, ResNet-110 and VGG-16
_PAPER = [0.15, 0.302, 0.427, 0.53, 0.614, 0.683, 0.74, 0.787, 0.825, 0.856]
_PAPER += [0.882, 0.903, 0.92, 0.935, 0.946, 0.956, 0.964, 0.97, 0.976, 0.98]

PRESETS: Mapping[str, Mapping[str, object]] = {
    # a look in minutes: nothing is retrained, attacks are quick and weak
    "quick": {
        "ratios": _EARLY,
        "schedule": "one-shot",
        "retrain": "none",
        "tasks": [
            "clean",
            "noise/uniform/0.1",
            "noise/gaussian/0.1",
            "corruption/common/3",
            "adversarial/linf/0.0078?attack=pgd",
        ],
        "examples": 1000,
        "examples_for": {"adversarial": 500},
        "margin": 0.01,
        "margin_for": {"adversarial": 0.02},
    },
    # what a release is judged on: short retraining at each step, the full attack, certificates
    "standard": {
        "ratios": _EARLY,
        "schedule": "cascade",
        "retrain": "standard",
        "epochs": 2,
        "tasks": [
            "clean",
            "noise/uniform/0.1",
            "noise/gaussian/0.1",
            "corruption/all/3",
            "adversarial/linf/0.0078",
            "certified/l2/0.1?sigma=0.1",
        ],
        "examples": 5000,
        # dear tasks are judged on fewer examples, which cannot show a margin of half a point
        "examples_for": {"adversarial": 500, "certified": 250},
        "margin_for": {"adversarial": 0.02, "certified": 0.03},
    },
    # Liebenwein et al. 2021: full retraining with learning-rate rewinding, all corruptions at severity 3, three seeds
    "paper": {
        "ratios": _PAPER,
        "schedule": "cascade",
        "retrain": "lost-in-pruning",
        "seeds": 3,
        "tasks": ["clean", *(f"noise/uniform/{level / 100:g}" for level in range(1, 15)), "corruption/all/3"],
        "examples": 10000,
    },
    # what a safety case leans on: every kind of shift, all three norms, certificates, and what averages hide
    "safety": {
        "ratios": _EARLY,
        "schedule": "cascade",
        "retrain": "standard",
        "epochs": 4,
        "tasks": [
            "clean",
            "noise/uniform/0.1",
            "noise/gaussian/0.1",
            "corruption/all/1",
            "corruption/all/3",
            "corruption/all/5",
            "adversarial/linf/0.0078",
            "adversarial/l2/0.25",
            "adversarial/l1/2",
            "certified/l2/0.1?sigma=0.1",
            "bounds/linf/0.0039",
            "ood/noise",
            "ood/blobs",
        ],
        "measures": [
            "error",
            "worst_class",
            "negative_flips",
            "disagreement",
            "softmax_distance",
            "calibration",
            "risk_coverage",
            "ood_auroc",
        ],
        "examples": 10000,
        "examples_for": {"adversarial": 1000, "certified": 500, "bounds": 1000},
        "margin_for": {"adversarial": 0.015, "certified": 0.025, "bounds": 0.015},
        "confidence": 0.99,
    },
    # the protocol of RobustBench for its L-infinity board: AutoAttack at 8/255 on all test images
    "robustbench": {
        "ratios": _EARLY,
        "schedule": "cascade",
        "retrain": "pgd",
        "tasks": ["clean", "adversarial/linf/0.03137254901960784"],
        "measures": ["error"],
        "examples": 10000,
    },
}
"""Option values by preset."""
