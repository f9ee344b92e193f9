"""Captured steps: a whole training step, hundreds of launches, captured once and then repeated by a single call.

    step = minidl.graphed(step)                  # step(images, labels): forward, backward and update

On the CPU, `host_graph.py` repeats the calls of kernels. On a GPU, a captured step is a CUDA graph: what a small
network costs there is mostly the time to launch its kernels one by one. The numbers that change from step to step lie
in GPU memory and are set before each repetition (`capture.py`), so a graph gives the same bits as the eager step. It
has a stream and a memory pool of its own: the addresses in it stay valid, and nobody else gets them.
"""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np

from minidl.capture import FLOAT, MOST, SEED, Varying
from minidl.device import Array, array_module, at, random_state, set_random_state
from minidl.kernels import host_backend, plain, settings
from minidl.memory import graphs
from minidl.modes import mode
from minidl.tensor import Tensor, as_array
from minidl.text import write

WARM_UP = 2                                      # eager steps before a capture: kernels are compiled, state is created
CAPTURES = 4                                     # then a step that changes again and again is left eager
RESTLESS = 8                                     # changes of state without a capture, after which that is said

NUMBERS = np.dtype([(FLOAT, np.float64, MOST), (SEED, np.uint64, MOST)])


def graphed(step: Callable[..., Any]) -> "Graphed":
    """The same function, whose calls are captured and repeated: as a CUDA graph, or as calls of kernels on the CPU.

    step  takes arrays or tensors and returns tensors, arrays or None. All it does must happen with minidl's functions
          and optimizers, and array code; what it reads besides its arguments must stay where it is
    The first two calls are eager, and the third is captured. Arguments of another shape or dtype are computed eagerly.
    What is returned is overwritten by the next call. While a profile or `detect_nonfinite` is open, calls are eager; so
    they are after a capture that failed, which is said once.
    """
    return Graphed(step)


class Graphed:
    """What `graphed` returns.

    state   a function whose result, if it has changed, calls for another capture
    reason  a function that says why calls must be eager, or returns ""
    quiet   say nothing of eager calls
    """

    def __init__(self, step: Callable[..., Any], state: Callable[[], Any] = lambda: None,
                 reason: Callable[[], str] = lambda: "", quiet: bool = False) -> None:
        functools.update_wrapper(self, step)
        self.quiet = quiet
        self.step, self.state, self.reason = step, state, reason
        self.shapes: Any = None                  # of the arguments that are captured
        self.known: Any = None                   # the state for which they are
        self.calls = self.captures = self.restless = 0
        self.graph: Any = None                   # a Graph, or on the CPU a HostGraph
        self.stream: Any = None
        self.given_up, self.said = "", set[str]()

    def __call__(self, *inputs: Any) -> Any:
        arrays = [as_array(x) for x in inputs]
        if not arrays:
            return self.step(*inputs)
        if isinstance(arrays[0], np.ndarray):
            return self.chosen(inputs, arrays, self.recorded)
        with at(arrays[0]), self.own_stream(array_module(arrays[0]).cuda):
            return self.chosen(inputs, arrays, self.captured)

    def chosen(self, inputs: tuple[Any, ...], arrays: list[Array], captured: Callable[..., Any]) -> Any:
        """The result of the captured step, or of an eager one."""
        if why := self.eager_because(arrays):
            self.say(why)
        elif self.ready():
            return captured(inputs, arrays)
        return self.eagerly(inputs)

    def eager_because(self, arrays: list[Array]) -> str:
        """Why this call cannot be a repetition; "" if it can."""
        shapes = [(x.shape, x.dtype) for x in arrays]
        self.shapes = self.shapes or shapes
        if mode.watcher is not None:
            return "a profile measures each operation"
        if mode.finite_only:
            return "detect_nan looks at each operation"
        if self.given_up or (why := self.reason()):
            return self.given_up or why
        if isinstance(arrays[0], np.ndarray) and host_backend() is plain:
            return "array code computes it, whose calls are not worth recording"
        return "" if shapes == self.shapes else "its batch has another shape than the first, as a smaller last one has"

    def ready(self) -> bool:
        """Whether there were enough eager calls in the present state; counts them."""
        state = self.state(), settings.backend, settings.winograd, mode.recording
        if state != self.known:
            self.restless = 0 if self.graph is not None else self.restless + 1
            self.known, self.graph, self.calls = state, None, 0
        if self.restless == RESTLESS:
            self.say("what it has baked in, such as an optimizer's momentum, changes from call to call")
        self.calls += 1
        return self.calls > WARM_UP

    def captured(self, inputs: tuple[Any, ...], arrays: list[Array]) -> Any:
        """The result of the graph, which is captured first if there is none."""
        if self.graph is None:
            if self.captures == CAPTURES:
                self.given_up = "it changes from call to call"
                return self.eagerly(inputs)
            self.captures += 1
            before = random_state()
            try:
                self.graph = Graph(self.step, inputs, arrays, self.stream)
            except Exception as error:
                set_random_state(before)
                self.given_up = f"it cannot be captured: {error}"
                self.say(self.given_up)
                return self.eagerly(inputs)
        return self.graph.replay(arrays)

    def recorded(self, inputs: tuple[Any, ...], arrays: list[Array]) -> Any:
        """The same on the CPU: the step is recorded, then checked against an eager one, then repeated."""
        from minidl.host_graph import HostGraph, Unrecorded
        if self.graph is not None and self.graph.moved:
            self.graph, self.calls = None, WARM_UP
        if self.graph is not None and self.graph.adds_up:
            return self.eagerly(inputs)
        if self.graph is not None and self.graph.checked:
            return self.graph.replay(arrays)
        if self.graph is not None:
            out = self.graph.check(lambda: self.eagerly(inputs), arrays)
        elif self.captures == CAPTURES:
            self.given_up = "it changes from call to call"
            return self.eagerly(inputs)
        else:
            self.captures += 1
            try:
                self.graph = HostGraph(self.step, inputs, arrays)
            except Unrecorded as error:
                self.given_up = f"it cannot be captured: {error}"
                self.say(self.given_up)
                return self.eagerly(inputs)
            out = self.graph.out
        if self.graph.refused:
            self.given_up, self.graph = f"it cannot be captured: {self.graph.refused}", None
            self.say(self.given_up)
        return out

    def eagerly(self, inputs: tuple[Any, ...]) -> Any:
        """The step itself; tensors keep the arrays that a graph knows."""
        before, mode.fixed = mode.fixed, True
        try:
            return self.step(*inputs)
        finally:
            mode.fixed = before

    def say(self, why: str) -> None:
        """Tell once, for each reason, that steps are eager."""
        if why not in self.said and not self.quiet:
            self.said.add(why)
            write(f"graph: this step is eager, because {why}", flush=True)

    @contextmanager
    def own_stream(self, cuda: Any) -> Iterator[None]:
        """The step runs in a stream of its own: after the work of the current one, which then waits for it."""
        outer = cuda.get_current_stream()
        self.stream = self.stream or cuda.Stream(non_blocking=True)
        if outer == self.stream:
            yield
            return
        self.stream.wait_event(outer.record())
        with self.stream:
            yield
        outer.wait_event(self.stream.record())


class Graph:
    """One captured step, with all that its addresses lead to: inputs, numbers, and the pool of its memory."""

    def __init__(self, step: Callable[..., Any], inputs: tuple[Any, ...], arrays: list[Array], stream: Any) -> None:
        xp = array_module(arrays[0])
        self.stream, self.pool = stream, xp.cuda.MemoryPool()
        graphs.add(self)
        self.inputs = [xp.empty_like(x) for x in arrays]
        self.varying = Varying(xp.zeros(MOST, dtype=np.float64), xp.zeros(MOST, dtype=np.uint64))
        given = [Tensor(x) if isinstance(y, Tensor) else x for x, y in zip(self.inputs, inputs, strict=True)]
        self.fresh = True
        with xp.cuda.using_allocator(self.pool.malloc), self.recording():
            stream.begin_capture()
            try:
                self.out = step(*given)
            except BaseException:
                with suppress(Exception):        # it is invalid, and says so once more
                    stream.end_capture()
                for undo in reversed(self.varying.undo):
                    undo()
                raise
            self.graph = stream.end_capture()

    @contextmanager
    def recording(self) -> Iterator[None]:
        """A context in which numbers that change have places on the GPU."""
        before = mode.varying, mode.fixed
        try:
            mode.varying, mode.fixed = self.varying, True
            yield
        finally:
            mode.varying, mode.fixed = before

    def replay(self, arrays: list[Array]) -> Any:
        """Repeat the step for these inputs. The capture itself has computed nothing: it is the first repetition's."""
        if not self.fresh:
            self.varying.again()
        self.fresh = False
        for own, x in zip(self.inputs, arrays, strict=True):
            own[...] = x
        set_numbers(self.varying)
        self.graph.launch(self.stream)
        return self.out


def set_numbers(numbers: Varying) -> None:
    """Bring the present numbers to the GPU: as the argument of a launch, so that they arrive in order."""
    from minidl.kernels.gpu.runtime.launcher import launch
    table = np.zeros(1, NUMBERS)
    for kind, values in numbers.values.items():
        table[kind][0, :len(values)] = values
    floats, seeds = numbers.arrays[FLOAT], numbers.arrays[SEED]
    launch(floats, "numbers.cu", "set_numbers", (1,), (MOST,), table, floats, seeds)


