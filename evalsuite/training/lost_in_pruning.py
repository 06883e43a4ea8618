"""The schedules of Lost in Pruning (Liebenwein et al. 2021, arXiv:2103.03014), the same for training and retraining."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, final

from torch import Generator, Tensor
from typing_extensions import override

from evalsuite.data import TrainingAdvice
from evalsuite.training._augment import resized_crop_and_flip, shift_and_flip
from evalsuite.training._base import Recipe, with_overrides


@final
@dataclass(frozen=True, kw_only=True)
class LostInPruning(Recipe):
    """Steps down at fixed epochs after a linear warm-up from 0; the defaults are those of the CIFAR ResNets.

    `prescribed` knows the other networks of the paper: VGG16, DenseNet22, WRN16-8, and torchvision's ResNet18 and
    ResNet101 for ImageNet, whose views are cut out of the centre crop that is evaluated, not of the whole photo. The
    authors trained in mixed precision and on nine tenths of the training images; neither is done here.

    Attributes:
        warm_up: Epochs in which the learning rate grows linearly from 0, at least 0.
        decay: What the learning rate is multiplied by at each milestone, in (0, 1].
        milestones: Epochs, counted from 0, at whose start it is; they stay where they are when `epochs` is replaced.
        retrain_epochs: Epochs for retraining, at most `epochs`: the first of the same schedule.
        views: How images are augmented: `shifted` (padded by 4 and cut out) or `resized` (boxes of random size).
        flip: Whether half of the images are mirrored too.
    """

    epochs: int = 182
    batch_size: int = 128
    learning_rate: float = 0.1
    weight_decay: float = 1e-4
    nesterov: bool = False
    warm_up: int = 5
    decay: float = 0.1
    milestones: tuple[int, ...] = (91, 136)
    retrain_epochs: int = 182
    views: Literal["shifted", "resized"] = "shifted"
    flip: bool = True

    @override
    def rate(self, step: int, steps_per_epoch: int) -> float:
        rise = self.warm_up * steps_per_epoch
        if step < rise:
            return self.learning_rate * step / rise
        passed = sum(1 for milestone in self.milestones if step >= milestone * steps_per_epoch)
        return self.learning_rate * self.decay**passed

    @override
    def augment(self, images: Tensor, generator: Generator) -> Tensor:
        if self.views == "resized":
            return resized_crop_and_flip(images, generator, flip=self.flip)
        return shift_and_flip(images, generator, pixels=4, flip=self.flip)

    @override
    def prescribed(self, *, architecture: str, advice: TrainingAdvice) -> "LostInPruning":
        published = _PUBLISHED.get(architecture.partition("?")[0].replace("-", "_"), self)
        return with_overrides(self, replace(published, flip=published.flip and advice.mirrored is not False))

    @override
    def for_retraining(self) -> "LostInPruning":
        return replace(self, epochs=min(self.epochs, self.retrain_epochs))


_VGG16 = LostInPruning(
    epochs=300,
    retrain_epochs=150,
    batch_size=256,
    learning_rate=0.05,
    weight_decay=5e-4,
    warm_up=10,
    decay=0.5,
    milestones=tuple(range(30, 300, 30)),
)
_IMAGENET = LostInPruning(epochs=90, retrain_epochs=90, batch_size=256, milestones=(30, 60, 80), views="resized")
_PUBLISHED: Mapping[str, LostInPruning] = {
    "vgg16": _VGG16,
    "vgg16_bn": _VGG16,
    "densenet22": LostInPruning(
        epochs=300, retrain_epochs=300, batch_size=64, nesterov=True, warm_up=10, milestones=(150, 225)
    ),
    "wrn16_8": LostInPruning(
        epochs=200, retrain_epochs=200, weight_decay=5e-4, nesterov=True, decay=0.2, milestones=(60, 120, 160)
    ),
    "torchvision:resnet18": _IMAGENET,
    "torchvision:resnet101": _IMAGENET,
}
