"""A run in several processes, the ranks: what `fit` and its loop do together there. `one_rank.py` says what for.

Each rank has the whole model and takes its part of each batch; the gradients are summed, so all take the same steps.
Rank 0 alone prints and writes. All ranks have the same state between two steps, except for the buffers of the model,
such as running statistics of norms that are not synchronised: those of rank 0 count. So the checkpoint that rank 0
writes serves any number of ranks.
"""

import hashlib
import itertools
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import minidl.device
from minidl.data import DataLoader
from minidl.data.protocol import Batch
from minidl.device import CPU, Device, at
from minidl.distributed import Communicator, DistributedError, GradientSum, fail
from minidl.distributed.gpus import own_device, with_device
from minidl.errors import for_command, sentence
from minidl.evaluation import Evaluation
from minidl.io import describe, load_checkpoint
from minidl.io.json_file import for_json
from minidl.nn import Module, convert_sync_batch_norm
from minidl.nn.module import tensors
from minidl.train.interrupt import Interrupted
from minidl.train.one_rank import OneRank, Value, Wishes
from minidl.train.run import Run
from minidl.train.settings import Settings
from minidl.train.sums import Sums, shared_sums
from minidl.version import __version__

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Ranks(OneRank):
    """The ranks of a communicator, in a run with settings `s`."""

    def __init__(self, communicator: Communicator, s: Settings) -> None:
        self.host = communicator.host
        self.rank, self.size = communicator.rank, communicator.size
        self.device = own_device(s.device, self.host)
        self.communicator = with_device(self.host, self.device)
        self.asked = s
        self.vote = np.zeros(len(SIGNALS) + 1)   # how many ranks have each of these signals, and want to stop
        self.request: Any = None                 # the vote that is under way

    def settled(self, s: Settings) -> Settings:
        for name, flag in (("overfit", "--overfit"), ("graph", "--graph")):
            if getattr(s, name, False):
                raise said(f"{name}=True works in one process only; leave out communicator", f"{flag} works in one "
                           "process only; leave out --distributed")
        if s.batch_size < self.size:
            raise said(f"batch_size={s.batch_size} cannot be divided among {self.size} ranks; each needs an image",
                       f"--batch-size {s.batch_size} cannot be divided among {self.size} ranks; each needs an image")
        return replace(s, device=self.device)

    @contextmanager
    def together(self) -> Iterator[None]:
        try:
            with minidl.device.stream(self.rank):
                yield
            self.host.barrier()
        except Interrupted:                      # all ranks have agreed to it
            self.host.barrier()
            raise
        except BaseException as error:
            fail(self.host, error)
            raise

    def prepared(self, model: Module) -> Module:
        return convert_sync_batch_norm(model, self.communicator) if self.asked.sync_batch_norm else model

    def of_first(self, make: Callable[[], Value]) -> Value:
        return of_first(self.host, make)

    def read(self, path: Path) -> Any:
        read: dict[str, Any] = {}

        def header() -> Any:
            read["arrays"], facts = load_checkpoint(path)
            return facts, [(name, array.shape, array.dtype.str) for name, array in read["arrays"].items()]
        facts, kinds = self.of_first(header)
        arrays = read.get("arrays") or {name: np.empty(shape, kind) for name, shape, kind in kinds}
        for array in arrays.values():
            self.host.broadcast(array)
        return arrays, facts

    def compare_start(self, recipe: dict[str, Any], model: Module, train_set: Any) -> None:
        shapes = {name: list(tensor.shape) for name, tensor, *_ in tensors(model)}
        settings = {f"the setting {name}": value for name, value in for_json(recipe).items()}
        self.compare({"the version of minidl": __version__, "the version of NumPy": np.__version__, **settings,
                      "the network": for_json(describe(model)), "its weights": shapes,
                      "the training images": digest_of(train_set)})      # which may follow from the seed

    def begin(self, run: Run) -> None:
        self.share(run.model)
        self.compare_weights(run.model, "at the start")
        self.gradients = GradientSum(run.optimizer.parameters, self.communicator, compress=self.asked.compress)

    def compare(self, facts: dict[str, Any]) -> None:
        """Raise DistributedError, naming the first difference, unless all ranks have the same facts."""
        said = self.host.all_gather(facts)
        for rank, theirs in enumerate(said):
            for name in {**said[0], **theirs}:
                if theirs.get(name) != said[0].get(name):
                    raise DistributedError(f"rank {rank} differs from rank 0 in {name}: {theirs.get(name)!r:.100}, on "
                                           f"rank 0 {said[0].get(name)!r:.100}; start all ranks with the same command, "
                                           "data and versions")

    def compare_weights(self, model: Module, when: str) -> None:
        if not self.asked.compare_weights:
            return
        own = {name: digest(p.numpy()) for name, p in model.named_parameters()}
        whole = digest("".join(own.values()).encode())
        if len(set(self.host.all_gather(whole))) == 1:
            return
        everybody = self.host.all_gather(own)
        rank, name = next((rank, name) for rank, theirs in enumerate(everybody) for name in own
                          if theirs[name] != everybody[0][name])
        raise DistributedError(f"{when}, {name} on rank {rank} is not what it is on rank 0: either memory or network "
                               "is faulty, or something in training depends on the rank, such as a callback")

    def share(self, model: Module) -> None:
        for _, tensor, *_ in tensors(model):
            self.give(tensor)

    def give(self, tensor: Any) -> None:
        """Replace the data of a tensor by that of rank 0."""
        array = np.array(CPU.put(tensor.data), order="C")
        self.host.broadcast(array)
        if not self.writes:
            with at(tensor.data):
                tensor.data[...] = minidl.device.device_of(tensor.data).put(array)

    def sums(self, run: Run, device: Device) -> Sums:
        return shared_sums(run.here, device, run.scaler is not None, self.communicator)

    def images(self, labels: Any, loader: DataLoader, number: int) -> int:
        return loader.count(number)

    def expect_gradients(self) -> None:
        self.gradients.expect()

    def finish_gradients(self) -> None:
        self.gradients.finish()

    def agree(self, wishes: Wishes) -> Wishes:
        before = self.voted()
        if before.signal is None:
            self.vote[:] = [*(wishes.signal == number for number in SIGNALS), wishes.stop]
            self.request = self.host.start_all_reduce(self.vote)
        return before

    def voted(self) -> Wishes:
        """The result of the vote that is under way."""
        if self.request is None:
            return Wishes(None, False)
        self.request.wait()
        self.request = None
        *signals, stop = self.vote
        return Wishes(next((number for number, ranks in zip(SIGNALS, signals, strict=True) if ranks), None), bool(stop))

    def settle(self, signal: int | None, stopping: str | None) -> tuple[int | None, str | None]:
        self.voted()                             # what it was for is still there
        signals, reasons = zip(*self.host.all_gather([signal, stopping]), strict=True)
        return (next((number for number in signals if number is not None), None),
                next((reason for reason in reasons if reason is not None), None))

    def evaluate(self, batches: Iterable[Batch], evaluate: Callable[[Iterable[Batch]], Evaluation], model: Module,
                 classes: int, heed: Callable[[], Any]) -> Evaluation:
        for _, buffer in model.named_buffers():
            self.give(buffer)
        images = 0

        def own() -> Iterator[Batch]:
            nonlocal images
            for batch in batches:
                heed()
                if len(batch[1]):
                    images += len(batch[1])
                    yield batch
        rest = own()
        first = next(rest, None)
        table = np.zeros(classes * classes + 2)
        if first is not None:
            found = evaluate(itertools.chain([first], rest))
            table[:] = *found.confusion.ravel(), found.loss * images, images
        self.host.all_reduce(table)
        *confusion, loss, count = table.tolist()
        return Evaluation(loss / count, np.array(confusion, np.int64).reshape(classes, classes))


def said(text: str, command: str) -> ValueError:
    """The error for settings that ranks cannot have."""
    return for_command(ValueError(f"fit: {text}"), command)


def of_first(communicator: Communicator, make: Callable[[], Value]) -> Value:
    """What `make()` returns on rank 0, which must be JSON; an error there is one everywhere."""
    value, error = None, None
    if communicator.rank == 0:
        try:
            value = make()
        except Exception as failure:
            error = failure
    value, reason = communicator.all_gather([value, error and sentence(error)])[0]
    if error is not None:
        raise error
    if reason is not None:
        raise DistributedError(f"rank 0: {reason}")
    return value


def digest_of(dataset: Any) -> str:
    """The number of images, with a digest of all labels, and of the first and the last image."""
    ends = dataset.batch(np.unique([0, len(dataset) - 1]))
    return f"{len(dataset)} with digest {digest(np.asarray(getattr(dataset, 'labels', 0)), *map(np.asarray, ends))}"


def digest(*parts: Any) -> str:
    """A digest of arrays, or of bytes."""
    found = hashlib.blake2b(digest_size=16)
    for part in parts:
        found.update(np.ascontiguousarray(part).data if isinstance(part, np.ndarray) else part)
    return found.hexdigest()
