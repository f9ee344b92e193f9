"""`minidl convert WEIGHTS --model NAME -o FILE`: published weights become a file that `minidl predict` can use."""

from pathlib import Path

import zoo
from minidl.io import CheckpointError, load_into, pretrained, save_model
from minidl.io.model import ABOUT


def run(args):
    """Build the network, load the weights, save both with what is known of them."""
    weights, facts = pretrained(args.weights)
    made = facts.get("architecture")
    made = made if isinstance(made, dict) and args.model in (None, made["name"]) else {"name": args.model}
    if made["name"] is None:
        raise CheckpointError(f"{args.weights}: it does not say which network it is for; --model NAME does")
    model = zoo.create(made["name"], **{**made.get("settings", {}), **dict(args.settings)})
    load_into(model, weights, args.weights)
    about = {key: facts[key] for key in ABOUT if key in facts}
    about |= {key: value for key in ABOUT if (value := getattr(args, key)) is not None}
    if args.classes:
        about["classes"] = Path(args.classes).read_text(encoding="utf-8").splitlines()
    save_model(args.output, model, **about)
    unknown = [key for key in ABOUT if key not in about and key != "resize"]
    print(f"{args.output}: {made['name']}, {sum(p.size for p in model.parameters()):,} parameters"
          + (f"; nothing is known of its {', '.join(unknown)}" if unknown else ""))
