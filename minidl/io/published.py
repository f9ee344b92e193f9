"""Published weights by name: torchvision's files for ImageNet, downloaded once and verified at every use.

A file's name contains the first digits of its SHA-256. A file is searched for in $MINIDL_DATA/weights, then in
`weights` in the user's cache folder, where downloads go. Without a network, put it into either by hand.
"""

import difflib
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pooch

from minidl.io.checkpoint import CheckpointError
from minidl.io.checks import as_path
from minidl.io.download import DownloadError, fetch
from minidl.io.imagenet import imagenet_facts
from minidl.io.weights import read_weights
from minidl.nn import Module

HOST = "https://download.pytorch.org/models/"
SLACK = 1.1                                      # the largest download, relative to the size below


class Published(NamedTuple):
    """A file, its approximate size in MiB, its network with settings, and the resized length of shorter sides."""

    file: str
    size: float
    network: str
    settings: Mapping = MappingProxyType({})
    resize: int = 256


PUBLISHED = {
    "alexnet": Published("alexnet-owt-7be5be79.pth", 233.087, "alexnet"),
    "googlenet": Published("googlenet-1378be20.pth", 49.731, "googlenet", {"transform_input": True}),
    "mobilenet_v2": Published("mobilenet_v2-b0353104.pth", 13.555, "mobilenet_v2"),
    "resnet18": Published("resnet18-f37072fd.pth", 44.661, "resnet18"),
    "resnet34": Published("resnet34-b627a593.pth", 83.275, "resnet34"),
    "resnet50": Published("resnet50-0676ba61.pth", 97.781, "resnet50"),
    "resnet50_v2": Published("resnet50-11ad3fa6.pth", 97.79, "resnet50", resize=232),
    "resnet101": Published("resnet101-63fe2227.pth", 170.511, "resnet101"),
    "resnet152": Published("resnet152-394f9c45.pth", 230.434, "resnet152"),
    "vgg11": Published("vgg11-8a719046.pth", 506.84, "vgg11"),
    "vgg11_bn": Published("vgg11_bn-6002323d.pth", 506.881, "vgg11_bn"),
    "vgg13": Published("vgg13-19584684.pth", 507.545, "vgg13"),
    "vgg13_bn": Published("vgg13_bn-abd245e5.pth", 507.59, "vgg13_bn"),
    "vgg16": Published("vgg16-397923af.pth", 527.796, "vgg16"),
    "vgg16_bn": Published("vgg16_bn-6c64b313.pth", 527.866, "vgg16_bn"),
    "vgg19": Published("vgg19-dcbb9e9d.pth", 548.051, "vgg19"),
    "vgg19_bn": Published("vgg19_bn-c79401a0.pth", 548.143, "vgg19_bn"),
}


def pretrained(path_or_name: str | Path, key: str | None = None,
               model: Module | None = None) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The weights in a file, or those published under a name, with the known facts about them.

    `key` and `model` choose among several weights in a file, as for `load_weights`.
    ->  ({name: array}, {key: value}); the facts of a published file are classes, input, resize, mean and std.
    Raises FileNotFoundError, CheckpointError, or DownloadError, which says where to put the file by hand.
    """
    path = as_path("pretrained (a file, or the name of published weights)", path_or_name, CheckpointError)
    if is_there(path):
        weights, facts = read_weights(path, key, model)
        source = next((source for source in PUBLISHED.values() if source.file == path.name), None)
        return weights, facts or (published_facts(source) if source else {})
    if str(path_or_name) not in PUBLISHED:
        near = difflib.get_close_matches(str(path_or_name), PUBLISHED)
        hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(PUBLISHED)}"
        raise FileNotFoundError(f"{path_or_name}: neither a file nor the name of published weights; {hint}")
    source = PUBLISHED[str(path_or_name)]
    return read_weights(obtain(source))[0], published_facts(source)


def is_there(path: Path) -> bool:
    """Whether there is a file or a folder. Raises OSError if that cannot be told, as where a folder is locked."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def published_facts(source: Published) -> dict[str, Any]:
    """The facts about a published file."""
    architecture = {"name": source.network, "settings": dict(source.settings)}
    return {**imagenet_facts(source.resize), "architecture": architecture}


def obtain(source: Published) -> Path:
    """The path of a published file with the correct digest; it is downloaded if necessary."""
    digest = Path(source.file).stem.rpartition("-")[2]
    folders = places()
    found = next((folder / source.file for folder in folders if (folder / source.file).is_file()), None)
    if found is None:
        try:
            limit = int(SLACK * source.size * (1 << 20))             # the digest identifies the file
            return fetch(source.file, [HOST + source.file], f"sha256:{digest}", folders[-1], limit)
        except DownloadError as error:
            raise DownloadError(f"{error}\nIt is searched for in {' and in '.join(map(str, folders))}.") from error
    with found.open("rb") as file:
        actual = hashlib.file_digest(file, "sha256").hexdigest()
    if not actual.startswith(digest):
        raise CheckpointError(f"{found}: damaged, or another file of this name: its SHA-256 begins with {actual[:8]}. "
                              "Delete it, and it will be downloaded again")
    return found


def places() -> list[Path]:
    """The folders that are searched for published files; downloads go into the last."""
    own = os.environ.get("MINIDL_DATA")
    return [Path(folder).expanduser() / "weights" for folder in (own, pooch.os_cache("minidl")) if folder]
