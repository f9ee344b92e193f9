"""Weights: files recognised by their content, wrappers removed, and models loaded completely or not at all."""

import io
import json
import os
import struct
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch_writer import of_array, write_legacy, write_zip

import minidl.nn as nn
from minidl.io import CheckpointError, load_into, load_weights, read_weights, save_checkpoint

ARRAYS = {"fc.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "fc.bias": np.ones(2, np.float32)}


def write(kind, path, arrays=ARRAYS, wrap=lambda tree: tree):
    """Write a file of this kind."""
    if kind == "safetensors":
        save_checkpoint(path, arrays)
    elif kind.startswith("npz"):
        with open(path, "wb") as file:
            (np.savez_compressed if kind == "npz, packed" else np.savez)(file, **arrays)
    else:
        stored = {name: of_array(array, str(i)) for i, (name, array) in enumerate(arrays.items())}
        tree = wrap({name: tensor for name, (tensor, _) in stored.items()})
        storages = {tensor.identity[2]: content for tensor, content in stored.values()}
        counts = {tensor.identity[2]: tensor.identity[4] for tensor, _ in stored.values()}
        write_zip(path, tree, storages) if kind == "zip" else write_legacy(path, tree, storages, counts)


def assert_same(arrays, expected=ARRAYS):
    assert sorted(arrays) == sorted(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(arrays[name], array)
        assert arrays[name].dtype == array.dtype


@pytest.mark.parametrize("suffix", ["pth", "npz", "safetensors", "txt"])
@pytest.mark.parametrize("kind", ["safetensors", "npz", "npz, packed", "zip", "legacy"])
def test_format_is_recognised_by_content_not_by_name(tmp_path, kind, suffix):
    write(kind, tmp_path / f"a.{suffix}")
    assert_same(load_weights(tmp_path / f"a.{suffix}"))


WRAPPED = {
    "state_dict": lambda tree: {"epoch": 3, "best": 0.5, "state_dict": tree, "optimizer": {"state": {}}},
    "model": lambda tree: {"model": tree, "optimizer": {"state": {0: {"step": tree["fc.bias"]}}}},
    "twice": lambda tree: {"checkpoint": {"state_dict": tree}},
    "of any name": lambda tree: {"epoch": 3, "my weights": tree},
    "module": lambda tree: {f"module.{name}": tensor for name, tensor in tree.items()},
    "module, twice": lambda tree: {"model": {f"module._orig_mod.{name}": tensor for name, tensor in tree.items()}},
    "with other things": lambda tree: {**tree, "epoch": 3},
}


@pytest.mark.parametrize("kind", ["zip", "legacy"])
@pytest.mark.parametrize("wrap", WRAPPED.values(), ids=WRAPPED)
def test_wrappers_are_removed(tmp_path, kind, wrap):
    write(kind, tmp_path / "a", wrap=wrap)
    assert_same(load_weights(tmp_path / "a"))


def test_prefix_that_not_all_names_have_is_kept(tmp_path):
    arrays = {"module.a": np.ones(1, np.float32), "b": np.ones(1, np.float32)}
    write("zip", tmp_path / "a", arrays)
    assert_same(load_weights(tmp_path / "a"), arrays)


def test_facts_are_returned_and_optimizer_arrays_are_not(tmp_path):
    save_checkpoint(tmp_path / "a", {**ARRAYS, "optimizer/fc.bias": np.ones(2)}, {"classes": ["a", "b"]})
    arrays, facts = read_weights(tmp_path / "a")
    assert_same(arrays)
    assert facts == {"classes": ["a", "b"]}


@pytest.mark.parametrize(("content", "reason"), [
    (b"", "is empty"), (b"hello, world and more", "begins with b'hello, world an"), (b"\x89HDF\r\n\x1a\n", "HDF5"),
    (b"PK\x03\x04 and no more", "truncated or damaged"), (b"\x80\x04N.", "a pickle that PyTorch did not write"),
    (b"\x93NUMPY\x01\x00", "a single NumPy array without a name"),
])
def test_files_of_other_formats_are_refused(tmp_path, content, reason):
    (tmp_path / "a.pth").write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"a\.pth: .*{reason}"):
        load_weights(tmp_path / "a.pth")


def test_missing_file_and_folder_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no such file"):
        load_weights(tmp_path / "nothing")
    with pytest.raises(IsADirectoryError, match="this is a folder, not a file"):
        load_weights(tmp_path)
    write("npz", tmp_path / "best.npz")
    with pytest.raises(IsADirectoryError, match=r"a folder.*such as best\.npz"):
        load_weights(tmp_path)


@pytest.mark.parametrize("name", ["", "a\0b"])
def test_impossible_names_are_refused(name):
    with pytest.raises(CheckpointError, match="is not the name of a file"):
        load_weights(name)


def test_names_that_the_locale_lacks_are_refused(monkeypatch):
    monkeypatch.setattr(os, "fsencode", lambda path: path.encode("ascii"))
    with pytest.raises(CheckpointError, match=r"'é\.pth' is not the name of a file where the locale's encoding"):
        load_weights("é.pth")


@pytest.mark.parametrize("name", [None, 3, b"a.pth", ["a.pth"], True])
def test_what_is_no_path_is_refused(name):
    with pytest.raises(TypeError, match="path must be text or a Path, not"):
        load_weights(name)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_pipe_is_refused_without_blocking(tmp_path):
    os.mkfifo(tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match="a pipe or a device"):
        load_weights(tmp_path / "a.pth")


def test_oversized_file_is_refused_unread(tmp_path):
    with open(tmp_path / "a", "wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(CheckpointError, match="more than a file of weights can have"):
        load_weights(tmp_path / "a")


# .npz

def npy(shape, descr="<f4", content=b"", version=b"\x01\x00"):
    header = json.dumps({"descr": descr, "fortran_order": False, "shape": 0}).replace(
        "false", "False").replace('"shape": 0', f'"shape": {tuple(shape)}').encode() + b"\n"
    return b"\x93NUMPY" + version + struct.pack("<H", len(header)) + header + content


def write_npz(path, compression=zipfile.ZIP_STORED, **entries):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in entries.items():
            archive.writestr(f"{name}.npy", content)


FORGED = {
    "a huge shape": npy((1 << 40, 1 << 10)), "a shape that overflows": npy((1 << 62, 1 << 62)),
    "a negative shape": npy((-1, 4), content=bytes(16)), "too few elements": npy((5,), content=bytes(16)),
    "too many elements": npy((3,), content=bytes(16)), "objects": npy((1,), "|O", b"\x80\x04N."),
    "text": npy((1,), "<U4", bytes(16)), "an unknown version": npy((4,), content=bytes(16), version=b"\x09\x00"),
    "no header": b"\x93NUMPY", "nothing": b"",
}


@pytest.mark.parametrize("content", FORGED.values(), ids=FORGED)
def test_forged_npz_is_refused_and_allocates_no_memory(tmp_path, content):
    write_npz(tmp_path / "a.npz", w=content)
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError, match=r"a\.npz: .*(w\.npy|damaged)"):
            load_weights(tmp_path / "a.npz")
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(("shape", "small", "reason"), [
    ((4,), 1 << 28, r"w\.npy declares float32 of shape \(4,\), but holds 16777216 bytes"),
    ((1 << 22,), 1 << 20, "its entries declare 167772[0-9]* bytes, more than the file can hold"),
])
def test_zip_bomb_allocates_no_memory(tmp_path, monkeypatch, shape, small, reason):
    """Whether or not the .npy header declares the true size."""
    monkeypatch.setattr("minidl.io.npz.SMALL", small)
    write_npz(tmp_path / "a.npz", zipfile.ZIP_DEFLATED, w=npy(shape, content=bytes(1 << 24)))
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError, match=rf"a\.npz: {reason}"):
            load_weights(tmp_path / "a.npz")
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_entry_that_declares_more_than_it_can_hold_is_refused(tmp_path):
    path = tmp_path / "a.npz"
    write_npz(path, zipfile.ZIP_DEFLATED, w=npy((4,), content=bytes(16)))
    content = bytearray(path.read_bytes())
    start = content.index(b"PK\x01\x02")
    content[start + 24:start + 28] = struct.pack("<I", 0xF0000000)   # the size in the zip directory
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="more than the file can hold"):
        load_weights(path)


@pytest.fixture(scope="module")
def good_npz():
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **ARRAYS)
    return buffer.getvalue()


@given(data=st.data())
def test_mutated_npz_is_read_or_refused(tmp_path_factory, good_npz, data):
    content = bytearray(good_npz)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "mutated.npz"
    path.write_bytes(content)
    try:
        load_weights(path)
    except CheckpointError as error:
        message = str(error)
    else:
        message = str(path)
    assert str(path) in message


# Into a model

class Net(nn.Module):
    def __init__(self, classes=2):
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.fc = nn.Linear(4, classes)


def test_all_mismatches_are_listed_and_nothing_is_loaded():
    model = Net()
    before = model.state_dict()
    state = {**Net().state_dict(), "other": np.ones(1), "conv.weight": np.ones((4, 1, 3, 3))}
    del state["fc.bias"]
    with pytest.raises(CheckpointError) as caught:
        load_into(model, state, "a.pth")
    assert str(caught.value).startswith("a.pth: ")
    for part in ("conv.weight has the shape (4, 1, 3, 3), not (4, 3, 3, 3)", "fc.bias is missing",
                 "other is unexpected"):
        assert part in str(caught.value)
    assert "new_head" not in str(caught.value)
    assert "more mismatches" not in str(caught.value)
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_new_head_loads_weights_for_another_number_of_classes():
    model, weights = Net(2), Net(10).state_dict()
    before = model.state_dict()
    with pytest.raises(CheckpointError, match=r"(?s)for 10 classes and the model is for 2: new_head=True keeps the "
                                              r"model's own fc\.weight and fc\.bias"):
        load_into(model, weights)
    assert load_into(model, weights, new_head=True) is model
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, (before if name.startswith("fc") else weights)[name])


def test_new_head_tolerates_no_other_mismatch():
    for change in ({"conv.weight": np.ones((4, 1, 3, 3))}, {"x": np.ones(1)}, {"norm.bias": np.ones(5)}):
        weights = Net(10).state_dict() | change
        with pytest.raises(CheckpointError, match="this state does not fit Net"):
            load_into(Net(), weights, new_head=True)


def test_new_head_loads_a_head_that_fits():
    model, other = Net(), Net()
    load_into(model, other.state_dict(), new_head=True)
    np.testing.assert_array_equal(model.fc.weight.numpy(), other.fc.weight.numpy())


def test_weights_without_batch_counters_are_loaded():
    weights = Net().state_dict()
    del weights["norm.num_batches_tracked"]
    assert load_into(Net(), weights).norm.num_batches_tracked.item() == 0


def test_keras_mobilenet_is_converted(tmp_path):
    path = Path(os.environ.get("MINIDL_DATA", "."), "weights", "mobilenet_v1_0.75_224.npz")
    if not path.is_file():
        pytest.skip("$MINIDL_DATA is not a folder with weights/mobilenet_v1_0.75_224.npz")
    weights, facts = read_weights(path)
    assert len(weights) == 137
    assert sum(array.size for array in weights.values()) == 2_601_976
    raw = np.load(path)
    np.testing.assert_array_equal(weights["blocks.4.depthwise.conv.weight"][7, 0, 1, 2],
                                  raw["conv_dw_5/depthwise_kernel"][1, 2, 7, 0])
    np.testing.assert_array_equal(weights["blocks.12.pointwise.conv.weight"][:, 5, 0, 0],
                                  raw["conv_pw_13/kernel"][0, 0, 5])
    np.testing.assert_array_equal(weights["fc.weight"][258], raw["conv_preds/kernel"][0, 0, :, 258])
    assert facts["architecture"]["settings"] == {"num_classes": 1000, "width": 0.75, "tf_padding": True}
    assert facts["classes"][258] == "Samoyed"
    np.savez(tmp_path / "a.npz", **{**raw, "more/kernel": np.ones(3)})
    with pytest.raises(CheckpointError, match=r"more/kernel of shape \(3,\) is no array of Keras"):
        load_weights(tmp_path / "a.npz")
