"""Features of a frozen network: computed once, kept on disk, and trained on in seconds.

Donahue et al., "DeCAF: a deep convolutional activation feature for generic visual recognition", ICML 2014; Razavian et
al., "CNN features off-the-shelf", CVPR workshops 2014.
"""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from minidl.data import DataLoader, FeatureDataset, ImageDataset
from minidl.device import Device
from minidl.io import CheckpointError, load_checkpoint, save_checkpoint
from minidl.modes import no_grad
from minidl.nn import Module
from minidl.nn.observe import observed
from minidl.scalars import whole
from minidl.tensor import Tensor
from minidl.version import __version__

Progress = Callable[[int, int], None]


def extract_features(model: Module, dataset: ImageDataset, layer: str, device: str | Device = "cpu", *,
                     copies: int = 0, seed: int = 0, cache: str | Path | None = None, batch_size: int = 32,
                     progress: Progress | None = None) -> FeatureDataset:
    """The output of a layer, in eval mode, for every image of a data set.

    layer       the dotted name of the layer; its first call counts, and what comes after it is not computed
    copies      how many augmented copies of each image follow the images, if the set is `augmented`
    seed        determines the copies: copy c is what epoch c - 1 of a run with this seed would train on
    cache       a folder for the features. A file there is used only if it was made by the same weights, of the same
                pixels; it is written completely or not at all
    progress    called with (images done, images in all) after each batch
    Raises ValueError for a layer that there is not, or that is not called.
    """
    name = "extract_features"
    copies, batch_size = whole(name, "copies", copies, 0), whole(name, "batch_size", batch_size)
    if layer not in dict(model.named_modules()):
        raise ValueError(f"{name}: layer={layer!r} is no module of {type(model).__name__}")
    if copies and getattr(dataset, "transform", None) is None:
        raise ValueError(f"{name}: copies={copies} needs images that are augmented: dataset.augmented(transform)")
    if not len(dataset):
        raise ValueError(f"{name}: there are no images in {dataset!r}")
    loaders = [DataLoader(dataset, batch_size, seed=whole(name, "seed", seed, 0), augment=copy > 0)
               for copy in range(copies + 1)]
    labels: list[np.ndarray] = []

    def batches() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        labels.clear()                           # each pass collects them anew
        for batch in batches_of(loaders):
            labels.append(batch[1])
            yield batch
    path = None
    if cache is not None:
        path = Path(cache).expanduser() / f"features-{key_of(model, layer, batches())}.safetensors"
    total = len(dataset) * len(loaders)
    features = None if path is None else stored(path, total)
    if features is None:
        model.to(device)
        features = computed(model, layer, batches(), total, device, progress)
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            save_checkpoint(path, {"features": features}, {"layer": layer, "images": total})
    return FeatureDataset(features, np.concatenate(labels), dataset.classes, f"{dataset.name} ({layer})")


def batches_of(loaders: list[DataLoader]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """All batches: those of the images, then those of each copy, always the same."""
    for copy, loader in enumerate(loaders):
        loader.epoch = max(0, copy - 1)
        yield from loader


def key_of(model: Module, layer: str, batches: Iterator[tuple[np.ndarray, np.ndarray]]) -> str:
    """A digest of everything that the features depend on: the network, its weights, the layer and the pixels."""
    digest = hashlib.sha256(f"{__version__} {layer} {model!r}".encode())
    for name, array in model.state_dict().items():
        digest.update(f"{name} {array.shape} {array.dtype} ".encode())
        digest.update(np.ascontiguousarray(array).data)
    for images, _ in batches:
        digest.update(f"{images.shape} ".encode())
        digest.update(np.ascontiguousarray(images).data)
    return digest.hexdigest()[:32]


def stored(path: Path, total: int) -> np.ndarray | None:
    """The features in a file; None if there is none, or if it is damaged."""
    try:
        features = load_checkpoint(path)[0]["features"]
    except (OSError, CheckpointError, KeyError):
        return None
    return features if features.dtype == np.float32 and len(features) == total else None


class Reached(Exception):
    """The layer has been called; what comes after it is not needed."""

    def __init__(self, out: Tensor) -> None:
        super().__init__()
        self.out = out


def computed(model: Module, layer: str, batches: Iterator[tuple[np.ndarray, np.ndarray]], total: int,
             device: str | Device, progress: Progress | None) -> np.ndarray:
    """The output of the layer for all images, float32 (total, ...)."""
    def see(name: str, module: Module, inputs: tuple, settings: dict[str, Any], out: Any) -> None:
        if name == layer:
            raise Reached(out)

    features, done = np.empty((0,), np.float32), 0
    place = Device.parse(device)
    with observed(model, see), no_grad():
        model.eval()
        for images, _ in batches:
            out = output(model, Tensor(images, device=place), layer)
            if not done:
                features = np.empty((total, *out.shape[1:]), np.float32)
            features[done:done + len(out)] = out
            done += len(out)
            if progress is not None:
                progress(done, total)
    return features


def output(model: Module, x: Tensor, layer: str) -> np.ndarray:
    """The output of the layer for a batch."""
    try:
        model(x)
    except Reached as reached:
        if not isinstance(reached.out, Tensor) or len(reached.out) != len(x):
            raise ValueError(f"extract_features: the output of {layer!r} is not one array for each image") from None
        return reached.out.numpy()
    raise ValueError(f"extract_features: {layer!r} is not called by the network in eval mode") from None
