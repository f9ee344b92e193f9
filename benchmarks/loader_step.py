"""Is a training step slowed down by the images that it trains on? Steps with real data and full augmentation, made in
the background, against steps with one batch that lies in memory.

    python benchmarks/loader_step.py [--steps 20] [--rounds 8] [--photos FOLDER]

ResNet-20 trains on CIFAR-10, read from the folder of data sets, with a crop, a flip and RandAugment. MobileNet-v1
trains on 224 x 224 pixels of the photographs in a folder (a folder for each class), which have been decoded into the
memory (a warm cache), or of drawn images; with a crop of random size, a flip and changes of colour. The two kinds of
step alternate, `rounds` times `steps` each. The image work itself is measured too, alone: a third thread does it, and
takes its share of the cores from the kernels.
"""

import argparse
import statistics
import sys
import time

import numpy as np

import minidl
import minidl.functional as F
import zoo
from minidl import Tensor, augment, data
from minidl.data import DataLoader, ImageDataset
from minidl.optim import SGD

LIMIT = 0.05


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=20, help="steps of one kind in a row")
    parser.add_argument("--rounds", type=int, default=8, help="how often the two kinds alternate")
    parser.add_argument("--only", choices=WORKLOADS, help="this workload alone")
    parser.add_argument("--data-dir", metavar="DIR", help="the folder of data sets")
    parser.add_argument("--photos", metavar="FOLDER", help="photographs, in a folder for each class")
    parser.add_argument("--dry-run", action="store_true", help="do not write the result")
    args = parser.parse_args()
    results = {}
    for name, (model, batch_size, load) in WORKLOADS.items():
        if args.only in (None, name):
            results[name] = compared(zoo.create(model), load(args), batch_size, args.steps, args.rounds)
            print(f"{name}: " + "  ".join(f"{key} {value:.4g}" for key, value in results[name].items()), flush=True)
    if not args.dry_run:
        from common import save  # imported here because it needs PyTorch, which the rest does not

        save("loader_step", results)
    return 0 if all(result["slower"] < LIMIT for result in results.values()) else 1


def cifar(args):
    """CIFAR-10 with the augmentation of `examples/train_cifar10.py --augment randaugment`."""
    return data.load("cifar10", "train", args.data_dir).augmented(augment.Compose([
        augment.RandomCrop(32, padding=4), augment.RandomHorizontalFlip(), augment.RandAugment()]))


def photographs(args):
    """Photographs in memory, or images of coarse noise: only their size matters."""
    if args.photos:
        photos = data.image_folder(args.photos, 224)
    else:
        rng = np.random.default_rng(0)
        images = rng.integers(0, 256, (256, 3, 28, 28), dtype=np.uint8).repeat(8, 2).repeat(8, 3)
        photos = ImageDataset(images, rng.integers(0, 1000, 256), range(1000))
    return photos.augmented(augment.Compose([
        augment.RandomResizedCrop(224, scale=(0.3, 1.0)), augment.RandomHorizontalFlip(),
        augment.ColorJitter(0.2, 0.2, 0.2)]))


WORKLOADS = {"ResNet-20, CIFAR-10": ("resnet20", 128, cifar),
             "MobileNet-v1, photographs": ("mobilenet_v1", 32, photographs)}


def compared(model, dataset, batch_size, steps, rounds):
    """Times of a step in milliseconds, medians over the rounds, and by which part it is slower with the loader."""
    minidl.manual_seed(0)
    optimizer = SGD(model.parameters(), 0.05, 0.9)
    loader = DataLoader(dataset, batch_size, shuffle=True, seed=0, drop_last=True)
    indices = np.arange(batch_size)
    kept = dataset.batch(indices)
    stream = endless(loader)

    def step(images, labels):
        optimizer.zero_grad()
        F.cross_entropy(model(Tensor(images)), labels).backward()
        optimizer.step()

    def timed(batches):
        start = time.perf_counter()
        for _ in range(steps):
            step(*next(batches))
        return (time.perf_counter() - start) / steps * 1e3

    in_memory = iter(lambda: kept, None)
    for batches in (in_memory, stream):          # compile, fill the queue
        timed(batches)
    pairs = []
    for _ in range(rounds):
        with_images = timed(stream)
        stream.close()                           # else the thread would work ahead during the other kind of step
        pairs.append((timed(in_memory), with_images))
        stream = endless(loader)
        step(*next(stream))
    alone = [image_work(dataset, indices, epoch) for epoch in range(5)]
    memory, with_images = (statistics.median(times) for times in zip(*pairs, strict=True))
    return {"in memory, ms": memory, "with images, ms": with_images, "images alone, ms": statistics.median(alone),
            "slower": statistics.median(b / a for a, b in pairs) - 1}


def image_work(dataset, indices, epoch):
    """Milliseconds in which one thread makes a batch."""
    start = time.perf_counter()
    dataset.batch(indices, epoch, 0)
    return (time.perf_counter() - start) * 1e3


def endless(loader):
    """The batches of one epoch after the other."""
    while True:
        yield from loader


if __name__ == "__main__":
    sys.exit(main())
