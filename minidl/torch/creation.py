"""New tensors: from data, filled, counted and random.

Random numbers come from minidl's stream, which `manual_seed` restarts. Their values are not PyTorch's.
"""

from typing import Any

import numpy as np

import minidl.device
from minidl import Tensor
from minidl.device import Device
from minidl.scalars import plain, whole

FLOAT = np.float32


class Generator:
    """A seed of its own, for functions that take `generator`: Generator().manual_seed(0). Each use draws anew."""

    def __init__(self, device: Any = "cpu") -> None:
        self.manual_seed(minidl.device.draw_seed())

    def manual_seed(self, seed: int) -> "Generator":
        """Begin anew from a seed."""
        self.seed = whole("Generator", "seed", seed, 0)
        self.random = np.random.default_rng(self.seed)
        return self

    def initial_seed(self) -> int:
        """The seed it began from."""
        return self.seed


def manual_seed(seed: int) -> None:
    """Restart the stream of all random numbers."""
    minidl.device.manual_seed(seed)


def random(generator: Generator | None) -> Any:
    """Random numbers of NumPy: of a Generator, or from minidl's stream."""
    return minidl.device.generator() if generator is None else generator.random


def made(array: Any, device: Any, requires_grad: bool) -> Tensor:
    """A tensor of an array."""
    return Tensor(array, requires_grad, device=None if device is None else str(device))


def shape_of(numbers: tuple[Any, ...]) -> Any:
    """The shape in `zeros(2, 3)` or `zeros((2, 3))`."""
    sizes = plain(numbers[0]) if len(numbers) == 1 else numbers
    return (sizes,) if isinstance(sizes, int) else tuple(plain(size) for size in sizes)


def tensor(data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A copy of the data. Python's integers become int64, its floats float32, arrays keep their dtype."""
    array = as_array(data)
    return made(np.array(array, dtype=dtype), device, requires_grad)


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """The data as a tensor, without copying an array or a tensor where that is possible."""
    if isinstance(data, Tensor):
        return data.to(device, dtype)
    return made(np.asarray(as_array(data), dtype=dtype), device, False)


def as_array(data: Any) -> np.ndarray:
    """The data as an array; Python's floats as float32."""
    if isinstance(data, Tensor):
        return data.numpy()
    if isinstance(data, list | tuple) and any(isinstance(item, Tensor) for item in data):
        data = [item.numpy() if isinstance(item, Tensor) else item for item in data]
    array = np.asarray(data)
    of_python = not hasattr(data, "dtype") and not (isinstance(data, list | tuple) and holds_arrays(data))
    return array.astype(FLOAT) if of_python and (array.dtype.kind == "f" or array.size == 0) else array


def holds_arrays(data: Any) -> bool:
    """Whether nested lists have arrays or scalars of NumPy in them, which keep their dtype."""
    while isinstance(data, list | tuple) and data:
        data = data[0]
    return hasattr(data, "dtype")


def from_numpy(array: np.ndarray) -> Tensor:
    """A tensor that shares the memory of an array."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"from_numpy: expected an array of NumPy, not {type(array).__name__}; write torch.tensor(data)")
    return Tensor(array)


def full(size: Any, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of one number; its dtype is that of `fill_value`, float32 for a float."""
    if dtype is None:
        dtype = as_array(plain(fill_value)).dtype
    return made(np.full(shape_of((size,)), plain(fill_value), dtype), device, requires_grad)


def zeros(*size: Any, dtype: Any = FLOAT, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of zeros: zeros(2, 3) or zeros((2, 3))."""
    return made(np.zeros(shape_of(size), FLOAT if dtype is None else dtype), device, requires_grad)


def ones(*size: Any, dtype: Any = FLOAT, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of ones: ones(2, 3) or ones((2, 3))."""
    return made(np.ones(shape_of(size), FLOAT if dtype is None else dtype), device, requires_grad)


def empty(*size: Any, dtype: Any = FLOAT, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor to be filled; its elements are zeros, where PyTorch's are anything."""
    return zeros(*size, dtype=dtype, device=device, requires_grad=requires_grad)


def zeros_like(x: Any, *, dtype: Any = None) -> Tensor:
    """Zeros with the shape, the dtype and the device of x."""
    return full_like(x, 0, dtype=dtype)


def ones_like(x: Any, *, dtype: Any = None) -> Tensor:
    """Ones with the shape, the dtype and the device of x."""
    return full_like(x, 1, dtype=dtype)


def full_like(x: Any, fill_value: Any, *, dtype: Any = None) -> Tensor:
    """One number, with the shape, the dtype and the device of x."""
    return full(x.shape, fill_value, dtype=x.dtype if dtype is None else dtype, device=place(x))


def place(x: Any) -> Device | None:
    """The device of a tensor."""
    return x.device if isinstance(x, Tensor) else None


def eye(n: int, m: int | None = None, *, dtype: Any = FLOAT, device: Any = None) -> Tensor:
    """The identity matrix of n rows, and of m columns."""
    return made(np.eye(n, m, dtype=dtype), device, False)


def arange(*bounds: float, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Numbers from start to below end, as range: int64 if all bounds are integers, otherwise float32."""
    numbers = [plain(bound) for bound in bounds]
    if dtype is None:
        dtype = np.int64 if all(isinstance(n, int) for n in numbers) else FLOAT
    return made(np.arange(*numbers, dtype=dtype), device, requires_grad)


def linspace(start: float, end: float, steps: int, *, dtype: Any = FLOAT, device: Any = None) -> Tensor:
    """`steps` numbers at equal distances from start to end, both included."""
    return made(np.linspace(start, end, steps, dtype=dtype), device, False)


def randn(*size: Any, generator: Generator | None = None, dtype: Any = FLOAT, device: Any = None,
          requires_grad: bool = False) -> Tensor:
    """Normally distributed numbers with mean 0 and variance 1."""
    return made(random(generator).standard_normal(shape_of(size), dtype), device, requires_grad)


def rand(*size: Any, generator: Generator | None = None, dtype: Any = FLOAT, device: Any = None,
         requires_grad: bool = False) -> Tensor:
    """Numbers equally distributed from 0 to below 1."""
    return made(random(generator).random(shape_of(size), dtype), device, requires_grad)


def randn_like(x: Tensor) -> Tensor:
    """`randn` with the shape, the dtype and the device of x."""
    return randn(x.shape, dtype=x.dtype, device=place(x))


def rand_like(x: Tensor) -> Tensor:
    """`rand` with the shape, the dtype and the device of x."""
    return rand(x.shape, dtype=x.dtype, device=place(x))


def randint(*bounds_and_size: Any, generator: Generator | None = None, dtype: Any = np.int64,
            device: Any = None) -> Tensor:
    """Whole numbers from low (0 if left out) to below high: randint(low, high, size)."""
    *bounds, size = bounds_and_size
    low, high = (0, *bounds)[-2:]
    return made(random(generator).integers(low, high, shape_of((size,)), dtype), device, False)


def randperm(n: int, *, generator: Generator | None = None) -> Tensor:
    """The numbers from 0 to n - 1 in random order."""
    return Tensor(random(generator).permutation(n))
