"""Find the membranes of cells in electron micrographs: a small U-Net trained on 25 slices, tested on 5.

    python examples/train_unet_membrane.py                       # minutes on two cores
    python examples/train_unet_membrane.py --loss dice --tta     # eight views of each test slice, averaged
    python examples/train_unet_membrane.py --evaluate            # only test the trained network, and draw its mistakes

The slices are those of the challenge ISBI-2012: `membrane/train/image/0.png` ... and `membrane/train/label/0.png` ...,
or an archive `membrane.tar`, in the folder of data sets.
"""

import math

import numpy as np

import minidl
import zoo
from minidl import augment, data, evaluation, plot, train
from minidl.flags import whole
from minidl.io.json_file import write_json
from minidl.optim import Adam, OneCycleLR
from minidl.text import write

HINT = "from the challenge's page (ISBI 2012, segmentation of neuronal structures), the slices as numbered PNG files"
CLASSES = {0: "membrane", 255: "cell"}           # as masks have them; inside of cells is 255
TESTED = 5                                       # slices, the last ones


def main():
    parser = train.training_parser("unet_membrane", __doc__.partition("\n")[0], epochs=150, batch_size=5, lr=2e-3,
                                   weight_decay=0.0)
    parser.add_argument("--loss", choices=["ce", "dice", "both"], default="both", help="ce: cross entropy; dice: "
                        "1 - Dice; both: their sum (default: both)")
    parser.add_argument("--base-channels", type=whole(), default=16, metavar="N", help="channels of the top level; 64 "
                        "in the paper (default: 16)")
    parser.add_argument("--crop", type=whole(16), default=256, metavar="N", help="height and width of the random crops "
                        "that are trained on, a multiple of 16 (default: 256)")
    args = train.parse(parser)
    device = minidl.Device.parse(args.device)

    folder = data.folder_or_archive("membrane", args.data_dir, HINT)
    slices = data.image_masks(folder / "train", channels=1, classes=CLASSES)
    train_set, test_set = slices.subset(range(len(slices) - TESTED)), slices.subset(range(-TESTED, 0))
    train_set = train_set.take(args.limit or len(train_set))
    minidl.manual_seed(args.seed)
    model = zoo.create("unet", base_channels=args.base_channels, padded=True, batch_norm=True, dropout=0.2)
    if args.evaluate:
        train.load_weights(model, args.weights)
    else:
        validation_set, train_set = train_set.split(args.validation, seed=args.seed)
        optimizer = Adam(model.named_parameters(), args.lr, weight_decay=args.weight_decay)
        if args.find_lr:
            train.search_by_flags(args, model, optimizer, train_set.augmented(changes(args.crop)),
                                  loss=train.segmentation_loss(args.loss))
            return
        steps = args.epochs * math.ceil(len(train_set) / args.batch_size)
        train.fit(model, optimizer, train_set.augmented(changes(args.crop)), validation_set, test_set,
                  schedule=OneCycleLR(optimizer, args.lr, steps, cycle_momentum=False),
                  loss=train.segmentation_loss(args.loss), **train.fit_settings(args))
    if train.writes(args) and not (args.dry_run or args.overfit):
        examine(model.to(device), test_set, device, args)


def changes(size):
    """Any rotation, zoom and shear, a random crop of what is then there, and the paper's smooth elastic deformation."""
    return augment.Compose([
        augment.RandomAffine(180, scale=(0.8, 1.25), shear=10, padding_mode="reflect"),
        augment.RandomCrop(size),
        augment.ElasticTransform(alpha=800.0, sigma=24.0),
        augment.RandomHorizontalFlip(),
        augment.ColorJitter(brightness=0.2, contrast=0.2),
    ])


def examine(model, test_set, device, args):
    """Print the pixel error, Dice, IoU and Rand error of the test slices, and draw the mistakes."""
    images, masks = test_set.batch(np.arange(len(test_set)))
    logits = train.predict(evaluation.Augmented(model, args.tta) if args.tta else model, images, device)
    probabilities = 1 / (1 + np.exp(logits[:, 0] - logits[:, 1]))              # of the inside of cells
    predictions = logits.argmax(1)
    confusion = evaluation.confusion_matrix(masks.ravel(), predictions.ravel(), 2)
    errors = evaluation.rand_errors(masks, probabilities)            # {threshold: Rand error}
    best = min(errors, key=errors.get)
    results = {
        "pixel_error": 1 - evaluation.accuracy(confusion),
        "dice": dict(zip(test_set.classes, evaluation.dice(confusion).tolist(), strict=True)),
        "iou": dict(zip(test_set.classes, evaluation.iou(confusion).tolist(), strict=True)),
        "rand_error": errors[0.5], "best_rand_error": errors[best], "threshold": best,
        "test_time_augmentation": args.tta,
    }
    scores = ", ".join(f"{key} {results[key]['membrane']:.3f}" for key in ("dice", "iou"))
    write(f"\npixel error {results['pixel_error']:.2%}; of membranes {scores}; Rand error {errors[0.5]:.4f} at "
          f"probability 0.5, {errors[best]:.4f} at {best:g}")
    folder = args.weights.parent if args.evaluate else args.output_dir
    write_json(folder / "segmentation.json", results)
    plot.segmentation_grid(test_set.images, masks, predictions, test_set.classes,
                           f"{len(test_set)} slices that were not trained on").save(folder / "mistakes.png")


if __name__ == "__main__":
    train.run_main(main)
