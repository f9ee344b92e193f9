"""The sums of an epoch: the loss, and how many labels were predicted correctly.

On the CPU they are added up after each step. On a GPU that would make the host wait for each step before it can start
the next one. So they add up on the GPU, and are read where someone asks for them: at a line of progress, a checkpoint,
the end of an epoch. A loss that is not finite is then noticed late; the step in which it was is known all the same.
"""

import math
from functools import partial
from typing import Any

import numpy as np

from minidl import faults
from minidl.capture import each_time
from minidl.device import CPU, Array, Device, array_module, at
from minidl.evaluation.decisions import UNKNOWN, correct
from minidl.kernels import backend
from minidl.modes import NonFiniteError, mode
from minidl.tensor import Tensor
from minidl.train.run import Position

# loss, correct, counted, steps, and faulty: after how many steps a loss was first not finite
START = (0.0, 0.0, 0.0, 0.0, math.inf)


class Sums:
    """Sums on the CPU: they are those of the Position."""

    pending = False                              # whether there are steps whose sums have not been read

    def __init__(self, position: Position) -> None:
        self.position = position

    def add_loss(self, loss: Tensor, count: int) -> Any:
        """Add the mean loss of `count` images; returns it. Raises NonFiniteError before it does harm."""
        each_time(partial(self.count_loss, loss.detach(), count))
        return float(loss) if mode.varying is None else loss.data.astype(np.float64)

    def count_loss(self, loss: Tensor, count: int) -> None:
        """What the host does with a loss."""
        value = float(loss)
        if not math.isfinite(value):
            raise NonFiniteError(f"the loss is {value}")
        self.position.loss += value * count

    def add_decisions(self, logits: Array, labels: Array) -> None:
        """Add how many labels count, and how many of them the model decides on."""
        each_time(partial(self.count_decisions, logits, labels))

    def count_decisions(self, logits: Array, labels: Array) -> None:
        """What the host does with the scores of a batch."""
        counted, right = correct(logits, labels)
        self.position.counted += counted
        self.position.correct += right

    def check_norm(self, norm: Any) -> None:
        """Raise NonFiniteError, before it does harm, if the norm of the gradient is not finite."""
        if not math.isfinite(norm):
            raise NonFiniteError(f"the norm of the gradient is {norm}")

    def add_step(self) -> None:
        """Count a step."""

    def read(self) -> None:
        """Bring the position up to date."""


class SumsOnDevice(Sums):
    """Sums on a GPU since they were last read: float64 (5,), whose elements are named like START."""

    def __init__(self, position: Position, device: Device, scaled: bool = False) -> None:
        super().__init__(position)
        self.scaled = scaled                     # whether a step that is not finite is left out, by a GradScaler
        self.sums = device.put(np.array(START))
        with device.current():
            self.loss, self.correct, self.counted, self.steps, self.faulty = (self.sums[i] for i in range(len(START)))

    def add_loss(self, loss: Tensor, count: int) -> Array:
        """Remember it for `add_decisions`, which adds both at once; returns the loss as an array."""
        self.part = loss.data.reshape(()), count
        return self.part[0]

    def note(self, value: Array) -> None:
        """Note the step, if a value is not finite and none was before."""
        xp = array_module(value)
        xp.minimum(self.faulty, xp.where(xp.isfinite(value), math.inf, self.steps), out=self.faulty)

    def add_decisions(self, logits: Array, labels: Array) -> None:
        loss, count = self.part
        if labels.dtype.kind == "f":             # probabilities, as MixUp gives: decisions are by array code
            counted, right = correct(logits, labels)
            self.counted += counted
            self.correct += right
            logits, labels = logits[:0], labels[:0, 0].astype(np.int64)
        backend(logits).tally(self.sums, loss, count, logits, labels, UNKNOWN, self.scaled)

    def check_norm(self, norm: Array) -> None:
        if not self.scaled:
            self.note(norm)

    def add_step(self) -> None:
        self.steps += 1

    def read(self) -> None:
        """Wait for the GPU, and bring the position up to date. Raises what went wrong since the sums were last read."""
        if not self.pending:
            return
        faults.tell()
        loss, right, counted, steps, faulty = CPU.put(self.sums).tolist()
        if faulty != math.inf:
            error = NonFiniteError("the loss, or the norm of the gradient, is not finite")
            error.step = self.position.step - int(steps) + int(faulty) + 1
            raise error
        with at(self.sums):
            self.sums[:-1] = 0.0
        self.pending = False
        self.position.loss += loss
        self.position.correct += right if right % 1 else int(right)
        self.position.counted += int(counted)


def sums_of(position: Position, device: Device, scaled: bool) -> Sums:
    """The sums of an epoch that is trained on this device; `scaled`: with a GradScaler."""
    return Sums(position) if device == CPU else SumsOnDevice(position, device, scaled)


class SharedSums(Sums):
    """Sums over all ranks, on the CPU: those of a step travel while the next one is computed."""

    def __init__(self, position: Position, communicator: Any) -> None:
        super().__init__(position)
        self.communicator = communicator
        self.step, self.travelling = np.zeros(3), np.zeros(3)        # loss, counted, correct
        self.request: Any = None

    def add_loss(self, loss: Tensor, count: int) -> Any:
        value = float(loss)
        if not math.isfinite(value):
            raise NonFiniteError(f"the loss is {value}")
        self.step[0] += value * count
        return value

    def add_decisions(self, logits: Array, labels: Array) -> None:
        self.step[1:] += correct(logits, labels)

    def add_step(self) -> None:
        self.read()
        self.step, self.travelling = self.travelling, self.step
        self.request = self.communicator.start_all_reduce(self.travelling)
        self.step[:] = 0

    def read(self) -> None:
        if self.request is None:
            return
        self.request.wait()
        self.request = None
        loss, counted, right = self.travelling.tolist()
        self.position.loss += loss
        self.position.counted += int(counted)
        self.position.correct += right if right % 1 else int(right)


class SharedSumsOnDevice(SumsOnDevice):
    """Sums over all ranks, on GPUs."""

    def __init__(self, position: Position, device: Device, scaled: bool, communicator: Any) -> None:
        super().__init__(position, device, scaled)
        self.communicator = communicator
        with device.current():
            self.totals = self.sums[:3] * 0

    def add_step(self) -> None:
        with at(self.sums):
            step = self.sums[:3].copy()          # loss, correct, counted
            self.communicator.all_reduce(step)
            self.totals += step
            self.sums[:3] = 0.0
            self.note(step[0])                   # on all ranks, if one has a loss that is not finite
            super().add_step()

    def read(self) -> None:
        if self.pending:
            with at(self.sums):
                self.sums[:3] = self.totals
                self.totals[...] = 0.0
        super().read()


def shared_sums(position: Position, device: Device, scaled: bool, communicator: Any) -> Sums:
    """`sums_of`, over all ranks."""
    if device == CPU:
        return SharedSums(position, communicator)
    return SharedSumsOnDevice(position, device, scaled, communicator)
