"""The tests that come with the package `onnx`: of its operators, of PyTorch's, and nine networks.

A test whose model `from_onnx` refuses is skipped with the reason. So that nothing is lost that way, the tests of the
operators in PASSED must all pass, except for those of EXCEPT.
"""

import glob
import os
import re

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="the package onnx is not installed")

from onnx.backend.test.loader import load_model_tests  # noqa: E402
from onnx.backend.test.runner import Runner, _normalize_tensor  # noqa: E402

from minidl.onnx.backend import Backend  # noqa: E402
from minidl.onnx.reading import OPERATORS  # noqa: E402
from minidl.onnx.source import Unsupported  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")            # of NumPy, for the extreme values in some tests
DATA = os.path.join(os.path.dirname(onnx.__file__), "backend", "test", "data")
LIGHT = ("bvlc_alexnet", "densenet121", "inception_v1", "inception_v2", "resnet50", "shufflenet", "squeezenet", "vgg19",
         "zfnet512")
PASSED = [
    "add", "and", "argmax", "averagepool_2d", "basic_conv", "batchnorm_e", "cast_FLOAT_to_DOUBLE", "clip", "concat",
    "constant_pad", "conv_with", "convtranspose_pad", "depthtospace", "div_bcast", "dropout_default", "elu",
    "equal", "erf", "exp", "expand_dim", "flatten", "gather_0", "gelu", "gemm", "globalaveragepool",
    "globalmaxpool", "group_normalization_e", "hardsigmoid", "hardswish", "instancenorm",
    "leakyrelu", "logsoftmax", "lrn", "matmul_2d", "maxpool_2d", "mul", "prelu",
    "reduce_mean", "reduce_sum_d", "relu", "reshape", "resize_downsample_sizes_nearest", "resize_upsample_scales",
    "selu", "shape", "sigmoid", "slice", "softmax", "softplus", "spacetodepth", "split_equal", "squeeze", "sub",
    "sum", "tanh", "tile", "transpose", "unsqueeze", "upsample", "where",
]
EXCEPT = (                                       # types of elements, forms that are refused, and what is not images
    r"empty_set|string|_uint|_int|bool|float16|FLOAT16|dilat|argmax_output|_1d|_3d|expanded|[Cc]ast[Ll]ike|with_argmax|"
    r"training|_mask|exclude_outside|not_larger|not_smaller")
WRONG = r"empty_set|maxpool_2d_uint8"            # refused when they run, not when they are loaded


def cases():
    """The node tests in which one of our operators is called."""
    for case in load_model_tests(kind="node"):
        if {node.op_type for node in case.model.graph.node} & set(OPERATORS):
            yield case


def check(case, model, data):
    try:
        prepared = Backend.prepare(model)
        for inputs, expected in data:
            found = prepared.run(inputs)
            Runner.assert_similar_outputs(expected, found, case.rtol, case.atol)
    except Unsupported as error:
        return str(error)
    return None


@pytest.mark.slow
def test_nodes():
    """More than eight hundred: all that are not refused."""
    passed, wrong, refused = set(), {}, {}
    for case in cases():
        data = [[[_normalize_tensor(item) for item in part] for part in pair] for pair in case.data_sets]
        try:
            reason = check(case, case.model, data)
        except Exception as error:
            wrong[case.name] = str(error)[:200]
            continue
        if reason is None:
            passed.add(case.name)
        else:
            refused[case.name] = reason
    assert {name: text for name, text in wrong.items() if not re.search(WRONG, name)} == {}
    assert len(passed) > 850
    must = {name for name in refused if any(name.startswith(f"test_{word}") for word in PASSED)
            and not re.search(EXCEPT, name)}
    assert {name: refused[name] for name in must} == {}


@pytest.mark.parametrize("kind", ["pytorch-operator", "pytorch-converted"])
def test_operators_of_pytorch(kind):
    """Those of images, in opset 6, which the backend converts. Signals and volumes are refused."""
    passed = 0
    for case in load_model_tests(kind=kind):
        model = onnx.load(os.path.join(case.model_dir, "model.onnx"))
        data = [[[array_in(file) for file in sorted(glob.glob(os.path.join(folder, f"{part}_*.pb")))]
                 for part in ("input", "output")] for folder in glob.glob(os.path.join(case.model_dir, "test_data*"))]
        reason = check(case, model, data)
        passed += reason is None
        assert reason is None or re.search(r"[35] axes|axes of images|Shrink", reason), case.name
    assert passed > 20


def array_in(path):
    tensor = onnx.TensorProto()
    with open(path, "rb") as file:
        tensor.ParseFromString(file.read())
    return onnx.numpy_helper.to_array(tensor)


@pytest.mark.parametrize("name", [pytest.param(name, marks=() if name in ("squeezenet", "shufflenet", "inception_v1")
                                               else pytest.mark.slow) for name in LIGHT])
def test_light_networks(name):
    """Nine networks with weights made by rule, and their outputs; two images give the same twice."""
    path = os.path.join(DATA, "light", f"light_{name}")
    prepared = Backend.prepare(onnx.load(f"{path}.onnx"))
    x = (np.arange(3 * 224 * 224) / (3 * 224 * 224)).reshape(1, 3, 224, 224).astype(np.float32)
    expected = array_in(f"{path}_output_0.pb")
    found, = prepared.run([x])
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-6)
    both, = prepared.run([np.concatenate([x, x])])
    np.testing.assert_allclose(both, np.concatenate([expected, expected]), rtol=1e-3, atol=1e-6)


def with_random_weights(model):
    """The same model; what its ConstantOfShape nodes make becomes random weights of a size that keeps scores apart."""
    rng = np.random.default_rng(0)
    arrays = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    for node in [node for node in model.graph.node if node.op_type == "ConstantOfShape"]:
        shape = tuple(arrays[node.input[0]])
        weight = rng.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape) if len(shape) > 1 else rng.uniform(0.5, 1, shape)
        model.graph.initializer.append(onnx.numpy_helper.from_array(weight.astype(np.float32), node.output[0]))
        model.graph.node.remove(node)
    model.ir_version = 8                         # in which an initializer need not be an input
    return model


@pytest.mark.parametrize("name", [pytest.param(name, marks=() if name in ("squeezenet", "shufflenet", "inception_v1")
                                               else pytest.mark.slow) for name in LIGHT])
def test_light_networks_with_random_weights(name):
    """The weights by rule give every class the same score, so these are compared with onnxruntime."""
    onnxruntime = pytest.importorskip("onnxruntime", reason="the package onnxruntime is not installed")
    model = with_random_weights(onnx.load(os.path.join(DATA, "light", f"light_{name}.onnx")))
    x = np.random.default_rng(1).standard_normal((1, 3, 224, 224), dtype=np.float32)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    expected, = session.run(None, {session.get_inputs()[0].name: x})
    found, = Backend.prepare(model).run([x])
    assert expected.std() > 0
    assert abs(found - expected).max() <= 1e-4 * abs(expected).max()
