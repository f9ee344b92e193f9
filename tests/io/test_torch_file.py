"""PyTorch files: handmade, written by PyTorch if it is installed, forged, and malicious."""

import contextlib
import os
import pickle
import struct
import tarfile
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from torch_writer import TYPES, Name, Stored, encoded, of_array, pickled, write_legacy, write_tar, write_zip

from minidl.io import CheckpointError, load_weights

FORMATS = ("zip", "legacy")
every_format = pytest.mark.parametrize("kind", FORMATS)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    return tmp_path_factory.mktemp("scratch") / "weights.pth"


def write(kind, path, tree, storages, counts=None):
    """Write a file of this format; the default counts are those of float32."""
    if kind == "zip":
        write_zip(path, tree, storages)
    else:
        write_legacy(path, tree, storages, counts or {key: len(data) // 4 for key, data in storages.items()})


def one(offset=0, shape=(2, 3), strides=(3, 1), count=6, kind="Float", key="0"):
    return {"w": Stored(key, kind, count, offset, shape, strides)}


ELEMENTS = np.arange(6, dtype=np.float32)


@given(kind=st.sampled_from(FORMATS), data=st.data(),
       array=npst.arrays(st.sampled_from(sorted(TYPES)), npst.array_shapes(min_dims=0, min_side=0)))
def test_arrays_are_restored_bit_for_bit(scratch, kind, array, data):
    array = array.transpose(data.draw(st.permutations(range(array.ndim))))
    tensor, content = of_array(array, "0")
    write(kind, scratch, {"w": tensor}, {"0": content}, {"0": array.size})
    back = load_weights(scratch)["w"]
    assert (back.shape, back.dtype) == (array.shape, array.dtype)
    assert back.tobytes() == array.tobytes()
    assert back.size == 0 or not back.flags.writeable


@every_format
def test_bfloat16_becomes_float32(tmp_path, kind):
    values = np.array([1.0, -2.5, 3e38, np.inf], np.float32)
    upper = (values.view(np.uint32) >> 16).astype("<u2")
    tree = one(shape=(4,), strides=(1,), count=4, kind="BFloat16")
    write(kind, tmp_path / "a", tree, {"0": upper.tobytes()}, {"0": 4})
    back = load_weights(tmp_path / "a")["w"]
    assert back.dtype == np.float32
    np.testing.assert_allclose(back, values, rtol=2**-7)


@every_format
def test_views_of_a_shared_storage(tmp_path, kind):
    tree = {"every second": Stored("0", "Float", 6, 1, (3,), (2,)),
            "transposed": Stored("0", "Float", 6, 0, (3, 2), (1, 3)),
            "expanded": Stored("0", "Float", 6, 4, (5, 2), (0, 1)), "none": Stored("0", "Float", 6, 6, (0, 9), (9, 1))}
    write(kind, tmp_path / "a", tree, {"0": ELEMENTS.tobytes()})
    back = load_weights(tmp_path / "a")
    np.testing.assert_array_equal(back["every second"], [1, 3, 5])
    np.testing.assert_array_equal(back["transposed"], ELEMENTS.reshape(2, 3).T)
    np.testing.assert_array_equal(back["expanded"], [[4, 5]] * 5)
    assert back["none"].shape == (0, 9)
    assert np.shares_memory(back["every second"], back["transposed"])


@every_format
@pytest.mark.parametrize("function", ["torch._utils _rebuild_tensor", "torch._utils _rebuild_tensor_v2"])
def test_parameters_and_tensors_of_old_versions(tmp_path, kind, function):
    tensor = encoded(Stored("0", "Float", 6, 0, (6,), (1,), function))
    parameter = encoded(Name("torch._utils _rebuild_parameter")) + b"(" + tensor + encoded(True) + b"}tR"
    content = b"\x80\x02" + b"}(" + encoded("w") + parameter + b"u."
    write(kind, tmp_path / "a", content, {"0": ELEMENTS.tobytes()})
    np.testing.assert_array_equal(load_weights(tmp_path / "a")["w"], ELEMENTS)


FORGED = {
    "a tensor beyond its storage": (one(shape=(2, 4), strides=(4, 1)), "reaches beyond the 6 elements"),
    "an offset beyond its storage": (one(offset=1), "reaches beyond"),
    "a stride beyond its storage": (one(strides=(1 << 60, 1)), "reaches beyond"),
    "a negative offset": (one(offset=-1), "offset is .*, not a whole number"),
    "a negative stride": (one(strides=(-3, 1)), "stride is .*, not a whole number"),
    "a negative size": (one(shape=(-2, 3)), "size is .*, not a whole number"),
    "a size of text": (one(shape=("2", 3)), "size is .*, not a whole number"),
    "too few strides": (one(strides=(1,)), "no tensor"),
    "a huge tensor of one element": (one(shape=(1 << 40, 1 << 20), strides=(0, 0)), "larger than the .* bytes allowed"),
    "a huge empty tensor": (one(shape=(0, 1 << 62), strides=(1, 1)), "larger than the .* bytes allowed"),
    "a storage larger than the file": (one(count=1 << 50), "bytes declared|are declared"),
    "a negative storage": (one(count=-1), "storage is -1, not a whole number"),
    "a storage that is not there": (one(key="1"), "is missing|belong to no tensor"),
    "an unknown type": (one(kind="Quantum"), "torch.QuantumStorage"),
    "no tensors": ({"epoch": 3}, "holds no named weights|belong to no tensor"),
    "a list": ([1, 2], "holds no named weights|belong to no tensor"),
    "a number for a tensor": (pickled(3), "holds no named weights|belong to no tensor"),
    "names that are numbers": ({1: one()["w"]}, "its weights have no names"),
}


@every_format
@pytest.mark.parametrize("name", ["torch QInt8Storage", "torch._utils _rebuild_sparse_tensor"])
def test_unsupported_tensors_are_named_as_such(tmp_path, kind, name):
    write(kind, tmp_path / "a", b"\x80\x02" + encoded({"w": Name(name)}) + b".", {})
    with pytest.raises(CheckpointError, match=rf"{name.replace(' ', '.')}.*sparse, quantized"):
        load_weights(tmp_path / "a")


def test_truncated_storage_is_refused(tmp_path):
    write("legacy", tmp_path / "a", one(), {"0": ELEMENTS.tobytes()})
    (tmp_path / "a").write_bytes((tmp_path / "a").read_bytes()[:-5])
    with pytest.raises(CheckpointError, match="truncated: storage '0' has 24 bytes, but only 19 are left"):
        load_weights(tmp_path / "a")


@pytest.mark.parametrize("count", [0, 2])
def test_other_zip_archives_are_refused(tmp_path, count):
    with zipfile.ZipFile(tmp_path / "a", "w") as archive:
        for name in ["word/document.xml", *(f"{i}/data.pkl" for i in range(count))]:
            archive.writestr(name, b"N.")
    with pytest.raises(CheckpointError, match=f"a zip archive with {count} entries data.pkl; torch.save writes one"):
        load_weights(tmp_path / "a")


@every_format
@pytest.mark.parametrize(("tree", "reason"), FORGED.values(), ids=FORGED)
def test_forged_file_is_refused_and_allocates_no_memory(tmp_path, kind, tree, reason):
    write(kind, tmp_path / "forged.pth", tree, {"0": ELEMENTS.tobytes()})
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError, match=rf"(?s)forged\.pth: .*({reason})"):
            load_weights(tmp_path / "forged.pth")
        assert tracemalloc.get_traced_memory()[1] < 1 << 21
    finally:
        tracemalloc.stop()


def write_attack(kind, path, harm):
    """Write a file with `harm`, instructions of a pickle, after a valid tensor."""
    tree = {**one(), "harm": None}
    content = pickled(tree).replace(encoded("harm") + b"N", encoded("harm") + harm)
    write(kind, path, content, {"0": ELEMENTS.tobytes()})


def harms(target):
    call = f"open({str(target)!r}, 'w')"
    return {
        "os.system": encoded(Name("os system")) + encoded((f"touch {target}",)) + b"R",
        "builtins.eval": encoded(Name("builtins eval")) + encoded((call,)) + b"R",
        "__builtin__.eval": encoded(Name("__builtin__ eval")) + encoded((call,)) + b"R",
        "nested": encoded(Name("collections OrderedDict")) + b"(" + encoded(Name("builtins exec")) + encoded((call,))
                  + b"R" + b"tR",
        "getattr": encoded(Name("builtins getattr")) + b"(" + encoded(Name("torch._utils _rebuild_tensor")) +
                   encoded("__globals__") + b"tR",
        "a dotted name": encoded("torch._utils") + encoded("_rebuild_tensor.__globals__")
                         + b"\x93",
        "a class": encoded(Name("torchvision.models.resnet ResNet")) + b")\x81",
        "inst": b"(" + encoded(f"touch {target}") + b"ios\nsystem\n",
        "another archive": encoded(Name("torch.storage _load_from_bytes")) + encoded((b"",)) + b"R",
    }


@every_format
@pytest.mark.parametrize("name", harms("x"))
def test_nothing_in_a_file_is_executed(tmp_path, kind, name):
    target = tmp_path / "touched"
    write_attack(kind, tmp_path / "evil.pth", harms(target)[name])
    with pytest.raises(CheckpointError, match=r"evil\.pth: it (asks for|uses the instruction)"):
        load_weights(tmp_path / "evil.pth")
    assert not target.exists()


@every_format
def test_forged_storage_id_is_refused(tmp_path, kind):
    for identity in (("storage", Name("os system"), "0", "cpu", 6), ("module", "a", "b", "c"), "storage", ("storage",)):
        harm = encoded(identity) + b"Q"
        write_attack(kind, tmp_path / "evil.pth", harm)
        with pytest.raises(CheckpointError, match=r"evil\.pth: "):
            load_weights(tmp_path / "evil.pth")


@every_format
def test_pickled_model_is_refused_with_advice(tmp_path, kind):
    write_attack(kind, tmp_path / "model.pt", encoded(Name("__main__ Net")) + b")\x81")
    with pytest.raises(CheckpointError, match=r"'__main__.Net'.*torch\.save\(model\.state_dict\(\), path\)"):
        load_weights(tmp_path / "model.pt")


@pytest.fixture(scope="module", params=FORMATS)
def good(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("good") / "good.pth"
    write(request.param, path, one(), {"0": ELEMENTS.tobytes()})
    return path.read_bytes()


@given(part=st.floats(0, 1, exclude_max=True))
def test_truncated_file_is_refused(scratch, good, part):
    scratch.write_bytes(good[: int(part * len(good))])
    with pytest.raises(CheckpointError, match=r"weights\.pth: "):
        load_weights(scratch)


@given(data=st.data())
def test_mutated_file_is_read_or_refused(scratch, good, data):
    content = bytearray(good)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    scratch.write_bytes(content)
    with contextlib.suppress(CheckpointError):
        back = load_weights(scratch)
        assert all(isinstance(array, np.ndarray) for array in back.values())


def test_archive_packed_anew_is_read(tmp_path):
    write_zip(tmp_path / "a.pth", one(), {"0": ELEMENTS.tobytes()}, compression=zipfile.ZIP_DEFLATED)
    np.testing.assert_array_equal(load_weights(tmp_path / "a.pth")["w"], ELEMENTS.reshape(2, 3))


def test_compressed_bomb_allocates_no_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("minidl.io.npz.SMALL", 1 << 20)
    write_zip(tmp_path / "bomb.pth", one(shape=(1 << 22,), strides=(1,), count=1 << 22), {"0": bytes(1 << 24)},
              compression=zipfile.ZIP_DEFLATED)
    assert (tmp_path / "bomb.pth").stat().st_size < 1 << 16
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError, match=r"bomb\.pth: its entries declare 167\d* bytes, more than the file"):
            load_weights(tmp_path / "bomb.pth")
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_pickle_of_too_many_instructions_is_refused(tmp_path):
    """Compressed, they are a thousandth as large as the time that they take."""
    write_zip(tmp_path / "bomb.pth", b"\x80\x02" + b"N0" * 2_000_000 + b"N.", {}, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(CheckpointError, match=r"bomb\.pth: .*more than 2097152 instructions"):
        load_weights(tmp_path / "bomb.pth")


def test_history_of_a_million_numbers_beside_the_weights(tmp_path):
    write_zip(tmp_path / "a.pth", {"history": [1] * 1_000_000, "net": one()}, {"0": ELEMENTS.tobytes()})
    np.testing.assert_array_equal(load_weights(tmp_path / "a.pth")["w"], ELEMENTS.reshape(2, 3))


def without_checksums(content):
    """A zip archive whose checksums are 0, as torch.serialization.set_crc32_options(False) leaves them."""
    content = bytearray(content)
    for magic, place in ((b"PK\x03\x04", 14), (b"PK\x01\x02", 16)):
        start = -1
        while (start := content.find(magic, start + 1)) >= 0:
            content[start + place:start + place + 4] = bytes(4)
    return bytes(content)


def test_archive_without_checksums_is_read_and_a_wrong_checksum_is_not(tmp_path):
    write_zip(tmp_path / "a.pth", one(), {"0": ELEMENTS.tobytes()})
    good = (tmp_path / "a.pth").read_bytes()
    (tmp_path / "a.pth").write_bytes(without_checksums(good))
    np.testing.assert_array_equal(load_weights(tmp_path / "a.pth")["w"], ELEMENTS.reshape(2, 3))
    (tmp_path / "a.pth").write_bytes(good.replace(ELEMENTS.tobytes(), ELEMENTS[::-1].tobytes()))
    with pytest.raises(CheckpointError, match=r"a\.pth: a damaged PyTorch file .*CRC"):
        load_weights(tmp_path / "a.pth")


def test_overlapping_zip_entries_are_refused(tmp_path):
    """A zip directory may list the same bytes many times."""
    path = tmp_path / "a.pth"
    write_zip(path, one(), {"0": ELEMENTS.tobytes(), "1": bytes(4096)})
    content = path.read_bytes()
    start = content.index(b"PK\x01\x02")
    end = content.index(b"PK\x05\x06")
    entries = content[start:end].split(b"PK\x01\x02")[1:]
    large = next(entry for entry in entries if b"data/1" in entry)
    directory = b"".join(b"PK\x01\x02" + entry for entry in entries + [large] * 50)
    count = len(entries) + 50
    tail = b"PK\x05\x06" + struct.pack("<4H2LH", 0, 0, count, count, len(directory), start, 0)
    path.write_bytes(content[:start] + directory + tail)
    with pytest.raises(CheckpointError, match="larger than the file"):
        load_weights(path)


@pytest.mark.parametrize("order", [b"big", b"little"])
def test_big_endian_file_is_refused(tmp_path, order):
    write_zip(tmp_path / "a.pth", one(), {"0": ELEMENTS.tobytes()}, more={"byteorder": order})
    if order == b"little":
        assert load_weights(tmp_path / "a.pth")["w"].shape == (2, 3)
    else:
        with pytest.raises(CheckpointError, match="big-endian"):
            load_weights(tmp_path / "a.pth")


@pytest.mark.parametrize("settings", [{"little_endian": False}, {"protocol": 1000}])
def test_unsupported_legacy_formats_are_refused(tmp_path, settings):
    write_legacy(tmp_path / "a.pth", one(), {"0": ELEMENTS.tobytes()}, {"0": 6}, **settings)
    with pytest.raises(CheckpointError, match="a format that is not supported"):
        load_weights(tmp_path / "a.pth")


def test_deep_nesting_is_refused(tmp_path):
    content = b"\x80\x02" + b"}U\x01a" * 100_000 + b"}" + b"s" * 100_000 + b"."
    write_zip(tmp_path / "a.pth", content, {})
    with pytest.raises(CheckpointError, match=r"a\.pth: "):
        load_weights(tmp_path / "a.pth")


def test_dictionary_that_contains_itself_is_refused(tmp_path):
    write_zip(tmp_path / "a.pth", b"\x80\x02}q\x00U\x05modelh\x00s.", {})
    with pytest.raises(CheckpointError, match="holds no named weights"):
        load_weights(tmp_path / "a.pth")


# Rebuilding functions: nothing that changes elements may be passed over

def called(name, *arguments):
    """The instructions that call a function with the encoded arguments."""
    return encoded(Name(name)) + b"(" + b"".join(arguments) + b"tR"


def stored_as(kind, count=6):
    return encoded(("storage", Name(f"torch {kind}Storage"), "0", "cpu", count)) + b"Q"


GEOMETRY = encoded(0) + encoded((2, 3)) + encoded((3, 1))
HOOKS = encoded(Name("collections OrderedDict")) + b")R"
REBUILT = {
    "a negative bit": called("torch._utils _rebuild_tensor_v2", stored_as("Float"), GEOMETRY, b"\x89", HOOKS,
                             encoded({"neg": True})),
    "a parameter with attributes": called("torch._utils _rebuild_parameter_with_state", called(
        "torch._utils _rebuild_tensor_v2", stored_as("Float"), GEOMETRY, b"\x88", HOOKS), b"\x88", HOOKS,
        encoded({"note": 3})),
    "a tensor with attributes": called("torch._tensor _rebuild_from_type_v2", encoded(
        Name("torch._utils _rebuild_tensor_v2")), encoded(Name("torch Tensor")), b"(" + stored_as("Float") + GEOMETRY
        + b"\x89" + HOOKS + b"t", encoded({"persistent": True})),
    "a tensor of a subclass": called("torch._tensor _rebuild_from_type_v2", encoded(
        Name("torch._utils _rebuild_tensor_v2")), encoded(Name("mine Tensor")), b"(" + stored_as("Float") + GEOMETRY
        + b"\x89" + HOOKS + b"t", b"}"),
    "an object": encoded(Name("torch FloatTensor")) + b")\x81(" + stored_as("Float") + GEOMETRY + b"tb",
    "an object of a GPU, protocol 1": called("copy_reg _reconstructor", encoded(Name("torch.cuda FloatTensor")),
                                             encoded(Name("__builtin__ object")), b"N") + b"("
    + stored_as("Float") + GEOMETRY + b"tb",
    "a parameter of PyTorch 0.1": called("torch.nn.parameter Parameter", encoded(Name("torch FloatTensor")) + b")\x81("
                                         + stored_as("Float") + GEOMETRY + b"tb", b"\x88")
    + b"(\x88\x89" + HOOKS + b"tb",
    "a variable with its tensor as state": encoded(Name("torch.nn.parameter Parameter")) + b")\x81(" + called(
        "torch._utils _rebuild_tensor", stored_as("Float"), GEOMETRY) + b"N" + HOOKS + b"\x88Ntb",
    "a view of a storage": called("torch._utils _rebuild_tensor_v2", encoded(
        ("storage", Name("torch FloatStorage"), "0", "cpu", 8, ("1", 2, 6))) + b"Q", GEOMETRY, b"\x89", HOOKS),
    "uint16": called("torch._utils _rebuild_tensor_v3", encoded(
        ("storage", Name("torch.storage UntypedStorage"), "0", "cpu", 24)) + b"Q", GEOMETRY, b"\x89", HOOKS,
        encoded(Name("torch uint32"))),
}


@every_format
@pytest.mark.parametrize("name", REBUILT)
def test_every_way_to_rebuild_a_tensor(tmp_path, kind, name):
    elements, count, expected = ELEMENTS, 6, ELEMENTS.reshape(2, 3)
    if name == "a view of a storage":
        elements, count, expected = np.arange(8, dtype="f4"), 8, np.arange(2, 8).reshape(2, 3)
    if name == "uint16":
        elements, count = ELEMENTS.astype("<u4"), 24
    content = b"\x80\x02}" + encoded("w") + REBUILT[name] + b"s."
    write(kind, tmp_path / "a", content, {"0": elements.tobytes()}, {"0": count})
    back = load_weights(tmp_path / "a")["w"]
    np.testing.assert_array_equal(back, -expected if name == "a negative bit" else expected)
    assert not back.flags.writeable


@every_format
@pytest.mark.parametrize(("harm", "reason"), [
    (called("torch._utils _rebuild_tensor_v2", stored_as("Float"), GEOMETRY, b"\x89", HOOKS, encoded({"new": True})),
     "metadata that are unknown"),
    (called("torch._utils _rebuild_tensor_v2", stored_as("Float"), GEOMETRY, encoded(3), HOOKS), "no tensor"),
    (called("torch._utils _rebuild_tensor_v2", encoded(
        ("storage", Name("torch FloatStorage"), "0", "cpu", 6, ("1", 3, 6))) + b"Q", GEOMETRY, b"\x89", HOOKS),
     "a view reaches beyond the 6 elements"),
    (called("torch._utils _rebuild_tensor_v3", encoded(
        ("storage", Name("torch.storage UntypedStorage"), "0", "cpu", 6)) + b"Q", GEOMETRY, b"\x89", HOOKS,
        encoded(Name("torch uint16"))), "reaches beyond the 3 elements"),
    (called("torch._utils _rebuild_qtensor", stored_as("QInt8"), GEOMETRY), r"quantized.*tensor\.dequantize"),
    (called("torch._utils _rebuild_tensor_v2", stored_as("ComplexFloat"), GEOMETRY, b"\x89", HOOKS), "complex"),
    (called("torch._utils _rebuild_meta_tensor_no_storage", encoded(Name("torch float32"))), "meta device"),
    (called("torch._utils _rebuild_tensor_v3", encoded(("storage", Name("torch.storage UntypedStorage"), "0", "cpu", 6))
            + b"Q", GEOMETRY, b"\x89", HOOKS, encoded(Name("torch float8_e5m2"))),
     r"torch\.float8_e5m2.*tensor\.float"),
    (called("numpy.core.multiarray scalar", encoded("f8")), r"numpy.*torch\.as_tensor"),
])
def test_what_is_no_plain_tensor_is_named(tmp_path, kind, harm, reason):
    write(kind, tmp_path / "a", b"\x80\x02}" + encoded("w") + harm + b"s.", {})
    with pytest.raises(CheckpointError, match=rf"(?s)a: .*{reason}"):
        load_weights(tmp_path / "a")


def test_negative_bit_of_an_expanded_tensor_takes_no_memory(tmp_path):
    tensor = called("torch._utils _rebuild_tensor_v2", stored_as("Float"), encoded(5), encoded((1 << 28, 1)),
                    encoded((0, 1)), b"\x89", HOOKS, encoded({"neg": True}))
    write_zip(tmp_path / "a", b"\x80\x02}" + encoded("w") + tensor + b"s.", {"0": ELEMENTS.tobytes()})
    back = load_weights(tmp_path / "a")["w"]
    assert (back.shape, back[-1, 0]) == ((1 << 28, 1), -5)


def test_negative_bit_of_an_overlapping_view_takes_no_memory(tmp_path):
    """A million windows of a thousand elements each: 4 GB, if each element were negated where it is seen."""
    windows = ((1 << 20) - 1000, 1000)
    geometry = encoded(0) + encoded(windows) + encoded((1, 1))
    tensor = called("torch._utils _rebuild_tensor_v2", stored_as("Float", 1 << 20), geometry, b"\x89", HOOKS,
                    encoded({"neg": True}))
    elements = np.arange(1 << 20, dtype=np.float32)
    write_zip(tmp_path / "a", b"\x80\x02}" + encoded("w") + tensor + b"s.", {"0": elements.tobytes()})
    tracemalloc.start()
    try:
        back = load_weights(tmp_path / "a")["w"]
        assert tracemalloc.get_traced_memory()[1] < 1 << 26
    finally:
        tracemalloc.stop()
    assert (back.shape, back[-1, -1], back[3, 4]) == (windows, -elements[-2], -7)


@pytest.mark.parametrize("protocol", [1, 2, 3, 4, 5])
def test_legacy_file_of_any_protocol(tmp_path, protocol):
    write_legacy(tmp_path / "a", one(), {"0": ELEMENTS.tobytes()}, {"0": 6}, pickle_protocol=protocol)
    np.testing.assert_array_equal(load_weights(tmp_path / "a")["w"], ELEMENTS.reshape(2, 3))


# The tar archive of PyTorch 0.1

def test_tar_archive_is_read(tmp_path):
    arrays = {"conv1.weight": ELEMENTS.reshape(1, 2, 3, 1), "fc.bias": np.array([1, -2], np.float64)}
    write_tar(tmp_path / "a.pth", arrays)
    back = load_weights(tmp_path / "a.pth")
    for name, array in arrays.items():
        np.testing.assert_array_equal(back[name], array)
        assert back[name].dtype == array.dtype


def test_views_in_a_tar_archive(tmp_path):
    write_tar(tmp_path / "a.pth", {"w": ELEMENTS}, views=[(900, 100, 2, 3)], storage=900, shape=(3,))
    np.testing.assert_array_equal(load_weights(tmp_path / "a.pth")["w"], [2, 3, 4])
    for view in [(900, 100, 4, 3), (900, 100, -1, 3), (900, 100, 0, 1 << 60), (900, 7, 0, 1)]:
        write_tar(tmp_path / "a.pth", {"w": ELEMENTS}, views=[view], storage=900, shape=(3,))
        with pytest.raises(CheckpointError, match=r"a\.pth: "):
            load_weights(tmp_path / "a.pth")


@given(part=st.floats(0, 1, exclude_max=True))
def test_truncated_tar_archive_is_refused(scratch, part):
    write_tar(scratch, {"w": ELEMENTS})
    content = scratch.read_bytes().rstrip(b"\0")
    scratch.write_bytes(content[: int(part * len(content))])
    with pytest.raises(CheckpointError, match=r"weights\.pth: "):
        load_weights(scratch)


def test_other_tar_archives_are_refused(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.add(__file__, "photo.py")
    with pytest.raises(CheckpointError, match=r"a\.tar: a tar archive of photo\.py; unpack it"):
        load_weights(tmp_path / "a.tar")


@every_format
def test_files_written_by_pytorch(tmp_path, kind):
    torch = pytest.importorskip("torch")
    base = torch.arange(12.0)
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    state = {**net.state_dict(), "view": base[2:8:2], "transposed": base.reshape(3, 4).t(), "half": base.half(),
             "bfloat16": base.bfloat16(), "bool": base > 3, "scalar": torch.tensor(3), "none": torch.zeros(0, 3),
             "expanded": torch.ones(3).expand(4, 3), "parameter": torch.nn.Parameter(base), "int8": base.to(torch.int8)}
    torch.save({"epoch": 1, "model": state, "optimizer": {"lr": 0.1, "state": {0: {"step": base}}}}, tmp_path / "a.pt",
               _use_new_zipfile_serialization=kind == "zip")
    back = load_weights(tmp_path / "a.pt")
    assert list(back) == list(state)
    for name, tensor in state.items():
        expected = tensor.detach().float() if name == "bfloat16" else tensor.detach()
        np.testing.assert_array_equal(back[name], expected.numpy())
        assert back[name].dtype == expected.numpy().dtype


@every_format
def test_pickled_model_written_by_pytorch_is_refused(tmp_path, kind):
    torch = pytest.importorskip("torch")
    torch.save(torch.nn.Linear(2, 3), tmp_path / "a.pt", _use_new_zipfile_serialization=kind == "zip")
    with pytest.raises(CheckpointError, match=r"torch.nn.modules.linear.Linear.*state_dict"):
        load_weights(tmp_path / "a.pt")


@pytest.mark.parametrize(("file", "arrays", "elements"), [
    ("resnet20-12fca82f.th", 97, 271_098), ("resnet56-4bfd9763.th", 277, 857_082),
])
def test_real_files(file, arrays, elements):
    path = os.path.join(os.environ.get("MINIDL_DATA", ""), "weights", file)
    if not os.path.isfile(path):
        pytest.skip(f"$MINIDL_DATA is not a folder with weights/{file}")
    back = load_weights(path)
    assert len(back) == arrays
    assert sum(array.size for array in back.values()) == elements
    assert back["conv1.weight"].shape == (16, 3, 3, 3)
    assert all(np.isfinite(array).all() for array in back.values())


def test_other_pickles_are_refused(tmp_path):
    (tmp_path / "a.pth").write_bytes(pickle.dumps({"w": [1.0]}))
    with pytest.raises(CheckpointError, match=r"a\.pth: .*a pickle that PyTorch did not write"):
        load_weights(tmp_path / "a.pth")
