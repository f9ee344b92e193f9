"""Small networks, and a server that has them."""

from importlib.util import find_spec
from pathlib import Path

import pytest
from servers import running

import zoo
from minidl import manual_seed
from minidl.io import save_model
from minidl.serve.needs import NEEDS


def pytest_collection_modifyitems(items):
    """Skip this folder's tests where the extra `serve` is not installed."""
    missing = [package for module, package in NEEDS.items() if find_spec(module) is None]
    for item in items:
        if missing and Path(__file__).parent in item.path.parents and item.path.name != "test_serve_command.py":
            item.add_marker(pytest.mark.skip(reason=f"serving needs {', '.join(missing)}: the extra serve-test"))


@pytest.fixture(scope="session")
def model_files(tmp_path_factory):
    """[grey.safetensors, colour.safetensors]: untrained networks for 28 x 28 pixels, with 10 classes and 3."""
    folder = tmp_path_factory.mktemp("models")
    manual_seed(0)
    save_model(folder / "grey.safetensors", zoo.create("lenet5"), classes=list("abcdefghij"), input=(1, 28, 28),
               mean=[0.1], std=[0.3])
    save_model(folder / "colour.safetensors", zoo.create("simple_cnn", in_channels=3, num_classes=3),
               classes=["one", "two", "three, or more"], input=(3, 28, 28), mean=[0.5] * 3, std=[0.25] * 3)
    return [folder / "grey.safetensors", folder / "colour.safetensors"]


@pytest.fixture(scope="session")
def client(model_files):
    """A Client of a server with both networks."""
    with running(model_files) as client:
        yield client
