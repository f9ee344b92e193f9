"""A run in one process, of which `ranks.py` has the counterpart for several: what they must do together.

`loop.py` and `fit.py` say at each place what ranks would do there. A single process does nothing.
"""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from minidl.data import DataLoader
from minidl.data.protocol import Batch
from minidl.device import Device
from minidl.evaluation import Evaluation
from minidl.io import load_checkpoint
from minidl.nn import Module
from minidl.train.run import Run
from minidl.train.settings import Settings
from minidl.train.sums import Sums, sums_of

Value = TypeVar("Value")


class Wishes(NamedTuple):
    """What a process wants between two steps: to be stopped by a signal, or that the run ends after this epoch."""

    signal: int | None
    stop: bool


class OneRank:
    """The only process of a run."""

    rank, size = 0, 1

    @property
    def writes(self) -> bool:
        """Whether this is the process that prints and writes files."""
        return self.rank == 0

    def settled(self, s: Settings) -> Settings:
        """The settings for this process. Raises ValueError for those that ranks cannot have."""
        return s

    def together(self) -> AbstractContextManager[Any]:
        """A context that all ranks leave together, whatever happens in one of them, with random numbers for each."""
        return nullcontext()

    def prepared(self, model: Module) -> Module:
        """The model with what ranks need in it."""
        return model

    def of_first(self, make: Callable[[], Value]) -> Value:
        """What `make()` returns on rank 0, on all ranks; or raise there what it raises."""
        return make()

    def read(self, path: Path) -> Any:
        """The checkpoint that rank 0 finds."""
        return load_checkpoint(path)

    def compare_start(self, recipe: dict[str, Any], model: Module, train_set: Any) -> None:
        """Check that all ranks are about to train the same."""

    def begin(self, run: Run) -> None:
        """Give all ranks the model of rank 0."""

    def sums(self, run: Run, device: Device) -> Sums:
        """The sums of an epoch over all ranks."""
        return sums_of(run.here, device, run.scaler is not None)

    def images(self, labels: Any, loader: DataLoader, number: int) -> int:
        """The number of images in the batch of this number on all ranks, of which these are the labels here."""
        return len(labels)

    def expect_gradients(self) -> None:
        """Sum those gradients over the ranks that the next backward pass finishes."""

    def finish_gradients(self) -> None:
        """Wait for the sums."""

    def agree(self, wishes: Wishes) -> Wishes:
        """What some rank has wished, after each step; for several ranks, what it had wished a step before."""
        return wishes._replace(signal=None)      # which is looked at before each batch

    def settle(self, signal: int | None, stopping: str | None) -> tuple[int | None, str | None]:
        """The signal of some rank, and the reason of one to end the run, between epochs."""
        return None, stopping

    def evaluate(self, batches: Iterable[Batch], evaluate: Callable[[Iterable[Batch]], Evaluation], model: Module,
                 classes: int, heed: Callable[[], Any]) -> Evaluation:
        """The evaluation of the batches of all ranks; `heed` is called before each."""
        return evaluate(batches)

    def compare_weights(self, model: Module, when: str) -> None:
        """Raise DistributedError, naming rank and weights, unless all ranks have the same weights."""

    def share(self, model: Module) -> None:
        """Give all ranks the weights and buffers of rank 0."""
