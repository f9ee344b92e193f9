"""Gradients summed over the ranks while the backward pass still goes on (Li et al., "PyTorch Distributed", VLDB 2020).

Parameters are put into buckets, those of the last layers first, since their gradients are finished first:

    backward pass    fc.weight  fc.bias  conv3.weight  conv2.weight  conv1.weight
    buckets         [--------- 0 -------------------] [------ 1 ---------------]
                                                    ^ full: its sum over the ranks begins, and the pass goes on

A bucket is an array of the gradients one after the other. All ranks begin the sums in the same order, that of the
buckets. At the end of each are as many numbers again as it has parameters: how many ranks have a gradient. A parameter
that no rank used keeps None, and one that some did not use gets zeros from them.

Compressed gradients are sent as bfloat16, in half of the bytes: each rank's is rounded, and so is their sum.
"""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.device import CPU, Array, array_module, at
from minidl.distributed.bfloat16 import pieces, rounded, widened
from minidl.distributed.communicator import Communicator, Request
from minidl.modes import watched
from minidl.tensor import Node, Tensor

BUCKET = 4 << 20                                 # bytes


class Bucket:
    """Parameters whose gradients are summed together."""

    def __init__(self, parameters: Sequence[Tensor], compressed: bool) -> None:
        self.parameters = list(parameters)
        sizes = [p.data.size for p in self.parameters]
        self.ends = np.cumsum(sizes).tolist()
        first = self.parameters[0].data
        with at(first):
            xp = array_module(first)
            self.numbers = xp.zeros(sum(sizes) + len(sizes), first.dtype)
            self.bits = xp.zeros(self.numbers.shape, np.uint16) if compressed else None
        self.request: Request | None = None

    def start(self, communicator: Communicator) -> None:
        """Gather the gradients, and begin to sum them over the ranks."""
        with at(self.numbers):
            for p, end in zip(self.parameters, self.ends, strict=True):
                self.place(p, end)[...] = 0 if p.grad is None else p.grad
            used = np.array([p.grad is not None for p in self.parameters], self.numbers.dtype)
            self.numbers[self.ends[-1]:] = array_module(self.numbers).asarray(used)
            if self.bits is not None:
                for piece in pieces(self.bits):
                    self.bits[piece] = rounded(self.numbers[piece])
        if self.bits is None:
            self.request = watched(communicator.start_all_reduce, "send", "all_reduce")(self.numbers)
        else:
            self.request = watched(communicator.start_all_reduce_bfloat16, "send", "all_reduce")(self.bits)

    def finish(self) -> None:
        """Wait for the sums, and make them the gradients, which stay in the bucket until it is started again."""
        assert self.request is not None
        self.request.wait()
        self.request = None
        with at(self.numbers):
            if self.bits is not None:
                for piece in pieces(self.bits):
                    self.numbers[piece] = widened(self.bits[piece])
            for p, end, used in zip(self.parameters, self.ends, self.used(), strict=True):
                if used and p.requires_grad:
                    p.grad = self.place(p, end)

    def used(self) -> Any:
        """For each parameter, whether some rank has a gradient. A GPU is asked only if this rank lacks one."""
        if all(p.grad is not None for p in self.parameters):
            return [True] * len(self.parameters)
        return CPU.put(self.numbers[self.ends[-1]:])

    def place(self, parameter: Tensor, end: int) -> Array:
        """Where the gradient of a parameter is that ends at `end`: in its shape and its order of memory."""
        order = sorted(range(parameter.ndim), key=lambda axis: -parameter.data.strides[axis])
        flat = self.numbers[end - parameter.data.size:end]
        return flat.reshape([parameter.shape[axis] for axis in order]).transpose(
            sorted(range(len(order)), key=order.__getitem__))


class GradientSum:
    """Sums the gradients of parameters over all ranks; one call of `expect`, `backward` and `finish` in each step.

    compress   None, or "bfloat16": sums are off by 0.8 % of the sum of magnitudes, at most
    """

    def __init__(self, parameters: Sequence[Tensor], communicator: Communicator, bucket_bytes: int = BUCKET,
                 compress: str | None = None) -> None:
        self.communicator = communicator
        self.buckets = [Bucket(group, compress == "bfloat16") for group in grouped(parameters, bucket_bytes)]
        self.nodes: dict[Node, Bucket] = {}
        self.waiting: Counter[Bucket] = Counter()            # how many gradients of each bucket are to come
        self.next = 0                                        # the bucket whose turn it is

    def expect(self) -> None:
        """Sum the gradients that the backward pass to come finishes: of several whose gradients add up, the last."""
        self.next = 0
        self.nodes = {p.node: bucket for bucket in self.buckets for p in bucket.parameters if p.node is not None}
        self.waiting = Counter(self.nodes.values())
        for node in self.nodes:
            node.finished = self.ready

    def ready(self, node: Node) -> None:
        """The gradient of a parameter is complete: begin the sums of all buckets that are full and whose turn it is."""
        self.waiting[self.nodes[node]] -= 1
        while self.next < len(self.buckets) and not self.waiting[self.buckets[self.next]]:
            self.start_next()
        for bucket in self.buckets[:self.next]:
            if bucket.request is not None:
                bucket.request.test()            # where no thread does so, see progress.py

    def finish(self) -> None:
        """Begin the sums of what was not used on this rank, wait for all, and make them the gradients."""
        for node in self.nodes:
            node.finished = None
        while self.next < len(self.buckets):
            self.start_next()
        for bucket in self.buckets:
            bucket.finish()

    def start_next(self) -> None:
        """Begin to sum the bucket whose turn it is."""
        self.buckets[self.next].start(self.communicator)
        self.next += 1


def grouped(parameters: Sequence[Tensor], most: int) -> list[list[Tensor]]:
    """The parameters from the last to the first, in groups of one dtype and of `most` bytes at least."""
    groups: list[list[Tensor]] = []
    full = math.inf
    for p in reversed(list(parameters)):
        if full >= most or groups[-1][0].dtype != p.dtype:
            groups.append([])
            full = 0
        groups[-1].append(p)
        full += p.data.nbytes
    return groups
