"""Files of weights, models and photographs.

    model = zoo.load("best.safetensors");  load_into(model, load_weights("resnet18-f37072fd.pth"))

Read `model.py`, then `weights.py`, and `state_dicts.py` for which dictionary of a checkpoint is the weights.
`torch_file.py`, `torch_tensors.py` and `pickles.py` read PyTorch's files without running what is in them; `atomic.py`
writes a file completely or not at all.
"""

from minidl.io.atomic import replacing
from minidl.io.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from minidl.io.imagenet import imagenet_classes
from minidl.io.model import describe, load_model, save_model
from minidl.io.onnx_file import export_onnx, load_onnx
from minidl.io.published import PUBLISHED, pretrained
from minidl.io.weights import load_into, load_weights, read_weights

__all__ = [
    "PUBLISHED",
    "CheckpointError",
    "describe",
    "export_onnx",
    "imagenet_classes",
    "load_checkpoint",
    "load_into",
    "load_model",
    "load_onnx",
    "load_weights",
    "pretrained",
    "read_weights",
    "replacing",
    "save_checkpoint",
    "save_model",
]
