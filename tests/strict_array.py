"""A stand-in for CuPy on machines without a GPU: NumPy's arithmetic with CuPy's restrictions.

Its arrays cannot be mixed with NumPy's, its functions accept only its own arrays, reductions return 0-d arrays instead
of scalars, and it has only functions that CuPy has. So code that passes its tests with this module as `xp` does not
confuse the two libraries; whether a GPU computes the same results is tested on a GPU.
`minidl.device` treats it as a GPU library, because its arrays are not NumPy's and have a `device.id`.

Where g++ is installed it has CuPy's RawModule too, so that `kernels/gpu` runs on it: CUDA C on the CPU, see
`tests/emulator`. Its arrays then lie between pages that nobody may touch.
"""

from contextlib import nullcontext
from types import SimpleNamespace

import emulator
import numpy as np

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
    squeeze std sum swapaxes take transpose var
"""
WITH_TWINS = "add sub mul truediv floordiv mod pow matmul and or xor"            # these also as __radd__ and __iadd__
OPERATORS = WITH_TWINS + " neg pos abs invert eq ne lt le gt ge bool int float"


class ndarray:
    """A NumPy array that functions of other libraries cannot access."""

    __slots__ = ("__weakref__", "held")
    __array_ufunc__ = None
    __hash__ = None
    device = SimpleNamespace(id=0)
    base = None                                   # unlike CuPy's, even of a view; not used here

    def __init__(self, held):
        self.held = emulator.fenced(held) if EMULATED else held

    shape = property(lambda self: self.held.shape)
    dtype = property(lambda self: self.held.dtype)
    ndim = property(lambda self: self.held.ndim)
    size = property(lambda self: self.held.size)
    strides = property(lambda self: self.held.strides)
    nbytes = property(lambda self: self.held.nbytes)
    itemsize = property(lambda self: self.held.itemsize)
    flags = property(lambda self: self.held.flags)
    T = property(lambda self: ndarray(self.held.T))

    @property
    def data(self):
        """CuPy's pointer: the address of the first element, and the owner of the memory."""
        return SimpleNamespace(ptr=self.held.ctypes.data, mem=emulator.fence_of(self.held) or memory_of(self.held))

    def get(self):
        """A copy as a NumPy array."""
        return self.held.copy()

    def __array__(self, *args, **kwargs):
        raise TypeError("a strict array becomes a NumPy array only by .get()")

    def __array_function__(self, function, types, args, kwargs):
        raise TypeError(f"numpy.{function.__name__} was called with a strict array")

    def __getitem__(self, index):
        return closed(self.held[opened_index(index)])

    def __setitem__(self, index, value):
        self.held[opened_index(index)] = opened(value)

    def __len__(self):
        return len(self.held)

    def __iter__(self):
        return (closed(x) for x in self.held)

    def __repr__(self):
        return f"strict_array.{self.held!r}"


def opened(x):
    """The NumPy arrays inside strict arrays, also in tuples and lists; NumPy's own arrays and scalars are rejected."""
    if isinstance(x, ndarray):
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


def closed(x):
    """NumPy's results as strict arrays; scalars become arrays without axes."""
    if isinstance(x, np.ndarray | np.generic):
        return ndarray(np.asarray(x))
    return type(x)(map(closed, x)) if isinstance(x, tuple | list) else x


def wrapped(function):
    """A NumPy function that accepts and returns only strict arrays."""
    def strict(*args, **kwargs):
        return closed(function(*map(opened, args), **{k: opened(v) for k, v in kwargs.items()}))
    return strict


def operator(name):
    """The method of an operator: the other operand must be a strict array or a Python number."""
    method = getattr(np.ndarray, name)

    def strict(self, *others):
        operands = [opened(x) for x in others]
        if not all(type(x) in (ndarray, bool, int, float) for x in others):
            return NotImplemented                    # lets a Tensor, for example, handle it
        out = method(self.held, *operands)
        return self if out is self.held else closed(out)
    return strict


def ufunc_with_at(function):
    """A function with `.at`, which (for add) adds at indices that may repeat."""
    strict = wrapped(function)

    def at(a, indices, b):
        function.at(opened(a), opened_index(indices), opened(b))
    strict.at = at
    return strict


for name in OPERATORS.split() + [prefix + name for prefix in "ri" for name in WITH_TWINS.split()]:
    setattr(ndarray, f"__{name}__", operator(f"__{name}__"))
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
            return ndarray(make(x.held if isinstance(x, ndarray) else x, dtype=dtype))
    else:
        function = (ufunc_with_at if name in UFUNCS_WITH_AT else wrapped)(getattr(np, name))
    globals()[name] = function
    return function


def empty(shape, dtype=float, order="C"):
    """Where there are fences, floats are NaN, so that what nobody wrote shows."""
    return ndarray((emulator.empty if EMULATED else np.empty)(shape, dtype, order))


def as_strided(x, shape=None, strides=None):
    """CuPy's function has only these arguments."""
    return ndarray(np.lib.stride_tricks.as_strided(x.held, shape, strides))


class Generator:
    """CuPy's random generator, as far as it is used."""

    def __init__(self, seed=None):
        rng = np.random.default_rng(seed)
        self.random, self.standard_normal, self.integers = map(wrapped, (rng.random, rng.standard_normal, rng.integers))


lib = SimpleNamespace(stride_tricks=SimpleNamespace(as_strided=as_strided))
random = SimpleNamespace(default_rng=Generator)
cuda = SimpleNamespace(
    Device=nullcontext,                              # `with cuda.Device(0):`
    runtime=SimpleNamespace(getDeviceCount=lambda: 1, getDevice=lambda: 0),
)
