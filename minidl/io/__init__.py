"""Files that weights, models and photographs come out of and go into.

    model = load_model("best.safetensors");  load_into(model, load_weights("resnet18-f37072fd.pth"))

Read `model.py`, then `weights.py`; how a file of PyTorch is read without running what is in it is told in
`torch_file.py` and `pickles.py`, how a file stays whole in `atomic.py`.
"""

from minidl.io.atomic import replacing
from minidl.io.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from minidl.io.imagenet import imagenet_classes
from minidl.io.model import describe, load_model, save_model
from minidl.io.published import PUBLISHED, pretrained
from minidl.io.weights import load_into, load_weights, read_weights

__all__ = [
    "PUBLISHED",
    "CheckpointError",
    "describe",
    "imagenet_classes",
    "load_checkpoint",
    "load_into",
    "load_model",
    "load_weights",
    "pretrained",
    "read_weights",
    "replacing",
    "save_checkpoint",
    "save_model",
]
