"""Layers in captured steps on the CPU: each kind is captured, and computes the bits of ordinary steps."""

import numba
import numpy as np
import pytest

import minidl
from minidl import Tensor, nn

if numba.config.DISABLE_JIT:
    pytest.skip("the cpu backend is compiled", allow_module_level=True)

LAYERS = {
    "BatchNorm2d": lambda: nn.BatchNorm2d(8), "of all batches": lambda: nn.BatchNorm2d(8, momentum=None),
    "GroupNorm": lambda: nn.GroupNorm(2, 8), "LayerNorm": lambda: nn.LayerNorm((8, 9, 9)),
    "LocalResponseNorm": lambda: nn.LocalResponseNorm(5), "ConvTranspose2d": lambda: nn.ConvTranspose2d(8, 4, 2, 2),
    "Conv2d, dilated": lambda: nn.Conv2d(8, 16, 3, dilation=2, groups=2), "Dropout2d": lambda: nn.Dropout2d(0.3),
    "AvgPool2d": lambda: nn.AvgPool2d(3, 2, 1), "MaxPool2d": lambda: nn.MaxPool2d(3, 2, 1, ceil_mode=True),
    "AdaptiveAvgPool2d": lambda: nn.AdaptiveAvgPool2d(4), "AdaptiveMaxPool2d": lambda: nn.AdaptiveMaxPool2d(4),
    "Upsample": lambda: nn.Upsample(scale_factor=2, mode="bilinear"), "Softmax": lambda: nn.Softmax(1),
    "GELU": nn.GELU, "Hardswish": nn.Hardswish, "Softplus": nn.Softplus,
}


@pytest.mark.parametrize("layer", LAYERS)
def test_every_kind_of_layer_is_captured(layer):
    """Losses, gradients and buffers of seven steps have the bits of ordinary ones."""
    def arrays(graph):
        minidl.manual_seed(0)
        rng, module = np.random.default_rng(0), LAYERS[layer]()
        factor = Tensor(np.ones((8, 1, 1), np.float32), requires_grad=True)

        def step(x):
            for p in [factor, *module.parameters()]:
                p.grad = None
            loss = (module(x * factor) ** 2).mean()
            loss.backward()
            return loss
        run = minidl.graphed(step) if graph else step
        losses = [run(Tensor(rng.standard_normal((4, 8, 9, 9), dtype=np.float32))).item() for _ in range(7)]
        assert not graph or (run.captures, run.given_up, run.graph.checked) == (1, "", True)
        return {"losses": np.array(losses), "of factor": factor.grad, **module.state_dict(),
                **{f"gradient of {name}": p.grad for name, p in module.named_parameters()}}
    ordinary, captured = arrays(False), arrays(True)
    assert ordinary.keys() == captured.keys()
    for name, array in ordinary.items():
        np.testing.assert_array_equal(captured[name], array, err_msg=name)
