"""`minidl convert WEIGHTS --model NAME -o FILE`: published weights become a file that `minidl predict` can use."""

from pathlib import Path

import zoo
from minidl.io import CheckpointError, load_into, pretrained, save_model
from minidl.io.image import Preprocessing
from minidl.io.model import ABOUT, rebuilt


def run(args):
    """Build the network, load the weights, save both with what is known of them."""
    weights, facts = pretrained(args.weights)
    model = network(args, weights, facts.get("architecture"))
    load_into(model, weights, args.weights)
    about = {key: facts[key] for key in ABOUT if key in facts}
    about |= {key: value for key in ABOUT if (value := getattr(args, key)) is not None}
    if args.classes:
        about["classes"] = lines_of(args.classes)
    check(about, model.architecture["settings"])
    save_model(args.output, model, **about)
    unknown = [key for key in ABOUT if key not in about and key != "resize"]
    print(f"{args.output}: {model.architecture['name']}, {sum(p.size for p in model.parameters()):,} parameters"
          + (f"; nothing is known of its {', '.join(unknown)}" if unknown else ""))


def network(args, weights, made):
    """The network that the weights say they are for, or another that was asked for."""
    if isinstance(made, dict) and args.model in (None, made.get("name")):
        return rebuilt(args.weights, weights, made, dict(args.settings))
    if args.model is None:
        raise CheckpointError(f"{args.weights}: it does not say which network it is for; --model NAME does")
    return zoo.create(args.model, **dict(args.settings))


def lines_of(path):
    """The lines of a text file."""
    try:
        return Path(path).read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not a text in UTF-8 ({error})") from error


def check(about, settings):
    """Raise ValueError if what is known of a network does not fit it, rather than when it is to be used."""
    channels, count = settings["in_channels"], settings["num_classes"]
    if "classes" in about and len(about["classes"]) != count:
        raise ValueError(f"{len(about['classes'])} names of classes for a network that tells {count} apart")
    if about.get("input", (channels,))[0] != channels:
        raise ValueError(f"--input {','.join(map(str, about['input']))} for a network of images with "
                         f"{channels} channels")
    if {"input", "mean", "std"} & set(about):
        Preprocessing.of({"input": (channels, 1, 1), **about})
