"""docs/zoo.md: a table of all networks of the zoo, with their speed beside PyTorch's.

A training step is forward, loss, backward, SGD with momentum, and reading the loss as a number. PyTorch runs in NCHW
and in channels_last, and the faster one counts; `torch_zoo.py` builds its networks from the same files. All alternate,
a few steps each: `networks.py` measures fewer networks more carefully.

Run: `python benchmarks/zoo_table.py [PART OF A NAME ...]` measures, `python benchmarks/zoo_table.py --write` writes the
page from the stored results. Results of networks that are not measured are kept from earlier runs.
"""

import gc
import sys
from pathlib import Path

import common
import numpy as np
import runs
import torch
import torch.nn.functional as TF
import torch_zoo

import zoo
from minidl import Tensor, nn, no_grad, optim
from minidl.summary import summary
from minidl.train import loss_of

ROOT = Path(__file__).parents[1]
FAMILIES = {            # prefix of the names: (year of the paper, its idea); longer prefixes first
    "lenet5_1998": (1998, "as in the paper: trainable subsampling, some channels not connected"),
    "lenet5": (1998, "small filters shared across all positions, with pooling between them"),
    "simple_cnn": ("", "one repeated block: convolution, batch norm, ReLU, pooling"),
    "alexnet_2012": (2012, "ReLU, dropout, and two GPUs with half of the filters each"),
    "alexnet": (2014, "AlexNet in one column"),
    "zfnet": (2013, "AlexNet with a finer first layer, after visualizing its filters"),
    "vgg": (2014, "depth from 3x3 convolutions only"),
    "googlenet_2014": (2014, "as in the paper: local response normalization, no batch norm"),
    "googlenet": (2014, "parallel windows of several sizes, after 1x1 convolutions that reduce channels"),
    "resnet": (2015, "shortcuts: a block adds its output to its input"),
    "mobilenet_v1": (2017, "one filter per channel, then 1x1 convolutions"),
    "mobilenet_v2": (2018, "shortcuts between thin layers, expanded layers inside a block"),
    "airbench": (2024, "a first layer that whitens patches of the images, and does not learn"),
    "unet": (2015, "contracting and expanding paths with skip connections"),
}
BATCHES = {28: 128, 32: 64, 224: 4, 572: 1}                           # batch size by image height
FORMATS = (torch.contiguous_format, torch.channels_last)
rng = np.random.default_rng(0)


def measure(name):
    """Facts of a network, and images per second in training and inference, of minidl and of PyTorch."""
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
    """(training step, inference step) of minidl."""
    frozen = nn.fold_batch_norm(model.eval(), images[:1])
    with no_grad():
        shape = frozen(Tensor(images)).shape
    labels = rng.integers(0, shape[1], (shape[0], *shape[2:]))
    optimizer = optim.SGD(model.parameters(), lr=0.001, momentum=0.9)

    def step():
        model.train()
        optimizer.zero_grad()
        loss = loss_of(model)(model(Tensor(images)), labels)          # cross entropy, with auxiliary heads if any
        loss.backward()
        optimizer.step()
        return float(loss)

    def infer():
        frozen.eval()
        with no_grad():
            return frozen(Tensor(images)).data
    return step, infer


def theirs(name, images, form):
    """(training step, inference step) of PyTorch in one memory format."""
    model = torch_zoo.make(name).to(memory_format=form)
    images = torch.from_numpy(images).to(memory_format=form)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.001, momentum=0.9)
    loss_of_model = getattr(model, "loss", TF.cross_entropy)               # with auxiliary heads, if any
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
    """The text of docs/zoo.md."""
    rows = [row(name, results[name]) for name in zoo.names() if name in results]
    return f"""# The zoo

All networks of `zoo/`, one file per paper; `zoo.create("resnet18", num_classes=10)` builds one. Year and idea are those
of the paper. `_cifar` networks are versions for images of 32 x 32 pixels. Parameters include auxiliary heads, which
serve training only; multiply-adds are for inference on one image.

The last two columns are images per second on two cores, with the ratio to PyTorch in parentheses. A training step is
forward, loss, backward and SGD with momentum. For inference, minidl's batch norms are folded into the convolutions;
PyTorch's are not. PyTorch runs the same files of `zoo/` (see `benchmarks/torch_zoo.py`), with in-place ReLUs and in its
faster memory format. Each figure comes from a few steps, with the two alternating, on a shared machine: in five runs,
of this script and others, `lenet5` trained 1.73 to 1.97 times as fast as PyTorch. `benchmarks/networks.py` measures
fewer networks more carefully.

Written by `benchmarks/zoo_table.py` from `benchmarks/results/zoo.json`: {machine["date"]}, {machine["processor"]},
{machine["threads"]} threads, Python {machine["python"]}, NumPy {machine["numpy"]}, Numba {machine["numba"]},
PyTorch {machine["torch"]}, float32.

| network | year | idea | image | parameters | multiply-adds | batch | training, images/s | inference, images/s |
|---|---|---|---|---:|---:|---:|---:|---:|
{chr(10).join(rows)}

[`networks/`](networks/README.md) has a page for each: the paper, the layers, a drawing, the source, an experiment.

## What they reach

By short runs, each with its command and log in [`results.md`](results.md). `minidl train DATA --model NAME` trains each
network with the optimizer and the rate of [`optimization.md`](optimization.md).

| network | run | accuracy | epochs | minutes |
|---|---|---:|---:|---:|
{chr(10).join(reached())}
"""


def reached():
    """A row for each run that benchmarks/runs.py keeps, in the order of the zoo."""
    kept = runs.kept()
    network = {name: runs.network_of(name, facts) for name, facts in kept.items()}
    return [f"| `{network[name]}` | [{name}](../benchmarks/results/runs/{name}/log.csv) | "
            f"{' | '.join(runs.cells(facts))} |" for name, facts in sorted(
                kept.items(), key=lambda item: zoo.names().index(network[item[0]]))]


def row(name, result):
    """A row of the table."""
    year, idea = next(entry for prefix, entry in FAMILIES.items() if name.startswith(prefix))
    rates = (rate(result[kind]) for kind in ("training", "inference"))
    image = " x ".join(map(str, result["image"]))
    cells = (f"`{name}`", year, idea, image, f"{result['parameters']:,}", f"{result['multiply_adds']:,}",
             result["batch"], *rates)
    return f"| {' | '.join(map(str, cells))} |"


def rate(result):
    """Images per second with three digits, and the ratio to PyTorch."""
    rounded = float(f"{result['minidl']:.3g}")
    return f"{rounded:,.{max(0, 2 - len(str(int(rounded))) + 1)}f} ({result['ratio']:.2f}x)"


def main(arguments):
    """Measure the networks whose names contain one of `arguments`, or all; with --write, write the page."""
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
            kept = {n: results[n] for n in zoo.names() if n in results}        # saved after each, in case of a stop
            common.save("zoo", {"unit": "images/s", "networks": kept}, verbose=False)


if __name__ == "__main__":
    main(sys.argv[1:])
