from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from evalsuite.training._augment import flip_together, resized_crop_and_flip, shift_and_flip

Key = tuple[int, int, bool]


def noise(n: int, channels: int = 3, side: int = 6) -> Tensor:
    return torch.rand(n, channels, side, side + 1, generator=Generator().manual_seed(0)) * 0.9 + 0.1


def candidates(image: Tensor, pixels: int, flip: bool) -> Iterator[tuple[Key, Tensor]]:
    padded = F.pad(image, [pixels] * 4)
    height, width = image.shape[1:]
    for mirrored in (False, True) if flip else (False,):
        for down in range(2 * pixels + 1):
            for right in range(2 * pixels + 1):
                cut = padded[:, down : down + height, right : right + width]
                yield (down, right, mirrored), cut.flip(2) if mirrored else cut


def which(image: Tensor, observed: Tensor, pixels: int, flip: bool) -> list[Key]:
    return [key for key, view in candidates(image, pixels, flip) if torch.equal(view, observed)]


def test_every_view_is_a_cut_out_of_the_padded_image_mirrored_or_not() -> None:
    images = noise(300)
    before = images.clone()
    observed = shift_and_flip(images, Generator().manual_seed(1), pixels=1, flip=True)
    taken = [which(image, view, 1, flip=True) for image, view in zip(images, observed, strict=True)]
    assert all(len(result) == 1 for result in taken)
    # 18 possible views, each expected 16.7 times in 300
    assert len({result[0] for result in taken}) == 18
    assert torch.equal(images, before)


def test_without_flip_nothing_is_mirrored() -> None:
    images = noise(50, channels=1)
    recorded = shift_and_flip(images, Generator().manual_seed(1), pixels=1, flip=False)
    assert all(len(which(image, view, 1, flip=False)) == 1 for image, view in zip(images, recorded, strict=True))


def test_no_shift_and_no_flip_is_the_image_itself() -> None:
    assert torch.equal(shift_and_flip(noise(3), Generator().manual_seed(0), pixels=0, flip=False), noise(3))


def test_views_depend_on_the_generator_alone() -> None:
    first, same, other = (
        shift_and_flip(noise(9), Generator().manual_seed(seed), pixels=2, flip=True) for seed in (5, 5, 6)
    )
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_answers_are_mirrored_with_their_images() -> None:
    images = noise(200)
    masks, large = images.argmax(1), F.interpolate(images, scale_factor=2, mode="nearest")
    for truths, answer in ((masks, lambda x: x.argmax(1)), (large, lambda x: F.interpolate(x, scale_factor=2))):
        noted, answers = flip_together(images, truths, Generator().manual_seed(1))
        assert torch.equal(answers, answer(noted))
        mirrored = [torch.equal(view, image.flip(2)) for view, image in zip(noted, images, strict=True)]
        assert all(m or torch.equal(v, i) for m, v, i in zip(mirrored, noted, images, strict=True))
        # 200 fair coins: 70 to 130 but for 2 in 100 000
        assert 70 < sum(mirrored) < 130


def test_resized_boxes_show_a_part_of_the_image_and_mirror_half() -> None:
    # brightness = column number: within a view it grows evenly to the right, or falls where mirrored
    side = 64
    ramp = ((torch.arange(side) + 0.5) / side).expand(400, 1, side, side).contiguous()
    observed = resized_crop_and_flip(ramp, Generator().manual_seed(0), flip=True)
    inner = observed[:, 0, :, 8:-8]
    slope = inner.diff(dim=2).mean((1, 2)) * side
    # what a view spans of the width: the square root of area * aspect, from sqrt(0.08 * 3/4) = 0.245 up to 1
    assert 0.24 < slope.abs().min() < 0.4
    assert 0.95 < slope.abs().max() < 1.01
    # half of 400 mirrored: 200 +- 4 standard deviations of 10
    assert 160 < (slope < 0).sum() < 240
    assert (
        resized_crop_and_flip(ramp, Generator().manual_seed(0), flip=False)[:, 0, :, 8:-8].diff(dim=2) > -1e-6
    ).all()
    assert observed.min() >= 0
    assert observed.max() <= 1
