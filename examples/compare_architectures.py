"""Train several networks under one budget, then show what accuracy costs: time, parameters, multiply-adds.

    python examples/compare_architectures.py --models resnet20 mobilenet_v1_cifar vgg11_bn_cifar --epochs 10
    python examples/compare_architectures.py --models resnet20 mobilenet_v1_cifar --minutes 15      # for each network
    python examples/compare_architectures.py --data digits --models lenet5 simple_cnn --epochs 3
    mpiexec -n 2 python examples/compare_architectures.py --models resnet20 vgg11_bn_cifar --epochs 10 --distributed

The same command goes on where it was stopped, by Ctrl-C or `kill -9`; networks may be added later. Each network has its
folder, as from `minidl train`, in the folder of the comparison.
"""

import argparse
import math
import sys
from pathlib import Path

import minidl
import zoo
from minidl import augment, data, train
from minidl.flags import number, whole
from minidl.io.json_file import write_json
from minidl.modes import NonFiniteError
from minidl.optim import SGD, OneCycleLR
from minidl.report.compare import as_text, compare, draw_comparison, draw_costs
from minidl.report.run_files import json_file
from minidl.text import write

CHANGES = augment.Compose([augment.RandomCrop(32, padding=4), augment.RandomHorizontalFlip()])
# what a network's result does not depend on
APART = ("communicator", "data_dir", "device", "distributed", "models", "output_dir", "workers")


def main():
    args = parse()
    folder = Path(args.output_dir or f"runs/compare_{args.data}")
    for name in args.models:
        zoo.image_size(name)                     # report a wrong name before reading images
    settings = {key: value for key, value in vars(args).items() if key not in APART}
    plan = train.agreed(args, lambda: begin(folder, settings))
    sets = load(args)
    failed = [name for name in args.models if not run(name, sets, plan, folder, args)]
    if not train.writes(args):
        return 1 if failed else 0
    comparison = compare([folder / name for name in args.models], zoo.build)
    for reason in comparison.left_out:
        write(f"left out: {reason}", sys.stderr)
    text = as_text(comparison)
    write(f"\n{text}")
    (folder / "compare.txt").write_text(f"{text}\n", encoding="utf-8")
    draw_comparison(folder / "curves.png", comparison.runs)
    draw_costs(folder / "costs.png", comparison.runs)
    write(f"\ntable, curves and costs are in {folder}/")
    return 1 if failed or comparison.left_out else 0


def parse():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    positive = number(lambda x: x > 0, "above 0")
    parser.add_argument("--models", nargs="+", required=True, metavar="NAME", help="networks of `minidl zoo`")
    budget = parser.add_mutually_exclusive_group(required=True)
    budget.add_argument("--epochs", type=whole(), metavar="N", help="passes over the training images, for each network")
    budget.add_argument("--minutes", type=positive, metavar="M", help="time for each network: a few steps are "
                        "measured, and the number of epochs is chosen that fits")
    parser.add_argument("--data", choices=data.NAMES, default="cifar10", help="(default: cifar10)")
    parser.add_argument("--data-dir", metavar="DIR", help="the folder of data sets")
    parser.add_argument("--output-dir", metavar="DIR", help="the folder of the comparison (default: runs/compare_DATA)")
    parser.add_argument("--lr", type=positive, default=0.1, metavar="X", help="peak learning rate (default: 0.1)")
    parser.add_argument("-b", "--batch-size", type=whole(), default=128, metavar="N")
    parser.add_argument("--validation", type=whole(), default=5000, metavar="N", help="training images held out "
                        "(default: 5000)")
    parser.add_argument("--limit", type=whole(), metavar="N", help="use only the first N training images")
    parser.add_argument("--seed", type=whole(0), default=0, metavar="N")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("-j", "--workers", type=whole(0), default=2, metavar="N")
    parser.add_argument("--distributed", action="store_true", help="train in all processes that mpiexec or srun has "
                        "started: see docs/distributed.md")
    return train.joined(parser.parse_args())


def begin(folder, settings):
    """The plan of the comparison in this folder: its settings, and the number of epochs of each network so far."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "plan.json"
    plan = {"settings": settings, "epochs": {}}
    if path.exists():
        plan = json_file(path)
        if not all(isinstance(plan.get(key), dict) for key in ("settings", "epochs")):
            raise ValueError(f"{path}: not the plan of a comparison; name another --output-dir")
        changed = [key for key in settings if plan["settings"].get(key) != settings[key]]
        if changed:
            was = ", ".join(f"{key}={plan['settings'].get(key)!r} (now {settings[key]!r})" for key in changed)
            raise ValueError(f"{folder} holds a comparison that was started with {was}; name another --output-dir")
    return plan


def load(args):
    """(training, validation, test) images."""
    train_set = data.load(args.data, "train", args.data_dir)
    train_set = train_set.take(args.limit or len(train_set))
    validation_set, train_set = train_set.split(args.validation, seed=args.seed)
    changes = CHANGES if args.data.startswith("cifar") else None
    return train_set.augmented(changes), validation_set, data.load(args.data, "test", args.data_dir)


def create(name, train_set, args):
    """A network with the same random weights every time, and its optimizer."""
    minidl.manual_seed(args.seed)
    model = zoo.create(name, in_channels=train_set.image_shape[0], num_classes=len(train_set.classes))
    return model, SGD(model.named_parameters(), args.lr, 0.9, weight_decay=5e-4, nesterov=True)


def seconds_per_epoch(name, sets, args):
    """The measured time of an epoch; with several processes, of their parts of it, without messages."""
    ranks = 1 if args.communicator is None else args.communicator.size
    parts = [part.take(math.ceil(len(part) / ranks)) for part in sets[:2]]
    return train.seconds_per_epoch(*create(name, sets[0], args), *parts, math.ceil(args.batch_size / ranks),
                                   args.device)


def run(name, sets, plan, folder, args):
    """Train a network, or go on with it; whether that succeeded."""
    if name not in plan["epochs"]:
        epochs = args.epochs or train.epochs_within(args.minutes, seconds_per_epoch(name, sets, args))
        plan["epochs"][name] = train.agreed(args, lambda: epochs)
        if train.writes(args):
            write_json(folder / "plan.json", plan)           # first, so that the training completes with this number
    epochs, own = plan["epochs"][name], folder / name
    if train.agreed(args, (own / "metrics.json").exists):
        write(f"{name}: finished before")
        return True
    write(f"\n{name}: {epochs} epochs")
    model, optimizer = create(name, sets[0], args)
    schedule = OneCycleLR(optimizer, args.lr, epochs * math.ceil(len(sets[0]) / args.batch_size), cycle_momentum=False)
    try:
        train.fit(model, optimizer, *sets, output_dir=own, epochs=epochs, batch_size=args.batch_size,
                  schedule=schedule, device=args.device, communicator=args.communicator, seed=args.seed,
                  prefetch=args.workers, resume=True, recipe={"model": name, "lr": args.lr, "limit": args.limit})
    except NonFiniteError as error:              # the other networks can still be compared
        if train.writes(args):
            write(f"{name}: {error}", sys.stderr)
        return False
    return True


if __name__ == "__main__":
    train.run_main(main)
