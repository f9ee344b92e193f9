"""Tell cats from dogs with a network trained on ImageNet: 600 photographs are enough.

    python examples/transfer_cats_dogs.py --weights mobilenet_v1_0.75_224.npz       # only a new head, in seconds: 96 %
    python examples/transfer_cats_dogs.py --weights mobilenet_v1_0.75_224.npz --size 224 --copies 1 --epochs 4 \\
        --lr 3e-3 --mode finetune                                                   # 99 % of the 200 of validation
    python examples/transfer_cats_dogs.py --model vgg16 --weights vgg16 --head dense            # Chollet's, 2016

The photographs are the folder `cats-vs-dogs/{train,val}/{cat,dog}/`, or `cats-vs-dogs.tar`, in the folder of data sets.
"""

import math
from pathlib import Path

import pooch
from tqdm import tqdm

import minidl
import zoo
from minidl import augment, data, io, nn, train
from minidl.flags import number, whole
from minidl.optim import Adam, OneCycleLR, RMSprop, parameter_groups

HINT = ("made from Kaggle's \"Dogs vs. Cats\" by sorting its photographs into train/cat, train/dog, val/cat and "
        "val/dog")
OPTIMIZERS = {"adam": Adam, "rmsprop": RMSprop}
BELOW = "avgpool"                                # where a network without its top ends
SLOWER = 0.5                                     # the learning rate of the network below the head, as a part of its own
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
    parser.add_argument("--top", type=whole(), default=4, metavar="N", help="finetune: the number of parts below the "
                        "head that are trained too (default: 4)")
    parser.add_argument("--fine-lr", type=number(lambda x: x > 0, "above 0"), default=5e-5, metavar="X",
                        help="finetune: peak learning rate (default: 5e-5)")
    parser.add_argument("--cache", default=str(Path(pooch.os_cache("minidl")) / "features"), metavar="DIR",
                        help="the folder for features (default: in the user's cache)")
    args = train.parse(parser)
    sets = photographs(args)
    minidl.manual_seed(args.seed)
    model = zoo.create(args.model, pretrained=args.pretrained, num_classes=1)
    train.without_top(model)
    shape = train.extract_features(model, sets.validation.take(1), BELOW, args.device).image_shape
    head = train.new_top(shape, 1, args.head)
    if args.evaluate:
        train.load_weights(head if args.mode == "features" else train.with_top(model, head), args.weights)
    elif args.mode == "features":
        fit(head, OPTIMIZERS[args.optimizer](head.named_parameters(), args.lr), *features_of(model, sets, args), args)
    else:
        tune(model, head, sets, args)
    model = model if args.mode == "finetune" else train.with_top(model, head)
    finish(model, sets, args)


def photographs(args):
    """The training set, which is augmented, and the validation set, normalized as the weights expect."""
    folder = data.folder_or_archive("cats-vs-dogs", args.data_dir, HINT)
    _, facts = io.pretrained(args.pretrained)    # a wrong name is reported before images are read
    sets = data.image_splits(folder, args.size)
    mean, std = facts.get("mean", sets.train.mean), facts.get("std", sets.train.std)
    train_set = sets.train
    if args.limit and args.limit < len(train_set):
        train_set, _ = train_set.stratified_split(args.limit / len(train_set), seed=args.seed)
    return data.Splits(train_set.augmented(CHANGES).normalized(mean, std), sets.validation.normalized(mean, std), None)


def features_of(model, sets, args):
    """The features of the training photographs and their copies, and those of the validation set."""
    with tqdm(unit=" images", desc="features", leave=False, disable=None) as bar:
        def advance(done, total):
            bar.total = total
            bar.update(done - bar.n)
        return [train.extract_features(model, part, BELOW, args.device, copies=copies, seed=args.seed,
                                       cache=args.cache, progress=advance)
                for part, copies in ((sets.train, args.copies), (sets.validation, 0))]


def fit(model, optimizer, train_set, validation_set, args, **settings):
    """One cycle of the learning rate of each group of parameters; with --find-lr, only a search for one."""
    if args.find_lr:
        train.search_by_flags(args, model, optimizer, train_set, freeze=settings.get("freeze", ()))
        return
    steps = args.epochs * math.ceil(len(train_set) / args.batch_size)
    schedule = OneCycleLR(optimizer, [group["lr"] for group in optimizer.param_groups], steps, cycle_momentum=False)
    given = train.fit_settings(args)
    train.fit(model, optimizer, train_set, validation_set, schedule=schedule, **given | settings)


def tune(model, head, sets, args):
    """Train the head alone, then the upper parts of the network with it, at a small learning rate.

    Batch normalizations keep the statistics of the many photographs that they were trained on.
    """
    chosen = OPTIMIZERS[args.optimizer]
    fit(head, chosen(head.named_parameters(), args.lr), *features_of(model, sets, args), args,
        output_dir=args.output_dir / "head", resume=True)
    train.with_top(model, head)
    parts = train.parts_below(model)
    groups = parameter_groups(model, args.fine_lr, args.weight_decay, dict.fromkeys(parts, SLOWER))
    for _, layer in model.train().named_modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eval()
    fit(model, chosen(groups), sets.train, sets.validation, args, freeze=parts[:-args.top])


def finish(model, sets, args):
    """Report on the validation photographs, which also chose the best epoch, and save the whole network."""
    device = minidl.Device.parse(args.device)
    if args.dry_run or args.overfit or args.find_lr or not train.writes(args):
        return
    train.report(model.to(device), sets.validation, device, folder=None if args.evaluate else args.output_dir,
                 part="validation", sets={"training": sets.train, "validation": sets.validation}, tta=args.tta)
    if not args.evaluate:
        io.save_model(args.output_dir / "model.safetensors", model, classes=sets.train.classes,
                      input=sets.train.image_shape, mean=sets.train.mean, std=sets.train.std)


if __name__ == "__main__":
    train.run_main(main)
