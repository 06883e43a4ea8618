import pytest
import torch
from torch import Generator, Tensor, nn

from evalsuite.data import Examples
from evalsuite.errors import UsageError
from evalsuite.training import recalibrate

CPU = torch.device("cpu")


def of_images(n: int, seed: int = 0) -> Examples:
    images = torch.rand(n, 2, 5, 5, generator=Generator().manual_seed(seed))
    return Examples.from_labels(images, torch.zeros(n))


def network() -> nn.Module:
    with torch.random.fork_rng():
        torch.set_rng_state(Generator().manual_seed(1).get_state())
        built = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3, momentum=0.3), nn.Dropout(0.5), nn.Flatten())
    built[1].running_mean.fill_(7.0)
    return built


def test_one_batch_is_the_mean_and_unbiased_variance_of_the_inputs() -> None:
    examples = of_images(20)
    measured = recalibrate(network(), examples, seed=0, device=CPU, batches=1, batch_size=20)
    with torch.no_grad():
        inputs = network()[0](examples.pixels(range(20)))
    torch.testing.assert_close(measured[1].running_mean, inputs.mean((0, 2, 3)))
    torch.testing.assert_close(measured[1].running_var, inputs.var((0, 2, 3), correction=1))


def test_batches_are_averaged_evenly() -> None:
    # all 20 examples in 4 batches of 5: the average of batch means is the mean of all, whatever the order
    examples = of_images(20)
    measured = recalibrate(network(), examples, seed=0, device=CPU, batch_size=5)
    with torch.no_grad():
        inputs = network()[0](examples.pixels(range(20)))
    torch.testing.assert_close(measured[1].running_mean, inputs.mean((0, 2, 3)))
    assert measured[1].num_batches_tracked == 4


def test_layers_behind_a_batch_norm_see_what_it_puts_out_in_training() -> None:
    # two in a row: the second one's inputs are normalised batch by batch, so its statistics are 0 and n / (n - 1)
    two = nn.Sequential(nn.BatchNorm2d(2, eps=1e-9), nn.BatchNorm2d(2))
    measured = recalibrate(two, of_images(20), seed=0, device=CPU, batch_size=10)
    torch.testing.assert_close(measured[1].running_mean, torch.zeros(2), rtol=0, atol=1e-6)
    torch.testing.assert_close(measured[1].running_var, torch.full((2,), 250 / 249), rtol=1e-4, atol=0)


def test_what_is_handed_in_stays_and_weights_too() -> None:
    given = network().train()
    before = {name: value.clone() for name, value in given.state_dict().items()}
    world = torch.get_rng_state()
    measured = recalibrate(given, of_images(20), seed=0, device=CPU, batch_size=4)
    assert all(torch.equal(before[name], value) for name, value in given.state_dict().items())
    assert given[1].training
    assert not any(module.training for module in measured.modules())
    assert measured[1].momentum == 0.3
    assert all(torch.equal(a, b) for a, b in zip(given.parameters(), measured.parameters(), strict=True))
    # dropout stays off: it would have drawn
    assert torch.equal(torch.get_rng_state(), world)


def test_at_most_so_many_batches_are_drawn_and_the_seed_says_which() -> None:
    def mean(seed: int) -> Tensor:
        return recalibrate(network(), of_images(50), seed=seed, device=CPU, batches=2, batch_size=4)[1].running_mean

    assert torch.equal(mean(0), mean(0))
    assert not torch.equal(mean(0), mean(1))


def test_a_network_without_batch_norm_is_copied_unread() -> None:
    class Unread:
        def __len__(self) -> int:
            return 9

        def __getitem__(self, index: Tensor) -> Tensor:
            pytest.fail("read")

    plain = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3, track_running_stats=False))
    copied = recalibrate(plain, Examples.from_labels(Unread(), torch.zeros(9)), seed=0, device=CPU)
    assert copied is not plain
    assert torch.equal(copied[0].weight, plain[0].weight)


@pytest.mark.parametrize(("n", "batches", "size"), [(1, 1, 2), (9, 0, 2), (9, 1, 1)])
def test_too_little_is_refused(n: int, batches: int, size: int) -> None:
    with pytest.raises(UsageError, match=f"got {batches} of {size} from {n} examples"):
        recalibrate(network(), of_images(n), seed=0, device=CPU, batches=batches, batch_size=size)
