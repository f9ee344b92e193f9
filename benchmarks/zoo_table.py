"""docs/zoo.md: one table of all networks of the zoo, with their speed next to PyTorch's.

A training step is forward, loss, backward, SGD with momentum, and the loss read as a number. PyTorch runs in NCHW and
in channels_last, and the faster counts; `torch_zoo.py` makes its networks of the same files. All take a few steps in
turn: `networks.py` measures more carefully, and fewer networks.

Run: `python benchmarks/zoo_table.py [PART OF A NAME ...]` to measure, `python benchmarks/zoo_table.py --write` to write
the table from what was measured. Results of other networks stay as an earlier run left them.
"""

import gc
import sys
from pathlib import Path

import common
import numpy as np
import torch
import torch.nn.functional as TF
import torch_zoo

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
FORMATS = (torch.contiguous_format, torch.channels_last)
rng = np.random.default_rng(0)


def measure(name):
    """What the network is, and images a second in training and in use: of minidl, and of PyTorch."""
    model = zoo.create(name)
    size, channels = zoo.image_size(name), model.architecture["settings"]["in_channels"]
    table = summary(model, (channels, size, size))
    result = {"parameters": table.parameters, "multiply_adds": table.multiply_adds, "image": [channels, size, size]}
    batch = result["batch"] = BATCHES[size]
    images = rng.standard_normal((batch, channels, size, size), dtype=np.float32)
    sides = [ours(model, images), *(theirs(name, images, form) for form in FORMATS)]
    for kind, functions in zip(("training", "inference"), zip(*sides, strict=True), strict=True):
        mine, *others = (batch / seconds for seconds in common.alternate(functions, rounds=3, seconds=0.3))
        result[kind] = {"minidl": mine, "torch": max(others), "ratio": mine / max(others)}
    return result


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


def theirs(name, images, form):
    """The same of PyTorch, in one memory format."""
    model = torch_zoo.make(name).to(memory_format=form)
    images = torch.from_numpy(images).to(memory_format=form)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.001, momentum=0.9)
    loss_of_model = getattr(model, "loss", TF.cross_entropy)               # of several heads, if there are
    with torch.inference_mode():
        shape = model.eval()(images).shape
    labels = torch.from_numpy(rng.integers(0, shape[1], (shape[0], *shape[2:])))

    def step():
        model.train()
        optimizer.zero_grad()
        loss = loss_of_model(model(images), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    def infer():
        model.eval()
        with torch.inference_mode():
            return model(images)
    return step, infer


def page(results, machine):
    """docs/zoo.md."""
    rows = [row(name, results[name]) for name in zoo.names() if name in results]
    return f"""# The zoo

All networks of `zoo/`, one file for each paper; `zoo.create("resnet18", num_classes=10)` makes one. Year and idea are
those of the paper, `_cifar` are versions for images of 32 x 32 pixels; parameters include those of heads that serve
training alone, multiply-adds are for one image in use.

Images a second on two cores: minidl, and in brackets how many times PyTorch's. A training step is forward, loss,
backward and SGD with momentum; in use, minidl's batch norms are folded into convolutions, PyTorch's are as its users
have them. PyTorch runs the same files of `zoo/` (`benchmarks/torch_zoo.py` tells how), its ReLUs in place, in its
faster memory format. These are a few steps each, the two taking turns, on a machine that others use too: five runs of
`lenet5`, of this script and others, trained 1.73 to 1.97 times as fast as PyTorch. `benchmarks/networks.py` measures
more carefully, and fewer networks.

Written by `benchmarks/zoo_table.py` from `benchmarks/results/zoo.json`: {machine["date"]}, {machine["processor"]},
{machine["threads"]} threads, Python {machine["python"]}, NumPy {machine["numpy"]}, Numba {machine["numba"]},
PyTorch {machine["torch"]}, float32.

| network | year | idea | image | parameters | multiply-adds | batch | training, images/s | in use, images/s |
|---|---|---|---|---:|---:|---:|---:|---:|
{chr(10).join(rows)}
"""


def row(name, result):
    """A line of the table."""
    year, idea = next(told for beginning, told in FAMILIES.items() if name.startswith(beginning))
    rates = (rate(result[kind]) for kind in ("training", "inference"))
    image = " x ".join(map(str, result["image"]))
    cells = (f"`{name}`", year, idea, image, f"{result['parameters']:,}", f"{result['multiply_adds']:,}",
             result["batch"], *rates)
    return f"| {' | '.join(map(str, cells))} |"


def rate(told):
    """Three digits, and the ratio."""
    rounded = float(f"{told['minidl']:.3g}")
    return f"{rounded:,.{max(0, 2 - len(str(int(rounded))) + 1)}f} ({told['ratio']:.2f}x)"


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
            kept = {n: results[n] for n in zoo.names() if n in results}        # all so far, should it be stopped
            common.save("zoo", {"unit": "images/s", "networks": kept}, say=False)


if __name__ == "__main__":
    main(sys.argv[1:])
