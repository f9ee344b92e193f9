"""What stands in for CUDA graphs: it records what a captured step launches, with its arrays, and repeats it.

As on a GPU, a capture computes nothing: results are NaN, or 0, until a replay. A replay repeats the same functions with
the same memory and the same numbers, so that whatever is baked in by mistake shows: a learning rate, a seed, an array
that a step replaces by another one. Memory from before the capture is not kept alive by the graph; a replay that meets
freed memory raises StaleAddress, where a GPU would compute with whatever is there now.
"""

import weakref

import numpy as np


class StaleAddress(RuntimeError):
    """A graph has the address of an array that no longer lives."""


class Place:
    """A NumPy array as its memory, shape and strides. Only memory of the graph's own is kept alive."""

    def __init__(self, array, own):
        from emulator import fence_of
        fence = fence_of(array)
        self.kept = array if fence is None or own(fence) else None
        if self.kept is None:
            self.fence, offset = weakref.ref(fence), array.ctypes.data - fence.ptr
            self.view = array.shape, array.dtype, offset, array.strides

    def array(self):
        if self.kept is not None:
            return self.kept
        if (fence := self.fence()) is None:
            raise StaleAddress("a graph has the address of an array that no longer lives")
        shape, dtype, offset, strides = self.view
        return np.ndarray(shape, dtype, np.asarray(fence), offset, strides)


class Recording:
    """The calls of a capture. `calls` are functions without arguments that repeat one each."""

    def __init__(self):
        from emulator.fence import live
        self.before, self.calls = weakref.WeakSet(live.values()), []

    def own(self, fence):
        """Whether memory was taken during the capture."""
        return fence not in self.before

    def kept(self, x):
        """The arrays in arguments as Places, also in tuples and dictionaries."""
        if isinstance(x, np.ndarray):
            return Place(x, self.own)
        if isinstance(x, tuple | list):
            return type(x)(map(self.kept, x))
        return {key: self.kept(value) for key, value in x.items()} if isinstance(x, dict) else x

    def computed(self, function, args, settings, out):
        """A call with new results, or views."""
        outs = [x.held for x in (out if isinstance(out, tuple | list) else (out,)) if hasattr(x, "held")]
        arrays = [x for x in (*args, *settings.values()) if isinstance(x, np.ndarray)]
        fresh = [not any(np.may_share_memory(x, y) for y in arrays) for x in outs]
        for x, is_new in zip(outs, fresh, strict=True):
            if is_new:
                x[...] = np.nan if x.dtype.kind == "f" else 0
        if any(fresh):
            args, settings = self.kept(args), self.kept(dict(settings))
            self.calls.append(lambda: copied(outs, fresh, function(*given(args), **given(settings))))

    def written(self, function, args, settings):
        """A call that writes into one of its arguments, and is not made now."""
        args, settings = self.kept(args), self.kept(dict(settings))
        self.calls.append(lambda: function(*given(args), **given(settings)))

    def launched(self, kernel, grid, block, args, shared_mem):
        """A launch, which is not made now. What the addresses in its structures lead to is looked at, too."""
        import strict_array
        from emulator.fence import fence_at
        kept, tables = [], []
        for arg in args:
            kept.append((Place(arg.held, self.own), arg.place) if isinstance(arg, strict_array.ndarray) else arg)
            for name in getattr(getattr(arg, "dtype", None), "names", None) or ():
                for address in np.unique(arg[name]) if arg.dtype[name].base == np.uint64 else ():
                    if fence := fence_at(int(address)):
                        tables.append(fence if self.own(fence) else weakref.ref(fence))

        def call():
            if any(isinstance(fence, weakref.ref) and fence() is None for fence in tables):
                raise StaleAddress(f"{kernel.name} has the address of an array that no longer lives in a table")
            kernel(grid, block, [strict_array.ndarray(arg[0].array(), arg[1]) if isinstance(arg, tuple) else arg
                                 for arg in kept], shared_mem=shared_mem)
        self.calls.append(call)


def given(x):
    """The arguments of a recorded call, with arrays in place of Places."""
    if isinstance(x, Place):
        return x.array()
    if isinstance(x, tuple | list):
        return type(x)(map(given, x))
    return {key: given(value) for key, value in x.items()} if isinstance(x, dict) else x


def copied(outs, fresh, results):
    """Put the results of a repeated call where those of the captured one are."""
    results = results if isinstance(results, tuple | list) else (results,)
    for x, is_new, result in zip(outs, fresh, results, strict=True):
        if is_new:
            x[...] = result


class Graph:
    """What `end_capture` returns."""

    def __init__(self, recording):
        self.calls = recording.calls

    def launch(self, stream=None):
        with np.errstate(all="ignore"):
            for call in self.calls:
                call()
