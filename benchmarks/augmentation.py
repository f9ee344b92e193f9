"""Augmentation of CIFAR-sized images on one thread: images per second of minidl, torchvision v2 and albumentations.

Crop with padding, flip and cutout on 512 images of 3 x 32 x 32 bytes, then an affine map, then colours; alternating.
torchvision works on tensors: on the batch at once (one draw for all of its images), and image by image as its data sets
do. albumentations works image by image. Run: `python benchmarks/augmentation.py`, with either of them installed.
"""

import common
import numpy as np
import torch

from minidl import augment
from minidl.augment import Draws

COUNT = 512
IMAGES = np.random.default_rng(0).integers(0, 256, (COUNT, 3, 32, 32)).astype(np.uint8)
WORK = {
    "crop, flip, cutout": augment.Compose([augment.RandomCrop(32, padding=4), augment.RandomHorizontalFlip(),
                                           augment.Cutout(8)]),
    "affine": augment.RandomAffine(15, translate=(0.1, 0.1), scale=(0.9, 1.1), shear=5),
    "colours": augment.ColorJitter(0.4, 0.4, 0.4, 0.1),
    "randaugment": augment.RandAugment(),
}


def of_torchvision():
    """{work: a function of all images, one by one; and the same on the batch at once}"""
    from torchvision.transforms import v2
    work = {
        "crop, flip, cutout": v2.Compose([v2.RandomCrop(32, padding=4), v2.RandomHorizontalFlip(),
                                          v2.RandomErasing(p=1, scale=(1 / 16, 1 / 16), ratio=(1, 1))]),
        "affine": v2.RandomAffine(15, (0.1, 0.1), (0.9, 1.1), 5, interpolation=v2.InterpolationMode.BILINEAR),
        "colours": v2.ColorJitter(0.4, 0.4, 0.4, 0.1),
        "randaugment": v2.RandAugment(),
    }
    tensors = torch.from_numpy(IMAGES)
    return ({name: lambda t=t: [t(x) for x in tensors] for name, t in work.items()},
            {name: lambda t=t: t(tensors) for name, t in work.items()})


def of_albumentations():
    """{work: a function of all images, one by one}"""
    import albumentations as A
    work = {
        "crop, flip, cutout": A.Compose([A.PadIfNeeded(40, 40, border_mode=0), A.RandomCrop(32, 32),
                                         A.HorizontalFlip(p=0.5), A.CoarseDropout((1, 1), (8, 8), (8, 8), p=1)]),
        "affine": A.Affine(scale=(0.9, 1.1), translate_percent=(-0.1, 0.1), rotate=(-15, 15), shear=(-5, 5), p=1),
        "colours": A.ColorJitter((0.6, 1.4), (0.6, 1.4), (0.6, 1.4), (-0.1, 0.1), p=1),
    }
    images = list(np.ascontiguousarray(IMAGES.transpose(0, 2, 3, 1)))
    return {name: lambda t=t: [t(image=x)["image"] for x in images] for name, t in work.items()}


def peers():
    """{name: {work: function}} of the libraries that are installed."""
    found = {}
    for name, make in (("torchvision", of_torchvision), ("albumentations", of_albumentations)):
        try:
            made = make()
        except ImportError as error:
            print(f"without {name}: {error}")
            continue
        if name == "torchvision":
            found["torchvision, one by one"], found["torchvision, one draw"] = made
        else:
            found[name] = made
    return found


def main():
    torch.set_num_threads(1)
    others, rows = peers(), {}
    for name, transform in WORK.items():
        functions = {"minidl": lambda t=transform: t(IMAGES, draws=Draws(0, 0, np.arange(COUNT)))}
        functions |= {peer: work[name] for peer, work in others.items() if name in work}
        times = common.alternate(list(functions.values()), rounds=7, seconds=0.1)
        rows[name] = {peer: round(COUNT / t) for peer, t in zip(functions, times, strict=True)}
        print(name, "  ".join(f"{peer} {rate:,}" for peer, rate in rows[name].items()), "images/s", flush=True)
    common.save("augmentation", {"images_per_second_on_one_thread": rows})


if __name__ == "__main__":
    main()
