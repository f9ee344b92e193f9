"""What each network of the zoo is trained with, unless flags say otherwise: its optimizer, its rates, its batch size.

Networks without norms need smaller learning rates than those with batch normalization. The peak rates are those of one
cycle of the learning rate; docs/optimization.md says how they were chosen.
"""

from argparse import Namespace
from typing import NamedTuple


class Recipe(NamedTuple):
    """The optimizer of a network, its peak learning rate and weight decay, and the images per step."""

    optimizer: str
    lr: float
    weight_decay: float
    batch_size: int


SMALL, LARGE = 128, 64                           # images per step of small images, and of photographs
RECIPES = {                                      # the longest beginning of a network's name counts
    "": Recipe("sgd", 0.05, 5e-4, LARGE),
    "lenet5": Recipe("sgd", 0.05, 5e-4, SMALL),
    "lenet5_1998": Recipe("adam", 1e-3, 0.0, SMALL),
    "simple_cnn": Recipe("sgd", 0.1, 5e-4, SMALL),
    "alexnet": Recipe("sgd", 0.01, 5e-4, SMALL),
    "alexnet_cifar": Recipe("sgd", 0.02, 5e-4, SMALL),
    "zfnet": Recipe("sgd", 0.01, 5e-4, SMALL),
    "zfnet_cifar": Recipe("sgd", 0.02, 5e-4, SMALL),
    "vgg": Recipe("sgd", 0.01, 5e-4, LARGE),
    **{f"vgg{depth}_cifar": Recipe("sgd", 0.02, 5e-4, SMALL) for depth in (11, 13, 16, 19)},
    **{f"vgg{depth}_bn": Recipe("sgd", 0.05, 5e-4, LARGE) for depth in (11, 13, 16, 19)},
    **{f"vgg{depth}_bn_cifar": Recipe("sgd", 0.1, 5e-4, SMALL) for depth in (11, 13, 16, 19)},
    "googlenet_2014": Recipe("sgd", 0.01, 2e-4, LARGE),
    "googlenet_cifar": Recipe("sgd", 0.1, 5e-4, SMALL),
    **{f"resnet{depth}_cifar": Recipe("sgd", 0.1, 5e-4, SMALL) for depth in (18, 34, 50)},
    **{f"resnet{depth}": Recipe("sgd", 0.2, 5e-4, SMALL) for depth in (20, 32, 44, 56)},
    "resnet110": Recipe("sgd", 0.1, 5e-4, SMALL),
    "mobilenet_v1_cifar": Recipe("sgd", 0.2, 5e-4, SMALL),
    "mobilenet_v2": Recipe("sgd", 0.05, 4e-5, LARGE),
    "mobilenet_v2_cifar": Recipe("sgd", 0.1, 5e-4, SMALL),
    "unet": Recipe("adam", 1e-3, 0.0, 4),
}
RATES = {"sgd": (0.05, 5e-4), "adam": (1e-3, 0.0), "adamw": (1e-3, 0.01), "rmsprop": (1e-3, 0.0)}
FINE_TUNING = 0.2                                # of the learning rate, for weights that are trained already


def recipe_for(network: str) -> Recipe:
    """The recipe of a network of the zoo; for an unknown one, that of networks with batch normalization."""
    return RECIPES[max(filter(network.startswith, RECIPES), key=len)]


def fill_in(args: Namespace, network: str, *, trained: bool = False) -> None:
    """Fill in the flags that were not given, optimizer, lr, weight_decay and batch_size, by the network's recipe.

    With another optimizer than the recipe's, rate and decay are those usual with it. `trained` says whether the network
    begins with trained weights, which a large learning rate would spoil.
    """
    recipe = recipe_for(network)
    args.optimizer = args.optimizer or recipe.optimizer
    usual = (recipe.lr, recipe.weight_decay) if args.optimizer == recipe.optimizer else RATES[args.optimizer]
    if args.lr is None:
        args.lr = usual[0] * (FINE_TUNING if trained else 1.0)
    if args.weight_decay is None:
        args.weight_decay = usual[1]
    args.batch_size = args.batch_size or recipe.batch_size
