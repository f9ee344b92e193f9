"""torch.save and torch.load: what goes in comes out, PyTorch's files are read, and hostile ones are refused."""

import json
import pickle
import zipfile

import numpy as np
import pytest
from safetensors.numpy import save_file

import minidl.nn as nn
import minidl.torch as torch
from minidl import Tensor
from minidl.io import CheckpointError, load_weights

TREE = {
    "model": {"conv.weight": Tensor(np.ones((2, 3), np.float32)), "steps": np.array(7)},
    "state": {0: {"exp_avg": np.arange(3.0)}, 1: {}},
    "numbers": [1, 2.5, True, None, "text", (1, (2,)), float("inf")],
    "scalar": np.float32(0.5), "": {"a.b": np.ones(2), "a": {"b": np.zeros(2)}},
}


def same(a, b):
    if isinstance(b, Tensor | np.ndarray):
        return isinstance(a, Tensor) and a.dtype == b.dtype and np.array_equal(np.asarray(a), np.asarray(b))
    if isinstance(b, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in b)
    if isinstance(b, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return a == b and (type(a) is type(b) or isinstance(b, np.generic))


def test_a_tree_comes_back(tmp_path):
    torch.save(TREE, tmp_path / "tree.pt")
    assert same(torch.load(tmp_path / "tree.pt"), TREE)


@pytest.mark.parametrize("value", [np.ones(3), [], {}, (), 5, "text", None, [[np.ones(1)]]])
def test_any_value_comes_back(tmp_path, value):
    torch.save(value, tmp_path / "value.pt")
    assert same(torch.load(tmp_path / "value.pt"), value)


def test_weights_are_found_in_it(tmp_path):
    model = nn.Linear(2, 3)
    torch.save(model.state_dict(), tmp_path / "model.pt")
    torch.save({"model": model.state_dict(), "epoch": 3}, tmp_path / "checkpoint.pt")
    for weights in (load_weights(tmp_path / "model.pt"), load_weights(tmp_path / "checkpoint.pt", key="model.")):
        np.testing.assert_array_equal(weights["weight"], model.weight.data)


def test_what_is_loaded_can_be_written_to(tmp_path):
    torch.save(np.ones(3), tmp_path / "x.pt")
    torch.load(tmp_path / "x.pt").zero_()


@pytest.mark.parametrize(("value", "message"), [
    (nn.Linear(1, 1), r"the value is a Linear; save its state_dict\(\)"),
    ({"model": nn.ReLU()}, "model is a ReLU"),
    ({"a": [print]}, "a.0 is a builtin_function"),
    ({("a", 1): 2}, "keys must be text or numbers"),
    ({"a": {1, 2}}, "a is a set"),
])
def test_what_cannot_be_saved(tmp_path, value, message):
    with pytest.raises(TypeError, match=message):
        torch.save(value, tmp_path / "x.pt")
    assert not (tmp_path / "x.pt").exists()


def test_a_list_in_itself(tmp_path):
    endless = []
    endless.append(endless)
    with pytest.raises(TypeError, match="more than 64 levels"):
        torch.save(endless, tmp_path / "x.pt")


def test_plain_safetensors(tmp_path):
    save_file({"w": np.ones(2, np.float16)}, tmp_path / "w.safetensors")
    loaded = torch.load(tmp_path / "w.safetensors")
    assert loaded["w"].dtype == np.float32


@pytest.mark.parametrize("tree", [
    5, "x", {}, {"array": "no"}, {"array": []}, {"dict": [[1]]}, {"dict": [[[1], {"value": 1}]]}, {"list": 5},
    {"value": [1]}, {"other": []}, {"list": [{"list": 3}]}, {"list": [], "tuple": []}, {"dict": {"a": 1}},
])
def test_damaged_trees(tmp_path, tree):
    save_file({"w": np.ones(2)}, tmp_path / "x.pt", {"tree": json.dumps(tree)})
    with pytest.raises(CheckpointError, match=r"x\.pt: its tree is damaged"):
        torch.load(tmp_path / "x.pt")


def test_a_deep_tree(tmp_path):
    tree = {"value": 1}
    for _ in range(100):
        tree = {"list": [tree]}
    save_file({"w": np.ones(2)}, tmp_path / "x.pt", {"tree": json.dumps(tree)})
    with pytest.raises(CheckpointError, match="damaged"):
        torch.load(tmp_path / "x.pt")


def test_code_is_never_run(tmp_path):
    with pytest.raises(ValueError, match="weights_only=False would execute"):
        torch.load(tmp_path / "x.pt", weights_only=False)


def archive(path, value):
    """A zip archive as torch.save writes it, of a value without tensors."""
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/data.pkl", pickle.dumps(value, 2))


class Evil:
    def __reduce__(self):
        return eval, ("1 / 0",)


def test_files_of_pytorch_that_hold_more_than_data(tmp_path):
    archive(tmp_path / "evil.pt", {"a": Evil()})
    with pytest.raises(CheckpointError, match="made to run a program"):
        torch.load(tmp_path / "evil.pt")
    archive(tmp_path / "object.pt", {"a": zipfile.ZipInfo("x")})
    with pytest.raises(CheckpointError, match="an object of the class 'zipfile"):
        torch.load(tmp_path / "object.pt")


def test_a_few_bytes_that_describe_endless_lists(tmp_path):
    value = []
    for _ in range(60):
        value = [value, value]
    archive(tmp_path / "endless.pt", value)
    with pytest.raises(CheckpointError, match="levels of dictionaries, or"):
        torch.load(tmp_path / "endless.pt")


def test_files_that_pytorch_wrote(tmp_path):
    theirs = pytest.importorskip("torch")
    weight = theirs.arange(6.0).reshape(2, 3)
    value = {"model": {"w": weight, "again": weight, "part": weight[0], "half": weight.half()},
             "state": {0: {"step": theirs.tensor(3.0)}}, "lr": [0.1, (1, None)], "name": "net"}
    for settings in ({}, {"_use_new_zipfile_serialization": False}):
        theirs.save(value, tmp_path / "theirs.pt", **settings)
        loaded = torch.load(tmp_path / "theirs.pt", map_location="cpu")
        assert loaded["model"]["w"].tolist() == loaded["model"]["half"].tolist() == weight.tolist()
        assert loaded["model"]["again"] is loaded["model"]["w"]
        assert loaded["state"] == {0: {"step": loaded["state"][0]["step"]}}
        assert (loaded["lr"], loaded["name"]) == ([0.1, (1, None)], "net")
        loaded["model"]["w"].zero_()


def test_a_tensor_far_larger_than_its_file_is_not_copied(tmp_path):
    theirs = pytest.importorskip("torch")
    theirs.save(theirs.ones(1).expand(1 << 28), tmp_path / "large.pt")
    loaded = torch.load(tmp_path / "large.pt")
    assert loaded.shape == (1 << 28,)
    assert loaded.data.strides == (0,)
