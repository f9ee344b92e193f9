"""`minidl train DATA`: train a network of the zoo on a known data set, or on folders of photographs.

    minidl train mnist
    minidl train photos/ --model mobilenet_v1 --pretrained mobilenet.safetensors --freeze blocks --epochs 10

`photos/` holds a folder of images for each class, or such folders in train/, val/ and test/: see `data.image_splits`.
"""

import argparse
import math
from collections.abc import Callable
from pathlib import Path

from tqdm import tqdm

import minidl
import zoo
from minidl import augment, data, io, nn, train
from minidl.data import ImageDataset, Splits
from minidl.flags import whole
from minidl.optim import SGD, OneCycleLR
from minidl.text import write

DEFAULTS = {"mnist": "lenet5", "fashion": "simple_cnn", "digits": "lenet5", "cifar10": "resnet20",
            "cifar100": "resnet20"}
OF_PHOTOGRAPHS = "mobilenet_v1"
RATE, FINE_TUNING_RATE = 0.05, 0.01              # peak learning rates
HELD_OUT = 0.1                                   # of a known training set, for validation
HELD_OUT_OF_FOLDERS = 0.2


def shifted(size: int) -> augment.Transform:
    """A crop that moves the image by up to an eighth of its size."""
    return augment.RandomCrop(size, padding=size // 8, padding_mode="reflect")


POLICIES: dict[str, Callable[[int], list[augment.Transform]]] = {
    "none": lambda size: [],
    "crop": lambda size: [shifted(size)],                    # digits and letters, which a flip makes others
    "standard": lambda size: [shifted(size), augment.RandomHorizontalFlip()],
    "strong": lambda size: [augment.RandomResizedCrop(size, scale=(0.3, 1.0)), augment.RandomHorizontalFlip(),
                            augment.RandAugment()],
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", metavar="DATA", help=f"{', '.join(data.NAMES)}, or a folder of photographs with one "
                        "folder for each class, or with such folders in train/, val/ and test/")
    parser.add_argument("--model", metavar="NAME", help="a network of `minidl zoo` (default: one that suits the data; "
                        f"{OF_PHOTOGRAPHS} for photographs)")
    parser.add_argument("--pretrained", metavar="PATH", help="start from these weights, except for the last layer: a "
                        "file, or the name of published weights")
    parser.add_argument("--freeze", action="append", default=[], metavar="LAYER", help="leave the weights of this "
                        "part of the network as they are; may be given several times")
    parser.add_argument("--size", type=whole(), metavar="N", help="height and width of photographs for the network "
                        "(default: what it was designed for)")
    parser.add_argument("--augment", choices=POLICIES, help="changes of the training images (default: standard for "
                        "photographs, cifar10 and cifar100, else none)")
    parser.add_argument("--cache", metavar="DIR", help="keep decoded photographs in this folder, not in memory")
    train.add_training_arguments(parser, "train", epochs=10, batch_size=64, lr=None, momentum=0.9, weight_decay=5e-4,
                                 validation=None)


def run(args: argparse.Namespace) -> None:
    """Read the data, build the network, and train it with one cycle of the learning rate."""
    known = args.data in data.NAMES
    args.model = args.model or (DEFAULTS[args.data] if known else OF_PHOTOGRAPHS)
    args.name = args.data if known else Path(args.data).resolve().name or "photographs"
    zoo.image_size(args.model)                   # report a wrong name before reading images
    args = train.settled(args)
    sets = known_sets(args) if known else folder_sets(args)
    minidl.manual_seed(args.seed)
    model, sets = network(args, sets)
    device = minidl.Device.parse(args.device)
    reported = sets.validation if sets.test is None else sets.test
    if args.evaluate:
        train.load_weights(model, args.weights)
        train.report(model.to(device), needed(reported), device)
        return
    if sets.test is None and reported is not None:
        write("there is no test set: the report is of the validation images, which also chose the best epoch")
    train_set = sets.train
    if args.limit and args.limit < len(train_set):
        train_set, _ = train_set.stratified_split(args.limit / len(train_set), seed=args.seed)
    args.augment = args.augment or ("none" if known and not args.data.startswith("cifar") else "standard")
    changes = POLICIES[args.augment](train_set.image_shape[1])
    train_set = train_set.augmented(augment.Compose(changes) if changes else None)
    rate = args.lr or (FINE_TUNING_RATE if args.pretrained else RATE)
    optimizer = SGD(model.named_parameters(), rate, args.momentum, weight_decay=args.weight_decay, nesterov=True)
    steps_per_epoch = math.ceil(len(train_set) / args.batch_size)
    schedule = OneCycleLR(optimizer, rate, args.epochs * steps_per_epoch, cycle_momentum=False)
    settings = train.fit_settings(args)
    train.fit(model, optimizer, train_set, sets.validation, reported, schedule=schedule, freeze=tuple(args.freeze),
              **settings)


def needed(dataset: ImageDataset | None) -> ImageDataset:
    """The set that is to be reported on."""
    if dataset is None:
        raise ValueError("there are no images to test with: neither a test folder nor validation images")
    return dataset


def known_sets(args: argparse.Namespace) -> Splits:
    """The parts of a data set that minidl knows by name."""
    whole_set, test_set = (data.load(args.data, part, args.data_dir) for part in ("train", "test"))
    held_out = round(HELD_OUT * len(whole_set)) if args.validation is None else args.validation
    rest, validation_set = whole_set.stratified_split(1 - min(held_out / len(whole_set), 1.0), seed=args.seed)
    return Splits(rest, validation_set if len(validation_set) else None, test_set)


def folder_sets(args: argparse.Namespace) -> Splits:
    """The parts of a folder of photographs. Images that cannot be read are reported and left out."""
    size = args.size or zoo.image_size(args.model)
    with tqdm(unit=" images", desc="reading photographs", leave=False, disable=None) as bar:
        def advance(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)
        sets = data.image_splits(args.data, size, validation=HELD_OUT_OF_FOLDERS if args.validation is None else 0.0,
                                 seed=args.seed, cache=args.cache, progress=advance)
    texts = [getattr(part, "problems", str)() for part in sets if part is not None]
    for text in filter(None, dict.fromkeys(texts)):          # parts that were split here share it
        write(text)
    if args.validation and sets.validation is None:
        rest, chosen = sets.train.stratified_split(1 - min(args.validation / len(sets.train), 1.0), seed=args.seed)
        sets = sets._replace(train=rest, validation=chosen)
    write(f"{len(sets.train):,} training images of {len(sets.train.classes)} classes, {len(sets.validation or ()):,} "
          f"for validation, {len(sets.test or ()):,} for the test")
    return sets


def network(args: argparse.Namespace, sets: Splits) -> tuple[nn.Module, Splits]:
    """The network for these images, and the images normalised as its pretrained weights expect."""
    channels, classes = sets.train.image_shape[0], len(sets.train.classes)
    model = zoo.create(args.model, pretrained=args.pretrained, in_channels=channels, num_classes=classes)
    if args.pretrained:
        _, facts = io.pretrained(args.pretrained)
        if facts.get("mean") and facts.get("std"):
            mean, std = facts["mean"], facts["std"]
            others = [None if part is None else part.normalized(mean, std) for part in sets[1:]]
            sets = Splits(sets.train.normalized(mean, std), *others)
    return model, sets
