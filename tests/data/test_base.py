import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor

from evalsuite.data import Examples


def eight_bit(n: int = 7, seed: int = 0) -> Tensor:
    return torch.randint(0, 256, (n, 3, 5, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def test_ids_of_8_bit_images_do_not_depend_on_the_type_they_are_kept_in() -> None:
    raw, labels = eight_bit(), torch.arange(7)
    whole = Examples.from_labels(raw, labels)
    for stored in (raw.float() / 255, raw.double() / 255, torch.from_numpy(raw.numpy().astype(np.float64) / 255)):
        assert Examples.from_labels(stored, labels).ids == whole.ids
        assert Examples.from_labels(stored, labels).image_ids == whole.image_ids


def test_all_256_levels_survive_being_stored_as_float() -> None:
    levels = torch.arange(256, dtype=torch.uint8).view(256, 1, 1, 1)
    labels = torch.zeros(256)
    for stored in (levels.float() / 255, levels.double() / 255):
        assert Examples.from_labels(stored, labels).image_ids == Examples.from_labels(levels, labels).image_ids
    assert len(set(Examples.from_labels(levels, labels).image_ids)) == 256


def test_the_id_of_an_example_does_not_depend_on_its_neighbours() -> None:
    images = torch.cat([eight_bit(3).float() / 255, torch.rand(3, 3, 5, 4, generator=torch.Generator().manual_seed(1))])
    together = Examples.from_labels(images, torch.arange(6))
    alone = [Examples.from_labels(images[i : i + 1], torch.tensor([i])).ids[0] for i in range(6)]
    assert together.ids == tuple(alone)
    assert together.select([5, 0]).ids == (alone[5], alone[0])


def test_ids_tell_labels_and_float_images_apart() -> None:
    image = torch.full((1, 1, 2, 2), 0.3)
    a, b = Examples.from_labels(image, torch.tensor([0])), Examples.from_labels(image, torch.tensor([1]))
    nudged = Examples.from_labels(image + 2**-20, torch.tensor([0]))
    assert a.image_ids == b.image_ids
    assert len({a.ids, b.ids, nudged.ids}) == 3


def test_a_batch_holds_the_same_ids_pixels_and_labels_as_the_whole() -> None:
    examples = Examples.from_labels(eight_bit(), torch.arange(7)).select([6, 2, 4, 1])
    batch = examples.batch(1, 9)
    assert len(batch) == 3
    assert batch.ids == examples.ids[1:]
    assert batch.labels.tolist() == [2, 4, 1]
    torch.testing.assert_close(batch.images, eight_bit()[[2, 4, 1]].float() / 255, rtol=0, atol=0)


def test_a_batch_reads_only_its_own_images() -> None:
    class Counting:
        def __init__(self) -> None:
            self.read = []

        def __len__(self) -> int:
            return 7

        def __getitem__(self, index: Tensor) -> Tensor:
            self.read += index.tolist()
            return eight_bit()[index]

    images = Counting()
    Examples.from_labels(images, torch.arange(7)).batch(2, 4)
    assert images.read == [2, 3]


def test_no_examples_have_no_ids() -> None:
    assert Examples.from_labels(eight_bit()[:0], torch.zeros(0)).ids == ()


def test_examples_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Examples.from_labels(eight_bit(), torch.arange(7)).labels = torch.zeros(7)
