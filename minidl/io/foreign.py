"""What a file or an object is that holds no weights for us: its name, and what to do with it."""

import re
from collections.abc import Sequence

UNPACK = "unpack it first"
RESAVE = "save the weights alone in PyTorch: torch.save(model.state_dict(), path)"
SAVEZ = "save the arrays with numpy.savez instead"
BEGINNINGS = {                                   # by the first bytes of a file
    b"\x89HDF": f"is HDF5, as Keras and MATLAB write it; {SAVEZ}",
    b"\x93NUMPY": "is a single NumPy array without a name; save all arrays with numpy.savez instead",
    b"\x1f\x8b": f"is compressed by gzip; {UNPACK}",
    b"BZh": f"is compressed by bzip2; {UNPACK}",
    b"\xfd7zXZ": f"is compressed by xz; {UNPACK}",
    b"\x28\xb5\x2f\xfd": f"is compressed by zstd; {UNPACK}",
    b"7z\xbc\xaf\x27\x1c": f"is a 7-Zip archive; {UNPACK}",
    b"Rar!": f"is a RAR archive; {UNPACK}",
    b"PK\x05\x06": "is an empty zip archive",
    b"\xff\xd8\xff": "is a photograph (JPEG), not weights",
    b"\x89PNG": "is an image (PNG), not weights",
    b"%PDF": "is a document (PDF), not weights",
    b"GGUF": "is GGUF, a format for language models; take the weights as safetensors",
    b"MATLAB 5.0": f"is a file of MATLAB; {SAVEZ}",
    b"model_checkpoint_path:": f"is the index of TensorFlow's checkpoints; {SAVEZ}",
}
GRAPH = f"is a graph of TensorFlow; {SAVEZ}"
CHECKPOINT = b"\x57\xfb\x80\x8b\x24\x75\x47\xdb"                     # the end of a TensorFlow index, a LevelDB table
TENSORS = {                                      # kinds of objects that are tensors, but not plain ones
    r"torch\.(Q|qu?int|per_|_utils\._rebuild_qtensor|\w*quant)": ("quantized", "tensor.dequantize()"),
    r"torch\._utils\._rebuild_sparse|torch\.sparse": ("sparse", "tensor.to_dense()"),
    r"torch\.[Cc]omplex": ("complex", "torch.view_as_real(tensor)"),
    r"torch\._utils\._rebuild_meta": ("on the meta device, without elements", "the model built on the CPU"),
    r"torch\.float\d|torch\.bits|torch\.u?int\d": ("of a type that NumPy lacks", "tensor.float()"),
    r"torch\._utils\._rebuild_|torch\.\w*[Ss]torage": ("of a special kind", "tensor.cpu().contiguous()"),
}


def beginning(start: bytes, end: bytes = b"") -> str:
    """A description of a file by its first bytes (64 or more are best) and its last 8."""
    for magic, text in BEGINNINGS.items():
        if start.startswith(magic):
            return text
    if found := in_its_place(start):
        return found
    if start[4:8] == b"TFL3":
        return f"is TensorFlow Lite; {SAVEZ}"
    if end == CHECKPOINT:
        return f"is the index of a checkpoint of TensorFlow; {SAVEZ}"
    if start.startswith((b"\x08\x01\x12", b"\x0a")) and re.search(rb"\x12.(Const|Placeholder|VariableV2)", start, re.S):
        return GRAPH
    if start.startswith((b"\x80", b"(dp", b"ccopy_reg", b"(lp", b"c__")):
        return f"is a pickle that PyTorch did not write{made_by(start)}; {SAVEZ}, or with safetensors"
    return f"begins with {start[:15]!r}" if start else "is empty"


def in_its_place(start: bytes) -> str | None:
    """A description of text that is found where a file should be; None for anything else."""
    words = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if words.startswith(b"version https://git-lfs"):
        return "is a pointer of Git LFS, not the file itself: `git lfs pull` fetches it"
    if words.startswith((b"<!doctype", b"<html", b"<head")):
        return "is a web page, such as a site shows instead of a file; download the file itself"
    if words.startswith(b"{") and b'"weight_map"' in words:
        return "is the index of weights in several files; load each file that it names"
    if words.startswith(b"{"):
        return "is text (JSON), such as a site answers instead of a file; download the file itself"
    return None


def made_by(start: bytes) -> str:
    """The package whose object a pickle is, as far as its beginning tells."""
    found = re.search(rb"(sklearn|xgboost|lightgbm|keras|tensorflow|jax|pandas|torch|numpy)\b", start)
    return f" (an object of {found[1].decode()})" if found else ""


def archive_of(names: Sequence[str]) -> str | None:
    """A description of a zip archive that torch.save did not write, by the names in it; None for one that it did."""
    ends = {name.rpartition("/")[2] for name in names}
    parts = {part for name in names for part in name.split("/")[:-1]}
    if ends & {"serialized_exported_program.json", "archive_format"}:
        return ("a program of torch.export, not weights alone; save them in PyTorch: "
                "torch.save(torch.export.load(path).state_dict, path)")
    if "constants.pkl" in ends or "model.json" in ends or ("code" in parts and "data.pkl" in ends):
        return ("a program of TorchScript or of PyTorch's C++ library, not weights alone; save them in PyTorch: "
                "torch.save(torch.jit.load(path).state_dict(), path)")
    if "model.weights.h5" in ends or {"config.json", "metadata.json"} <= ends:
        return f"a model of Keras; {SAVEZ}: numpy.savez(path, **{{w.path: w.numpy() for w in model.weights}})"
    if "saved_model.pb" in ends:
        return f"a model of TensorFlow; {SAVEZ}"
    inner = [name for name in names if name.endswith((".pth", ".pt", ".th", ".tar", ".safetensors", ".npz", ".h5",
                                                      ".ckpt", ".bin", ".pkl")) and not name.endswith("data.pkl")]
    if inner and "data.pkl" not in ends:
        return f"a zip archive of other files; unpack it, and name one of them, such as {inner[0]}"
    return None


def object_of(name: str) -> str:
    """A description of an object of the class or function `name` that stands where a tensor was expected."""
    for pattern, (kind, remedy) in TENSORS.items():
        if re.match(pattern, name):
            return (f"a tensor that is {kind}; sparse, quantized and complex tensors and the like are not supported. "
                    f"Convert it in PyTorch, with {remedy}, and save again")
    if name.startswith("numpy."):
        return "an object of NumPy, not a tensor; make it one with torch.as_tensor, or leave it out, and save again"
    return f"an object of a program, which cannot be read safely; {RESAVE}"
