"""A backend for the package's own runner of tests, `onnx.backend.test`: `Backend.prepare(model).run(inputs)`."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, version_converter
from onnx.backend.base import Backend as Base
from onnx.backend.base import BackendRep

from minidl.modes import no_grad
from minidl.onnx.network import OnnxNetwork
from minidl.onnx.read import from_onnx
from minidl.onnx.source import OLDEST


class Prepared(BackendRep):
    """A network that takes and gives NumPy arrays."""

    def __init__(self, network: OnnxNetwork):
        self.network = network

    def run(self, inputs: Any, **settings: Any) -> tuple[Any, ...]:
        """The outputs for these inputs: a list of arrays, or a single one."""
        arrays = [inputs] if isinstance(inputs, np.ndarray) else list(inputs)
        with no_grad():
            out = self.network(*arrays)
        return tuple(np.asarray(tensor.numpy()) for tensor in (out if isinstance(out, tuple) else (out,)))


class Backend(Base):
    """minidl as a backend of ONNX, on the CPU. `prepare` raises Unsupported for what `from_onnx` does not support."""

    @classmethod
    def prepare(cls, model: ModelProto, device: str = "CPU", **settings: Any) -> BackendRep:
        """The network in a model, after the package's checker has found nothing; older opsets are converted by it."""
        onnx.checker.check_model(model)
        if any(entry.domain == "" and entry.version < OLDEST for entry in model.opset_import):
            model = version_converter.convert_version(model, OLDEST)
        return Prepared(from_onnx(model))

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Whether `device` is the CPU."""
        return device == "CPU"
