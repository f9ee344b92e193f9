"""Checkpoints: round trips from any memory order, and damaged files."""

import contextlib
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from minidl.io import CheckpointError, load_checkpoint, save_checkpoint

ARRAYS = {"weight": np.arange(6, dtype=np.float32).reshape(2, 3), "count": np.array(3)}
DTYPES = ["float16", "float32", "float64", "int8", "uint8", "int16", "int32", "int64", "bool"]


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """The bytes of a valid file."""
    path = tmp_path_factory.mktemp("good") / "a.safetensors"
    save_checkpoint(path, ARRAYS, {"epoch": 3})
    return path.read_bytes()


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    return tmp_path_factory.mktemp("scratch") / "a.safetensors"


@given(array=npst.arrays(st.sampled_from(DTYPES), npst.array_shapes(min_dims=0, min_side=0)), data=st.data())
def test_arrays_are_restored_bit_for_bit_from_any_memory_order(scratch, array, data):
    array = array.transpose(data.draw(st.permutations(range(array.ndim))))
    if array.ndim:
        array = array[:: data.draw(st.sampled_from([1, 2, -1]))]
    save_checkpoint(scratch, {"x": array})
    back = load_checkpoint(scratch)[0]["x"]
    assert (back.shape, back.dtype) == (array.shape, array.dtype)
    assert back.tobytes() == array.tobytes()
    assert back.flags.writeable


@given(facts=st.dictionaries(st.text(), st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5)))
def test_facts_are_restored(scratch, facts):
    save_checkpoint(scratch, ARRAYS, facts)
    assert load_checkpoint(scratch)[1] == facts


def test_facts_of_other_programs_stay_strings(scratch):
    from safetensors.numpy import save_file

    save_file(ARRAYS, scratch, {"format": "pt", "deep": "[" * 100_000})
    assert load_checkpoint(scratch)[1] == {"format": "pt", "deep": "[" * 100_000}


@given(length=st.integers(0, 400))
def test_truncated_file_is_refused(scratch, good, length):
    scratch.write_bytes(good[: min(length, len(good) - 1)])
    with pytest.raises(CheckpointError, match=r"a\.safetensors: not a safetensors file, or a damaged one"):
        load_checkpoint(scratch)


@given(data=st.data())
def test_mutated_file_is_read_or_refused(scratch, good, data):
    content = bytearray(good)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    scratch.write_bytes(content)
    with contextlib.suppress(CheckpointError):
        arrays, facts = load_checkpoint(scratch)
        assert isinstance(facts, dict)
        assert all(isinstance(array, np.ndarray) for array in arrays.values())


HEADERS = {
    "array larger than the file": {"x": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 1 << 42]}},
    "size that overflows": {"x": {"dtype": "F32", "shape": [1 << 62, 8], "data_offsets": [0, 0]}},
    "offsets backwards": {"x": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}},
    "unknown type": {"x": {"dtype": "Q7", "shape": [1], "data_offsets": [0, 4]}},
    "a list as the header": [],
}


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_forged_header_is_refused(tmp_path, header):
    text = json.dumps(header).encode()
    (tmp_path / "a").write_bytes(len(text).to_bytes(8, "little") + text + bytes(4))
    with pytest.raises(CheckpointError, match="not a safetensors file, or a damaged one"):
        load_checkpoint(tmp_path / "a")


def written(path, header, content):
    """A handmade file."""
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + content)
    return path


def test_bfloat16_becomes_float32(tmp_path):
    values = np.array([[1.0, -2.5], [2.0**100, np.inf]], np.float32)
    upper = (values.view(np.uint32) >> 16).astype("<u2").tobytes()
    header = {"x": {"dtype": "BF16", "shape": [2, 2], "data_offsets": [0, 8]},
              "y": {"dtype": "I32", "shape": [1], "data_offsets": [8, 12]}}
    arrays, _ = load_checkpoint(written(tmp_path / "a", header, upper + bytes([3, 0, 0, 0])))
    np.testing.assert_array_equal(arrays["x"], values)
    assert (arrays["x"].dtype, arrays["y"].tolist()) == (np.float32, [3])


def test_unsupported_element_type_is_refused(tmp_path):
    header = {"x": {"dtype": "F8_E4M3", "shape": [4], "data_offsets": [0, 4]}}
    with pytest.raises(CheckpointError, match="a: elements of type F8_E4M3 are not supported"):
        load_checkpoint(written(tmp_path / "a", header, bytes(4)))


def test_huge_declared_header_is_refused(tmp_path):
    (tmp_path / "a").write_bytes(b"\xff" * 7 + b"\x7f" + b"{}")
    with pytest.raises(CheckpointError, match="damaged"):
        load_checkpoint(tmp_path / "a")


def test_oversized_file_is_refused_unread(tmp_path):
    with open(tmp_path / "a", "wb") as file:
        file.truncate(1 << 40)                                       # a sparse file: it takes no space on the disk
    with pytest.raises(CheckpointError, match="more than a checkpoint can have"):
        load_checkpoint(tmp_path / "a")


def test_missing_file_and_folder_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no such file"):
        load_checkpoint(tmp_path / "nothing")
    with pytest.raises(IsADirectoryError, match="this is a folder, not a file"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize("arrays", [{"a": np.array(["text"])}, {"a": np.array([1j])}, {"a": np.array([None])},
                                    {"a": np.array([1], np.longdouble)}, {3: np.ones(2)}])
def test_arrays_that_are_no_numbers_are_named(tmp_path, arrays):
    with pytest.raises(TypeError, match=r"save_checkpoint: ('a'|3) must be the name of an array of numbers"):
        save_checkpoint(tmp_path / "a", arrays)
    assert not (tmp_path / "a").exists()


def test_numbers_of_numpy_are_facts(tmp_path):
    facts = {"a": np.float32(0.5), "b": [np.int64(1), {"c": np.bool_(True)}], "d": np.arange(3), "e": np.array(7)}
    save_checkpoint(tmp_path / "a", {}, facts)
    assert load_checkpoint(tmp_path / "a")[1] == {"a": 0.5, "b": [1, {"c": True}], "d": [0, 1, 2], "e": 7}


def circle():
    made = []
    made.append(made)
    return made


@pytest.mark.parametrize("value", [{1, 2}, object(), b"a", 1j, {"a": range(3)}, {(1, 2): 3},
                                   {np.int64(1): 2}, circle()])
def test_facts_that_json_cannot_hold_are_named(tmp_path, value):
    with pytest.raises(TypeError, match=r"the fact 'mine' cannot be stored: .*facts are text, numbers"):
        save_checkpoint(tmp_path / "a", {}, {"mine": value})
    with pytest.raises(TypeError, match="the name of a fact must be text, not int"):
        save_checkpoint(tmp_path / "a", {}, {3: 1})


def test_failed_save_keeps_the_old_file(tmp_path):
    save_checkpoint(tmp_path / "a", ARRAYS)
    with pytest.raises(TypeError):
        save_checkpoint(tmp_path / "a", ARRAYS, {"no": object()})
    assert load_checkpoint(tmp_path / "a")[0].keys() == ARRAYS.keys()
