"""What a step of N ranks costs, by a model of a ring: a table for 8 to 1,024 ranks, and where more stop paying.

    python benchmarks/distributed_model.py [--bfloat16]

The model needs no ranks. Each rank has the batch of the benchmark of one process, so the whole batch grows with N.
    computing     the seconds of a step in one process, from results/networks.json: a third forward, two thirds
                  backward, which a layer shares by its multiply-adds
    a bucket      is complete when the backward of its last layer ends; it is sent when the one before it has been
    sending       n bytes around a ring of N ranks: 2 (N - 1) latency + 2 (N - 1) / N * n / bandwidth   (Patarasuk and
                  Yuan, "Bandwidth optimal all-reduce algorithms", 2009)
    a step        ends when the computing has ended, and the last bucket has been sent
    bfloat16      half of the bytes, for which each rank rounds, sums its part and widens: ROUNDING seconds a byte
"""

import argparse
import json
import sys
from pathlib import Path
from typing import NamedTuple

import zoo
from minidl.distributed.gradients import BUCKET
from minidl.nn import Module
from minidl.summary import summary

RANKS = (8, 16, 32, 64, 128, 256, 512, 1024)
NETWORKS = {"resnet20": 128, "vgg16_bn_cifar": 128, "mobilenet_v1_cifar": 128}           # images of a rank
ROUNDING = 0.5e-9                                # seconds for a byte of float32, in one thread (Zen 4)
LEAST = 0.5                                      # of the speed of N single ranks: below that, more ranks do not pay


class Link(NamedTuple):
    """A network: seconds from one rank to the next, and bytes a second."""

    name: str
    latency: float
    bandwidth: float


LINKS = (Link("1 Gbit/s, 50 µs", 50e-6, 125e6), Link("10 Gbit/s, 30 µs", 30e-6, 1.25e9),
         Link("100 Gbit/s, 5 µs", 5e-6, 12.5e9))


def ring(size: float, ranks: int, link: Link) -> float:
    """The seconds of one sum of `size` bytes."""
    return 2 * (ranks - 1) * link.latency + 2 * (ranks - 1) / ranks * size / link.bandwidth


def buckets(model: Module, shape: tuple[int, ...], most: int = BUCKET) -> list[tuple[float, int]]:
    """[(after which part of the backward pass a bucket is complete, its bytes)], in the order of sending."""
    rows = [row for row in reversed(summary(model, shape).rows) if row.parameters]
    whole = sum(row.multiply_adds for row in rows)
    found, size, done = [], 0, 0
    for row in rows:
        size += 4 * row.parameters
        done += row.multiply_adds
        if size >= most:
            found.append((done / whole, size))
            size = 0
    return [*found, (1.0, size)] if size else found


def step(computing: float, parts: list[tuple[float, int]], ranks: int, link: Link, bfloat16: bool = False) -> float:
    """The seconds of a step."""
    forward, backward, free, shrink = computing / 3, computing * 2 / 3, 0.0, 1.0
    if bfloat16:
        backward += ROUNDING * sum(size for _, size in parts)
        shrink = 0.5
    for part, size in parts:
        free = max(free, forward + part * backward) + (ring(size * shrink, ranks, link) if ranks > 1 else 0.0)
    return max(forward + backward, free)


def measured(name: str) -> tuple[float, str]:
    """(images per second of one process, on what), from the results of benchmarks/networks.py."""
    results = json.loads((Path(__file__).parent / "results" / "networks.json").read_text())
    machine = results["machine"]
    return results["networks"][name]["training"]["minidl"], f"{machine['threads']} threads of {machine['processor']}"


def table(link: Link, bfloat16: bool) -> list[str]:
    """The lines of the table for one network: the part of the speed of N single ranks that N ranks reach together."""
    lines = [f"| {link.name} | " + " | ".join(map(str, RANKS)) + " | pays up to |",
             "|---" * (len(RANKS) + 2) + "|"]
    for name, images in NETWORKS.items():
        computing = images / measured(name)[0]
        parts = buckets(zoo.create(name), (3, 32, 32))
        found = [computing / step(computing, parts, ranks, link, bfloat16) for ranks in RANKS]
        paying = [ranks for ranks, efficiency in zip(RANKS, found, strict=True) if efficiency >= LEAST]
        megabytes = sum(size for _, size in parts) / 1e6
        lines.append(f"| {name}, {megabytes:.1f} MB, {1000 * computing:.0f} ms | "
                     + " | ".join(f"{efficiency:.0%}" for efficiency in found)
                     + f" | {f'{paying[-1]:,}' if paying else 'fewer than 8'} |")
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--bfloat16", action="store_true", help="with gradients of half the size")
    args = parser.parse_args()
    print(f"one rank: {measured('resnet20')[1]}; {next(iter(NETWORKS.values()))} images for each\n")
    for link in LINKS:
        print("\n".join(table(link, args.bfloat16)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
