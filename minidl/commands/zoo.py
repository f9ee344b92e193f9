"""`minidl zoo`: a table of all networks; with --measure, also how many images per second each classifies here."""

import argparse
import statistics
import time
from contextlib import nullcontext

import numpy as np

import zoo
from minidl.device import Device
from minidl.modes import no_grad
from minidl.nn import init
from minidl.summary import summary
from minidl.tensor import Tensor

SECONDS = 1.0                                    # of measuring, for each network


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="*", metavar="NAME", help="list only these networks")
    parser.add_argument("--measure", action="store_true",
                        help="measure inference in images per second on this machine")
    parser.add_argument("--device", default="cpu", help="where to measure: cpu, gpu or gpu:1 (default: cpu)")


def run(args: argparse.Namespace) -> None:
    """Print a row for each network as soon as it is known."""
    names = args.names or zoo.names()
    sizes = [zoo.image_size(name) for name in names]                 # an unknown name fails before the first row
    device = Device.parse(args.device)
    print(f"{'network':<18}{'input':>14}{'parameters':>14}{'multiply-adds':>18}", end="")
    print(f"{'images/s':>12}" if args.measure else "")
    for name, size in zip(names, sizes, strict=True):
        with nullcontext() if args.measure else init.placeholders():
            model = zoo.create(name)
        shape = (model.architecture["settings"]["in_channels"], size, size)
        table = summary(model, shape)
        row = f"{name:<18}{' x '.join(map(str, shape)):>14}{table.parameters:>14,}{table.multiply_adds:>18,}"
        print(f"{row}{images_per_second(model.to(device), shape):>12,.1f}" if args.measure else row, flush=True)


def batch_for(image_size: int) -> int:
    """A batch size that fits into memory and keeps all cores busy."""
    return 128 if image_size <= 32 else 8 if image_size <= 224 else 1


def images_per_second(model, shape) -> float:
    """The median over one second of batches, in eval mode."""
    batch = batch_for(shape[1])
    images = np.random.default_rng(0).standard_normal((batch, *shape), dtype=np.float32)
    x = Tensor(images, device=model.parameters()[0].device)
    model.eval()
    times: list[float] = []
    with no_grad():
        model(x).numpy()                         # compiles kernels and fills the memory pool
        while sum(times) < SECONDS or len(times) < 3:
            start = time.perf_counter()
            model(x).numpy()                     # the copy waits for a GPU to finish
            times.append(time.perf_counter() - start)
    return batch / statistics.median(times)
