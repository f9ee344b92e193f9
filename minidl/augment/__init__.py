"""Random changes of training images: `Compose([RandomCrop(32, padding=4), RandomHorizontalFlip()])`.

Transforms take whole batches of bytes. Names and settings are torchvision's where it has them.
"""

from minidl.augment.affine import ElasticTransform, RandomAffine, RandomRotation
from minidl.augment.colour import ColorJitter, GaussianBlur, GaussianNoise, RandomGrayscale
from minidl.augment.crop import (
    AlternatingFlip,
    RandomCrop,
    RandomHorizontalFlip,
    RandomResizedCrop,
    RandomVerticalFlip,
)
from minidl.augment.draws import Draws
from minidl.augment.erase import Cutout, RandomErasing
from minidl.augment.mix import CutMix, MixUp
from minidl.augment.policy import RandAugment
from minidl.augment.transform import Compose, RandomApply, Transform

__all__ = [
    "AlternatingFlip",
    "ColorJitter",
    "Compose",
    "CutMix",
    "Cutout",
    "Draws",
    "ElasticTransform",
    "GaussianBlur",
    "GaussianNoise",
    "MixUp",
    "RandAugment",
    "RandomAffine",
    "RandomApply",
    "RandomCrop",
    "RandomErasing",
    "RandomGrayscale",
    "RandomHorizontalFlip",
    "RandomResizedCrop",
    "RandomRotation",
    "RandomVerticalFlip",
    "Transform",
]
