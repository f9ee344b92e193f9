"""`minidl convert WEIGHTS --model NAME -o FILE`: turn published weights into a file that `minidl predict` can use."""

import argparse
import re
from pathlib import Path
from typing import Any

import zoo
from minidl import nn
from minidl.commands.networks import add_from
from minidl.flags import image_shape, numbers, setting, whole
from minidl.io import CheckpointError, load_into, pretrained, save_checkpoint, save_model
from minidl.io.facts import facts_of
from minidl.io.image import Preprocessing
from minidl.io.model import ABOUT, rebuilt
from minidl.nn import init
from minidl.nn.blueprint import blueprint, of_layers
from minidl.nn.shapes import on_empty_batch
from minidl.text import write

STATE = re.compile(r"\.(running_mean|running_var|num_batches_tracked)$")           # not trained


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("weights", metavar="WEIGHTS",
                        help="a .pth, .pt, .npz or .safetensors file, or published weights by name, such as resnet50")
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help="the model file")
    parser.add_argument("--model", metavar="NAME",
                        help="the network (see `minidl zoo`), if the weights do not name it")
    add_from(parser)
    parser.add_argument("--key", metavar="KEY", help="which weights, if the file holds several: the name of a "
                        "dictionary, such as netG, or the beginning of their names and a dot, such as encoder.")
    parser.add_argument("--set", type=setting, action="append", default=[], metavar="NAME=VALUE", dest="settings",
                        help="a setting of the network, such as width=0.5; may be repeated")
    parser.add_argument("--classes", metavar="FILE", help="a text file with the names of the classes, one per line")
    parser.add_argument("--input", type=image_shape, metavar="C,H,W", help="the shape of an input image")
    parser.add_argument("--resize", type=whole(), metavar="N",
                        help="resize the shorter side to N, then centre-crop to the input shape")
    parser.add_argument("--mean", type=numbers, metavar="X,...", help="the mean of each channel, for pixels in 0..1")
    parser.add_argument("--std", type=numbers, metavar="X,...", help="the standard deviation of each channel")


def run(args: argparse.Namespace) -> None:
    """Build the network, load the weights, and save both together with the facts about them."""
    weights, facts = pretrained(args.weights, args.key, shape_of(args))
    made = facts.get("architecture")
    about = {key: facts[key] for key in ABOUT if key in facts}
    about |= {key: value for key in ABOUT if (value := getattr(args, key)) is not None}
    if args.classes:
        about["classes"] = lines_of(args.classes)
    if isinstance(made, str) and "." in made and args.model is None and args.create is None:     # a class
        kept: dict[str, Any] = {key: facts[key] for key in ("minidl", "architecture", "modules") if key in facts}
        save_checkpoint(args.output, weights, {**kept, **facts_of("convert", nn.Module(), about)})
        name = made
    else:
        model = network(args, weights, made)
        load_into(model, weights, args.weights)
        check(about, model)
        save_model(args.output, model, **about)
        name = getattr(model, "architecture", {}).get("name", type(model).__name__)
    unknown = [f"--{key}" for key in ABOUT if key not in about and key != "resize"]
    write(f"{args.output}: {name}, {sum(array.size for key, array in weights.items() if not STATE.search(key)):,} "
          "parameters" + (f"; not given: {', '.join(unknown)}" if unknown else ""))


def shape_of(args):
    """The network of --model without weights, which tells weights from what is beside them; None without --model."""
    if args.create is not None:
        return args.create()
    if args.model is None:
        return None
    with init.placeholders():
        return zoo.create(args.model, **dict(args.settings))


def network(args, weights, architecture):
    """The network that the file of weights names, unless --model or --from asks for another."""
    if args.create is not None:
        return args.create(**dict(args.settings))
    if isinstance(architecture, dict) and args.model in (None, architecture.get("name")):
        return rebuilt(args.weights, weights, architecture, zoo.build, dict(args.settings))
    if args.model is None:
        raise CheckpointError(f"{args.weights}: the file does not say which network it is for; add --model NAME, or "
                              "--from MODULE:FUNCTION for a network of your own")
    return zoo.create(args.model, **dict(args.settings))


def lines_of(path: str) -> list[str]:
    """The lines of a text file, without a byte order mark, and without empty lines at the end."""
    try:
        return Path(path).read_text(encoding="utf-8-sig").rstrip().splitlines()
    except FileNotFoundError:
        raise FileNotFoundError(f"--classes {path:.60}: there is no such file; it takes a text file with the name of "
                                "one class per line") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not a text file in UTF-8 ({error})") from error


def check(about: dict, model: nn.Module) -> None:
    """Raise ValueError now, rather than when the file is used, if the facts do not fit the network."""
    settings = getattr(model, "architecture", {}).get("settings", {})
    channels = settings.get("in_channels", about.get("input", (None,))[0])
    if about.get("input", (channels,))[0] != channels:
        raise ValueError(f"--input {','.join(map(str, about['input']))} does not fit the network, which has "
                         f"in_channels={channels}")
    count = settings.get("num_classes")
    if "input" in about and of_layers(blueprint(model) or {"name": "Sequential"}):
        shape = on_empty_batch(model.eval(), about["input"], model).shape
        count = max(2, shape[1])                 # a single logit is that of class 1 of two
    if count is not None and "classes" in about and len(about["classes"]) != count:
        raise ValueError(f"the network has {count} classes, but the number of class names is {len(about['classes'])}")
    if {"input", "mean", "std"} & set(about) and channels is not None:
        try:
            Preprocessing.of({"input": (channels, 1, 1), **about})
        except ValueError as error:
            raise ValueError(f"the model file would be invalid: {error}") from error
