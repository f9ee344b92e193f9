"""Less memory for more time: a block whose inner results are computed again in the backward pass, not kept."""

from typing import Any

from minidl.capture import each_time
from minidl.device import random_state, set_random_state
from minidl.modes import mode, no_grad
from minidl.nn.module import Module, tensors
from minidl.precision import autocast
from minidl.tensor import Node, Tensor


class Checkpoint(Module):
    """The module itself, called the same way; in training, of all its results only the output is kept.

    The backward pass runs the module once more: about a third more time for a step, if everything is in such blocks.
    Dropout draws the same numbers again, and batch norms do not move their statistics a second time. The module takes
    tensors and returns one tensor; what else its `forward` does happens twice. Names of weights stay as they were.
    Chen et al., "Training deep nets with sublinear memory cost", arXiv:1604.06174 (2016).
    """

    transparent = True

    def __init__(self, module: Module):
        if not isinstance(module, Module):
            raise TypeError(f"Checkpoint: a {type(module).__name__} is not a Module")
        self.module = module

    def stands_for(self) -> Module:
        """The module itself: what a file of the network names."""
        return self.module

    def forward(self, *inputs: Any) -> Tensor:
        needed = [t for _, t, *_ in tensors(self.module) if t.requires_grad]
        if not mode.recording or not (needed or any(isinstance(x, Tensor) and x.requires_grad for x in inputs)):
            return self.module(*inputs)          # type: ignore[no-any-return]
        random: list[Any] = [None]
        each_time(lambda: keep(random))
        with no_grad():
            out = self.module(*inputs)
        if not isinstance(out, Tensor):
            raise TypeError(f"Checkpoint: the {type(self.module).__name__} must return a Tensor, not "
                            f"{type(out).__name__}")
        half, arrays = mode.half, [x.data if isinstance(x, Tensor) else x for x in inputs]
        weights = [t.data for _, t, *_ in tensors(self.module) if t.is_leaf and t.requires_grad]

        def backward(grad: Any) -> tuple[Any, ...]:
            again = [Tensor(array, x.requires_grad) if isinstance(x, Tensor) else x
                     for x, array in zip(inputs, arrays, strict=True)]
            present: list[Any] = [None]
            each_time(lambda: swap(random, present))
            recomputing, mode.recomputing = mode.recomputing, True
            recording, mode.recording = mode.recording, True
            try:
                with autocast(half or "float16", enabled=half is not None):
                    result = self.module(*again)
            finally:
                mode.recomputing, mode.recording = recomputing, recording
                each_time(lambda: set_random_state(present[0]))
            assert weights is not None           # what is read here, the tape checks for writes
            result.backward(grad)
            return (*(x.grad if isinstance(x, Tensor) else None for x in again), *(None for _ in needed))
        parents = tuple(x.node if isinstance(x, Tensor) else None for x in inputs) + tuple(t.node for t in needed)
        return Tensor.made_by(out.data, Node("checkpoint", out.shape, out.dtype, parents, backward))


def keep(place: list[Any]) -> None:
    """Put the state of the random numbers into a place."""
    place[0] = random_state()


def swap(earlier: list[Any], present: list[Any]) -> None:
    """Put the state of the random numbers into `present`, and go back to the earlier one."""
    present[0] = random_state()
    set_random_state(earlier[0])
