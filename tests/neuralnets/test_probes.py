import torch

from neuralnets.probes import noise, ramp

CPU = torch.device("cpu")


def test_a_ramp_rises_from_zero_to_one() -> None:
    image = ramp((1, 1, 5), CPU)
    assert image.tolist() == [[[[0, 0.25, 0.5, 0.75, 1]]]]


def test_noise_is_the_same_every_time_and_differs_from_image_to_image() -> None:
    images = noise((3, 4, 4), CPU)
    assert images.shape == (8, 3, 4, 4)
    assert torch.equal(images, noise((3, 4, 4), CPU))
    assert 0 <= images.min() < images.max() < 1
    assert len(images.flatten(1).unique(dim=0)) == 8
