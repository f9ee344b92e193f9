"""A whole model in one file: weights, how to build the network for them, and how to use it.

    save_model("mine.safetensors", model, classes=["cat", "dog"], input=(3, 32, 32), mean=..., std=...)
    model = load_model("mine.safetensors")       # in the state of use; model.about["classes"] == ["cat", "dog"]

The file holds no program, only the name of a network of the zoo and the settings it was made with. What training
leaves in best.safetensors and last.safetensors is such a file too.
"""

import importlib

from minidl.io.checkpoint import CheckpointError, save_checkpoint
from minidl.io.weights import load_into, read_weights
from minidl.nn.init import at_most
from minidl.version import __version__

LARGEST = 1 << 20                                # no setting of a network is a larger number
OWN = 1 << 28                                    # numbers that a network may draw if its user asks for other settings
ABOUT = ("classes", "input", "resize", "mean", "std")


def save_model(path, model, **about):
    """Write a model so that `load_model` can make it again.

    about   of the facts that `predict` needs: classes, the names; input, (C, H, W); resize, the length that an image's
            shorter side gets before the middle is cut out (the larger of H and W if not given); mean and std of each
            channel of pixels in 0..1. Those of a model that came from a file need not be given again.
    Raises TypeError for another fact, or a setting of the model that JSON cannot hold; OSError if it cannot be written.
    """
    if unknown := set(about) - set(ABOUT):
        raise TypeError(f"save_model: there is no {' nor '.join(sorted(unknown))}; there are {', '.join(ABOUT)}")
    about = {**getattr(model, "about", {}), **{key: value for key, value in about.items() if value is not None}}
    save_checkpoint(path, model.state_dict(), {**describe(model), **about})


def load_model(path, create=None, device="cpu"):
    """The model in a file, in the state of use, with what is known of it in the dictionary `model.about`.

    `create()` makes the network where the file names none of the zoo. Raises FileNotFoundError or CheckpointError.
    """
    arrays, facts = read_weights(path)
    model = create() if create else rebuilt(path, arrays, facts.get("architecture"))
    load_into(model, arrays, path)
    model.about = known(path, facts)
    return model.to(device).eval()


def known(path, facts):
    """The facts that `predict` needs, as far as a file tells them. Raises CheckpointError if classes are no names."""
    about = {key: facts[key] for key in ABOUT if facts.get(key) is not None}
    classes = about.get("classes", [])
    if not (isinstance(classes, list) and all(isinstance(name, str) for name in classes)):
        raise CheckpointError(f"{path}: its classes are not a list of names")
    return about


def describe(model):
    """What a file says of the model itself: how the zoo makes it, or else the name of its class."""
    kind = type(model)
    made = getattr(model, "architecture", f"{kind.__module__}.{kind.__qualname__}")
    return {"minidl": __version__, "architecture": made, "modules": repr(model)}


def rebuilt(path, arrays, made, settings=None):
    """A new network like the one that the file says it is for, but for the `settings` given here."""
    if not (isinstance(made, dict) and isinstance(made.get("name"), str) and isinstance(made.get("settings"), dict)):
        told = f"is for {made!r:.100}, which is not in the zoo" if made else "does not say which network it is for"
        raise CheckpointError(f"{path}: it {told}; load it with create=, a function that makes the model, "
                              "or turn it into a model file with `minidl convert`")
    if not all(map(is_setting, made["settings"].values())):
        raise CheckpointError(f"{path}: the network it is for cannot be made (from {made['settings']!r:.200})")
    zoo = importlib.import_module("zoo")         # by name, because the zoo stands above this room
    try:
        # some networks draw their weights twice; settings that ask for far more than the file holds are forged
        with at_most(max(4 * sum(array.size for array in arrays.values()), OWN if settings else 0)):
            return zoo.build(made["name"], {**made["settings"], **(settings or {})})
    except (ValueError, TypeError, ArithmeticError, AttributeError, MemoryError) as error:
        raise CheckpointError(f"{path}: the network it is for cannot be made ({error})") from error


def is_setting(value):
    """Whether a value can be the setting of a network: a number, a word, or a list of them."""
    if isinstance(value, list):
        return len(value) < 1000 and all(not isinstance(item, list) and is_setting(item) for item in value)
    return value is None or isinstance(value, str) or (isinstance(value, int | float) and abs(value) <= LARGEST)
