"""`minidl train DATA`: train a network of the zoo on a known data set, or on folders of images.

    minidl train mnist
    minidl train photos/ --model mobilenet_v1 --pretrained mobilenet.safetensors --freeze blocks --epochs 10
    minidl train membrane/ --loss both

`photos/` holds a folder of images for each class, or such folders in train/, val/ and test/: see `data.image_splits`.
`membrane/` holds a folder of images and one of masks, or train/, val/ and test/ with both: see `data.mask_splits`.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import minidl
import zoo
from minidl import augment, data, nn, train
from minidl.commands.networks import add_from
from minidl.commands.training_sets import adapted, add_mask_class, kind_of, sets_for
from minidl.data import ImageDataset, Splits
from minidl.flags import setting, whole
from minidl.modes import no_grad
from minidl.nn.shapes import on_empty_batch
from minidl.text import write

DEFAULTS = {"mnist": "lenet5", "fashion": "simple_cnn", "digits": "lenet5", "cifar10": "resnet20",
            "cifar100": "resnet20", "photographs": "mobilenet_v1", "masks": "unet"}
OF_UNET = {"padded": True, "batch_norm": True, "base_channels": 16}      # for masks of the size of the images
SMALL = 64                                       # the largest height of images for which a network "..._cifar" is meant

Size = tuple[int, int]


def shifted(size: Size) -> augment.Transform:
    """A crop that moves the image by up to an eighth of its size."""
    return augment.RandomCrop(size, padding=min(size) // 8, padding_mode="reflect")


POLICIES: dict[str, Callable[[Size], list[augment.Transform]]] = {
    "none": lambda size: [],
    "crop": lambda size: [shifted(size)],                    # for digits and letters, which a flip makes others
    "flip": lambda size: [augment.RandomHorizontalFlip()],
    "standard": lambda size: [shifted(size), augment.RandomHorizontalFlip()],
    "strong": lambda size: [augment.RandomResizedCrop(size, scale=(0.3, 1.0)), augment.RandomHorizontalFlip(),
                            augment.RandAugment()],
}
STANDARD = ("cifar10", "cifar100", "photographs", "masks")   # what is augmented by default


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", metavar="DATA", help=f"{', '.join(data.NAMES)}, or a folder of photographs with one "
                        "folder for each class, or of images and their masks, or with such folders in train/, val/ and "
                        "test/")
    network = parser.add_argument_group("network")
    network.add_argument("--model", metavar="NAME", help="a network of `minidl zoo` (default: one that suits the data; "
                         f"{DEFAULTS['photographs']} for photographs, {DEFAULTS['masks']} for masks)")
    add_from(network)
    network.add_argument("--set", type=setting, action="append", default=[], metavar="NAME=VALUE", dest="settings",
                         help="a setting of the network, such as width=0.5; may be repeated")
    network.add_argument("--pretrained", metavar="PATH", help="start from these weights, except for the last layer: a "
                         "file, or the name of published weights")
    network.add_argument("--freeze", action="append", default=[], metavar="LAYER[=N]", help="leave the weights of this "
                         "part of the network as they are, in the first N epochs or in all; may be given several times")
    images = parser.add_argument_group("data")
    images.add_argument("--size", type=whole(), metavar="N", help="height and width of the images for the network "
                        "(default: those that they have, if the network takes them, and what it was designed for if "
                        "not, or for photographs)")
    images.add_argument("--augment", choices=POLICIES, help="changes of the training images (default: standard for "
                        f"{', '.join(STANDARD)}, else none)")
    images.add_argument("--cutout", type=whole(), metavar="N", help="erase a random square of N x N pixels")
    images.add_argument("--cache", metavar="DIR", help="keep decoded images in this folder, not in memory")
    images.add_argument("--stream", action="store_true", help="keep no decoded images: decode those of each "
                        "batch anew, for folders that fit neither into memory nor on the disk")
    add_mask_class(images.add_argument)
    train.add_training_arguments(parser, "train", epochs=10, batch_size=None, lr=None, momentum=0.9, weight_decay=None,
                                 validation=None)
    train.add_recipe_arguments(parser)
    train.adder(parser, "optimization")("--loss", choices=("ce", "dice", "both"), help="of masks: cross entropy, Dice "
                                        "or both (default: both)")


def run(args: argparse.Namespace) -> None:
    """Read the data, build the network, and train it as the flags say."""
    kind = kind_of(args.data)
    if args.create and (args.model or args.pretrained):
        raise ValueError("--from makes the network, with its weights; leave out --model and --pretrained")
    args.model = str(args.create) if args.create else args.model or DEFAULTS[kind]
    args.data = args.data if kind in data.NAMES else str(Path(args.data))    # photos/ and photos are one recipe
    args.name = args.data if kind in data.NAMES else folder_name(args.data)
    if args.create:
        args.create.takes()                      # report a wrong name before reading images
    else:
        zoo.image_size(args.model)
    check_flags(args, kind)
    device = minidl.Device.parse(args.device)    # a missing GPU, too
    args = train.settled(args)
    train.fill_in(args, args.model, trained=args.pretrained is not None)
    sets = sets_for(args, kind)
    minidl.manual_seed(args.seed)
    model, sets = network(args, kind, sets)
    loss = segmentation_loss(args, sets.train) if kind == "masks" else {}
    reported = sets.validation if sets.test is None else sets.test
    if args.evaluate:
        train.load_weights(model, args.weights)
        train.report(model.to(device), needed(reported), device, loss.get("loss"),
                     part="validation" if sets.test is None else "test")
        return
    if sets.test is None and reported is not None:
        write("there is no test set: the report is of the validation images, which also chose the best epoch")
    args.augment = args.augment or ("standard" if kind in STANDARD else "none")
    height, width = sets.train.image_shape[1:]
    changes = POLICIES[args.augment]((height, width))
    changes += [augment.Cutout(args.cutout)] if args.cutout else []
    train_set = sets.train.augmented(augment.Compose(changes) if changes else None)
    if args.create and args.graph is None:
        args.graph = False                       # such a network may change numbers from step to step
    train.fit_by_flags(args, model, train_set, sets.validation, reported, freeze=dict(map(frozen, args.freeze)),
                       **loss)


def check_flags(args: argparse.Namespace, kind: str) -> None:
    """Raise ValueError for flags that this kind of data has no use for."""
    if args.loss and kind != "masks":
        raise ValueError(f"--loss {args.loss} is for images with masks; classes are learned with cross entropy")
    if args.mask_classes and kind != "masks":
        raise ValueError(f"--mask-class is for images with masks, and {args.data} holds images with classes")
    if args.stream and kind != "photographs":
        raise ValueError(f"--stream is for folders of photographs in classes; the images of {args.data} are kept in "
                         "memory" + ", or with --cache on the disk" * (kind == "masks"))
    if args.stream and args.cache:
        raise ValueError("--stream keeps no decoded images, and --cache keeps them; leave out one of them")
    for name in ("balanced", "mixup", "cutmix"):
        if kind == "masks" and getattr(args, name):
            raise ValueError(f"--{name} is for images with classes, and {args.data} holds images with masks")


def frozen(text: str) -> tuple[str, int | None]:
    """("blocks", 3) from "blocks=3", and ("blocks", None) from "blocks"."""
    name, equals, epochs = text.partition("=")
    if not equals:
        return name, None
    try:
        return name, whole()(epochs)
    except argparse.ArgumentTypeError as error:
        raise ValueError(f"--freeze {text}: {error}") from None


def folder_name(source: str) -> str:
    """The name of the folder, after which the run is called."""
    return Path(source).resolve().name or "photographs"


def needed(dataset: ImageDataset | None) -> ImageDataset:
    """The set that is to be reported on."""
    if dataset is None:
        raise ValueError("there are no images to test with: neither a test folder nor validation images")
    return dataset


def segmentation_loss(args: argparse.Namespace, train_set: ImageDataset) -> dict[str, Any]:
    """The loss of masks, as settings of `fit`; it has label smoothing and weights of classes inside."""
    weight = train_set.class_weights() if args.class_weights else None
    loss = train.segmentation_loss(args.loss or "both", weight=weight, label_smoothing=args.label_smoothing)
    return {"loss": loss, "label_smoothing": 0.0, "class_weights": None}


def network(args: argparse.Namespace, kind: str, sets: Splits) -> tuple[nn.Module, Splits]:
    """The network for these images, and the images as it takes them.

    Pretrained weights say how images are normalised, and how many channels they have.
    """
    settings = {**(OF_UNET if kind == "masks" and args.model == "unet" else {}), **dict(args.settings)}
    settings["num_classes"] = len(sets.train.classes)
    if args.create:
        model, facts = own_network(args, {"in_channels": sets.train.image_shape[0], **settings})
    elif args.pretrained is None:
        model, facts = zoo.create(args.model, in_channels=sets.train.image_shape[0], **settings), {}
    else:
        model, facts = zoo.pretrained(args.model, args.pretrained, **settings)
    channels = getattr(model, "in_channels", facts.get("input", sets.train.image_shape)[0])
    size = args.size
    if size is None and kind != "masks" and not args.create:
        size = size_for(args.model, model, (channels, *sets.train.image_shape[1:]))
    height, width = sets.train.image_shape[1:] if size is None else (size, size)
    check_output(args.model, model, (channels, height, width), kind, len(sets.train.classes))
    sets = each(sets, lambda part: adapted(part, channels, size))
    if facts.get("mean") and facts.get("std"):
        sets = each(sets, lambda part: part.normalized(facts["mean"], facts["std"]))
    return model, sets


def own_network(args: argparse.Namespace, settings: dict[str, Any]) -> tuple[nn.Module, dict[str, Any]]:
    """What --from makes, with those of the settings that its function takes, and the facts that a file gave with it."""
    model = args.create(**{name: value for name, value in settings.items() if name in args.create.takes()})
    if unknown := [name for name, _ in args.settings if name not in args.create.takes()]:
        raise ValueError(f"--set {unknown[0]}: {args.create} takes no such setting")
    return model.train(), getattr(model, "about", {})


def each(sets: Splits, change: Callable[[ImageDataset], ImageDataset]) -> Splits:
    """The parts, changed."""
    return Splits(change(sets.train), *(None if part is None else change(part) for part in sets[1:]))


def size_for(name: str, model: nn.Module, shape: tuple[int, ...]) -> int | None:
    """The height and width to which images of this shape are brought for a network; None if it takes them as they are.
    """
    design = zoo.image_size(name)
    if output_shape(model, shape) is None:
        write(f"{name} does not take images of {shape[1]} x {shape[2]} pixels; they are resized to {design} x {design}")
        return design
    if design > SMALL >= max(shape[1:]) and f"{name}_cifar" in zoo.names():
        write(f"{name} was designed for {design} x {design} pixels, and loses details of {shape[1]} x {shape[2]}; "
              f"{name}_cifar is made for such images")
    return None


def output_shape(model: nn.Module, shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """The shape of the outputs in eval mode, without the batch; None if the network refuses such images."""
    mode = model.training
    model.eval()
    try:
        with no_grad():
            return tuple(on_empty_batch(model, shape, model).shape[1:])
    except ValueError:
        return None
    finally:
        model.train(mode)


def check_output(name: str, model: nn.Module, images: tuple[int, ...], kind: str, classes: int) -> None:
    """Raise ValueError unless the network gives what the labels of such images need: classes of images or of pixels."""
    shape, wanted = output_shape(model, images), images[1:] if kind == "masks" else ()
    if shape is None:
        try:
            on_empty_batch(model, images, model)
        except ValueError as error:
            raise ValueError(f"{error}; --size N brings images to N x N pixels") from None
    elif shape[1:] != wanted and kind == "masks":
        raise ValueError(f"{name} gives outputs {shape} for images {images}; masks need a class for each of their "
                         "pixels: use --model unet, with --set padded=true")
    elif kind != "masks" and shape[1:] == () and shape[0] not in (classes, 1 if classes == 2 else classes):
        raise ValueError(f"{name} gives {shape[0]} numbers for an image, and the data have {classes} classes")
    elif shape[1:] != wanted:
        raise ValueError(f"{name} gives a class for each pixel, and needs images with masks: a folder of images and a "
                         "folder of masks")
