"""Which dictionary of a checkpoint holds the weights, and the names that they have in a network."""

import numpy as np
import pytest
from torch_writer import Name, Stored, encoded, of_array, pickled, write_legacy, write_zip

import minidl.nn as nn
from minidl.io import CheckpointError, load_into, load_weights, save_checkpoint, save_model
from minidl.io.pickles import Opaque, read_pickle

WEIGHTS = {"0.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "0.bias": np.ones(2, np.float32)}
OTHER = {"a.weight": np.ones((4, 4), np.float32)}
FORMATS = ("zip", "legacy")
every_format = pytest.mark.parametrize("kind", FORMATS)


class Writer:
    """Turns the arrays of a tree into Stored ones, and collects their bytes."""

    def __init__(self):
        self.storages, self.counts = {}, {}

    def tree(self, value):
        if isinstance(value, np.ndarray):
            key = str(len(self.storages))
            stored, self.storages[key] = of_array(value, key)
            self.counts[key] = value.size
            return stored
        if isinstance(value, dict):
            return {key: self.tree(item) for key, item in value.items()}
        return value


def write(path, tree, kind="zip", more=b""):
    """Write a tree of dictionaries and arrays; `more` are the instructions of further items of the outermost."""
    writer = Writer()
    content = pickled(writer.tree(tree))
    content = content[:-2] + more + b"u."                            # before SETITEMS and STOP
    if kind == "zip":
        write_zip(path, content, writer.storages)
    else:
        write_legacy(path, content, writer.storages, writer.counts)


def assert_same(arrays, expected=WEIGHTS):
    assert sorted(arrays) == sorted(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(arrays[name], array)


def prefixed(prefix, arrays=WEIGHTS):
    return {prefix + name: array for name, array in arrays.items()}


def scalar(value=1.0):
    return np.array(value, np.float32)


OPTIMIZER = {"state": {0: {"step": scalar(), "exp_avg.weight": np.ones((9, 9), np.float32)}}, "param_groups": {}}
TREES = {
    "PyTorch's example for ImageNet": {"epoch": 3, "state_dict": WEIGHTS, "best_acc1": scalar(),
                                       "optimizer": OPTIMIZER},
    "PyTorch's tutorial": {"model_state_dict": WEIGHTS, "optimizer_state_dict": OPTIMIZER, "loss": scalar()},
    "a stray tensor first": {"best_acc1": scalar(), "net": prefixed("module.")},
    "a state of random numbers": {"model": WEIGHTS, "rng_state": np.zeros(5056, np.uint8)},
    "weights of classes": {"encoder": WEIGHTS, "class_weights": np.ones(10, np.float32)},
    "a loss with weights": {"encoder": WEIGHTS, "criterion": {"weight": np.ones(3, np.float32)}},
    "metrics with dots": {"encoder": WEIGHTS, "metrics": {"val.loss": scalar(), "val.acc": scalar()}},
    "averaged weights": {"model_ema": prefixed("", {**WEIGHTS, **OTHER}), "model": WEIGHTS},
    "an optimizer of an unknown kind": {"backbone": WEIGHTS, "optimizer": {"a.weight": np.ones((9, 9), np.float32)}},
    "deep inside": {"a": {"b": {"state_dict": WEIGHTS}, "loss": scalar()}},
}


@every_format
@pytest.mark.parametrize("tree", TREES.values(), ids=TREES)
def test_weights_are_found_beside_other_tensors(tmp_path, tree, kind):
    write(tmp_path / "a", tree, kind)
    assert_same(load_weights(tmp_path / "a"))


def test_names_without_dots_are_weights_too(tmp_path):
    flat = {"w": np.ones((2, 2), np.float32), "b": np.ones(2, np.float32)}
    write(tmp_path / "a", flat)
    assert_same(load_weights(tmp_path / "a"), flat)
    write(tmp_path / "a", {"net": flat, "loss": scalar()})
    assert_same(load_weights(tmp_path / "a"), flat)


# Objects

def call(name, *arguments):
    return encoded(Name(name)) + b"(" + b"".join(map(encoded, arguments)) + b"tR"


def state(value):
    """BUILD"""
    return encoded(value) + b"b"


OBJECTS = {
    "a NumPy number": call("numpy.core.multiarray scalar", Name("numpy dtype"), b"\0\0"),
    "a NumPy array": call("numpy.core.multiarray _reconstruct", Name("numpy ndarray"), (0,), b"b")
    + state((1, (3,), b"x")),
    "a namespace": encoded(Name("argparse Namespace")) + b")\x81" + state({"lr": 0.1}),
    "a set": call("__builtin__ set", [1, 2]), "a set, protocol 4": b"\x8f(K\x01\x90", "a frozen set": b"(K\x01\x91",
    "a counter": call("collections Counter", {"a": 2}), "an ordered dictionary": call("collections OrderedDict"),
    "a dictionary with a default": call("collections defaultdict", Name("__builtin__ list")) + b"K\x01K\x02s",
    "a dictionary of a subclass": encoded(Name("mine Config")) + b")\x81K\x01K\x02s",
    "a list of a subclass": encoded(Name("mine List")) + b")\x81K\x01a(K\x01e", "a device": call("torch device", "cpu"),
    "a dtype": encoded(Name("torch float32")), "a size": call("torch Size", (1, 2)),
    "a class": encoded(Name("torch.optim Adam")),
    "bytes": call("_codecs encode", "abc", "latin1"), "a path": call("pathlib PosixPath", "runs"),
    "a date": call("datetime datetime", b"\x07\xea"), "a decimal": call("decimal Decimal", "1.5"),
    "a member of an enumeration": call("mine Colour", 1), "a function": encoded(Name("mine <lambda>")),
    "a method": call("builtins getattr", Name("mine Net"), "forward"), "an object of protocol 0": b"(imine\nNet\n",
    "an object of OBJ": b"(" + encoded(Name("mine Net")) + b"K\x01o",
    "named arguments": encoded(Name("mine Net")) + b")}\x92",
    "an object of protocol 1": call("copy_reg _reconstructor", Name("mine Net"), Name("__builtin__ object"), None),
    "a key that is an object": b"}" + call("mine Colour", 1) + b"Ns",
    "nested tuples as a key": b"}" + encoded(((1, 2), 3)) + b"Ns",
    "a result of the system": call("posix uname_result", ("Linux",)),
    "an exit code": call("subprocess CompletedProcess"),
    "a list that contains itself": b"]q\x63h\x63a",
    "a sparse tensor": call("torch._utils _rebuild_sparse_tensor", 1, 2),
}


@every_format
@pytest.mark.parametrize("name", OBJECTS)
def test_objects_beside_the_weights_are_skipped(tmp_path, name, kind):
    write(tmp_path / "a", {"net": WEIGHTS, "epoch": 3}, kind, encoded("extra") + OBJECTS[name])
    assert_same(load_weights(tmp_path / "a"))
    write(tmp_path / "a", WEIGHTS, kind, encoded("extra") + OBJECTS[name])
    assert_same(load_weights(tmp_path / "a"))


def test_object_in_the_place_of_a_tensor_is_named(tmp_path):
    harm = OBJECTS["a namespace"]
    write(tmp_path / "a", WEIGHTS, more=encoded("1.weight") + harm)
    with pytest.raises(CheckpointError, match=r"'argparse\.Namespace' where the tensor '1\.weight' should be"):
        load_weights(tmp_path / "a")
    write(tmp_path / "a", WEIGHTS, more=encoded("1._extra_state") + harm)        # no tensor in PyTorch either
    assert_same(load_weights(tmp_path / "a"))
    write(tmp_path / "a", {"epoch": 3}, more=encoded("model") + call("mine Net"))
    with pytest.raises(CheckpointError, match=r"'mine\.Net' where the tensor 'model' should be.*model\.state_dict\(\)"):
        load_weights(tmp_path / "a")


def test_dictionary_of_an_unknown_kind_is_searched(tmp_path):
    arrays = Writer().tree(WEIGHTS)
    content = b"}" + encoded("net") + encoded(Name("easydict EasyDict")) + b")\x81(" + b"".join(
        encoded(name) + encoded(stored) for name, stored in arrays.items()) + b"us."
    writer = Writer()
    writer.tree(WEIGHTS)
    write_zip(tmp_path / "a", b"\x80\x02" + content, writer.storages)
    assert_same(load_weights(tmp_path / "a"))


HARM = ["os execv", "shutil rmtree", "importlib import_module", "nt system",
        "os system", "posix system", "subprocess Popen", "builtins eval", "__builtin__ execfile", "runpy run_path"]


@every_format
@pytest.mark.parametrize("name", HARM)
def test_attack_beside_the_weights_is_refused_and_does_not_run(tmp_path, name, kind):
    for harm in (call(name, f"touch {tmp_path}/touched"), encoded(Name(name)) + encoded(("a",)) + b"\x81"):
        write(tmp_path / "a", {"net": WEIGHTS}, kind, encoded("epoch") + harm)
        with pytest.raises(CheckpointError, match=rf"it asks for '{name.replace(' ', '.')}', .*made to run a program"):
            load_weights(tmp_path / "a")
    assert not (tmp_path / "touched").exists()


PAIRS = b")" + b"2\x86" * 80                                         # a tuple of pairs, 2 ** 80 of them
LISTS = b"]q\0" + b"](h\0h\0eq\0" * 80
SLOW = {
    "the hash of nested pairs": b"}" + PAIRS + b"Ns",
    "the hash of a deep tuple": b"}" + b")" + b"\x85" * 200_000 + b"Ns",
    "the hash of a large number": b"}(\x8b\x40\x42\x0f\0" + b"\x7f" * 1_000_000 + b"q\1N" + b"h\1N" * 30_000 + b"u",
    "the text of nested lists as a name": LISTS + LISTS + b"\x93",
    "the text of nested lists as a size": call("torch Size") + encoded(Name("torch._utils _rebuild_tensor")) + b"(("
    + encoded("storage") + encoded(Name("torch FloatStorage")) + encoded("0") + encoded("cpu") + encoded(6) + b"tQ"
    + encoded(0) + b"(" + LISTS + b"t" + encoded((1,)) + b"tR",
    "deep lists": b"]" * 50_000 + b"a" * 49_999, "deep dictionaries": b"}K\1" * 50_000 + b"N" + b"s" * 50_000,
    "one dictionary many times": b"](" + b"}" + encoded("w") + encoded(Stored("0", "Float", 6, 0, (6,), (1,))) + b"sq\1"
    + b"h\1" * 100_000 + b"e",
}


@pytest.mark.parametrize("name", SLOW)
def test_few_bytes_do_not_take_for_ever(tmp_path, name):
    write(tmp_path / "a", {"net": WEIGHTS}, more=encoded("extra") + SLOW[name])
    try:
        assert_same(load_weights(tmp_path / "a"))
    except CheckpointError as error:
        assert "damaged pickle" in str(error)                        # noqa: PT017  (either outcome is valid)


@pytest.mark.parametrize("name", ["module." * 100_000, "a." * 400_000, "_orig_mod." * 100_000,
                                  "model.module." * 50_000])
def test_long_names_do_not_take_for_ever(tmp_path, name):
    save_checkpoint(tmp_path / "a", {f"{name}weight": np.ones(1)})
    assert len(load_weights(tmp_path / "a", model=nn.Linear(2, 2))) == 1
    with pytest.raises(CheckpointError, match="is unexpected"):
        load_into(nn.Linear(2, 2), tmp_path / "a")


def test_opaque_takes_what_is_put_into_it():
    made = read_pickle(encoded(Name("mine Net")) + b")\x81K\x01K\x02sK\x01a}b.", {}, opaque=True)
    assert isinstance(made, Opaque)
    assert (made.name, made.items, repr(made)) == ("mine.Net", {1: 2}, "<mine.Net>")


# Several dictionaries

def test_several_dictionaries_are_listed_and_one_can_be_chosen(tmp_path):
    write(tmp_path / "a", {"netG": WEIGHTS, "netD": OTHER, "optG": OPTIMIZER})
    with pytest.raises(CheckpointError) as caught:
        load_weights(tmp_path / "a")
    assert "netG (2 tensors), netD (1 tensors); choose one with load_weights(path, key='netG')" in str(caught.value)
    assert caught.value.for_command.endswith("choose one with `minidl convert --key netG`")
    assert_same(load_weights(tmp_path / "a", key="netG"))
    assert_same(load_weights(tmp_path / "a", key="netD"), OTHER)
    with pytest.raises(CheckpointError, match=r"no dictionary of weights 'netX'; there are netG \(2 tensors\), netD"):
        load_weights(tmp_path / "a", key="netX")


def test_key_is_a_path_where_a_name_occurs_twice(tmp_path):
    write(tmp_path / "a", {"G": {"net": WEIGHTS}, "D": {"net": OTHER}})
    assert_same(load_weights(tmp_path / "a", key="D/net"), OTHER)
    with pytest.raises(CheckpointError, match=r"several dictionaries of weights 'net'; there are G/net"):
        load_weights(tmp_path / "a", key="net")


def test_network_decides_which_dictionary_it_is(tmp_path):
    model = nn.Sequential(nn.Linear(3, 2))
    write(tmp_path / "a", {"netD": OTHER, "netG": prefixed("module."), "state_dict": {"b.weight": np.ones((2, 2))}})
    assert_same(load_weights(tmp_path / "a", model=model))
    load_into(model, tmp_path / "a")
    np.testing.assert_array_equal(model[0].weight.numpy(), WEIGHTS["0.weight"])
    write(tmp_path / "a", {"small": {"0.weight": np.ones((1, 3), np.float32), "0.bias": np.ones(1)}, "large": WEIGHTS})
    assert_same(load_weights(tmp_path / "a", model=model))           # of two with the same names, the one of its shapes
    write(tmp_path / "a", {"student": WEIGHTS, "teacher": {**WEIGHTS, "0.bias": np.zeros(2, np.float32)}})
    with pytest.raises(CheckpointError, match="student"):
        load_weights(tmp_path / "a", model=model)


def test_file_without_weights_says_what_it_holds(tmp_path):
    write(tmp_path / "a", OPTIMIZER)
    with pytest.raises(CheckpointError, match="state of an optimizer"):
        load_weights(tmp_path / "a")
    write(tmp_path / "a", {"epoch": 3, "lr": 0.1})
    with pytest.raises(CheckpointError, match=r"holds no named weights.*it holds 'epoch', 'lr'"):
        load_weights(tmp_path / "a")


# Names

def write_any(kind, path, arrays):
    if kind == "safetensors":
        save_checkpoint(path, arrays)
    elif kind == "npz":
        with open(path, "wb") as file:
            np.savez(file, **arrays)
    else:
        write(path, arrays, kind)


class Wrapped(nn.Module):
    def __init__(self):
        self.net = nn.Sequential(nn.Linear(3, 2))


@pytest.mark.parametrize("prefix", ["module.", "model.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module.",
                                    "model.module."])
@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors", "npz"])
def test_prefix_of_all_names_is_removed_in_every_format(tmp_path, kind, prefix):
    write_any(kind, tmp_path / "a", prefixed(prefix))
    assert_same(load_weights(tmp_path / "a"))
    counted = {"n_averaged": np.array(3), **prefixed(prefix)}        # torch.optim.swa_utils.AveragedModel
    write_any(kind, tmp_path / "a", counted)
    if prefix != "_orig_mod.":
        assert_same(load_weights(tmp_path / "a"))
    load_into(nn.Sequential(nn.Linear(3, 2)), load_weights(tmp_path / "a"))


@pytest.mark.parametrize("kind", ["zip", "safetensors", "npz"])
def test_numbers_beside_flat_weights(tmp_path, kind):
    write_any(kind, tmp_path / "a", {"epoch": np.array(3), **WEIGHTS, "best_acc1": scalar()})
    model = nn.Sequential(nn.Linear(3, 2))
    assert_same(load_weights(tmp_path / "a", model=model))
    load_into(model, load_weights(tmp_path / "a"))

    class Scaled(nn.Module):
        def __init__(self):
            self.net, self.scale = nn.Linear(3, 2), nn.Parameter(np.float32(3))
    scaled = {"net.weight": WEIGHTS["0.weight"], "net.bias": WEIGHTS["0.bias"], "scale": scalar(7),
              "epoch": np.array(3)}
    write_any(kind, tmp_path / "a", scaled)
    assert load_into(Scaled(), tmp_path / "a").scale.item() == 7     # a number that belongs to the network


@pytest.mark.parametrize("kind", ["zip", "safetensors", "npz"])
def test_prefix_that_makes_names_fit_a_network(tmp_path, kind):
    for prefix in ("net.", "online_encoder.net.", ""):
        write_any(kind, tmp_path / "a", prefixed(prefix))
        for model in (nn.Sequential(nn.Linear(3, 2)), Wrapped()):
            load_into(model, load_weights(tmp_path / "a"))
            np.testing.assert_array_equal(model.parameters()[0].numpy(), WEIGHTS["0.weight"])
            load_into(model, tmp_path / "a")


def test_compiled_parts_have_their_plain_names(tmp_path):
    write(tmp_path / "a", {"backbone._orig_mod.conv.weight": np.ones(1, np.float32), "head.weight": np.ones((1, 1))})
    assert sorted(load_weights(tmp_path / "a")) == ["backbone.conv.weight", "head.weight"]


def test_names_in_a_model_file_of_ours_are_kept(tmp_path):
    class Own(nn.Module):
        def __init__(self):
            self.model = nn.Linear(2, 2)
    save_model(tmp_path / "a", Own())
    assert sorted(load_weights(tmp_path / "a")) == ["model.bias", "model.weight"]


@pytest.mark.parametrize("kind", ["zip", "npz"])
def test_prefix_of_some_names_is_told_and_can_be_chosen(tmp_path, kind):
    write_any(kind, tmp_path / "a", {**prefixed("net."), "criterion.weight": np.ones(3, np.float32)})
    model = nn.Sequential(nn.Linear(3, 2))
    with pytest.raises(CheckpointError, match=r"begin with 'net\.': choose them with load_weights\(path, key='net\."):
        load_into(model, load_weights(tmp_path / "a"), "a")
    load_into(model, load_weights(tmp_path / "a", key="net."))
    np.testing.assert_array_equal(model[0].weight.numpy(), WEIGHTS["0.weight"])
    with pytest.raises(CheckpointError, match=r"none of its names begins with 'nett\.'; they are like 'net"):
        load_weights(tmp_path / "a", key="nett.")


def test_key_of_a_file_without_dictionaries(tmp_path):
    save_checkpoint(tmp_path / "a", WEIGHTS)
    with pytest.raises(CheckpointError, match="only files of PyTorch hold dictionaries"):
        load_weights(tmp_path / "a", key="net")


def test_long_list_of_mismatches_is_shortened():
    model = nn.Sequential(*[nn.Linear(2, 2) for _ in range(50)])
    with pytest.raises(CheckpointError) as caught:
        load_into(model, {"a": np.ones(1)})
    assert str(caught.value).splitlines()[-1] == "  and 89 more mismatches"
    assert len(str(caught.value).splitlines()) == 14


def test_load_into_takes_no_other_objects():
    with pytest.raises(TypeError, match="weights must be a dictionary of arrays or the path of a file, not list"):
        load_into(nn.Linear(2, 2), [np.ones(2)])


def test_checkpoints_written_by_pytorch(tmp_path):
    torch = pytest.importorskip("torch")
    import argparse
    import collections
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    expected = {name: tensor.numpy() for name, tensor in net.state_dict().items()}
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.ones(2, 3, 5, 5)).sum().backward()
    optimizer.step()
    expected = {name: tensor.numpy().copy() for name, tensor in net.state_dict().items()}
    buffer = torch.nn.Parameter(torch.ones(2))
    buffer.note = 3
    extras = [np.float64(3), np.arange(3), argparse.Namespace(a=torch.ones(2)), {1}, frozenset([1]),
              collections.Counter("a"), collections.deque([1]), torch.device("cpu"), torch.float32, torch.Size([1]),
              b"a", optimizer, torch.optim.Adam,
              torch.eye(2).to_sparse(), torch.ones(2, dtype=torch.complex64), torch.ones(1, device="meta"), net]
    for extra in extras:
        for zipped, protocol in ((True, 2), (True, 5), (False, 1), (False, 4)):
            torch.save({"extra": extra, "net": net.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "a",
                       _use_new_zipfile_serialization=zipped, pickle_protocol=protocol)
            assert_same(load_weights(tmp_path / "a"), expected)
    negative = torch.tensor([1 + 2j, 3 - 4j]).conj().imag
    torch.save({"w": negative, "b": torch.nn.Buffer(torch.ones(2)), "c": buffer}, tmp_path / "a")
    assert_same(load_weights(tmp_path / "a"), {"w": np.array([-2, 4], "f4"), "b": np.ones(2), "c": np.ones(2)})
    torch.save(torch.optim.swa_utils.AveragedModel(net).state_dict(), tmp_path / "a")
    assert_same(load_weights(tmp_path / "a"), expected)
