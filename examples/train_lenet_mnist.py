"""Train LeNet-5 to read handwritten digits: 99 % test accuracy on MNIST in less than a minute.

    python examples/train_lenet_mnist.py                        # on the CPU; downloads MNIST if necessary
    python examples/train_lenet_mnist.py --device gpu
    python examples/train_lenet_mnist.py --resume auto          # continue after Ctrl-C
    python examples/train_lenet_mnist.py --evaluate             # only test the trained network
"""

import math
import sys

import minidl
from minidl import data, train
from minidl.optim import SGD, OneCycleLR
from zoo.lenet import lenet5


def main():
    parser = train.training_parser("lenet_mnist", __doc__.partition("\n")[0], epochs=8, batch_size=128, lr=0.05,
                                   momentum=0.9, weight_decay=5e-4, validation=5000)
    parser.add_argument("--dataset", choices=["auto", *data.NAMES],
                        help="auto: mnist if it is on disk or can be downloaded, else digits (default: mnist with "
                        "--data-dir, else auto)")
    args = train.parse(parser)
    device = minidl.Device.parse(args.device)

    args.dataset, train_set, test_set = load(args)
    minidl.manual_seed(args.seed)
    model = lenet5(num_classes=len(test_set.classes))
    if args.evaluate:
        train.load_weights(model, args.weights)
        train.report(model.to(device), test_set, device)
        return

    train_set = train_set.take(args.limit or len(train_set))
    validation_set, train_set = train_set.split(args.validation, seed=args.seed)
    optimizer = SGD(model.named_parameters(), args.lr, args.momentum, weight_decay=args.weight_decay)
    if args.find_lr:
        train.search_by_flags(args, model, optimizer, train_set)
        return
    steps = args.epochs * math.ceil(len(train_set) / args.batch_size)
    schedule = OneCycleLR(optimizer, args.lr, steps, cycle_momentum=False)
    train.fit(model, optimizer, train_set, validation_set, test_set, schedule=schedule, **train.fit_settings(args))


def load(args):
    """The name of the data set, its training images and its test images."""
    wanted = args.dataset or ("auto" if args.data_dir is None else "mnist")
    name = "mnist" if wanted == "auto" else wanted
    try:
        return name, data.load(name, "train", args.data_dir), data.load(name, "test", args.data_dir)
    except data.DownloadError as error:
        if wanted != "auto":
            raise
        print(f"{error}\n\nTHIS IS NOT MNIST: MNIST is not available, so the network is trained on digits "
              "drawn by a program. Accuracy on them says nothing about MNIST.\n", file=sys.stderr)
        return "digits", data.load("digits", "train"), data.load("digits", "test")


if __name__ == "__main__":
    train.run_main(main)
