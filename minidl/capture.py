"""What a step that is captured as a CUDA graph needs of the host each time it is repeated: see `graphs.py`.

A graph repeats the launches of a step with the arguments that they had. A number that changes from step to step, such
as the learning rate, would be baked in. So code that uses one asks for it by `varying`: an eager step gets the number,
a captured one an array on the GPU, which holds the present number in each repetition.
"""

from collections.abc import Callable
from typing import Any

from minidl.device import Array
from minidl.modes import mode

FLOAT, SEED = "float", "seed"
MOST = 64                                        # numbers of each kind in a step


class Varying:
    """The numbers of one captured step: float64 (MOST,) and uint64 (MOST,) on the GPU, and where they come from."""

    on_host = False

    def __init__(self, floats: Array, seeds: Array) -> None:
        self.arrays = {FLOAT: floats, SEED: seeds}
        self.values: dict[str, list[Any]] = {FLOAT: [], SEED: []}
        self.log: list[tuple[str | None, int, Callable[[], Any]]] = []
        self.undo: list[Callable[[], Any]] = []

    def number(self, function: Callable[[], Any], kind: str) -> Array:
        """The place of a new number, whose first value is that of now."""
        place = len(self.values[kind])
        if place == MOST:
            raise ValueError(f"a captured step may have {MOST} numbers of a kind that change; this one has more")
        self.values[kind].append(function())
        self.log.append((kind, place, function))
        return self.arrays[kind][place]

    def each_time(self, function: Callable[[], Any]) -> None:
        """Call the function now, and before each repetition."""
        function()
        self.log.append((None, 0, function))

    def from_host(self, function: Callable[[], Any]) -> Any:
        """The GPU makes its random numbers itself."""
        return function()

    def seen(self, x: Array, tensor: Any = None) -> Array:
        """x, which an operation reads: the launches of a graph tell what it needs."""
        return x

    def check(self, name: str, out: Array) -> None:
        """The capture itself refuses what is not on the GPU."""

    def module(self, module: Any) -> None:
        """What a module does is in the launches."""

    def gradient(self, node: Any, is_first: bool | None = None) -> None:
        """The gradient of a leaf stays where it is."""

    def clear(self, nodes: list[Any]) -> None:
        """Leaves without a gradient get the same one again."""

    def again(self) -> None:
        """Do what the host does in a step, in the same order: the values are then those of the next repetition."""
        for kind, place, function in self.log:
            value = function()
            if kind is not None:
                self.values[kind][place] = value


def constants(module: Any) -> dict[str, Any]:
    """The numbers, texts and tuples of them among the attributes of a module: a captured step has baked them in."""
    plain = (int, float, str)
    return {name: value for name, value in vars(module).items() if isinstance(value, plain) or (
        isinstance(value, tuple) and all(isinstance(item, plain) for item in value))}


def varying(function: Callable[[], Any], kind: str = FLOAT) -> Any:
    """function(), a number; in a captured step an array of one number, float64 or uint64 (SEED), without axes."""
    return function() if mode.varying is None else mode.varying.number(function, kind)


def each_time(function: Callable[[], Any]) -> None:
    """Call the function: what the host does in a step, also in each repetition of a captured one."""
    if mode.varying is None:
        function()
    else:
        mode.varying.each_time(function)


def from_host(function: Callable[[], Any]) -> Any:
    """function(), an array that the host makes; in a captured step on the CPU, made anew in each repetition."""
    return function() if mode.varying is None else mode.varying.from_host(function)


def by_host(update: Callable[[], Any]) -> bool:
    """Whether `update` is called here, as it is in each repetition: in a captured step on the CPU."""
    if mode.checking is not None:
        mode.checking()
    if mode.varying is None or not mode.varying.on_host:
        return False
    mode.varying.each_time(update, "update")
    return True


def if_capture_fails(undo: Callable[[], Any]) -> None:
    """In a captured step, call `undo` if the capture fails: the step then begins anew."""
    if mode.varying is not None:
        mode.varying.undo.append(undo)
