"""Milliseconds of a training step of whole networks: minidl eager and as a CUDA graph, PyTorch the same two ways.

A step is forward, cross entropy, backward and SGD with momentum; nothing is read back. PyTorch runs channels last with
its fused optimizer. Equal precision stands side by side; "mixed" is float16 with a scaled loss on both sides. The first
losses of both sides are kept: minidl's must be that of its own CPU kernels.
"""

import contextlib
import gc
import statistics
import time

import numpy as np
from parts import Part

import minidl
import minidl.functional as F
import zoo
from minidl import Tensor, optim

# name: (images, on a GPU; the same, on a CPU; settings of the network)
NETWORKS = {
    "lenet5": ((128, 1, 28, 28), (16, 1, 28, 28), {}),
    "resnet20": ((128, 3, 32, 32), (8, 3, 32, 32), {}),
    "vgg16_bn_cifar": ((128, 3, 32, 32), None, {}),
    "mobilenet_v1_cifar": ((128, 3, 32, 32), None, {}),
    "unet": ((8, 1, 256, 256), None, {"padded": True, "batch_norm": True}),
    "resnet18": ((64, 3, 224, 224), None, {}),
    "resnet50": ((64, 3, 224, 224), None, {}),
}
PRECISIONS = ("float32", "tf32", "mixed")
part = Part("steps", __doc__, networks={"help": "comma-separated; default: all"})


def batch(name):
    """Random images, and labels of two classes: one for each pixel of a U-Net's, else one for each image."""
    on_gpu, small, _ = NETWORKS[name]
    shape = on_gpu if part.on_gpu else small
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, (shape[0], *shape[2:]) if name == "unet" else shape[0])
    return rng.standard_normal(shape, dtype=np.float32), labels


def ours(name, precision, graph):
    """A training step of minidl."""
    minidl.manual_seed(0)
    minidl.set_matmul_precision("float32" if precision == "float32" else "tf32")
    device = minidl.Device.parse(part.args.device)
    model = zoo.create(name, **NETWORKS[name][2]).to(device)
    images, labels = (device.put(v) for v in batch(name))
    optimizer = optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    scaler = optim.GradScaler() if precision == "mixed" else None

    def step(images, labels):
        optimizer.zero_grad()
        with minidl.autocast("float16") if scaler else contextlib.nullcontext():
            loss = F.cross_entropy(model(Tensor(images)), labels)
        if scaler:
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
        else:
            loss.backward()
            optimizer.step()
        return loss
    run = minidl.graphed(step) if graph else step
    return lambda: run(images, labels)


def theirs(name, precision, graph):
    """The same step in PyTorch, eager or as one CUDA graph."""
    import torch
    import torch.nn.functional as TF
    import torch_zoo
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision != "float32"
    torch.backends.cudnn.benchmark = True
    torch.manual_seed(0)
    where = "cuda" if part.on_gpu else "cpu"
    model = torch_zoo.make(name, **NETWORKS[name][2]).to(where, memory_format=torch.channels_last)
    images, labels = (torch.from_numpy(v).to(where) for v in batch(name))
    images = images.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, fused=part.on_gpu)
    mixed = precision == "mixed"
    scaler = torch.amp.GradScaler(where, enabled=mixed and not graph)     # a graph cannot read whether to skip a step

    def step():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(where, torch.float16, enabled=mixed, cache_enabled=not graph):
            loss = TF.cross_entropy(model(images), labels)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        return loss
    if not graph:
        return step
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(4):
            step()
    torch.cuda.current_stream().wait_stream(side)
    recorded = torch.cuda.CUDAGraph()
    optimizer.zero_grad(set_to_none=True)
    with torch.cuda.graph(recorded):
        loss = step()

    def replay():
        recorded.replay()
        return loss
    return replay


def measured(make, seconds=0.8):
    """The median time of a step, over groups of several, its first loss, and the memory held at the end."""
    begin = time.perf_counter()
    step = make()
    first = step().item()
    start = time.perf_counter() - begin
    for _ in range(3):
        step()
    wait()
    begin = time.perf_counter()
    step()
    wait()
    count = max(1, min(50, int(0.1 / (time.perf_counter() - begin))))
    times, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 3:
        begin = time.perf_counter()
        for _ in range(count):
            step()
        wait()
        times.append((time.perf_counter() - begin) / count * 1e3)
    return {"ms": round(statistics.median(times), 4), "least_ms": round(min(times), 4), "first_loss": first,
            "start_s": round(start, 2), "memory_MiB": memory()}


def wait():
    if part.on_gpu:
        import cupy
        cupy.cuda.runtime.deviceSynchronize()


def memory():
    """MiB that each library has taken from the card."""
    if not part.on_gpu:
        return None
    import cupy
    import torch
    return {"minidl": cupy.get_default_memory_pool().total_bytes() >> 20,
            "torch": torch.cuda.max_memory_reserved() >> 20}


def clean():
    gc.collect()
    if part.on_gpu:
        import cupy
        import torch
        cupy.get_default_memory_pool().free_all_blocks()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def main():
    chosen = [name for name, (_, small, _) in NETWORKS.items() if part.on_gpu or small]
    if part.args.networks:
        chosen = part.args.networks.split(",")
    part.results |= {"unit": "milliseconds of a training step", "networks": {}}
    for name in chosen:
        row = part.results["networks"][name] = {"images": batch(name)[0].shape}
        for precision in PRECISIONS if part.on_gpu else PRECISIONS[:1]:
            for graph in (False, True) if part.on_gpu else (False,):
                for side in (ours, theirs):
                    label = f"{'minidl' if side is ours else 'torch'} {precision}{' graph' if graph else ''}"
                    part.attempt(label, lambda side=side, p=precision, g=graph, n=name: measured(
                        lambda: side(n, p, g)), row)
                    clean()
    show()


def show():
    for name, row in part.results["networks"].items():
        print(f"\n{name} {row['images']}")
        for side, found in row.items():
            if side != "images":
                print(f"  {side:22}" + (f"{found['ms']:10.3f} ms   first loss {found['first_loss']:.4f}   "
                                        f"{found['memory_MiB'] or ''}" if "ms" in found else found["error"]))


if __name__ == "__main__":
    main()
