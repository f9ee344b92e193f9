"""LeNet-5 with batches of 128: images per second of minidl and PyTorch, training and inference, alternating.

A training step is forward, cross entropy, backward, SGD with momentum, and reading the loss as a number. PyTorch runs
in NCHW and in channels_last, and the faster one counts. Run: `python benchmarks/lenet_step.py`.
"""

import common
import numpy as np
import torch
import torch.nn.functional as TF

import minidl.functional as F
from minidl import Tensor, no_grad, optim
from zoo import lenet5

BATCH = 128
rng = np.random.default_rng(0)
IMAGES = rng.standard_normal((BATCH, 1, 28, 28), dtype=np.float32)
LABELS = rng.integers(0, 10, BATCH)


def ours():
    """(training step, inference step) of minidl."""
    model = lenet5()
    optimizer = optim.SGD(model.parameters(), lr=0.01, momentum=0.9)

    def step():
        optimizer.zero_grad()
        loss = F.cross_entropy(model(Tensor(IMAGES)), LABELS)
        loss.backward()
        optimizer.step()
        return float(loss)

    def infer():
        with no_grad():
            return model(Tensor(IMAGES)).data
    return step, infer


class TorchLeNet(torch.nn.Module):
    """The same network in PyTorch."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = torch.nn.Conv2d(1, 6, 5, padding=2), torch.nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = torch.nn.Linear(400, 120), torch.nn.Linear(120, 84), torch.nn.Linear(84, 10)

    def forward(self, x):
        x = TF.max_pool2d(TF.relu(self.conv1(x)), 2)
        x = TF.max_pool2d(TF.relu(self.conv2(x)), 2)
        return self.fc3(TF.relu(self.fc2(TF.relu(self.fc1(x.flatten(1))))))


def theirs(form):
    """(training step, inference step) of PyTorch in one memory format."""
    model = TorchLeNet().to(memory_format=form)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    images, labels = torch.from_numpy(IMAGES).to(memory_format=form), torch.from_numpy(LABELS)

    def step():
        optimizer.zero_grad()
        loss = TF.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    def infer():
        with torch.inference_mode():
            return model(images)
    return step, infer


def main():
    """Measure, print and store the figures."""
    sides = [ours(), theirs(torch.contiguous_format), theirs(torch.channels_last)]
    result = {}
    for kind, functions in zip(("training", "inference"), zip(*sides, strict=True), strict=True):
        rates = [BATCH / seconds for seconds in common.alternate(functions, rounds=15, seconds=0.25)]
        best = max(rates[1:])
        print(f"{kind:10} minidl {rates[0]:8.0f} images/s, PyTorch {rates[1]:7.0f} (NCHW) {rates[2]:7.0f} "
              f"(channels_last): {rates[0] / best:.2f}x")
        result[kind] = {"minidl": rates[0], "torch_nchw": rates[1], "torch_channels_last": rates[2],
                        "ratio": rates[0] / best}
    common.save("lenet_step", {"unit": "images/s", "batch": BATCH, **result})


if __name__ == "__main__":
    main()
