"""Train a small network with batch normalization on Fashion-MNIST: test accuracy above 92 %.

    python examples/train_fashion_mnist.py                      # on the CPU; downloads the images if necessary
    python examples/train_fashion_mnist.py --resume auto        # continue after Ctrl-C
    python examples/train_fashion_mnist.py --evaluate           # only test the trained network
"""

import minidl
from minidl import data, train
from zoo.simple_cnn import simple_cnn


def main():
    parser = train.training_parser("fashion_mnist", __doc__.partition("\n")[0], epochs=10, validation=5000)
    train.add_recipe_arguments(parser)
    args = train.parse(parser)
    train.fill_in(args, "simple_cnn")
    device = minidl.Device.parse(args.device)

    test_set = data.load("fashion", "test", args.data_dir)
    minidl.manual_seed(args.seed)
    model = simple_cnn(num_classes=len(test_set.classes))
    if args.evaluate:
        train.load_weights(model, args.weights)
        train.report(model.to(device), test_set, device)
        return

    train_set = data.load("fashion", "train", args.data_dir)
    train_set = train_set.take(args.limit or len(train_set))
    validation_set, train_set = train_set.split(args.validation, seed=args.seed)
    train.fit_by_flags(args, model, train_set, validation_set, test_set)


if __name__ == "__main__":
    train.run_main(main)
