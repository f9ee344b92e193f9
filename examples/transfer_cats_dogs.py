"""Tell cats from dogs with a network trained on ImageNet: 600 photographs are enough.

    python examples/transfer_cats_dogs.py --weights mobilenet_v1_0.75_224.npz               # only a new head: seconds
    python examples/transfer_cats_dogs.py --weights mobilenet_v1_0.75_224.npz --mode finetune
    python examples/transfer_cats_dogs.py --model vgg16 --weights vgg16 --head dense        # Chollet's, 2016

The photographs are the folder `cats-vs-dogs/{train,val}/{cat,dog}/`, or `cats-vs-dogs.tar`, in the folder of data sets.
"""

import math
from pathlib import Path

import pooch
from tqdm import tqdm

import minidl
import zoo
from minidl import augment, data, io, train
from minidl.flags import number, whole
from minidl.optim import Adam, OneCycleLR, RMSprop, parameter_groups

HINT = ("which Kaggle's \"Dogs vs. Cats\" becomes if its photographs are sorted into train/cat, train/dog, val/cat and "
        "val/dog")
OPTIMIZERS = {"adam": Adam, "rmsprop": RMSprop}
BODY = 1.0                                       # learning rate of the network below the head, relative to the head's
CHANGES = augment.Compose([                      # as Chollet's: shear, zoom and flip
    augment.RandomAffine(0, scale=(0.8, 1.2), shear=11.5, padding_mode="edge"),
    augment.RandomHorizontalFlip(),
])


def main():
    parser = train.training_parser("cats_dogs", __doc__.partition("\n")[0], epochs=20, batch_size=16, lr=1e-3,
                                   momentum=0.9, weight_decay=0.0)
    parser.add_argument("--mode", choices=["features", "finetune"], default="features", help="features: train a head "
                        "on the features of the frozen network; finetune: then its upper parts too")
    parser.add_argument("--model", default="mobilenet_v1", metavar="NAME", help="a network of `minidl zoo` with "
                        "convolutions and a head (default: mobilenet_v1)")
    parser.add_argument("--weights", required=True, dest="pretrained", metavar="PATH|NAME", help="its weights: a file, "
                        "or the name of published weights; see docs/files.md")
    parser.add_argument("--head", choices=train.TOPS, default="pooled", help="pooled: the mean over the pixels and a "
                        "linear layer; dense: all pixels, 256 numbers, ReLU, dropout (default: pooled)")
    parser.add_argument("--size", type=whole(32), default=150, metavar="N", help="height and width (default: 150)")
    parser.add_argument("--copies", type=whole(0), default=3, metavar="N", help="augmented copies of each photograph "
                        "of which features are computed (default: 3)")
    parser.add_argument("--optimizer", choices=OPTIMIZERS, default="adam")
    parser.add_argument("--top", type=whole(), default=8, metavar="N", help="finetune: the number of parts below the "
                        "head that are trained too (default: 8)")
    parser.add_argument("--fine-lr", type=number(lambda x: x > 0, "above 0"), default=2e-4, metavar="X",
                        help="finetune: peak learning rate (default: 2e-4)")
    parser.add_argument("--cache", default=str(Path(pooch.os_cache("minidl")) / "features"), metavar="DIR",
                        help="the folder for features (default: in the user's cache)")
    args = train.parse(parser)
    sets = photographs(args)
    minidl.manual_seed(args.seed)
    model = zoo.create(args.model, pretrained=args.pretrained, num_classes=1)
    shape, features = features_of(model, sets, args)
    head = train.new_top(shape, 1, args.head)
    if args.evaluate:
        train.load_weights(head if args.mode == "features" else train.with_top(model, head), args.weights)
    elif args.mode == "features":
        fit(head, OPTIMIZERS[args.optimizer](head.named_parameters(), args.lr), *features, args)
    else:
        tune(model, head, sets, features, args)
    model = model if args.mode == "finetune" else train.with_top(model, head)
    finish(model, sets.validation, args)


def photographs(args):
    """The training set, which is augmented, and the validation set, normalized as the weights expect."""
    sets = data.image_splits(data.folder_or_archive("cats-vs-dogs", args.data_dir, HINT), args.size)
    _, facts = io.pretrained(args.pretrained)
    mean, std = facts.get("mean", sets.train.mean), facts.get("std", sets.train.std)
    train_set = sets.train.take(args.limit or len(sets.train)).augmented(CHANGES)
    return data.Splits(train_set.normalized(mean, std), sets.validation.normalized(mean, std), None)


def features_of(model, sets, args):
    """(the shape of the features, (those of the training photographs and copies, those of the validation set))"""
    train.without_top(model)
    with tqdm(unit=" images", desc="features", leave=False, disable=None) as bar:
        def advance(done, total):
            bar.total = total
            bar.update(done - bar.n)
        parts = [train.extract_features(model, part, "avgpool", args.device, copies=copies, seed=args.seed,
                                        cache=args.cache, progress=advance)
                 for part, copies in ((sets.train, args.copies), (sets.validation, 0))]
    return parts[0].image_shape, parts


def fit(model, optimizer, train_set, validation_set, args, **settings):
    """One cycle of the learning rate of each group of parameters."""
    steps = args.epochs * math.ceil(len(train_set) / args.batch_size)
    schedule = OneCycleLR(optimizer, [group["lr"] for group in optimizer.param_groups], steps, cycle_momentum=False)
    train.fit(model, optimizer, train_set, validation_set, schedule=schedule, **train.fit_settings(args) | settings)


def tune(model, head, sets, features, args):
    """Train the head alone, then the upper parts of the network with it, from a small learning rate on."""
    chosen = OPTIMIZERS[args.optimizer]
    fit(head, chosen(head.named_parameters(), args.lr), *features, args, output_dir=args.output_dir / "head",
        resume=True)
    train.with_top(model, head)
    parts = train.parts_below(model)
    groups = parameter_groups(model, args.fine_lr, args.weight_decay, dict.fromkeys(parts, BODY))
    fit(model, chosen(groups), sets.train, sets.validation, args, freeze=parts[:-args.top])


def finish(model, validation_set, args):
    """Report on the validation photographs, which also chose the best epoch, and save the whole network."""
    device = minidl.Device.parse(args.device)
    kept = not (args.evaluate or args.dry_run)
    train.report(model.to(device), validation_set, device, folder=args.output_dir if kept else None)
    if kept:
        io.save_model(args.output_dir / "model.safetensors", model, classes=validation_set.classes,
                      input=validation_set.image_shape, mean=validation_set.mean, std=validation_set.std)


if __name__ == "__main__":
    train.run_main(main)
