"""Published weights by name: found, verified, downloaded, and a helpful error without a network."""

import hashlib

import numpy as np
import pytest
from torch_writer import of_array, write_zip

import zoo
from minidl.io import CheckpointError, imagenet_classes, pretrained, published, save_checkpoint
from minidl.io.download import DownloadError
from minidl.io.published import PUBLISHED, Published


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """The two folders that are searched, both empty."""
    own, cache = tmp_path / "own", tmp_path / "cache"
    monkeypatch.setenv("MINIDL_DATA", str(own))
    monkeypatch.setattr(published.pooch, "os_cache", lambda _: cache)
    return own / "weights", cache / "weights"


@pytest.fixture
def offline(monkeypatch):
    """Every request fails; returns the list of requested URLs."""
    requested = []

    def refuse(url):
        requested.append(url)
        raise ConnectionError("no network here")
    monkeypatch.setattr("minidl.io.download._await_answer", refuse)
    return requested


@pytest.fixture
def small(tmp_path, monkeypatch):
    """Publishes a LeNet-5 with two classes under the name "small"; returns the bytes of its file."""
    arrays = zoo.create("lenet5", num_classes=2).state_dict()
    stored = {name: of_array(array, str(i)) for i, (name, array) in enumerate(arrays.items())}
    write_zip(tmp_path / "a", {name: tensor for name, (tensor, _) in stored.items()},
              {tensor.identity[2]: content for tensor, content in stored.values()})
    content = (tmp_path / "a").read_bytes()
    name = f"small-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    monkeypatch.setitem(PUBLISHED, "small", Published(name, 0.3, "lenet5", {"num_classes": 2}))
    return content


def test_table_agrees_with_the_zoo():
    for name, source in PUBLISHED.items():
        stem, _, digest = source.file.removesuffix(".pth").rpartition("-")
        assert len(digest) == 8
        assert int(digest, 16)
        assert name.startswith(stem.partition("-")[0])
        factory, _ = zoo.find(source.network)            # raises for an unknown network
        parameters = int(factory.__doc__.split(" ", 1)[0].replace(",", ""))
        assert 4 * parameters < source.size * 2**20 < 4.1 * parameters + 2**16    # float32 and a small overhead


@pytest.mark.parametrize("which", [0, 1])
def test_file_placed_by_hand_is_used(folders, offline, small, which):
    folders[which].mkdir(parents=True)
    (folders[which] / PUBLISHED["small"].file).write_bytes(small)
    weights, facts = pretrained("small")
    assert weights["fc3.bias"].shape == (2,)
    assert facts["architecture"] == {"name": "lenet5", "settings": {"num_classes": 2}}
    assert (facts["input"], facts["resize"], facts["classes"][258]) == ((3, 224, 224), 256, "Samoyed")
    assert offline == []


def test_damaged_file_is_refused(folders, offline, small):
    folders[1].mkdir(parents=True)
    (folders[1] / PUBLISHED["small"].file).write_bytes(small[:-1])
    with pytest.raises(CheckpointError, match=r"small-\w+\.pth: damaged, or another file.*Delete it"):
        pretrained("small")


def test_offline_error_says_where_to_put_the_file(folders, offline):
    with pytest.raises(DownloadError) as caught:
        pretrained("resnet50")
    message = str(caught.value)
    for part in ("https://download.pytorch.org/models/resnet50-0676ba61.pth", "no network here", "sha256:0676ba61",
                 str(folders[0]), str(folders[1])):
        assert part in message
    assert len(offline) == 1


def test_download_is_verified_by_its_digest(folders, small, monkeypatch):
    calls = []

    def fetch(name, urls, checksum, folder, limit):
        calls.append((name, urls, checksum, limit))
        folder.mkdir(parents=True)
        (folder / name).write_bytes(small)
        return folder / name
    monkeypatch.setattr(published, "fetch", fetch)
    assert len(pretrained("small")[0]) == 10
    file = PUBLISHED["small"].file
    assert calls == [(file, [published.HOST + file], f"sha256:{file[6:14]}", int(1.1 * 0.3 * 2**20))]


def test_existing_file_precedes_a_published_name(tmp_path, folders, offline):
    save_checkpoint(tmp_path / "resnet50", {"a": np.ones(2)}, {"classes": ["a"]})
    assert pretrained(tmp_path / "resnet50")[1] == {"classes": ["a"]}


@pytest.mark.parametrize(("name", "hint"), [("resnet5", "did you mean resnet50"), ("a/b.pth", "there are alexnet")])
def test_unknown_name_gets_a_hint(folders, offline, name, hint):
    with pytest.raises(FileNotFoundError, match=f"{name}: neither a file nor the name .*{hint}"):
        pretrained(name)


def test_create_accepts_published_weights(folders, offline, small):
    folders[0].mkdir(parents=True)
    (folders[0] / PUBLISHED["small"].file).write_bytes(small)
    weights, _ = pretrained("small")
    model = zoo.create("lenet5", pretrained="small")
    np.testing.assert_array_equal(model.fc3.weight.numpy(), weights["fc3.weight"])
    model = zoo.create("lenet5", pretrained=folders[0] / PUBLISHED["small"].file, num_classes=7)
    assert model.fc3.weight.shape == (7, 84)
    np.testing.assert_array_equal(model.fc2.weight.numpy(), weights["fc2.weight"])
    (folders[0] / "renamed.pth").write_bytes(small)
    with pytest.raises(CheckpointError, match="for 2 classes and the model is for 10"):
        zoo.create("lenet5", pretrained=folders[0] / "renamed.pth")
    with pytest.raises(ValueError, match="did you mean lenet5"):
        zoo.create("lenet", pretrained="resnet50")
    assert offline == []


def test_imagenet_classes():
    classes = imagenet_classes()
    assert len(classes) == 1000
    assert (classes[0], classes[207], classes[999]) == ("tench", "golden retriever", "toilet tissue")
    assert {name for name in classes if classes.count(name) > 1} == {"crane", "maillot"}
