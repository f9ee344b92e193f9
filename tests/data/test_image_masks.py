"""Folders of images and masks: how files are paired, what values mean, and what is refused, naming the files."""

import os
import re

import numpy as np
import pytest
from PIL import Image

from minidl.data import DataError, ImageMasks, SegmentationDataset, image_masks, mask_splits

rng = np.random.default_rng(0)


def save(path, pixels, **settings):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(np.asarray(pixels, np.uint8))
    image.save(path, **settings)
    return path


def mask_of(i, size=(8, 10)):
    """0 and 255, with the columns from i on in 255."""
    mask = np.zeros(size, np.uint8)
    mask[:, i:] = 255
    return mask


def pairs(root, count=12, images="image", masks="label"):
    for i in range(count):
        save(root / images / f"{i}.png", rng.integers(0, 256, (8, 10, 3)))
        save(root / masks / f"{i}.png", mask_of(1 + i % 9))
    return root


@pytest.fixture
def root(tmp_path):
    return pairs(tmp_path / "cells")


CLASSES = {0: "wall", 255: "cell"}


def test_pairs_become_a_data_set(root):
    dataset = image_masks(root / "image", root / "label", classes=CLASSES)
    assert isinstance(dataset, ImageMasks)
    assert isinstance(dataset, SegmentationDataset)
    assert (dataset.images.shape, dataset.labels.shape) == ((12, 3, 8, 10), (12, 8, 10))
    assert dataset.classes == ("wall", "cell")
    assert dataset.name == "cells"
    assert [os.path.basename(path) for path in dataset.paths] == [f"{i}.png" for i in range(12)]    # 9 before 10
    assert [os.path.relpath(path, root) for path in dataset.mask_paths[:2]] == ["label/0.png", "label/1.png"]
    for i in range(12):
        np.testing.assert_array_equal(dataset.images[i].transpose(1, 2, 0), Image.open(root / "image" / f"{i}.png"))
        np.testing.assert_array_equal(dataset.labels[i], mask_of(1 + i % 9) // 255)
    np.testing.assert_allclose(dataset.mean, (dataset.images / 255).mean((0, 2, 3)), rtol=1e-6)
    images, masks = dataset.batch([3, 4])
    assert (images.shape, images.dtype, masks.dtype) == ((2, 3, 8, 10), np.float32, np.int64)
    assert dataset.problems() == ""


def test_folders_and_values_that_are_found(root):
    dataset = image_masks(root, channels=1)
    assert dataset.classes == ("0", "255")
    assert dataset.values == {0: "0", 255: "255"}
    assert dataset.image_shape == (1, 8, 10)
    (root / "label").rename(root / "masks")
    np.testing.assert_array_equal(image_masks(root).labels, dataset.labels)


def test_values_of_all_kinds(tmp_path):
    colours = np.array([[[0, 0, 0], [255, 0, 0]], [[0, 0, 255], [255, 255, 255]]], np.uint8)
    paletted = Image.fromarray(np.array([[0, 1], [2, 255]], np.uint8), "P")
    paletted.putpalette(rng.integers(0, 256, 768).astype(np.uint8).tobytes())
    grey = Image.fromarray(np.array([[0, 1], [2, 3]], np.uint8))
    masks = {
        "palette": (paletted, {0: "a", 1: "b", 2: "c", 255: "d"}),
        "colours": (Image.fromarray(colours), {0: "a", (255, 0, 0): "b", (0, 0, 255): "c", (255, 255, 255): "d"}),
        "opaque": (Image.fromarray(colours).convert("RGBA"), {0: "a", (255, 0, 0): "b", (0, 0, 255): "c", 255: "d"}),
        "16 bits": (Image.fromarray(np.array([[0, 1], [1000, 65535]], np.uint16)),
                    {0: "a", 1: "b", 1000: "c", 65535: "d"}),
        "listed": (grey, ["a", "b", "c", "d"]),
        "grey and opaque": (grey.convert("LA"), {0: "a", 1: "b", 2: "c", 3: "d"}),
    }
    for name, (mask, classes) in masks.items():
        save(tmp_path / name / "images" / "x.png", np.zeros((2, 2)))
        save(tmp_path / name / "masks" / "x.png", mask)
        dataset = image_masks(tmp_path / name, classes=classes)
        assert dataset.labels[0].tolist() == [[0, 1], [2, 3]], name
        assert dataset.classes == tuple("abcd")
    assert image_masks(tmp_path / "colours").classes == ("0", "255", "(0, 0, 255)", "(255, 0, 0)")
    for name in ("black and white", "endings"):
        save(tmp_path / name / "images" / "x.jpg", np.zeros((2, 2)))
        save(tmp_path / name / "masks" / ("x.tif" if name == "endings" else "x.png"),
             Image.fromarray(np.array([[0, 255], [0, 255]], np.uint8)).convert("1"))
        assert image_masks(tmp_path / name, classes=CLASSES).labels[0].tolist() == [[0, 1], [0, 1]]


def test_pixels_to_be_ignored(tmp_path):
    save(tmp_path / "images" / "x.png", np.zeros((2, 2)))
    save(tmp_path / "masks" / "x.png", [[0, 1], [1, 255]])
    for classes in (["a", "b"], None):
        dataset = image_masks(tmp_path, classes=classes, ignore=255)
        assert dataset.labels[0].tolist() == [[0, 1], [1, 255]]
        assert dataset.batch([0])[1][0].tolist() == [[0, 1], [1, -100]]
        assert dataset.class_counts().tolist() == [1, 2]
        assert len(dataset.classes) == 2


def test_size_and_resize(tmp_path):
    left = np.repeat([0, 1], 8)[None].repeat(40, 0)                     # 16 x 40, the left half is class 0
    save(tmp_path / "images" / "x.png", left * 255)
    save(tmp_path / "masks" / "x.png", left)
    dataset = image_masks(tmp_path, size=(8, 4), resize=8, channels=1)
    assert dataset.images.shape == (1, 1, 8, 4)
    assert dataset.labels[0].tolist() == [[0, 0, 1, 1]] * 8
    assert ((dataset.images[0, 0] > 127) == dataset.labels[0]).all()
    save(tmp_path / "images" / "y.png", np.zeros((30, 20)))
    save(tmp_path / "masks" / "y.png", np.zeros((30, 20)))
    assert image_masks(tmp_path, size=8).labels.shape == (2, 8, 8)
    with pytest.raises(DataError, match=r"y\.png: 20 x 30 pixels, but .*x\.png has 16 x 40; give a `size`"):
        image_masks(tmp_path)
    for settings, words in (({"size": 8, "resize": 7}, "resize=7 must be a whole number of at least 8"),
                            ({"resize": 7}, "resize=7 needs a size"), ({"channels": 2}, "channels=2 must be"),
                            ({"size": 0}, "size="), ({"classes": "ab"}, "classes='ab' must be {value: name}"),
                            ({"classes": {1.5: "a"}}, "1.5 is no value of a mask"),
                            ({"classes": {0: "a", (0, 0, 0): "b"}}, "name a value twice"),
                            ({"classes": ["a"]}, "have 1 classes"),
                            ({"classes": ["a", "b"], "ignore": 1}, "ignore=1, but 1 is a class, too"),
                            ({"ignore": (1, 2)}, r"\(1, 2\) is no value")):
        with pytest.raises(ValueError, match=words):
            image_masks(tmp_path, **settings)


def jpeg_mask(root):
    (root / "label" / "3.png").unlink()
    save(root / "label" / "3.jpg", np.zeros((8, 10)))


def transparent(root):
    save(root / "label" / "3.png", Image.new("RGBA", (10, 8), (0, 0, 0, 100)))


@pytest.mark.parametrize(("arrange", "words"), [
    (lambda root: (root / "label" / "3.png").unlink(),
     r"image.3\.png: has no mask; there is no image .*label.3\.\* \(11 masks for 12 images\)"),
    (lambda root: (root / "image" / "3.png").unlink(),
     r"label.3\.png: is the mask of no image; there is none called .*image.3\.\*"),
    (lambda root: save(root / "label" / "3.png", mask_of(2, (8, 9))),
     r"label.3\.png: a mask of 9 x 8 pixels for .*image.3\.png, an image of 10 x 8"),
    (lambda root: save(root / "label" / "3.png", np.full((8, 10), 7)),
     r"label.3\.png: the mask of .*image.3\.png has the value 7, of no class; the classes are \{0: 'wall', 255"),
    (lambda root: save(root / "label" / "3.png", np.arange(80).reshape(8, 10)),
     r"has the values 1, 2, 3, 4, 5, \.\.\., of no class"),
    (lambda root: save(root / "image" / "3.jpg", np.zeros((8, 10))),
     r"image.3\.png: has the same name as .*image.3\.jpg, so it is unclear"),
    (lambda root: [path.unlink() for path in (root / "image").iterdir()], r"there are no images in '.*image'"),
    (lambda root: [path.write_bytes(b"") for path in (root / "image").iterdir()],
     r"none of 12 images can be read: .*0\.png: not an image"),
    (lambda root: [path.write_bytes(b"") for path in (root / "label").iterdir()],
     r"(?s)no image in '.*image' can be read with its mask\n  .*0\.png: its mask, .*label.0\.png: not an image"),
    (lambda root: (root / "label").rename(root / "other"),
     r"must hold a folder of images \(images or .*\) and one of masks \(masks or"),
])
def test_what_does_not_match_is_named(root, tmp_path, arrange, words):
    arrange(root)
    cache = tmp_path / "cache"
    with pytest.raises((ValueError, FileNotFoundError), match=words):
        image_masks(root, classes=CLASSES, cache=cache)
    assert not cache.exists() or not [path for path in cache.iterdir() if path.suffix != ".bin"
                                      and path.suffix != ".json"]


@pytest.mark.parametrize(("arrange", "words"), [
    (lambda root: save(root / "image" / "3.png", np.zeros((8, 10))).write_bytes(b"x"), "not an image"),
    (lambda root: (root / "label" / "3.png").write_bytes(b"x"), r"its mask, .*label.3\.png: not an image"),
    (jpeg_mask, r"its mask, .*3\.jpg: a JPEG file, which does not keep the values of a mask; save masks as PNG"),
    (transparent, r"its mask, .*3\.png: it has transparent pixels"),
    (lambda root: save(root / "label" / "3.png", np.zeros((8, 10))).unlink() or
     (root / "label" / "3.png").symlink_to("nowhere"), r"its mask, .*label.3\.png: No such file"),
])
@pytest.mark.parametrize("cached", [False, True])
def test_pairs_that_cannot_be_read_are_left_out(root, tmp_path, arrange, words, cached):
    arrange(root)
    for _ in range(2):
        dataset = image_masks(root, cache=tmp_path / "cache" if cached else None)
        assert len(dataset) == len(dataset.labels) == len(dataset.paths) == len(dataset.mask_paths) == 11
        assert os.path.basename(dataset.paths[3]) == "4.png"
        np.testing.assert_array_equal(dataset.labels[3], mask_of(5) // 255)
        assert re.search(words, dataset.problems())
        assert dataset.problems().startswith("cells: 1 of 12 images cannot be read and are left out:\n")


def test_the_cache_depends_on_masks_and_classes(root, tmp_path):
    cache, calls = tmp_path / "cache", []
    settings = {"cache": cache, "progress": lambda *c: calls.append(c)}
    first = image_masks(root, classes=CLASSES, **settings)
    assert calls
    calls.clear()
    again = image_masks(root, classes=CLASSES, **settings)
    assert not calls
    assert isinstance(again.images.base, np.memmap) or isinstance(again.images, np.memmap)
    np.testing.assert_array_equal(again.images, first.images)
    np.testing.assert_array_equal(again.labels, first.labels)
    assert again.batch([1, 5])[1].tolist() == first.batch([1, 5])[1].tolist()
    reversed_classes = image_masks(root, classes={255: "cell", 0: "wall"}, **settings)
    np.testing.assert_array_equal(reversed_classes.labels, 1 - first.labels)
    os.utime(save(root / "label" / "0.png", mask_of(9)), (1, 1))
    assert image_masks(root, classes=CLASSES, **settings).labels[0].tolist() == (mask_of(9) // 255).tolist()


def test_links_in_circles_and_folders_that_cannot_be_read(root, locked_below):
    (root / "image" / "again").symlink_to(root / "image")
    assert len(image_masks(root)) == 12
    (root / "image" / "below").mkdir()
    dataset = image_masks(root)
    assert len(dataset) == 12
    assert "below: Permission denied" in dataset.problems()


@pytest.mark.parametrize("parts", [("train",), ("train", "val"), ("train", "val", "test"), ()])
def test_splits(tmp_path, parts):
    root = tmp_path / "cells"
    for part in parts or ("",):
        pairs(root / part, 10, "images", "masks")
    splits = mask_splits(root, validation=0.3, seed=1, classes=CLASSES)
    assert (splits.test is None) == ("test" not in parts)
    assert (len(splits.train), len(splits.validation)) == ((10, 10) if "val" in parts else (7, 3))
    for part in splits:
        assert part is None or (part.mean, part.classes) == (splits.train.mean, ("wall", "cell"))
    if "val" not in parts:
        assert mask_splits(root, validation=0).validation is None
        with pytest.raises(ValueError, match="validation=1 must be"):
            mask_splits(root, validation=1)
    else:
        save(root / "val" / "masks" / "4.png", np.full((8, 10), 9))
        with pytest.raises(DataError, match=r"val.masks.4\.png: the mask of .* has the value 9, of no class"):
            mask_splits(root)


def test_splits_of_masks_in_colour(tmp_path):
    colours = np.array([[[0, 0, 0], [255, 0, 0]]], np.uint8)
    for part in ("train", "test"):
        for i in range(2):
            save(tmp_path / part / "images" / f"{i}.png", np.zeros((1, 2)))
            save(tmp_path / part / "masks" / f"{i}.png", colours)
    for classes in ({(255, 0, 0): "road", 0: "rest"}, None):
        splits = mask_splits(tmp_path, classes=classes)
        assert splits.test.labels[0].tolist() == ([[1, 0]] if classes else [[0, 1]])
        assert set(splits.train.values) == {(255, 0, 0), 0}
