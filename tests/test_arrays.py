"""What an array may be where it enters: as the data of a tensor, an operand, a gradient."""

import warnings

import numpy as np
import pytest
import strict_array

import minidl.functional as F
from minidl import Tensor, nn
from minidl.arrays import plain_array

ROWS = np.array([[-1.5, 2.0], [3.0, -4.0]], np.float32)


def matrix():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        return np.matrix(ROWS)


class Labelled(np.ndarray):
    """An array with an attribute, as users make them."""


def mapped(tmp_path):
    file = np.memmap(tmp_path / "rows", np.float32, "w+", shape=ROWS.shape)
    file[...] = ROWS
    return file


@pytest.mark.parametrize("make", [
    lambda path: ROWS.astype(">f4"), lambda path: matrix(), lambda path: ROWS.view(Labelled), mapped,
    lambda path: np.ma.array(ROWS), lambda path: np.ma.array(ROWS, mask=False), lambda path: np.asfortranarray(ROWS),
    lambda path: np.frombuffer(b"\0" + ROWS.tobytes(), np.float32, offset=1).reshape(2, 2),
    lambda path: np.rec.array(ROWS),
], ids=["big-endian", "matrix", "subclass", "memmap", "masked", "nothing masked", "fortran", "unaligned", "recarray"])
def test_unusual_arrays_mean_their_elements(make, tmp_path):
    """As the data of a tensor, as an operand, and as a gradient."""
    array = make(tmp_path)
    expected = F.relu(Tensor(ROWS) * Tensor(ROWS)).numpy()
    for out in (F.relu(Tensor(array) * Tensor(array)), F.relu(Tensor(ROWS) * array), F.relu(array * Tensor(ROWS)),
                F.relu(F.mul(array, array))):
        assert type(out.data) is np.ndarray
        assert out.dtype == np.float32
        assert out.dtype.isnative
        np.testing.assert_array_equal(out.numpy(), expected)
    x = Tensor(ROWS, requires_grad=True)
    (x * 1).backward(array)
    np.testing.assert_array_equal(x.grad, ROWS)
    x.grad = array
    assert type(x.grad) is np.ndarray
    assert x.grad.dtype.isnative
    layer = nn.Linear(2, 2)
    layer.load_state_dict({"weight": array, "bias": np.zeros(2, ">f4")})
    np.testing.assert_array_equal(layer.weight.numpy(), ROWS)
    assert layer.weight.dtype.isnative


@pytest.mark.parametrize("dtype", ["?", "i1", "u1", "i2", ">i2", "u4", ">i8", "u8", "f4", "f8", ">f8"])
def test_every_supported_dtype(dtype):
    x = Tensor(np.array([0, 1], dtype))
    assert x.dtype == np.dtype(dtype).newbyteorder("=")
    assert x.numpy().tolist() == [0, 1]
    assert Tensor([0, 1], dtype=dtype).dtype == x.dtype


UNSUPPORTED = [
    (np.ones(2, np.float16), r"float16 is not supported on the CPU; a tensor of floats is float32 or float64"),
    (np.ones(2, ">f2"), r"float16 is not supported"),
    (np.ones(2, np.longdouble), rf"{np.dtype(np.longdouble)} is not supported"),
    (np.ones(2, complex), r"a tensor needs numbers, not ndarray \(complex128\)"),
    (np.array(["a", "b"]), r"a tensor needs numbers, not ndarray \(<U1\)"),
    (np.array([b"a"]), r"a tensor needs numbers, not ndarray \(\|S1\)"),
    (np.array([1, None]), r"a tensor needs numbers, not ndarray \(object\)"),
    (np.array(["2026-11-27"], "datetime64[D]"), r"a tensor needs numbers, not ndarray \(datetime64\[D\]\)"),
    (np.zeros(2, [("x", "f4")]), r"a tensor needs numbers, not ndarray"),
    (np.ma.array([1.0, 2.0], mask=[True, False]), r"a tensor cannot have masked elements; replace them with \.filled"),
]


@pytest.mark.skipif(np.dtype(np.longdouble).itemsize == 8, reason="longdouble is float64 here")
def test_longdouble_has_a_letter_of_its_own():
    assert np.dtype(np.longdouble).char == "g"


@pytest.mark.parametrize(("array", "words"), UNSUPPORTED, ids=[str(array.dtype) for array, _ in UNSUPPORTED])
def test_unsupported_elements(array, words):
    x = Tensor(np.ones(array.shape, np.float32), requires_grad=True)
    with pytest.raises(TypeError, match=f"^({words})"):
        Tensor(array)
    with pytest.raises(TypeError, match=f"^add: ({words})"):
        x + array
    with pytest.raises(TypeError, match=f"^relu: ({words})"):
        F.relu(array)
    with pytest.raises(TypeError, match=words):
        x.grad = array
    if array.dtype.kind != "f" or array.dtype.itemsize not in (4, 8):
        with pytest.raises(TypeError):
            Tensor([1, 2], dtype=array.dtype)
    if array.dtype.kind == "f" and array.dtype.itemsize == 2:
        for call in (lambda: x.astype(array.dtype), lambda: x.to(dtype=array.dtype),
                     lambda: nn.Linear(1, 1).to(dtype=array.dtype)):
            with pytest.raises(TypeError, match="float16 is not supported"):
                call()


@pytest.mark.parametrize("number", [np.complex64(1j), np.datetime64("2026-11-27"), np.str_("1"), np.bytes_(b"1")],
                         ids=repr)
def test_unsupported_scalars(number):
    with pytest.raises(TypeError, match=r"^mul: a tensor needs numbers, not "):
        Tensor([1.0]) * number
    with pytest.raises(TypeError, match=r"^a tensor needs numbers, not "):
        Tensor(number)


@pytest.mark.parametrize("number", [np.float16(2), np.float32(2), np.float64(2), np.longdouble(2), np.int8(2),
                                    np.uint64(2), np.bool_(True)], ids=repr)
def test_scalars_are_python_numbers(number):
    out = Tensor([3.0]) * number
    assert out.dtype == np.float32
    assert out.item() == 3 * int(number)


def test_arrays_of_other_libraries_are_checked_too():
    assert plain_array(strict_array.ones(2)).dtype == np.float64
    assert Tensor(strict_array.ones(2, dtype=np.float16)).dtype == np.float16            # on a GPU, it is
    with pytest.raises(TypeError, match=r"^a tensor needs numbers, not ndarray \(complex128\)"):
        Tensor(strict_array.ones(2, dtype=complex))


def test_a_gradient_set_by_hand():
    x = Tensor([1.0, 2.0], requires_grad=True)
    for gradient in ([1, 2], Tensor([1, 2]), np.array([1, 2])):
        x.grad = gradient
        assert type(x.grad) is np.ndarray
        assert x.grad.tolist() == [1, 2]
