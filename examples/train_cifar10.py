"""Train a network of the zoo on CIFAR-10: random crops and flips, and one cycle of the learning rate.

    python examples/train_cifar10.py                            # ResNet-20; downloads the images if necessary
    python examples/train_cifar10.py --model mobilenet_v1_cifar --epochs 20
    python examples/train_cifar10.py --augment randaugment --cutout 8
    python examples/train_cifar10.py --resume auto              # continue after Ctrl-C
"""

import minidl
import zoo
from minidl import augment, data, train
from minidl.flags import whole

POLICIES = {
    "none": [],
    "crop": [augment.RandomCrop(32, padding=4)],
    "flip": [augment.RandomHorizontalFlip()],
    "standard": [augment.RandomCrop(32, padding=4), augment.RandomHorizontalFlip()],
    "randaugment": [augment.RandomCrop(32, padding=4), augment.RandomHorizontalFlip(), augment.RandAugment()],
}


def main():
    parser = train.training_parser("cifar10", __doc__.partition("\n")[0], epochs=30, validation=5000)
    train.add_recipe_arguments(parser)
    parser.add_argument("--model", default="resnet20", metavar="NAME", help="a network of `minidl zoo` for 32 x 32 "
                        "pixels (default: resnet20)")
    parser.add_argument("--augment", choices=POLICIES, default="standard", help="changes of the training images: "
                        "standard is a crop with padding 4 and a flip (default: standard)")
    parser.add_argument("--cutout", type=whole(0), default=0, metavar="N", help="erase a random square of N x N pixels")
    args = train.parse(parser)
    zoo.image_size(args.model)                   # report a wrong name before reading images
    train.fill_in(args, args.model)
    device = minidl.Device.parse(args.device)

    test_set = data.load("cifar10", "test", args.data_dir)
    minidl.manual_seed(args.seed)
    model = zoo.create(args.model)
    if args.evaluate:
        train.load_weights(model, args.weights)
        train.report(model.to(device), test_set, device)
        return

    train_set = data.load("cifar10", "train", args.data_dir)
    train_set = train_set.take(args.limit or len(train_set))
    validation_set, train_set = train_set.split(args.validation, seed=args.seed)
    changes = POLICIES[args.augment] + ([augment.Cutout(args.cutout)] if args.cutout else [])
    train_set = train_set.augmented(augment.Compose(changes) if changes else None)
    train.fit_by_flags(args, model, train_set, validation_set, test_set)


if __name__ == "__main__":
    train.run_main(main)
