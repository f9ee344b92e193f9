"""Files that weights go into and come out of. Read `checkpoint.py`; how a file stays whole is told in `atomic.py`."""

from minidl.io.atomic import replacing
from minidl.io.checkpoint import CheckpointError, load_checkpoint, save_checkpoint

__all__ = ["CheckpointError", "load_checkpoint", "replacing", "save_checkpoint"]
