"""Whole networks in minidl and PyTorch: images per second of training and inference, and peak memory.

A training step is forward, cross entropy, backward, SGD with momentum, and reading the loss as a number; minidl's is
measured as it is written, and captured (`minidl.graphed`, as `minidl train` does on the CPU). PyTorch runs in NCHW and
in channels_last, and the faster one counts. For inference, minidl's batch norms are folded into the convolutions;
PyTorch uses `eval()` and `inference_mode`. Speeds are measured alternately in one process for each network, since
memory that another one has left makes a difference. Peak memory is that of a separate process after three training
steps, with only one of the libraries (PyTorch in its faster format).

Run: `python benchmarks/networks.py [NETWORK ...]`; `--one NETWORK` measures in this process, and prints JSON.
"""

import functools
import json
import os
import subprocess
import sys
from pathlib import Path

import common
import numpy as np
import torch
import torch.nn.functional as TF
import torch_networks

import minidl.functional as F
import zoo
from minidl import Tensor, graphed, nn, no_grad, optim

# name: (shape of the images, settings of minidl's network, name of PyTorch's)
NETWORKS = {
    "lenet5": ((128, 1, 28, 28), {}, "LeNet5"),
    "resnet20": ((128, 3, 32, 32), {}, "resnet20"),
    "vgg16_bn_cifar": ((64, 3, 32, 32), {}, "vgg16_bn_cifar"),
    "mobilenet_v1_cifar": ((64, 3, 32, 32), {}, "mobilenet_v1_cifar"),
    "unet": ((4, 1, 128, 128), {"base_channels": 16, "padded": True, "batch_norm": True}, "UNet"),
    "resnet18": ((8, 3, 224, 224), {}, "resnet18"),
    "alexnet": ((16, 3, 224, 224), {}, "alexnet"),
}
FORMATS = {"NCHW": torch.contiguous_format, "channels_last": torch.channels_last}


def batch(name):
    """Images and labels of two classes; U-Net has one label per pixel, the others one per image."""
    rng = np.random.default_rng(0)
    shape = NETWORKS[name][0]
    labels = rng.integers(0, 2, (shape[0], *shape[2:]) if name == "unet" else shape[0])
    return rng.standard_normal(shape, dtype=np.float32), labels


def ours(name, captured=False):
    """(training step, inference step, number of parameters) of minidl."""
    images, labels = batch(name)
    model = zoo.create(name, **NETWORKS[name][1])
    optimizer = optim.SGD(model.parameters(), lr=0.01, momentum=0.9)

    @functools.cache
    def frozen():
        return nn.fold_batch_norm(zoo.create(name, **NETWORKS[name][1]).eval(), Tensor(images))

    def learn(images, labels):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(Tensor(images)), labels)
        loss.backward()
        optimizer.step()
        return loss
    learn = graphed(learn) if captured else learn

    def step():
        return float(learn(images, labels))
    for _ in range(5 * captured):                                    # the fifth call is the first repetition
        step()

    def infer():
        folded = frozen()
        with no_grad():
            return folded(Tensor(images)).data
    return step, infer, sum(p.numel() for p in model.parameters())


def theirs(name, form):
    """(training step, inference step, number of parameters) of PyTorch in one memory format."""
    images, labels = batch(name)
    model = getattr(torch_networks, NETWORKS[name][2])().to(memory_format=form)
    images, labels = torch.from_numpy(images).to(memory_format=form), torch.from_numpy(labels)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)

    def step():
        model.train()
        optimizer.zero_grad()
        loss = TF.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    def infer():
        model.eval()
        with torch.inference_mode():
            return model(images)
    return step, infer, sum(p.numel() for p in model.parameters())


# The programs whose peak memory is measured; {} is filled in.
MINIDL_STEPS = """
import numpy as np, zoo, minidl.functional as F
from minidl import Tensor, optim
model = zoo.create({name!r}, **{settings})
optimizer = optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
for _ in range(3):
    optimizer.zero_grad()
    loss = F.cross_entropy(model(Tensor(np.ones({shape}, np.float32))), np.zeros({labels}, np.int64))
    loss.backward()
    optimizer.step()
"""
TORCH_STEPS = """
import numpy as np, torch, torch.nn.functional as F, torch_networks
model = torch_networks.{torch_name}().to(memory_format={form})
optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
for _ in range(3):
    optimizer.zero_grad()
    loss = F.cross_entropy(model(torch.ones({shape}).to(memory_format={form})), torch.zeros({labels}, dtype=torch.long))
    loss.backward()
    optimizer.step()
"""
PRINT_PEAK = """
import peak_memory
print(peak_memory.mebibytes())
"""


def peak(name, steps, form=None):
    """Peak memory in MiB of a new process that trains for three steps."""
    shape, settings, torch_name = NETWORKS[name]
    labels = (shape[0], *shape[2:]) if name == "unet" else shape[0]
    code = steps.format(name=name, settings=settings, torch_name=torch_name, shape=shape, labels=labels, form=form)
    path = os.pathsep.join(filter(None, [str(Path(__file__).parent), os.environ.get("PYTHONPATH")]))
    done = subprocess.run([sys.executable, "-c", code + PRINT_PEAK], env=os.environ | {"PYTHONPATH": path}, text=True,
                          check=True, stdout=subprocess.PIPE)
    return float(done.stdout)


def measure(name):
    """Speed and peak memory of one network."""
    sides = {"minidl": ours(name), "captured": ours(name, captured=True)}
    sides |= {form: theirs(name, FORMATS[form]) for form in FORMATS}
    counts = {parameters for *_, parameters in sides.values()}
    if len(counts) > 1:
        raise AssertionError(f"{name}: the networks differ, they have {counts} parameters")
    result = {}
    for i, kind in enumerate(("training", "inference")):
        measured = [side for side in sides if kind == "training" or side != "captured"]
        seconds = common.alternate([sides[side][i] for side in measured], rounds=7, seconds=0.5)
        rates = {side: NETWORKS[name][0][0] / s for side, s in zip(measured, seconds, strict=True)}
        best = max(rates[form] for form in FORMATS)
        result[kind] = rates | {"ratio": rates["minidl"] / best}
        if kind == "training":
            result[kind]["captured_ratio"] = rates["captured"] / best
    faster = max(FORMATS, key=result["training"].get)
    result["peak_memory_MiB"] = {"minidl": peak(name, MINIDL_STEPS), "torch": peak(name, TORCH_STEPS, FORMATS[faster])}
    return result


def main(names):
    """Measure, print and store the figures."""
    print(f"{'images/s':20}{'training':>9}{'PyTorch':>9}{'':8}{'captured':>9}{'':8}{'inference':>9}{'PyTorch':>9}{'':8}"
          f"{'MiB':>6}{'PyTorch':>9}")
    results = {}
    for name in names:
        done = subprocess.run([sys.executable, __file__, "--one", name], check=True, stdout=subprocess.PIPE, text=True)
        result = results[name] = json.loads(done.stdout)
        cells = ""
        for kind in ("training", "inference"):
            rates = result[kind]
            cells += f"{rates['minidl']:9.0f}{max(rates[form] for form in FORMATS):9.0f}{rates['ratio']:7.2f}x"
            if kind == "training":
                cells += f"{rates['captured']:9.0f}{rates['captured_ratio']:7.2f}x"
        memory = result["peak_memory_MiB"]
        print(f"{name:20}{cells}{memory['minidl']:6.0f}{memory['torch']:9.0f}", flush=True)
    means = {kind: common.geometric_mean([r[kind]["ratio"] for r in results.values()])
             for kind in ("training", "inference")}
    means["captured"] = common.geometric_mean([r["training"]["captured_ratio"] for r in results.values()])
    print(f"geometric mean: training {means['training']:.2f}x, captured {means['captured']:.2f}x, "
          f"inference {means['inference']:.2f}x")
    if set(names) == set(NETWORKS):
        common.save("networks", {"unit": "images/s", "networks": results, "geometric_means": means})


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(measure(sys.argv[2])))
    else:
        main(sys.argv[1:] or list(NETWORKS))
