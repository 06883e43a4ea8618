"""Columns of segmentation, against scikit-learn image by image, and by hand."""

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, jaccard_score

from evalsuite.extend import Annotations, Stored
from evalsuite.measures.iou import Iou
from evalsuite.measures.mean_iou import MeanIou
from evalsuite.measures.pixel_error import PixelError
from evalsuite.problems.segmentation import VOID, Segmentation

CLASSES = 4


def drawn(n: int = 12) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and masks; a fifth of the pixels is void, and no image shows all classes."""
    generator = torch.Generator().manual_seed(0)
    truths = torch.randint(CLASSES - 1, (n, 7, 5), generator=generator)
    truths[::2] += 1
    outputs = torch.randn(n, CLASSES, 7, 5, generator=generator)
    outputs += 1.5 * torch.nn.functional.one_hot(truths, CLASSES).permute(0, 3, 1, 2)
    return outputs, truths.where(torch.rand(truths.shape, generator=generator) > 0.2, VOID)


def test_each_image_is_judged_as_scikit_learn_judges_it() -> None:
    outputs, truths = drawn()
    observed = Segmentation().observe(outputs, truths)
    for place, (logits, mask) in enumerate(zip(outputs, truths, strict=True)):
        judged = mask != VOID
        true, result = mask[judged].numpy(), logits.argmax(0)[judged].numpy()
        there = sorted({*true.tolist(), *result.tolist()})
        assert observed["iou"][place] == pytest.approx(jaccard_score(true, result, labels=there, average="macro"))
        assert observed["pixel_error"][place] == pytest.approx(1 - accuracy_score(true, result))


def test_mean_iou_counts_all_pixels_together_as_scikit_learn_does() -> None:
    outputs, truths = drawn()
    recorded = Segmentation().observe(outputs, truths)
    network = Stored(columns=recorded, to_parent={})
    sampled = MeanIou()(network, network, Annotations(labels=np.zeros(len(truths), dtype=np.int64)), {})
    judged = (truths != VOID).numpy()
    true, outcome = truths.numpy()[judged], outputs.argmax(1).numpy()[judged]
    expected = 1 - jaccard_score(true, outcome, average="macro", labels=range(CLASSES))
    assert sampled.child(np.ones((1, len(truths)))) == pytest.approx([expected])
    # an example of weight 2 counts as two
    weights = np.ones((1, len(truths)))
    weights[0, 3] = 2
    twice = np.concatenate([true, truths[3].numpy()[judged[3]]])
    again = np.concatenate([outcome, outputs[3].argmax(0).numpy()[judged[3]]])
    assert sampled.child(weights) == pytest.approx(
        [1 - jaccard_score(twice, again, average="macro", labels=range(CLASSES))]
    )


def test_by_hand() -> None:
    # truth: left half 0, right half 1, one pixel void; found: everything 0
    truths = torch.tensor([[[0, 1], [0, VOID]]])
    outputs = torch.tensor([1.0, 0.0])[None, :, None, None].expand(1, 2, 2, 2)
    noted = Segmentation().observe(outputs, truths)
    assert noted["intersections"].tolist() == [[2, 0]]
    assert noted["unions"].tolist() == [[3, 1]]
    assert noted["iou"] == pytest.approx([(2 / 3 + 0) / 2])
    assert noted["pixel_error"] == pytest.approx([1 / 3])
    assert Segmentation().losses(outputs, truths).tolist() == pytest.approx([2 / 3])


def test_an_image_that_is_all_void_is_not_held_against_a_network() -> None:
    observed = Segmentation().observe(torch.randn(1, 3, 4, 4), torch.full((1, 4, 4), VOID))
    assert observed["iou"].tolist() == [1.0]
    assert observed["pixel_error"].tolist() == [0.0]


def test_measures_average_over_draws() -> None:
    outputs, truths = drawn()
    first, second = (Segmentation().observe(source, truths) for source in (outputs, outputs.flip(1)))
    both = {column: np.stack([first[column], second[column]], axis=1) for column in first}
    annotations = Annotations(labels=np.zeros(len(truths), dtype=np.int64))
    for part in (Iou(), PixelError()):
        one, two, mean = (
            part(source, source, annotations, {}).child
            for source in (Stored(columns=columns, to_parent={}) for columns in (first, second, both))
        )
        assert mean == pytest.approx((one + two) / 2)
    sampled = MeanIou()(Stored(columns=both, to_parent={}), Stored(columns=both, to_parent={}), annotations, {})
    joined = {column: np.concatenate([first[column], second[column]]) for column in first}
    twice = Annotations(labels=np.zeros(2 * len(truths), dtype=np.int64))
    apart = MeanIou()(Stored(columns=joined, to_parent={}), Stored(columns=joined, to_parent={}), twice, {})
    assert sampled.child(np.ones((1, len(truths)))) == pytest.approx(apart.child(np.ones((1, 2 * len(truths)))))
