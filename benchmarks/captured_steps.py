"""Training steps, ordinary and captured (`minidl.graphed`), in turns in one process, and the peak memory of each.

Run: `python benchmarks/captured_steps.py [NETWORK ...]`. Peak memory is that of a process of its own after seven steps.
"""

import subprocess
import sys

import common
import networks
import peak_memory

import minidl
import minidl.functional as F
import zoo
from minidl import Tensor, optim

NETWORKS = ("lenet5", "resnet20", "mobilenet_v1_cifar", "unet", "vgg16_bn_cifar")


def training_step(name, captured):
    """A training step without arguments that returns its loss."""
    images, labels = networks.batch(name)
    model = zoo.create(name, **networks.NETWORKS[name][1])
    optimizer = optim.SGD(model.parameters(), lr=0.01, momentum=0.9)

    def step(images, labels):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        return loss
    step = minidl.graphed(step) if captured else step
    return lambda: step(Tensor(images), labels).item()


def peak(name, captured):
    """Peak memory in MiB of a new process."""
    command = [sys.executable, __file__, "--peak", name, str(int(captured))]
    return float(subprocess.run(command, text=True, check=True, stdout=subprocess.PIPE).stdout.split()[-1])


def main(names):
    """Measure and print."""
    if names[:1] == ["--peak"]:
        step = training_step(names[1], names[2] == "1")
        for _ in range(7):
            step()
        print(peak_memory.mebibytes())
        return
    for name in names or NETWORKS:
        steps = [training_step(name, captured) for captured in (False, True)]
        for step in steps * 5:                   # until the captured one is repeated
            step()
        ordinary, captured = common.alternate(steps, rounds=15, seconds=0.25)
        print(f"{name}: ordinary {ordinary * 1e3:.2f} ms, captured {captured * 1e3:.2f} ms, ratio "
              f"{ordinary / captured:.2f}; peak {peak(name, False):.0f} and {peak(name, True):.0f} MiB", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
