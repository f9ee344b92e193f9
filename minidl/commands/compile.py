"""`minidl compile [NETWORK...]`: compile the CPU kernels that networks need, so that later runs start at once.

Run it while building a container image. Kernels are cached beside minidl's own files, or in the folder that the
environment variable NUMBA_CACHE_DIR names.
"""

import argparse
import time

import numba
import numpy as np

import zoo
from minidl.commands.info import kernel_cache
from minidl.commands.zoo import batch_for
from minidl.flags import whole
from minidl.modes import no_grad
from minidl.optim import SGD
from minidl.tensor import Tensor
from minidl.text import write
from minidl.train import loss_of

NETWORKS = ("lenet5", "resnet20", "mobilenet_v1_cifar")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("networks", nargs="*", default=NETWORKS, metavar="NETWORK",
                        help=f"networks of `minidl zoo` (default: {' '.join(NETWORKS)})")
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float32",
                        help="the type of weights and images (default: float32)")
    parser.add_argument("-b", "--batch-size", type=whole(), metavar="N",
                        help="images per batch (default: 128, or fewer of large images)")


def run(args: argparse.Namespace) -> None:
    """Take one training step and one inference with each network, and print what was compiled."""
    if numba.config.DISABLE_JIT:
        raise ValueError("NUMBA_DISABLE_JIT is set, so kernels are not compiled; unset it")
    from minidl.kernels.cpu.runtime.progress import record  # imported late: it fails where nothing can be compiled
    sizes = [zoo.image_size(name) for name in args.networks]         # an unknown name fails before anything is compiled
    for name, size in zip(args.networks, sizes, strict=True):
        start = time.perf_counter()
        with record() as compiled:
            warm_up(zoo.create(name), size, args.batch_size or batch_for(size), args.dtype)
        for kernel, seconds in compiled:
            write(f"    {kernel:<40}{seconds:7.2f} s")
        seconds = time.perf_counter() - start
        count = len(compiled)
        write(f"{name}: {count} kernel{'s' if count > 1 else ''} compiled in {seconds:.1f} s" if count
              else f"{name}: nothing to compile, all kernels are cached", flush=True)
    write(f"kernel cache: {kernel_cache()}")


def warm_up(model, image_size: int, batch_size: int, dtype: str) -> None:
    """One training step on random images and labels, then inference on the batch and on a single image."""
    rng = np.random.default_rng(0)
    shape = (batch_size, model.architecture["settings"]["in_channels"], image_size, image_size)
    images = rng.standard_normal(shape).astype(dtype)
    model.to(dtype=dtype)
    optimizer = SGD(model.named_parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    outputs = model(Tensor(images))
    logits = outputs[0] if isinstance(outputs, tuple) else outputs   # GoogLeNet has auxiliary classifiers
    labels = rng.integers(0, logits.shape[1], (batch_size, *logits.shape[2:]))
    loss_of(model)(outputs, labels).backward()
    optimizer.step()
    model.eval()
    with no_grad():
        model(Tensor(images))
        model(Tensor(images[:1]))
