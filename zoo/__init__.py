"""Networks as their papers describe them, one file each, built from `minidl.nn` and `minidl.functional` alone.

`create("lenet5")` makes a network by name. Every one takes the settings `in_channels` and `num_classes`; what else it
takes stands in its file.
"""

import difflib

from zoo.lenet import lenet5
from zoo.simple_cnn import simple_cnn

NETWORKS = {
    "lenet5": lenet5,
    "simple_cnn": simple_cnn,
}


def names():
    """What `create` can make."""
    return list(NETWORKS)


def create(name, **settings):
    """The network called `name`; an unknown one is a ValueError that names the nearest."""
    if name not in NETWORKS:
        near = difflib.get_close_matches(name, NETWORKS)
        hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(NETWORKS)}"
        raise ValueError(f"there is no network {name!r}; {hint}")
    return NETWORKS[name](**settings)
