"""The tables of docs/deploy.md: every network of the zoo written as ONNX, and the light models of the package read.

    python benchmarks/onnx_tables.py zoo [NETWORK...]
    python benchmarks/onnx_tables.py light

Needs `pip install minidl[onnx-test]`. Networks have random weights and their full size; a difference is the largest one
between minidl's and onnxruntime's output for one random image, over the largest output.
"""

import os
import sys
import time

import numpy as np
import onnx
import onnxruntime

import zoo
from minidl import Tensor, manual_seed, no_grad
from minidl.onnx.read import from_onnx
from minidl.onnx.write import NEWEST, to_onnx

LIGHT = os.path.join(os.path.dirname(onnx.__file__), "backend", "test", "data", "light")


def zoo_row(name: str) -> str:
    """One network: nodes, size, and differences at the oldest opset, and folded at the newest."""
    manual_seed(0)
    model = zoo.create(name).eval()
    shape = (model.architecture["settings"]["in_channels"], *2 * [zoo.image_size(name)])
    image = np.random.default_rng(0).standard_normal((1, *shape), dtype=np.float32)
    with no_grad():
        expected = model(Tensor(image)).numpy()
    cells = []
    for opset, fold in ((17, False), (NEWEST, True)):
        proto = to_onnx(model, shape, opset, fold)
        onnx.checker.check_model(proto, full_check=True)
        size, nodes = proto.ByteSize(), sum(node.op_type != "Constant" for node in proto.graph.node)
        session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
        del proto
        found = session.run(None, {"input": image})[0]
        cells += [f"{nodes}", f"{abs(found - expected).max() / abs(expected).max():.0e}"]
    return f"| {name} | {'x'.join(map(str, shape))} | {size / 1e6:,.1f} | {' | '.join(cells)} |"


def light_row(name: str) -> str:
    """One light model: its input, layers, parameters, time to load and to run, and difference from its reference."""
    model = onnx.load(os.path.join(LIGHT, f"{name}.onnx"))
    start = time.perf_counter()
    network = from_onnx(model)
    loaded = time.perf_counter() - start
    x = (np.arange(150_528) / 150_528).astype(np.float32).reshape(1, 3, 224, 224)
    tensor = onnx.TensorProto()
    with open(os.path.join(LIGHT, f"{name}_output_0.pb"), "rb") as file:
        tensor.ParseFromString(file.read())
    expected = onnx.numpy_helper.to_array(tensor)
    with no_grad():
        found = network(Tensor(x)).numpy()
    count = sum(p.numel() for p in network.parameters())
    return (f"| {name.removeprefix('light_')} | {model.opset_import[0].version} | {len(network.plan)} | {count:,} | "
            f"{loaded:.1f} s | {abs(found - expected).max() / abs(expected).max():.0e} |")


def main() -> None:
    """Print rows of Markdown."""
    if sys.argv[1] == "zoo":
        for name in sys.argv[2:] or zoo.names():
            print(zoo_row(name), flush=True)
    else:
        for file in sorted(os.listdir(LIGHT)):
            if file.endswith(".onnx"):
                print(light_row(file.removesuffix(".onnx")), flush=True)


if __name__ == "__main__":
    main()
