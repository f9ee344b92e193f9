"""Train to 94 % on CIFAR-10 as fast as possible: ten epochs of a network whose first layer whitens the images.

    python examples/cifar10_speedrun.py                         # about a quarter of an hour on two cores
    python examples/cifar10_speedrun.py --resume auto           # continue after Ctrl-C
    python examples/cifar10_speedrun.py --runs 3 --output-dir runs/three      # with the seeds 0, 1 and 2

The last command goes on by itself where it was stopped.

The recipe is that of Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU", arXiv:2404.00498: the network
`airbench94` of the zoo, SGD with Nesterov momentum whose learning rate rises and falls once, biases of batch norms that
learn 64 times as fast, labels smoothed by 0.2, images moved by up to 2 pixels and flipped in every second epoch,
Lookahead, and a test that sees each image six times.
"""

import numpy as np

import minidl
import zoo
from minidl import Tensor, augment, data, flags, nn, optim, train
from minidl import functional as F

BIAS_FACTOR = 64                                 # for the learning rate of the biases of batch norms
WHITEN_EPOCHS = 3                                # afterwards the biases of the first layer stay as they are


def main():
    parser = train.training_parser("cifar10_speedrun", __doc__.partition("\n")[0], epochs=10, batch_size=1024, lr=1.5,
                                   momentum=0.85, weight_decay=0.00133)
    parser.set_defaults(drop_last=True, label_smoothing=0.2, tta="mirror+shift")
    parser.add_argument("--runs", type=flags.whole(), default=1, metavar="N",
                        help="train N networks, with seeds from --seed on, each in a folder of its own (default: 1)")
    args = train.parse(parser)
    train_set = data.load("cifar10", "train", args.data_dir)
    train_set = train_set.take(args.limit or len(train_set))
    validation_set, train_set = train_set.split(args.validation, seed=args.seed)
    test_set = data.load("cifar10", "test", args.data_dir)
    args.batch_size = min(args.batch_size, len(train_set))
    if args.evaluate:
        model = zoo.create("airbench94")
        train.load_weights(model, args.weights)
        train.report(model.to(args.device), test_set, args.device, tta=args.tta)
        return
    if args.dry_run:
        test_set = test_set.take(2 * args.batch_size)
    warm_up(train_set, args)
    settings = train.fit_settings(args)
    settings["recipe"].pop("runs")               # says nothing about one of them
    results = []
    for seed in range(args.seed, args.seed + args.runs):
        folder = args.output_dir / f"seed{seed}" if args.runs > 1 else args.output_dir
        own = settings | {"seed": seed, "output_dir": folder, "resume": args.resume or args.runs > 1}
        results.append(speedrun(args, train_set, validation_set, test_set, own))
        print(f"seed {seed}: {described(results[-1])}", flush=True)
    if args.runs > 1:
        print(f"mean of {args.runs} runs: {described(np.mean(results, axis=0))}")


def speedrun(args, train_set, validation_set, test_set, settings):
    """Train one network: (seconds, test accuracy, test accuracy with test-time augmentation)."""
    minidl.manual_seed(settings["seed"])
    model = whitened(train_set)
    optimizer = sgd(model, args.lr, args.momentum, args.weight_decay)
    train_set = augmented(train_set)
    steps = args.epochs * (len(train_set) // args.batch_size)
    rows = train.fit(model, optimizer, train_set, validation_set, test_set, schedule=rise_and_fall(optimizer, steps),
                     average=lookahead(model, steps), callbacks=[WhitenFirst()], **settings)
    tests = [train.evaluate(model, train.in_order(test_set), len(test_set.classes), args.device, tta=tta).accuracy
             for tta in (False, args.tta)]
    return sum(row["seconds"] for row in rows), *tests


def described(result):
    """A result, or the mean of several, in words."""
    return "{:.1f} s of training; accuracy {:.2%}, with test-time augmentation {:.2%}".format(*result)


def whitened(train_set):
    """The network, whose first layer whitens patches of 5,000 training images."""
    model = zoo.create("airbench94")
    images, _ = train_set.batch(np.arange(min(5000, len(train_set))))
    model.whiten.weight.data[...] = nn.init.whitening(images, model.whiten.kernel_size)
    model.whiten.bias.data[...] = 0
    return model


def augmented(train_set):
    """The images, moved by up to two pixels, and flipped in every second epoch."""
    return train_set.augmented(augment.Compose([augment.RandomCrop(32, padding=2, padding_mode="reflect"),
                                                augment.AlternatingFlip()]))


def sgd(model, lr, momentum, weight_decay):
    """The optimizer, with a group for the biases of batch norms, which learn faster but shrink no faster."""
    named = dict(model.named_parameters())
    shifts = [(name, p) for name, p in named.items() if "norm" in name]
    others = [(name, p) for name, p in named.items() if "norm" not in name]
    return optim.SGD([{"params": shifts, "lr": BIAS_FACTOR * lr, "weight_decay": weight_decay / BIAS_FACTOR},
                      {"params": others}], lr, momentum, weight_decay=weight_decay, nesterov=True)


def rise_and_fall(optimizer, steps):
    """The learning rate rises from 0.2 to 1 times its peak, and falls to 0.07 times."""
    return optim.OneCycleLR(optimizer, [group["lr"] for group in optimizer.param_groups], steps + 1, pct_start=0.23,
                            anneal_strategy="linear", cycle_momentum=False, div_factor=5, final_div_factor=0.2 / 0.07)


def lookahead(model, steps):
    """Slow weights that hardly matter at first, and are an average of the last steps in the end."""
    return optim.Lookahead(model, 5, lambda n: 1 - 0.95**5 * (n / steps) ** 3)


class WhitenFirst(train.Callback):
    """The biases of the first layer learn in the first epochs only, which saves a part of the backward pass."""

    def epoch_started(self, run):
        run.model.whiten.bias.requires_grad = run.position.epoch < WHITEN_EPOCHS


def warm_up(train_set, args):
    """Take one step with another network, so that kernels are compiled before the clock starts."""
    model, device = whitened(train_set).to(args.device), minidl.Device.parse(args.device)
    images, labels = augmented(train_set).batch(np.arange(min(args.batch_size, len(train_set))), epoch=0)
    F.cross_entropy(model(Tensor(images, device=device)), device.put(labels)).backward()
    sgd(model, args.lr, args.momentum, args.weight_decay).step()


if __name__ == "__main__":
    train.run_main(main)
