"""Networks as names and settings: every public layer is built again, and a forged description does no harm."""

import json
import tracemalloc

import numpy as np
import pytest

import minidl
import zoo
from minidl import Tensor, io, nn, no_grad
from minidl.distributed import Alone
from minidl.nn.blueprint import LAYERS, blueprint, built
from minidl.nn.module import Module

CHOSEN = {                                       # layers with settings other than the default ones, and an input
    "Conv2d": (nn.Conv2d(4, 6, (3, 2), stride=2, padding="valid", groups=2, bias=False), (4, 8, 8)),
    "Conv2d, reflected": (nn.Conv2d(4, 6, 3, padding=1, padding_mode="reflect", dilation=2), (4, 8, 8)),
    "ConvTranspose2d": (nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1, groups=2), (4, 5, 5)),
    "Linear": (nn.Linear(4, 3, bias=False), (4,)),
    "Dropout": (nn.Dropout(0.25), (4,)),
    "Dropout2d": (nn.Dropout2d(0.25), (4, 5, 5)),
    "Upsample": (nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False), (4, 5, 5)),
    "Upsample, to a size": (nn.Upsample((7, 9)), (4, 5, 5)),
    "Flatten": (nn.Flatten(2), (4, 5, 5)),
    "Identity": (nn.Identity(), (4,)),
    "ReLU": (nn.ReLU(), (4,)),
    "ReLU6": (nn.ReLU6(), (4,)),
    "LeakyReLU": (nn.LeakyReLU(0.2), (4,)),
    "ELU": (nn.ELU(0.5), (4,)),
    "GELU": (nn.GELU("tanh"), (4,)),
    "SiLU": (nn.SiLU(), (4,)),
    "Hardswish": (nn.Hardswish(), (4,)),
    "Softplus": (nn.Softplus(2.0, 10.0), (4,)),
    "Sigmoid": (nn.Sigmoid(), (4,)),
    "Tanh": (nn.Tanh(), (4,)),
    "Softmax": (nn.Softmax(1), (4,)),
    "MaxPool2d": (nn.MaxPool2d(3, 2, 1, ceil_mode=True), (4, 8, 8)),
    "AvgPool2d": (nn.AvgPool2d((2, 3), count_include_pad=False, divisor_override=5), (4, 8, 8)),
    "AdaptiveAvgPool2d": (nn.AdaptiveAvgPool2d((2, None)), (4, 8, 8)),
    "AdaptiveMaxPool2d": (nn.AdaptiveMaxPool2d(3), (4, 8, 8)),
    "BatchNorm1d": (nn.BatchNorm1d(4, momentum=None, affine=False), (4,)),
    "BatchNorm2d": (nn.BatchNorm2d(4, eps=1e-3, track_running_stats=False), (4, 5, 5)),
    "LayerNorm": (nn.LayerNorm((4, 5), elementwise_affine=False), (4, 5)),
    "LayerNorm, without a bias": (nn.LayerNorm(5, bias=False), (4, 5)),
    "GroupNorm": (nn.GroupNorm(2, 4, affine=False), (4, 5, 5)),
    "LocalResponseNorm": (nn.LocalResponseNorm(3, alpha=0.1, k=2.0), (4, 5, 5)),
}


def again(model):
    """The module that its blueprint builds, after a way through JSON, with the same weights."""
    plan = blueprint(model)
    assert plan is not None
    copy = built(json.loads(json.dumps(plan)), zoo.build)
    copy.load_state_dict(model.state_dict())
    return copy


def test_every_public_layer_is_known():
    public = {name: getattr(nn, name) for name in nn.__all__}
    kinds = {name for name, kind in public.items() if isinstance(kind, type) and issubclass(kind, Module)}
    stand_ins = {name for name in kinds if hasattr(public[name], "stands_for")}
    assert kinds - {"Module", "Sequential"} - stand_ins == set(LAYERS)
    assert {type(layer).__name__ for layer, _ in CHOSEN.values()} == set(LAYERS)


@pytest.mark.parametrize(("layer", "shape"), CHOSEN.values(), ids=CHOSEN)
def test_a_layer_is_built_again_with_its_settings(layer, shape):
    x = Tensor(np.random.default_rng(0).standard_normal((3, *shape)).astype(np.float32))
    with no_grad(), minidl.kernels.using("plain"):
        copy = again(layer.eval()).eval()
        assert repr(copy) == repr(layer)
        assert {name: value for name, value in vars(copy).items() if not hasattr(value, "data")} == {
            name: value for name, value in vars(layer).items() if not hasattr(value, "data")}
        np.testing.assert_array_equal(copy(x).numpy(), layer(x).numpy())
        io.model.check_outputs("a", nn.Sequential(layer), shape)     # every layer takes a batch of no images


def test_sequentials_in_sequentials_keep_the_names_of_their_layers():
    model = nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.ReLU(), nn.Linear(3, 4)))
    model.head = nn.Linear(4, 1)
    assert list(again(model).state_dict()) == ["0.weight", "0.bias", "1.1.weight", "1.1.bias", "head.weight",
                                               "head.bias"]


def test_a_network_of_the_zoo_in_a_sequential():
    model = nn.Sequential(zoo.create("simple_cnn", width=4), nn.Sigmoid())
    assert blueprint(model)["layers"]["0"]["name"] == "simple_cnn"
    again(model)


class Own(nn.Module):
    """A module with a `forward` of its own."""

    def __init__(self, layer):
        self.layer = layer

    def forward(self, x):
        return self.layer(x)


class Renamed(nn.Linear):
    """A layer of another class."""


def changed(layer, name, value):
    setattr(layer, name, value)
    return layer


SHARED = nn.Linear(2, 2)
UNKNOWN = {
    "a class of one's own": Own(nn.Linear(2, 2)),
    "a class of one's own inside": nn.Sequential(Own(nn.Linear(2, 2))),
    "a class derived from a layer": nn.Sequential(Renamed(2, 2)),
    "a layer twice": nn.Sequential(SHARED, SHARED),
    "a layer with another weight": changed(nn.Linear(2, 2), "weight", nn.Parameter(np.ones((3, 2), np.float32))),
    "a layer with one more": changed(nn.Linear(2, 2), "extra", nn.Parameter(np.ones(2, np.float32))),
    "a parameter in a Sequential": changed(nn.Sequential(), "scale", nn.Parameter(np.ones(2, np.float32))),
    "a name that a method has": changed(nn.Sequential(), "forward", nn.ReLU()),
    "a network with a class of one's own": changed(zoo.create("lenet5"), "fc3", Own(nn.Linear(2, 2))),
    "a network with one part more": changed(zoo.create("lenet5"), "fc4", nn.Linear(2, 2)),
}


@pytest.mark.parametrize("model", UNKNOWN.values(), ids=UNKNOWN)
def test_what_names_and_settings_do_not_describe(model, tmp_path):
    assert blueprint(model) is None
    io.save_model(tmp_path / "a", model)
    with pytest.raises(io.CheckpointError, match=r"load it with load_model\(path, create="):
        zoo.load(tmp_path / "a")


def test_a_network_of_the_zoo_with_other_parts():
    model = zoo.create("resnet20", width=4)
    model.linear = nn.Sequential(nn.Dropout(0.1), nn.Linear(16, 2))
    model.layer1[1].conv2 = nn.Conv2d(4, 4, 1)
    plan = blueprint(model)
    assert set(plan["changes"]) == {"linear", "layer1.1.conv2"}
    copy = again(model)
    assert repr(copy) == repr(model)
    assert blueprint(copy) == plan


@pytest.mark.parametrize("name", zoo.names())
def test_networks_of_the_zoo_take_a_batch_of_no_images(name):
    """So that the outputs of one with other parts can be checked before it is used: see `check_outputs`."""
    with nn.init.placeholders():
        model = zoo.create(name)
    size = zoo.image_size(name)
    io.model.check_outputs("a", model, (model.architecture["settings"]["in_channels"], size, size))


def test_describing_draws_no_random_numbers():
    model = zoo.create("lenet5_1998")
    before = minidl.device.random_state()
    blueprint(model)
    assert minidl.device.random_state() == before


def sequential(*layers):
    """The blueprint of a Sequential of (name, settings)."""
    return {"name": "Sequential", "settings": {}, "layers": {
        str(i): {"name": name, "settings": settings} for i, (name, settings) in enumerate(layers)}}


def nested(depth):
    plan = sequential(("ReLU", {}))
    for _ in range(depth):
        plan = {"name": "Sequential", "settings": {}, "layers": {"0": plan}}
    return plan


def named(entry):
    return {"name": "Sequential", "settings": {}, "layers": {entry: {"name": "ReLU", "settings": {}}}}


FORGED = {
    "a module of Python": (sequential(("os.system", {"command": "true"})), "no network 'os.system'"),
    "a class of Python": (sequential(("Module", {})), "no network 'Module'"),
    "a function of the layers": (sequential(("init", {})), "no network 'init'"),
    "an unknown setting": (sequential(("ReLU", {"hook": 1})), "unexpected keyword argument 'hook'"),
    "no settings": ({"name": "Sequential", "settings": {}, "layers": {"0": {"name": "ReLU"}}}, "is no layer with"),
    "no layers": ({"name": "Sequential", "settings": {}}, "needs its layers"),
    "a list of layers": ({"name": "Sequential", "settings": {}, "layers": [1]}, "needs its layers"),
    "text for a layer": ({"name": "Sequential", "settings": {}, "layers": {"0": "ReLU"}}, "'ReLU' is no layer"),
    "a method's name": (named("forward"), "'forward' cannot be the name"),
    "a private name": (named("__class__"), "'__class__' cannot be the name"),
    "a dotted name": (named("a.b"), r"'a\.b' cannot be the name"),
    "a wide layer": (sequential(("Linear", {"in_features": 1 << 20, "out_features": 1 << 20})), "more than is allowed"),
    "a wide norm": (sequential(*[("BatchNorm2d", {"num_features": 1 << 20})] * 9), "more than is allowed"),
    "a wide layer norm": (sequential(("LayerNorm", {"normalized_shape": [1 << 10, 1 << 20]})), "more than is allowed"),
    "a wide window": (sequential(("MaxPool2d", {"kernel_size": 1 << 20})), "must be at most 4096"),
    "a large scale": (sequential(("Upsample", {"scale_factor": 1 << 20})), "scale_factor=1048576 must be at most 4096"),
    "a wide border": (sequential(("Conv2d", {"in_channels": 1, "out_channels": 1, "kernel_size": 1,
                                             "padding": [1 << 20, 1]})), "must be at most 4096"),
    "many levels": (nested(40), "in 30 levels at most"),
    "many layers": (sequential(*[("ReLU", {})] * 10_001), "more than 10,000 layers"),
    "a change of nothing": ({"name": "lenet5", "settings": {}, "changes": {"fc9": {"name": "ReLU", "settings": {}}}},
                            "no module 'fc9'"),
    "a change of all": ({"name": "lenet5", "settings": {}, "changes": {"": {"name": "ReLU", "settings": {}}}},
                        "no module ''"),
    "changes in a list": ({"name": "lenet5", "settings": {}, "changes": [1]}, "cannot be built"),
    "a large image": (sequential(("Upsample", {"scale_factor": 4000}), ("Upsample", {"scale_factor": 4000})),
                      "layer 0 makes 1 x 32000 x 32000 numbers of an image"),
    "an image that does not fit": (sequential(("Conv2d", {"in_channels": 2, "out_channels": 1, "kernel_size": 1})),
                                   "does not take images of 1 x 8 x 8"),
}


@pytest.mark.parametrize(("plan", "reason"), FORGED.values(), ids=FORGED)
def test_forged_descriptions_are_refused_and_allocate_no_memory(plan, reason, tmp_path):
    arrays = {"0.weight": np.zeros((1, 2, 1, 1), np.float32), "0.bias": np.zeros(1, np.float32)}
    if "Conv2d" not in str(plan):
        arrays = {} if "Upsample" in str(plan) else arrays
    io.save_checkpoint(tmp_path / "a", arrays, {"architecture": plan, "input": [1, 8, 8]})
    tracemalloc.start()
    try:
        with pytest.raises(io.CheckpointError, match=rf"(?s)a: .*{reason}"):
            zoo.load(tmp_path / "a")
        assert tracemalloc.get_traced_memory()[1] < 1 << 25
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["resnet20", "vgg11_bn_cifar"])
def test_what_stands_there_in_training_only_is_not_in_the_file(name):
    """Norms of several processes, and blocks that are computed again, become what they stand for."""
    model = zoo.create(name)
    plain, weights = blueprint(model), list(model.parameters())
    nn.convert_sync_batch_norm(model, Alone())
    for part, block in list(vars(model).items()):
        if isinstance(block, Module) and part not in ("conv1", "bn1"):
            setattr(model, part, nn.Checkpoint(block))
    assert any(isinstance(module, nn.SyncBatchNorm2d) for _, module in model.named_modules())
    assert blueprint(model) == plain
    assert all(a is b for a, b in zip(weights, model.parameters(), strict=True))


def test_a_sequential_of_stand_ins():
    norm = nn.BatchNorm2d(3, eps=1e-3, momentum=None)
    model = nn.Sequential(nn.Conv2d(1, 3, 3), norm)
    expected = blueprint(model)
    assert blueprint(nn.convert_sync_batch_norm(nn.Checkpoint(model), Alone())) == expected
