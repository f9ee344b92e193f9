"""A stand-in for CuPy on machines without a GPU: NumPy's arithmetic with CuPy's restrictions.

Its arrays cannot be mixed with NumPy's, its functions accept only its own arrays, reductions return 0-d arrays instead
of scalars, and it has only functions that CuPy has. So code that passes its tests with this module as `xp` does not
confuse the two libraries; whether a GPU computes the same results is tested on a GPU.
`minidl.device` treats it as a GPU library, because its arrays are not NumPy's and have a `device.id`.

Where g++ is installed it has CuPy's RawModule too, so that `kernels/gpu` runs on it: CUDA C on the CPU, see
`tests/emulator`. Its arrays then lie between pages that nobody may touch.
"""

import operator
from types import MappingProxyType, SimpleNamespace

import emulator
import numpy as np
import strict_cuda as cuda

from minidl.device import memory_of

EMULATED = emulator.missing() is None
if EMULATED:
    from emulator import RawModule  # noqa: F401

# Documented by CuPy 13 and 14, as far as the engine may need it: look a name up before adding it here.
# https://docs.cupy.dev/en/stable/reference/comparison.html
FUNCTIONS = """
    abs add all amax amin any arange argmax argmin argsort around array array_equal asarray ascontiguousarray bincount
    bitwise_and bitwise_or broadcast_arrays broadcast_to ceil clip concatenate copysign cos cumsum diag divide dot
    einsum empty_like equal exp expand_dims expm1 eye flip floor floor_divide full full_like greater greater_equal
    hypot isclose isfinite isin isinf isnan less less_equal linspace log log10 log1p log2 logaddexp logical_and
    logical_not logical_or matmul max maximum may_share_memory mean meshgrid min minimum mod moveaxis multiply
    nan_to_num negative nonzero not_equal ones ones_like outer pad power prod put_along_axis reciprocal remainder repeat
    reshape rint roll searchsorted sign signbit sin sort split sqrt square squeeze stack std subtract sum swapaxes take
    take_along_axis tan tanh tensordot tile transpose tril triu true_divide unique var where zeros zeros_like
"""
CONSTANTS = """
    bool_ dtype e finfo float16 float32 float64 iinfo inf int16 int32 int64 int8 nan newaxis pi promote_types
    result_type uint16 uint32 uint64 uint8
"""
UFUNCS_WITH_AT = {"add", "subtract", "maximum", "minimum"}
FROM_THE_HOST = {"array", "asarray"}                 # these accept NumPy arrays, as CuPy's do
METHODS = """
    all any argmax argmin argsort astype clip copy cumsum dot fill item max mean min nonzero prod ravel repeat reshape
    squeeze std sum swapaxes take transpose var view
"""
WITH_TWINS = "add sub mul truediv floordiv mod pow matmul and or xor lshift rshift"     # also as __radd__, __iadd__
OPERATORS = WITH_TWINS + " neg pos abs invert eq ne lt le gt ge bool int float"
READ_BACK = {"item", "nonzero", "unique", "isin", "bool", "int", "float"}      # they wait for the device
WRITE = {"fill", "put_along_axis"}
LIBRARIES = {"matmul", "dot", "einsum", "tensordot", "random", "standard_normal", "integers"}


class ndarray:
    """A NumPy array that functions of other libraries cannot access."""

    __slots__ = ("__weakref__", "held", "place")
    __array_ufunc__ = None
    __hash__ = None
    base = None                                   # unlike CuPy's, even of a view; not used here

    def __init__(self, held, place=None):
        self.held = emulator.fenced(held) if EMULATED else held
        self.place = cuda.current.devices[-1] if place is None else place
        cuda.allocations[self.place] = cuda.allocations.get(self.place, 0) + 1

    device = property(lambda self: SimpleNamespace(id=self.place))
    shape = property(lambda self: self.held.shape)
    dtype = property(lambda self: self.held.dtype)
    ndim = property(lambda self: self.held.ndim)
    size = property(lambda self: self.held.size)
    strides = property(lambda self: self.held.strides)
    nbytes = property(lambda self: self.held.nbytes)
    itemsize = property(lambda self: self.held.itemsize)
    flags = property(lambda self: self.held.flags)
    T = property(lambda self: ndarray(self.held.T, self.place))

    @property
    def data(self):
        """CuPy's pointer: the address of the first element, and the owner of the memory."""
        return SimpleNamespace(ptr=self.held.ctypes.data, mem=emulator.fence_of(self.held) or memory_of(self.held))

    def get(self):
        """A copy as a NumPy array."""
        cuda.read_back("get")
        return self.held.copy()

    def set(self, array, stream=None):
        """Copy a NumPy array in pinned memory into this one: on the stream, as late as an event allows."""
        if stream is None or not isinstance(pinned_owner(array), cuda.PinnedMemory):
            raise TypeError("a copy that does not wait needs pinned memory and a stream")
        if array.shape != self.shape or array.dtype != self.dtype or not self.flags.c_contiguous:
            raise ValueError(f"{array.dtype} {array.shape} cannot be copied into {self.dtype} {self.shape}")
        self.held[...] = np.nan if self.dtype.kind == "f" else 0

        stream.pending.append(lambda: self.held.__setitem__(..., array))

    def __array__(self, *args, **kwargs):
        raise TypeError("a strict array becomes a NumPy array only by .get()")

    def __array_function__(self, function, types, args, kwargs):
        raise TypeError(f"numpy.{function.__name__} was called with a strict array")

    def __getitem__(self, index):
        index = counted(opened_index(index))
        return done(element, (self.held, index), place=self.place)

    def __setitem__(self, index, value):
        if not isinstance(value, ndarray | bool | int | float):
            raise TypeError(f"a {type(value).__name__} was assigned to elements of a strict array")
        index = counted(opened_index(index))
        changed(lambda held, index, value: operator.setitem(held, wrapped_around(index, held.shape), value),
                (opened(self), index, opened(value)))

    def __len__(self):
        return len(self.held)

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __repr__(self):
        return f"strict_array.{self.held!r}"


def pinned_owner(array):
    """The object that owns the memory of a NumPy array."""
    while isinstance(array, np.ndarray):
        array = array.base
    return array.obj if isinstance(array, memoryview) else array


def opened(x):
    """The NumPy arrays inside strict arrays, also in tuples and lists; NumPy's own arrays and scalars are rejected."""
    if isinstance(x, ndarray):
        if x.place != cuda.current.devices[-1]:
            raise ValueError(f"an array on device {x.place} was used while {cuda.current.devices[-1]} is current")
        return x.held
    if isinstance(x, np.ndarray | np.generic):
        raise TypeError(f"a NumPy {type(x).__name__} was mixed with strict arrays")
    if isinstance(x, tuple | list):
        return type(x)(map(opened, x))
    return x


def opened_index(index):
    """An index with its strict arrays opened; lists, which CuPy would copy to the GPU each time, are rejected."""
    if isinstance(index, tuple):
        return tuple(map(opened_index, index))
    if isinstance(index, list):
        raise TypeError("a list was used as an index of a strict array")
    return opened(index)


def counted(index):
    """The index; with a mask in it, the number of elements is read back."""
    parts = index if type(index) is tuple else (index,)
    if any(isinstance(part, np.ndarray) and part.dtype == bool for part in parts):
        cuda.read_back("a mask as an index")
    return index


def element(held, index):
    """The part of a NumPy array at an index; a single element as a view without axes, as CuPy's."""
    index = wrapped_around(index, held.shape)
    found = held[index]
    return held[(*(index if type(index) is tuple else (index,)), ...)] if isinstance(found, np.generic) else found


def wrapped_around(index, shape):
    """The index with whole numbers in arrays modulo the length of their axis, as CuPy takes those that are outside."""
    parts = index if type(index) is tuple else (index,)
    if not any(isinstance(part, np.ndarray) and part.dtype != bool for part in parts):
        return index
    found, axis = [], 0
    for part in parts:
        if part is Ellipsis:
            axis = len(shape) - len([later for later in parts[len(found) + 1:] if later is not None])
        elif isinstance(part, np.ndarray) and part.dtype != bool:
            part = part % max(1, shape[axis])
        axis += part is not None and part is not Ellipsis
        found.append(part)
    return tuple(found)


def closed(x, place=None):
    """NumPy's results as strict arrays; scalars become arrays without axes."""
    if isinstance(x, np.ndarray | np.generic):
        return ndarray(np.asarray(x), place)
    return type(x)(closed(each, place) for each in x) if isinstance(x, tuple | list) else x


def done(function, args, settings=MappingProxyType({}), place=None):
    """The result of a NumPy function as strict arrays. While a stream is captured, the call is recorded."""
    with np.errstate(all="ignore"):                  # a GPU warns of nothing
        out = function(*args, **settings)
    if any(emulator.fence_of(x) is None for x in (out if isinstance(out, tuple | list) else [out])):
        cuda.launches[function.__name__] += function is not np.empty_like        # a view needs none, either
    out = closed(out, place)
    recording = cuda.current.streams[-1].recording
    if recording is not None:
        recording.computed(function, args, settings, out)
    return out


def changed(function, args, settings=MappingProxyType({})):
    """Call a function that writes into one of its arguments, or, while a stream is captured, record the call."""
    cuda.launches[function.__name__] += 1
    recording = cuda.current.streams[-1].recording
    if recording is None:
        with np.errstate(all="ignore"):
            function(*args, **settings)
    else:
        recording.written(function, args, settings)


def wrapped(function):
    """A NumPy function that accepts and returns only strict arrays."""
    name = function.__name__

    def strict(*args, **kwargs):
        if name in READ_BACK:
            cuda.read_back(name)
        refuse_in_capture(name)
        args, settings = tuple(map(opened, args)), {k: opened(v) for k, v in kwargs.items()}
        if isinstance(kwargs.get("out"), ndarray):
            changed(function, args, settings)
            return kwargs["out"]
        if name in WRITE:
            return changed(function, args, settings)
        return done(function, args, settings)
    strict.__name__ = name
    return strict


def refuse_in_capture(name):
    """Raise for what CuPy does by cuBLAS, cuRAND or a copy from the host, while a stream is captured."""
    if name in LIBRARIES and cuda.current.streams[-1].recording is not None:
        raise cuda.Refused(f"{name} was called while a stream is captured, which CuPy refuses")


def operator_of(name):
    """The method of an operator: the other operand must be a strict array or a Python number."""
    method, in_place = getattr(np.ndarray, name), name[2] == "i" and name[3:-2] in WITH_TWINS.split()
    if name.strip("_") in READ_BACK:
        def number(self):
            cuda.read_back(name.strip("_"))
            return method(self.held)
        return number

    def strict(self, *others):
        operands = opened(self), *map(opened, others)
        if not all(type(x) in (ndarray, bool, int, float) for x in others):
            return NotImplemented                    # lets a Tensor, for example, handle it
        refuse_in_capture(name.strip("_").removeprefix("r").removeprefix("i"))
        if in_place:
            changed(method, operands)
            return self
        return done(method, operands)
    return strict


def ufunc_with_at(function):
    """A function with `.at`, which (for add) adds at indices that may repeat."""
    strict = wrapped(function)

    def at(a, indices, b):
        changed(function.at, (opened(a), opened_index(indices), opened(b)))
    strict.at = at
    return strict


for name in OPERATORS.split() + [prefix + name for prefix in "ri" for name in WITH_TWINS.split()]:
    setattr(ndarray, f"__{name}__", operator_of(f"__{name}__"))
for name in METHODS.split():
    setattr(ndarray, name, wrapped(getattr(np.ndarray, name)))


def __getattr__(name):
    """The functions of this module, created from NumPy's at first use."""
    if name in CONSTANTS.split():
        return getattr(np, name)
    if name not in FUNCTIONS.split():
        raise AttributeError(f"strict_array has no {name}: CuPy lacks it, or it is not in FUNCTIONS yet")
    if name in FROM_THE_HOST:
        make = getattr(np, name)

        def function(x, dtype=None):
            own = isinstance(x, ndarray)
            if not own and cuda.current.streams[-1].recording is not None:
                raise cuda.Refused(f"{name} copied from the host while a stream is captured")
            if own and name == "asarray" and dtype in (None, x.dtype) and x.place == cuda.current.devices[-1]:
                return x
            return done(make, (x.held if own else x,), {"dtype": dtype})      # also of another device
    else:
        function = (ufunc_with_at if name in UFUNCS_WITH_AT else wrapped)(getattr(np, name))
    globals()[name] = function
    return function


def empty(shape, dtype=float, order="C"):
    """Where there are fences, floats are NaN, so that what nobody wrote shows."""
    return ndarray((emulator.empty if EMULATED else np.empty)(shape, dtype, order))


def as_strided(x, shape=None, strides=None):
    """CuPy's function has only these arguments."""
    return done(np.lib.stride_tricks.as_strided, (x.held, shape, strides), place=x.place)


class Generator:
    """CuPy's random generator, as far as it is used."""

    def __init__(self, seed=None):
        rng = np.random.default_rng(seed)
        refuse_in_capture("random")
        self.random, self.standard_normal, self.integers = map(wrapped, (rng.random, rng.standard_normal, rng.integers))


lib = SimpleNamespace(stride_tricks=SimpleNamespace(as_strided=as_strided))
random = SimpleNamespace(default_rng=Generator)
get_default_memory_pool = cuda.get_default_memory_pool
