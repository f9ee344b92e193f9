"""A step on the CPU, recorded: its kernels, its array code and what the host does, in order, with their memory.

    recording = Recording()
    with recording.open():
        out = step(...)                          # computes as always
    recording.repeat()                           # computes the same again, in the same memory

Results lie in a memory pool of the recording's own. A block is reused, as always, when its last array dies; so the
recorded step needs no more memory than the ordinary one. The recording refers to such arrays by their addresses, which
stay valid because the pool keeps its blocks, and to all other arrays, such as weights, by the arrays themselves.

What cannot be repeated makes the recording useless, which `refused` says; the step itself goes on, with right results.
"""

import functools
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

import numpy as np
from numba.core.compiler_lock import global_compiler_lock

from minidl.capture import constants
from minidl.kernels.cpu.runtime.array_code import (
    COPIES,
    FILLS,
    TAKES_OUT,
    WRITES,
    arrays_in,
    digest,
    fill,
    has_varying_shape,
    placed,
)
from minidl.kernels.cpu.runtime.memory_pool import Block, KeptPool, Memory, empty
from minidl.modes import mode
from minidl.traced import Traced, now, plain, rebuilt, replace_makers, restore_makers


class Recording:
    """`calls` are (kind, function, arguments, settings); kinds are "device", "number", "host" and "update".

    It stands in `mode.varying`, as the Varying of a CUDA graph does: see `minidl/capture.py`.
    """

    on_host = True

    def __init__(self) -> None:
        self.calls: list[tuple[str, Callable[..., Any], Any, Any]] = []
        self.refused = ""
        self.memory = KeptPool()
        self.leaves: list[Any] = []              # (node, gradient) of the leaves, in order
        self.cleared: set[int] = set()           # ids of the leaves whose gradients the step has made or forgotten
        self.without_gradient: list[Any] = []    # leaves that had none when the step began
        self.written: dict[Any, Any] = {}        # arrays from outside that array code writes into, and what they held
        self.outside: dict[int, Any] = {}        # (tensor, array, node) of tensors that are from before the step
        self.modules: dict[int, Any] = {}        # (module, whether in training mode) of those that were called
        self.constants: dict[int, Any] = {}      # what their attributes were when they were called
        self.held: list[Any] = []                # arrays from outside whose addresses kernels were given
        self.undo: list[Callable[[], Any]] = []

    @contextmanager
    def open(self):
        """Record what this thread computes. Leaves then have plain gradients."""
        before = now.recording, now.pool, mode.varying, mode.fixed
        self.start()
        try:
            mode.fixed = True
            yield
        finally:
            self.stop()
            now.recording, now.pool, mode.varying, mode.fixed = before
        for _, node, grad in self.leaves:
            node.grad = grad
        self.check_constants()

    def start(self):
        """Record from here on. Numba compiles nothing meanwhile, because it looks at NumPy's functions."""
        global_compiler_lock.acquire()
        self.makers = replace_makers()
        now.recording, now.pool, mode.varying = self, self.memory, self

    def stop(self):
        """Record no more."""
        now.recording = now.pool = mode.varying = None
        restore_makers(self.makers)
        global_compiler_lock.release()

    @contextmanager
    def suspended(self):
        """What the host does is not recorded; it takes memory from elsewhere."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    def refuse(self, why: str) -> None:
        """Note, once, why the step cannot be repeated."""
        self.refused = self.refused or why

    # Array code

    def call(self, function: Any, inputs: Any, settings: Any) -> Any:
        """What a function of NumPy returns: a view, or a result in the recording's memory, which is recorded."""
        given, kept, out = plain(inputs), dict(settings), settings.get("out")
        if function in WRITES or out is not None or getattr(function, "__name__", "") == "at":
            self.note_written(inputs[0] if out is None else out)
        if has_varying_shape(function, given):
            self.refuse("values decide how many elements there are, as with a mask as an index")
        result = function(*given, **plain(kept))
        if function in WRITES or result is None or out is not None:
            self.add("device", function, inputs, kept)
            return result if out is None else out[0] if isinstance(out, tuple) else out
        if isinstance(result, np.ndarray) and any(np.may_share_memory(result, x) for x in arrays_in((given, kept))):
            return result.view(Traced)
        if isinstance(result, tuple | list) and all(isinstance(x, np.ndarray) for x in result):
            return rebuilt(result, [self.result(function, inputs, kept, x, i) for i, x in enumerate(result)])
        if not isinstance(result, np.ndarray | np.generic):
            self.refuse(f"{getattr(function, '__name__', function)} reads numbers back")
            return result
        return self.result(function, inputs, kept, np.asanyarray(result))

    def result(self, function, inputs, settings, result, item=None):
        """A result of array code, in memory of the recording's own."""
        with makers_unrecorded():
            target = like(plain(result))
            plain(target)[...] = result
        if item is None and (isinstance(function, np.ufunc) or function in TAKES_OUT):
            self.add("device", function, inputs, {**settings, "out": target})
        elif function in FILLS:
            self.add("device", np.ndarray.fill, (target, FILLS[function]), {})
        elif function in COPIES:
            self.add("device", np.copyto, (target, inputs[0], "unsafe"), {})
        else:
            self.add("device", functools.partial(fill, function, item), (target, inputs, settings), {})
        return target

    def made(self, name: str, function: Any, inputs: Any, settings: Any) -> Any:
        """What a function that makes an array returns."""
        source = inputs[0] if inputs else None
        if name in ("array", "asarray", "asanyarray", "ascontiguousarray", "asfortranarray"):
            if isinstance(source, Traced):
                return self.call(function, inputs, settings)
            if any(isinstance(x, Traced) for x in arrays_in(source)):
                self.refuse(f"numpy.{name} makes an array of a list of arrays")
            return function(*plain(inputs), **plain(settings))
        with self.suspended():
            made = function(*plain(inputs), **plain(settings))
        target = empty(made.shape, made.dtype)
        if name != "empty":
            target[...] = made.flat[0] if made.size else 0
        return target

    def note_written(self, target: Any) -> None:
        """Note arrays from outside that are about to be written into, and what they hold."""
        for x in arrays_in(plain(target)):
            if not self.owns(x):
                self.written.setdefault(location(x), (x, x.copy()))

    def go_back(self) -> bool:
        """Undo what a step has done that has failed; False if it has updated weights already."""
        if any(kind == "update" for kind, *_ in self.calls):
            return False
        for x, before in reversed(self.written.values()):
            x[...] = before
        for undo in reversed(self.undo):
            undo()
        return True

    # Kernels, and what the host does

    def kernel(self, run: Any, name: str, inputs: Any) -> None:
        """Run a kernel, and record it. It may write into the recording's memory, and into what `note_written` knows."""
        if name.endswith("optimizers"):
            self.refuse("it updates arrays outside an optimizer's step")
        outside = [x for x in arrays_in(inputs) if not self.owns(x) and location(x) not in self.written]
        before = [digest(x) for x in outside]
        with self.suspended():
            run(*plain(inputs))
        if before != [digest(x) for x in outside]:
            self.refuse(f"a kernel of {name.rpartition('.')[2]} writes into memory from outside")
        self.add("device", run, inputs, {})

    def each_time(self, function: Callable[[], Any], kind: str = "host") -> None:
        """Call what the host does, now and in each repetition."""
        if isinstance(function, functools.partial):
            function = functools.partial(function.func, *plain(function.args), **plain(function.keywords))
        self.add(kind, function, (), {})
        with self.suspended():
            function()

    def number(self, function: Callable[[], Any], kind: str) -> Any:
        """An array of one number, which is asked for in each repetition."""
        place = empty((), np.float64 if kind == "float" else np.uint64)
        self.each_time(lambda: plain(place).fill(function()), "number")
        return place

    def from_host(self, function: Callable[[], Any]) -> Any:
        """An array that the host makes in each repetition."""
        with self.suspended():
            first = function()
        place = empty(first.shape, first.dtype)
        plain(place)[...] = first
        self.add("number", lambda: np.copyto(plain(place), function()), (), {})
        return place

    def gradient(self, node: Any, is_first: bool | None = None) -> None:
        """Keep the gradient that a leaf has now, in each repetition.

        is_first  whether it had none before; None: it was replaced
        """
        if id(node) not in self.cleared and is_first is not None:
            self.without_gradient.append(node)
            if not is_first:
                self.refuse("its gradients are added to those of earlier steps")
        self.cleared.add(id(node))
        if not isinstance(node.grad, Traced):
            self.refuse(f"the backward of an operation makes a gradient of shape {node.grad.shape} by code that is "
                        "not recorded")
        grad = self.kept(node.grad)
        self.leaves.append((len(self.calls), node, grad))
        self.calls.append(("host", setattr, (node, "grad", grad), {}))

    def clear(self, nodes: list[Any]) -> None:
        """Forget the gradients of leaves, in each repetition."""
        self.cleared.update(map(id, nodes))
        self.calls.append(("host", clear_gradients, (nodes,), {}))

    @property
    def adds_up(self) -> bool:
        """Whether a leaf has a gradient to which the step would add its own, and in the recording had none."""
        return any(node.grad is not None for node in self.without_gradient)

    def seen(self, x: Any, tensor: Any = None) -> Any:
        """An array that the step reads; what is from outside is read anew in each repetition."""
        if x.__class__ is not np.ndarray:
            return x
        if tensor is not None:
            self.outside[id(tensor)] = tensor, x, tensor.node
        return x.view(Traced)

    def hold(self, x: Any) -> None:
        """Keep an array whose address is asked for."""
        if not self.owns(x):
            self.held.append(plain(x))

    def module(self, module: Any) -> None:
        """Note a module that is called; one with hooks cannot be, since a repetition does not call them."""
        if module.forward_hooks or module.forward_pre_hooks:
            self.refuse(f"{type(module).__name__} has hooks")
        self.modules[id(module)] = module, module.training
        self.constants.setdefault(id(module), constants(module))

    def check_constants(self) -> None:
        """Refuse the step if it changes numbers that modules have as attributes: a repetition would not."""
        for place, (module, _) in self.modules.items():
            now, before = constants(module), self.constants[place]
            if now != before:
                names = [name for name in now if name not in before or now[name] != before[name]]
                self.refuse(f"{type(module).__name__} changes its {', '.join(names) or 'attributes'} in each step")

    @property
    def moved(self) -> bool:
        """Whether a tensor from outside has another array or another place on the tape, or a module another mode."""
        return any(tensor.array is not array or tensor.node is not node
                   for tensor, array, node in self.outside.values()) or any(
            module.training is not training or module.forward_hooks or module.forward_pre_hooks
            for module, training in self.modules.values())

    def check(self, name: str, out: Any) -> None:
        """Refuse the step if an operation's result is of unrecorded code."""
        if not isinstance(out, Traced):
            self.refuse("a Tensor is made of what is not an input" if name == "Tensor" else
                        f"{name} computes by code that is not recorded")

    def add(self, kind: str, function: Any, inputs: Any, settings: Any) -> None:
        """Record a call."""
        self.calls.append((kind, function, self.kept(inputs), self.kept(settings)))

    def kept(self, x: Any) -> Any:
        """Arguments as they are kept: arrays in the recording's memory without the block that they lie in."""
        if isinstance(x, np.ndarray):
            block = self.block(x)
            return plain(x) if block is None else placed(x, block.base)
        if isinstance(x, tuple | list):
            return rebuilt(x, map(self.kept, x))
        return {key: self.kept(value) for key, value in x.items()} if isinstance(x, dict) else x

    def block(self, x: Any) -> Any:
        """The block of the recording's memory in which an array lies, or None."""
        while isinstance(x, np.ndarray) and type(x) is not Block:
            x = x.base
        return x if type(x) is Block and x.base.pool is self.memory else None

    def owns(self, x: Any) -> bool:
        """Whether an array lies in the recording's memory."""
        return self.block(x) is not None or type(x.base) is Memory

    def leaves_before_update(self) -> list[Any]:
        """(node, gradient) of the leaves, as they are at the first update of weights."""
        stop = next((i for i, (kind, *_) in enumerate(self.calls) if kind == "update"), len(self.calls))
        return [(node, grad) for place, node, grad in self.leaves if place < stop]

    def computes_after_update(self) -> bool:
        """Whether there are kernels or array code after the first update of weights."""
        kinds = [kind for kind, *_ in self.calls]
        return "update" in kinds and "device" in kinds[kinds.index("update"):]

    def repeat(self, kinds: Any = None) -> None:
        """Compute the step again."""
        for kind, function, inputs, settings in self.calls:
            if kinds is None or kind in kinds:
                function(*inputs, **settings)
            elif kind == "update":
                return

    def poison(self) -> None:
        """Overwrite all memory that the step is to fill: floats by NaN, then integers by 0."""
        arrays = [x for _, _, inputs, settings in self.calls for x in arrays_in((inputs, settings))
                  if type(x.base) is Memory]
        for floats in (True, False):
            for x in arrays:
                if (x.dtype.kind == "f") == floats and x.flags.writeable:
                    x.fill(np.nan if floats else 0)


def location(x: Any) -> Any:
    """What tells an array from all others, as long as it lives."""
    return x.__array_interface__["data"][0], x.shape, x.strides


def clear_gradients(nodes):
    """Forget the gradients of leaves."""
    for node in nodes:
        node.grad = None


@contextmanager
def makers_unrecorded():
    """NumPy's functions that make arrays are as usual, within a recording; memory is the recording's."""
    before, now.recording = now.recording, None
    try:
        yield
    finally:
        now.recording = before


def like(x: Any) -> Any:
    """An empty array of the recording's memory, with the memory order of x."""
    order = sorted(range(x.ndim), key=lambda axis: -abs(x.strides[axis]))
    made = empty(tuple(x.shape[axis] for axis in order), x.dtype).view(Traced)
    return made.transpose(sorted(range(x.ndim), key=order.__getitem__))
