"""`minidl zoo`: a table of all networks, and with --measure how many images per second they take in on this machine."""

import statistics
import time

import numpy as np

import zoo
from minidl.device import Device
from minidl.summary import summary
from minidl.tensor import Tensor, no_grad

SECONDS = 1.0                                    # of measuring, for each network


def run(args):
    """Print a row for each network as soon as it is known."""
    names = args.names or zoo.names()
    sizes = [zoo.image_size(name) for name in names]                 # an unknown name ends it before the first row
    device = Device.parse(args.device)
    print(f"{'network':<18}{'input':>14}{'parameters':>14}{'multiply-adds':>18}", end="")
    print(f"{'images/s':>12}" if args.measure else "")
    for name, size in zip(names, sizes, strict=True):
        model = zoo.create(name)
        shape = (model.architecture["settings"]["in_channels"], size, size)
        table = summary(model, shape)
        told = f"{name:<18}{' x '.join(map(str, shape)):>14}{table.parameters:>14,}{table.multiply_adds:>18,}"
        print(f"{told}{images_per_second(model.to(device), shape):>12,.1f}" if args.measure else told, flush=True)


def images_per_second(model, shape):
    """The median over a second of batches, in the state of use."""
    batch = 128 if shape[1] <= 32 else 8 if shape[1] <= 224 else 1
    images = np.random.default_rng(0).standard_normal((batch, *shape), dtype=np.float32)
    x = Tensor(images, device=model.parameters()[0].device)
    model.eval()
    times = []
    with no_grad():
        model(x).numpy()                         # kernels are compiled, memory is taken
        while sum(times) < SECONDS or len(times) < 3:
            start = time.perf_counter()
            model(x).numpy()                     # the copy waits for a GPU to finish
            times.append(time.perf_counter() - start)
    return batch / statistics.median(times)
