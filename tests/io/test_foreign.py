"""Files that hold no weights for us are named for what they are, with what to do."""

import bz2
import gzip
import lzma
import pickle
import re
import warnings
import zipfile

import numpy as np
import pytest

from minidl.io import CheckpointError, load_weights
from minidl.io.foreign import object_of

CONTENTS = {
    "Git LFS": (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n", "git lfs pull"),
    "a web page": (b"<!DOCTYPE html>\n<html><head><title>Sign in</title>", "is a web page.*download the file itself"),
    "a web page after spaces": (b"\n\n  <html lang='en'>", "is a web page"),
    "a web page with a mark": (b"\xef\xbb\xbf<!doctype html>", "is a web page"),
    "an answer in JSON": (b'{"error": "Repository not found"}', r"is text \(JSON\)"),
    "an index": (b'{\n  "metadata": {\n    "total_size": 3\n  },\n  "weight_map": {', "weights in several files"),
    "an answer with a brace": (b'{"a":  {"b": 3}}' + bytes(99), r"is text \(JSON\)"),
    "gzip": (gzip.compress(b"x" * 99), "compressed by gzip; unpack it"),
    "bzip2": (bz2.compress(b"x" * 99), "compressed by bzip2; unpack it"),
    "xz": (lzma.compress(b"x" * 99), "compressed by xz; unpack it"),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(99), r"HDF5.*numpy\.savez"),
    "one array": (b"\x93NUMPY\x01\x00" + bytes(99), r"single NumPy array.*numpy\.savez"),
    "TensorFlow Lite": (b"\x1c\x00\x00\x00TFL3" + bytes(99), "TensorFlow Lite"),
    "TensorFlow's graph": (b"\n\x1d\n\x05input\x12\x0bPlaceholder*\x0b", "graph of TensorFlow"),
    "TensorFlow's index": (b"\x00\x00\x1b" + bytes(60) + b"\x57\xfb\x80\x8b\x24\x75\x47\xdb",
                           "checkpoint of TensorFlow"),
    "a photograph": (b"\xff\xd8\xff\xe0\0\x10JFIF", r"is a photograph \(JPEG\)"),
    "GGUF": (b"GGUF\x03" + bytes(99), "GGUF"),
    "a model of scikit-learn": (b"\x80\x04\x95#\x00\x00\x00\x00\x00\x00\x00\x8c\x15sklearn.linear_model",
                                "object of sklearn"),
    "a pickle": (pickle.dumps({"w": [1.0]}), "a pickle that PyTorch did not write"),
    "a pickle of protocol 0": (pickle.dumps({"w": [1.0]}, 0), "a pickle that PyTorch did not write"),
    "nothing": (b"", "is empty"), "text": (b"hello, world and more", "begins with b'hello, world an"),
    "an empty zip archive": (b"PK\x05\x06" + bytes(18), "empty zip archive"),
}


@pytest.mark.parametrize(("content", "reason"), CONTENTS.values(), ids=CONTENTS)
def test_foreign_files_are_named(tmp_path, content, reason):
    (tmp_path / "a.pth").write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"(?s)a\.pth: neither safetensors nor .* PyTorch file; it .*{reason}"):
        load_weights(tmp_path / "a.pth")


def test_onnx_is_read_or_named(tmp_path):
    """Without the package `onnx` the error says what to install."""
    (tmp_path / "a.pth").write_bytes(b"\x08\x07\x12\x07pytorch\x1a\x052.1.0:\x80")
    with pytest.raises((CheckpointError, ImportError), match=r"not a file of ONNX|onnx is not installed"):
        load_weights(tmp_path / "a.pth")


ARCHIVES = {
    "TorchScript": (["m/data.pkl", "m/constants.pkl", "m/code/__torch__.py", "m/data/0"],
                    r"TorchScript.*torch\.jit\.load"),
    "C++": (["archive/model.json", "archive/tensors/0"], r"C\+\+ library.*torch\.jit\.load"),
    "torch.export": (["serialized_exported_program.json", "version"], r"torch\.export.*state_dict"),
    "torch.export's later form": (["e/models/model.json", "e/archive_format", "e/data/weights/weight_0"],
                                  r"torch\.export\.load"),
    "Keras": (["metadata.json", "config.json", "model.weights.h5"], r"Keras.*numpy\.savez"),
    "TensorFlow": (["m/saved_model.pb", "m/variables/variables.index"], "TensorFlow"),
    "another archive": (["best/resnet20.pth", "README.md"], r"zip archive of other files.*resnet20\.pth"),
    "a document": (["word/document.xml"], r"0 entries data\.pkl"),
}


@pytest.mark.parametrize(("names", "reason"), ARCHIVES.values(), ids=ARCHIVES)
def test_foreign_archives_are_named(tmp_path, names, reason):
    with zipfile.ZipFile(tmp_path / "a.pt", "w") as archive:
        for name in names:
            archive.writestr(name, b"N.")
    with pytest.raises(CheckpointError, match=rf"a\.pt: .*{reason}"):
        load_weights(tmp_path / "a.pt")


@pytest.mark.parametrize(("name", "reason"), [
    ("torch.QUInt8Storage", "quantized.*dequantize"), ("torch.qint8", "quantized"),
    ("torch._utils._rebuild_sparse_tensor", "sparse.*to_dense"),
    ("torch.ComplexDoubleStorage", "complex.*view_as_real"), ("torch.float8_e4m3fn", "NumPy lacks.*float"),
    ("torch._utils._rebuild_nested_tensor", "special kind"), ("numpy.core.multiarray.scalar", r"NumPy.*as_tensor"),
    ("mine.Net", r"state_dict\(\)")])
def test_objects_have_a_remedy(name, reason):
    assert re.search(reason, object_of(name))


def test_foreign_files_written_by_pytorch(tmp_path):
    torch = pytest.importorskip("torch")
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")          # PyTorch calls its own format deprecated
        torch.jit.trace(net, torch.ones(1, 3, 5, 5)).save(str(tmp_path / "a.pt"))
    with pytest.raises(CheckpointError, match="TorchScript"):
        load_weights(tmp_path / "a.pt")
    torch.save(net.state_dict(), tmp_path / "b.pt")
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
        archive.write(tmp_path / "b.pt", "b.pt")
    with pytest.raises(CheckpointError, match=r"zip archive of other files.*b\.pt"):
        load_weights(tmp_path / "c.zip")
    with zipfile.ZipFile(tmp_path / "b.pt") as old, zipfile.ZipFile(tmp_path / "d.pt", "w", zipfile.ZIP_BZIP2) as new:
        for name in old.namelist():
            new.writestr(f"__MACOSX/._{name.replace('/', '_')}", b"\0\5\26\7")
            new.writestr(f"inner/{name}", old.read(name))
    np.testing.assert_array_equal(load_weights(tmp_path / "d.pt")["0.bias"], net[0].bias.detach().numpy())
