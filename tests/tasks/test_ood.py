"""Outliers: what they are made of, that each is its example's alone, and what is written down."""

import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter

from evalsuite.data import Batch
from evalsuite.errors import UsageError
from evalsuite.extend import Annotations, Domain, Stored
from evalsuite.measures.error import Error
from evalsuite.measures.ood_auroc import OodAuroc
from evalsuite.parts.names import part_name
from evalsuite.randomness import keys, uniform
from evalsuite.tasks._names import digest, expand, parse
from evalsuite.tasks._outliers import KINDS, outliers
from evalsuite.tasks.ood import Ood


class Brightness(torch.nn.Module):
    """Is sure of bright images."""

    def forward(self, images):
        bright = 8 * images.flatten(1).mean(1)
        return torch.stack([bright, -bright], dim=1)


def batch(n=6, shape=(3, 32, 32)):
    images = torch.rand(n, *shape, generator=torch.Generator().manual_seed(0))
    return Batch(images=images, labels=torch.zeros(n).long(), ids=tuple(map(str, range(n))))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 28, 28), (3, 9, 14), (1, 2, 3)])
def test_an_outlier_depends_on_its_example_alone_and_is_an_image(kind, shape):
    whole = batch(5, shape)
    before = whole.images.clone()
    stream = keys(0, "outliers", whole.ids)
    result = outliers(kind, whole.images, stream)
    assert result.shape == whole.images.shape
    assert result.min() >= 0
    assert result.max() <= 1
    assert torch.equal(whole.images, before)
    assert torch.equal(outliers(kind, whole.images[3:4], stream[3:4]), result[3:4])
    assert not torch.equal(result, outliers(kind, whole.images, keys(1, "outliers", whole.ids)))


def test_shuffled_tiles_are_the_examples_own():
    whole = batch(4, (1, 32, 32))
    outcome = outliers("shuffled", whole.images, keys(0, "outliers", whole.ids))

    def tiles(images):
        return images.unfold(2, 8, 8).unfold(3, 8, 8).reshape(len(images), 16, 64)

    for old, new in zip(tiles(whole.images), tiles(outcome), strict=True):
        assert not torch.equal(old, new)
        assert sorted(map(tuple, old.tolist())) == sorted(map(tuple, new.tolist()))


def test_what_does_not_fill_a_tile_stays():
    whole = batch(2, (1, 9, 14))
    actual = outliers("shuffled", whole.images, keys(0, "outliers", whole.ids))
    assert torch.equal(actual[:, :, 8:], whole.images[:, :, 8:])
    assert torch.equal(actual[:, :, :, 12:], whole.images[:, :, :, 12:])


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 32, 32), (3, 20, 48)])
def test_blobs_are_scipys_blur_cut_at_three_quarters(shape):
    whole = batch(3, shape)
    stream = keys(0, "outliers", whole.ids)
    computed = outliers("blobs", whole.images, stream)
    drawn = (uniform(stream, shape) < 0.7).double().numpy()
    sigma = (1.5, 1.5 * shape[1] / 32, 1.5 * shape[2] / 32)
    for blob, noise in zip(computed, drawn, strict=True):
        blurred = gaussian_filter(noise, sigma, mode="nearest", truncate=4.0)
        clear = np.abs(blurred - 0.75) > 1e-5  # at the cut itself a rounding error decides
        np.testing.assert_allclose(blob.numpy()[clear], np.where(blurred < 0.75, 0, blurred)[clear], atol=1e-5)
    assert 0.02 < (computed > 0).float().mean() < 0.5


def test_noise_is_uniform():
    whole = batch(20)
    result = outliers("noise", whole.images, keys(0, "outliers", whole.ids))
    # 61440 draws: mean 1/2 and variance 1/12, with standard errors of 0.0012 and 0.0003
    assert float(result.mean()) == pytest.approx(0.5, abs=0.006)
    assert float(result.var()) == pytest.approx(1 / 12, abs=0.0015)


def test_both_scores_of_examples_and_outliers_and_nothing_else():
    whole = batch()
    observed = Ood(outliers="noise").observe([Brightness()], whole, seed=0)
    (columns,) = observed.networks
    assert set(columns) == {"confidence", "energy", "out_confidence", "out_energy"}
    bright = 8 * whole.images.flatten(1).mean(1).double()
    assert columns["confidence"] == pytest.approx(torch.sigmoid(2 * bright).numpy(), abs=1e-6)
    assert columns["energy"] == pytest.approx(torch.logaddexp(bright, -bright).numpy(), abs=1e-5)
    strange = 8 * observed.pictures.flatten(1).mean(1).double()
    assert columns["out_energy"] == pytest.approx(torch.logaddexp(strange, -strange).numpy(), abs=1e-5)


def test_dark_outliers_are_detected_by_brightness():
    bright = batch(40)
    bright = Batch(images=bright.images * 0.2 + 0.8, labels=bright.labels, ids=bright.ids)
    (columns,) = Ood(outliers="blobs").observe([Brightness()], bright, seed=0).networks
    stored = Stored(columns=columns, to_parent={})
    result = OodAuroc(score="energy")(stored, stored, Annotations(labels=np.zeros(40, dtype=np.int64)), {})
    assert result.child(np.ones((1, 40))) == 0
    assert not set(Error().columns()) <= set(columns)


def test_names_and_refusals():
    assert [part_name(task) for task in expand(["ood/all"])] == ["ood/noise", "ood/shuffled", "ood/blobs"]
    with pytest.raises(UsageError, match="noise, shuffled, blobs, folder"):
        parse("ood/textures")
    assert Ood(outliers="shuffled").unsupported_reason(Domain(shape=(1, 1, 9), classes=2)) is not None
    assert Ood(outliers="blobs").unsupported_reason(Domain(shape=(1, 1, 9), classes=2)) is None


@pytest.fixture
def gallery(tmp_path):
    """Three photos, each of one brightness."""
    (tmp_path / "gallery" / "inner").mkdir(parents=True)
    for file, level in (("a.png", 0), ("inner/b.png", 102), ("inner/c.PNG", 255)):
        Image.fromarray(np.full((32, 32, 3), level, np.uint8)).save(tmp_path / "gallery" / file)
    (tmp_path / "gallery" / "notes.txt").write_text("no photo")
    return tmp_path / "gallery"


def test_photos_of_a_folder_are_drawn_for_each_example(gallery):
    task, whole = parse(f"ood/folder?at={gallery}"), batch(60)
    recorded = task.observe([Brightness()], whole, seed=0)
    levels = recorded.pictures.flatten(1)
    assert (levels == levels[:, :1]).all()
    counts = [(levels[:, 0] == level / 255).sum() for level in (0, 102, 255)]
    assert sum(counts) == 60
    assert min(counts) > 8  # a third each: 20 with a standard deviation of 3.7
    alone = Batch(images=whole.images[7:8], labels=whole.labels[7:8], ids=whole.ids[7:8])
    assert task.observe([Brightness()], alone, seed=0).pictures == pytest.approx(recorded.pictures[7:8])
    assert task.note(Domain(shape=(3, 32, 32), classes=2)) == "3 photos, drawn with replacement"
    assert task.title() == "outliers: gallery"


def test_the_address_is_of_the_photos_and_not_of_their_place(gallery, tmp_path):
    before = digest(parse(f"ood/folder?at={gallery}"))
    shutil.copytree(gallery, tmp_path / "copy")
    assert digest(parse(f"ood/folder?at={tmp_path / 'copy'}")) == before
    Image.fromarray(np.full((32, 32, 3), 7, np.uint8)).save(gallery / "a.png")
    assert digest(parse(f"ood/folder?at={gallery}")) != before
    assert digest(parse("ood/blobs")) != digest(parse("ood/noise"))


def test_folders_that_are_none(tmp_path):
    with pytest.raises(UsageError, match="at=FOLDER"):
        parse("ood/folder")
    with pytest.raises(UsageError, match="at=FOLDER"):
        parse("ood/noise?at=photos")
    with pytest.raises(UsageError, match="without any"):
        digest(parse(f"ood/folder?at={tmp_path}"))
    task = Ood(outliers="folder", at="photos")
    assert task.unsupported_reason(Domain(shape=(3, 32, 24), classes=2)) is not None
