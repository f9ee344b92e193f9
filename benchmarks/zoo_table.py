"""docs/zoo.md: one table of all networks of the zoo, with their speed next to PyTorch's.

A training step is forward, loss, backward, SGD with momentum, and the loss read as a number. PyTorch runs in NCHW and
in channels_last, and the faster counts; its networks are those of `torch_networks.py` and, where that has none, those
of the tests, whose ReLUs do not work in place. Each side takes a few steps only, one after the other: `networks.py`
measures more carefully, and fewer networks.

Run: `python benchmarks/zoo_table.py [PART OF A NAME ...]` to measure, `python benchmarks/zoo_table.py --write` to write
the table from what was measured. Results of other networks stay as an earlier run left them.
"""

import gc
import importlib.util
import statistics
import sys
import textwrap
import time
from pathlib import Path

import common
import numpy as np
import torch
import torch.nn.functional as TF
import torch_networks

import zoo
from minidl import Tensor, nn, no_grad, optim
from minidl.summary import summary
from minidl.train import loss_of

ROOT = Path(__file__).parents[1]
FAMILIES = {            # how its names begin: (year of the paper, its idea), the longest beginning first
    "lenet5_1998": (1998, "as in the paper: trainable sub-sampling, some channels unconnected"),
    "lenet5": (1998, "small filters that look everywhere alike, pooling between them"),
    "simple_cnn": ("", "one block again and again: convolution, batch norm, ReLU, pooling"),
    "alexnet_2012": (2012, "ReLU, dropout, and GPUs, each with half of the filters"),
    "alexnet": (2014, "AlexNet in one column"),
    "zfnet": (2013, "AlexNet with a finer first layer, after looking at what its filters see"),
    "vgg": (2014, "depth from 3x3 convolutions and nothing else"),
    "googlenet_2014": (2014, "as in the paper: response normalization in place of batch norm"),
    "googlenet": (2014, "windows of several sizes side by side, squeezed by 1x1 before"),
    "resnet": (2015, "shortcuts: a block adds to its input"),
    "mobilenet_v1": (2017, "a filter for each channel, then 1x1 convolutions"),
    "mobilenet_v2": (2018, "shortcuts between thin layers, wide ones within the block"),
    "unet": (2015, "down to see what, up to say where, fine pictures handed across"),
}
BATCHES = {28: 128, 32: 64, 224: 4, 572: 1}                           # images at once, by their height
UNMEASURED = ("vgg11", "vgg13", "vgg16", "vgg19", "vgg11_cifar", "vgg13_cifar", "vgg16_cifar", "vgg19_cifar",
              "resnet101", "resnet152", "resnet34_cifar")             # like others of their family, and slow
OF_TESTS = ("resnet34", "resnet50", "resnet32", "resnet44", "resnet56", "resnet110", "vgg11_bn", "vgg16_bn",
            "googlenet", "mobilenet_v2")                              # PyTorch's networks that the tests have
FORMATS = (torch.contiguous_format, torch.channels_last)
SECONDS = 0.5                                                         # of measuring, at least two steps
rng = np.random.default_rng(0)


def measure(name):
    """Images a second in training and in use: minidl, and PyTorch if there is its network."""
    model = zoo.create(name)
    size, channels = zoo.image_size(name), model.architecture["settings"]["in_channels"]
    table = summary(model, (channels, size, size))
    result = {"parameters": table.parameters, "multiply_adds": table.multiply_adds, "image": [channels, size, size]}
    if name in UNMEASURED:
        return result
    batch = result["batch"] = BATCHES[size]
    images = rng.standard_normal((batch, channels, size, size), dtype=np.float32)
    made = their_network(name)
    sides = [ours(model, images)] + ([] if made is None else [theirs(made, images, form) for form in FORMATS])
    for i, kind in enumerate(("training", "inference")):
        mine, *others = (batch / seconds(functions[i]) for functions in sides)
        result[kind] = {"minidl": mine, **({"torch": max(others), "ratio": mine / max(others)} if others else {})}
    return result


def seconds(function):
    """Median seconds of one call, after one to warm up."""
    function()
    times = []
    while sum(times) < SECONDS or len(times) < 2:
        begin = time.perf_counter()
        function()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def ours(model, images):
    """(a training step, an inference) of minidl."""
    frozen = nn.fold_batch_norm(model.eval(), images[:1])
    with no_grad():
        shape = frozen(Tensor(images)).shape
    labels = rng.integers(0, shape[1], (shape[0], *shape[2:]))
    optimizer = optim.SGD(model.parameters(), lr=0.001, momentum=0.9)

    def step():
        model.train()
        optimizer.zero_grad()
        loss = loss_of(model)(model(Tensor(images)), labels)          # cross entropy, of several heads if there are
        loss.backward()
        optimizer.step()
        return float(loss)

    def infer():
        frozen.eval()
        with no_grad():
            return frozen(Tensor(images)).data
    return step, infer


def their_network(name):
    """A function that makes the network in PyTorch, or None."""
    if name in ("alexnet", "resnet18", "resnet20", "vgg16_bn_cifar", "mobilenet_v1_cifar"):
        return getattr(torch_networks, name)
    if name == "lenet5":
        return torch_networks.LeNet5
    return (lambda: oracles.build(name)) if name in OF_TESTS else None


def theirs(made, images, form):
    """The same of PyTorch, in one memory format."""
    model = made().to(memory_format=form)
    images = torch.from_numpy(images).to(memory_format=form)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.001, momentum=0.9)
    forward = getattr(model, "all_heads", lambda x: (model(x),))
    with torch.inference_mode():
        classes = model.eval()(images).shape[1]
    labels = torch.from_numpy(rng.integers(0, classes, len(images)))

    def step():
        model.train()
        optimizer.zero_grad()
        logits, *others = forward(images)
        loss = TF.cross_entropy(logits, labels) + 0.3 * sum(TF.cross_entropy(other, labels) for other in others)
        loss.backward()
        optimizer.step()
        return loss.item()

    def infer():
        model.eval()
        with torch.inference_mode():
            return model(images)
    return step, infer


def networks_of_tests():
    """tests/zoo/torch_networks.py, under a name of its own."""
    spec = importlib.util.spec_from_file_location("oracles", ROOT / "tests" / "zoo" / "torch_networks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


oracles = networks_of_tests()


def page(results, machine):
    """docs/zoo.md."""
    rows = [row(name, results[name]) for name in zoo.names() if name in results]
    unmeasured = textwrap.fill(", ".join(f"`{name}`" for name in UNMEASURED), 60)
    return f"""# The zoo

All networks of `zoo/`, one file for each paper; `zoo.create("resnet18", num_classes=10)` makes one. Year and idea are
those of the paper, `_cifar` are versions for images of 32 x 32 pixels; parameters include those of heads that serve
training alone, multiply-adds are for one image in use.

Images a second on two cores: minidl, and in brackets how many times PyTorch's. A training step is forward, loss,
backward and SGD with momentum; in use, minidl's batch norms are folded into convolutions, PyTorch's are as its users
have them. PyTorch runs in its faster memory format, and is compared where its network stands in
`benchmarks/torch_networks.py` or `tests/zoo/torch_networks.py`; in the latter ReLU does not work in place. These are a
few steps each, one side after the other, on a machine that others used between runs, and small networks vary most: four
runs of `lenet5` trained 1.01, 1.44, 1.48 and 1.72 times as fast as PyTorch, and four of `lenet5_1998` gave 3,270 to
5,130 images a second in training. The table holds the last run of each. `benchmarks/networks.py` measures more
carefully, and fewer networks.

Not measured, because others of the same family tell as much: {unmeasured}.

Written by `benchmarks/zoo_table.py` from `benchmarks/results/zoo.json`: {machine["date"]}, {machine["processor"]},
{machine["threads"]} threads, Python {machine["python"]}, NumPy {machine["numpy"]}, Numba {machine["numba"]}, PyTorch
{machine["torch"]}, float32.

| network | year | idea | image | parameters | multiply-adds | batch | training, images/s | in use, images/s |
|---|---|---|---|---:|---:|---:|---:|---:|
{chr(10).join(rows)}
"""


def row(name, result):
    """A line of the table."""
    year, idea = next(told for beginning, told in FAMILIES.items() if name.startswith(beginning))
    rates = (rate(result[kind]) if kind in result else "" for kind in ("training", "inference"))
    image = " x ".join(map(str, result["image"]))
    cells = (f"`{name}`", year, idea, image, f"{result['parameters']:,}", f"{result['multiply_adds']:,}",
             result.get("batch", ""), *rates)
    return f"| {' | '.join(map(str, cells))} |"


def rate(told):
    """Three digits, and the ratio."""
    rounded = float(f"{told['minidl']:.3g}")
    return f"{rounded:,.{max(0, 2 - len(str(int(rounded))) + 1)}f}" + (f" ({told['ratio']:.2f}x)" if "ratio" in told
                                                                       else "")


def main(arguments):
    """Measure the networks with these parts in their names, or all; or write the page."""
    kept = common.load("zoo")
    if arguments == ["--write"]:
        (ROOT / "docs" / "zoo.md").write_text(page(kept["networks"], kept["machine"]))
        return
    results = kept.get("networks", {})
    for name in zoo.names():
        if not arguments or any(part in name for part in arguments):
            results[name] = measure(name)
            gc.collect()
            print(row(name, results[name]), flush=True)
    common.save("zoo", {"unit": "images/s", "networks": {n: results[n] for n in zoo.names() if n in results}})


if __name__ == "__main__":
    main(sys.argv[1:])
