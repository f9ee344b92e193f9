"""A captured step on the CPU: its kernel calls are recorded with their memory, checked once, and then repeated.

The step that is recorded computes as always, so its results are right whatever comes of it. Before the first repetition
is trusted, it is compared with an ordinary step: on a new batch, over memory that has been overwritten, all gradients
and results must have the same bits. The ordinary step's results count there, too. A step that fails is ordinary ever
after.
"""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from minidl.device import random_state, set_random_state
from minidl.kernels.cpu.runtime.array_code import digest
from minidl.kernels.cpu.runtime.recording import Recording
from minidl.modes import mode
from minidl.tensor import Tensor
from minidl.traced import now, plain, rebuilt


class Unrecorded(Exception):
    """A step could not be recorded, and has changed nothing."""


class HostGraph:
    """One recorded step. `refused` says why it cannot be repeated, or is ""."""

    def __init__(self, step: Callable[..., Any], inputs: tuple[Any, ...], arrays: list[Any]) -> None:
        self.recording, self.checked = Recording(), False
        before = random_state()
        try:
            with self.recording.open():
                self.inputs = [np.empty(x.shape, x.dtype) for x in arrays]
                self.load(arrays)
                given = [Tensor.made_by(x, None) if isinstance(y, Tensor) else x
                         for x, y in zip(self.inputs, inputs, strict=True)]
                self.out = step(*given)
        except Exception as error:
            if not self.recording.go_back():
                raise
            set_random_state(before)
            raise Unrecorded(str(error)) from error
        self.out = self.untraced(self.out)
        self.results = arrays_of(self.out)

    @property
    def refused(self) -> str:
        """Why the step cannot be repeated."""
        return self.recording.refused

    @property
    def moved(self) -> bool:
        """Whether the step would not find what it reads where it was."""
        return self.recording.moved

    @property
    def adds_up(self) -> bool:
        """Whether this call would add to gradients that are there already, which the recorded one did not."""
        return self.recording.adds_up

    def untraced(self, out: Any) -> Any:
        """A step's result with plain arrays; tensors have no history, as that of a repetition would be another."""
        if isinstance(out, Tensor):
            return Tensor.made_by(self.recording.kept(out.array), None)
        if isinstance(out, tuple | list):
            return rebuilt(out, map(self.untraced, out))
        if isinstance(out, dict):
            return {key: self.untraced(value) for key, value in out.items()}
        return self.recording.kept(out)

    def load(self, arrays: list[Any]) -> None:
        """Put the inputs where the step reads them."""
        for own, x in zip(self.inputs, arrays, strict=True):
            plain(own)[...] = x

    def replay(self, arrays: list[Any]) -> Any:
        """Repeat the step for these inputs."""
        self.load(arrays)
        self.recording.repeat()
        return self.out

    def check(self, step: Callable[[], Any], arrays: list[Any]) -> Any:
        """Compare a repetition, up to the first update of weights, with an ordinary step, whose result is returned."""
        recording, before = self.recording, random_state()
        if recording.computes_after_update():
            recording.refuse("it computes after the update of the weights; do that before, or outside of the step")
            return step()
        saved = [(x, x.copy()) for x, _ in recording.written.values()]
        recording.poison()
        self.load(arrays)
        recording.repeat(("device", "number"))
        nodes = dict(recording.leaves_before_update())
        repeated = [digest(grad) for grad in nodes.values()]
        repeated += [digest(x) for x, _ in saved] + [digest(x) for x in self.results]
        for x, copy in saved:
            x[...] = copy
        set_random_state(before)
        ordinary: list[bytes] = []

        def look() -> None:
            """Note the gradients of the ordinary step, once: before the first update."""
            if not ordinary:
                ordinary.extend(digest(node.grad) if node.grad is not None else b"" for node in nodes)
                ordinary.extend(digest(x) for x, _ in saved)
        out = self.ordinary(step, look)
        look()
        ordinary += [digest(x) for x in arrays_of(out)]
        self.checked = True
        if repeated != ordinary:
            different = sum(a != b for a, b in itertools.zip_longest(repeated, ordinary))
            recording.refuse(f"its repetition has other bits than the ordinary step, in {different} of {len(repeated)} "
                             "arrays")
        return out

    def ordinary(self, step: Callable[[], Any], look: Callable[[], None]) -> Any:
        """The result of an ordinary step, which computes in the memory that the recording has idle."""
        before, now.pool, mode.checking = (now.pool, mode.checking), self.recording.memory, look
        try:
            return step()
        finally:
            now.pool, mode.checking = before


def arrays_of(out: Any) -> list[Any]:
    """The arrays in what a step has returned; numbers, which an ordinary step may have read, as arrays."""
    if isinstance(out, Tensor):
        return [out.array]
    if isinstance(out, dict):
        out = tuple(out.values())
    if isinstance(out, tuple | list):
        return [x for item in out for x in arrays_of(item)]
    return [np.asarray(out)] if isinstance(out, np.ndarray | float) else []
