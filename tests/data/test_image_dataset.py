"""ImageDataset compared with plain array arithmetic, and the arguments that it refuses."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl.data import ImageDataset, drawn_digits

MEAN, STD = (0.2, 0.5), (0.3, 0.4)


def make(count=10, shape=(2, 3, 5), classes="abc"):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, *shape), dtype=np.uint8)
    return ImageDataset(images, np.arange(count) % len(classes), classes, "toys", MEAN, STD)


@given(st.lists(st.integers(-10, 9), max_size=12))
def test_batch_is_normalised(indices):
    data = make()
    before = data.images.copy()
    images, labels = data.batch(indices)
    pixels = before[np.array(indices, int)].astype(np.float64) / 255
    mean, std = np.reshape(MEAN, (2, 1, 1)), np.reshape(STD, (2, 1, 1))
    np.testing.assert_allclose(images, (pixels - mean) / std, atol=1e-6)
    np.testing.assert_array_equal(labels, [i % 10 % 3 for i in indices])
    assert images.dtype == np.float32
    assert images.flags.c_contiguous
    assert labels.dtype == np.int64

    images[:], labels[:] = 0, 0  # a batch is a copy
    np.testing.assert_array_equal(data.images, before)
    np.testing.assert_array_equal(data.labels, np.arange(10) % 3)


def test_arrays_become_contiguous_and_labels_int64():
    images = np.arange(48, dtype=np.uint8).reshape(2, 2, 3, 4)
    data = ImageDataset(images[:, :, ::-1].transpose(0, 1, 3, 2), np.array([1, 0], np.uint8), "ab")
    assert data.images.flags.c_contiguous
    np.testing.assert_array_equal(data.images, images[:, :, ::-1].transpose(0, 1, 3, 2))
    assert data.labels.dtype == np.int64


def test_without_statistics_pixels_lie_between_0_and_1():
    images, _ = ImageDataset(np.array([0, 51, 255], np.uint8).reshape(3, 1, 1, 1), [0, 0, 0], ["all"]).batch([0, 1, 2])
    np.testing.assert_allclose(images.ravel(), [0, 0.2, 1])


def test_indexing():
    data = make()
    image, label = data[-1]
    np.testing.assert_array_equal(image, data.batch([9])[0][0])
    assert label == 0
    assert type(label) is int
    assert len(list(data)) == len(data) == 10
    assert repr(data) == "ImageDataset('toys', 10 images of 2x3x5, 3 classes)"
    with pytest.raises(IndexError):
        data[10]
    with pytest.raises(TypeError):
        data[1:3]


def test_subset_and_take_keep_classes_name_and_statistics():
    data = make()
    for part, indices in [(data.subset([4, 4, 1]), [4, 4, 1]), (data.take(3), [0, 1, 2]), (data.take(99), range(10))]:
        np.testing.assert_array_equal(part.images, data.images[list(indices)])
        np.testing.assert_array_equal(part.labels, data.labels[list(indices)])
        assert (part.classes, part.name, part.mean, part.std) == (data.classes, data.name, data.mean, data.std)
    assert len(data.subset([])) == len(data.take(0)) == 0
    assert np.shares_memory(data.take(3).images, data.images)


@given(st.one_of(st.integers(0, 10), st.floats(0, 1)), st.integers(0, 5))
def test_split_contains_every_image_once(part, seed):
    data = ImageDataset(np.arange(10, dtype=np.uint8).reshape(10, 1, 1, 1), np.zeros(10, int), ["one"])
    first, rest = data.split(part, seed)
    assert len(first) == (round(part * 10) if isinstance(part, float) else part)
    both = np.concatenate([first.images, rest.images]).ravel()
    assert sorted(both) == list(range(10))
    np.testing.assert_array_equal(data.split(part, seed)[0].images, first.images)


def test_split_shuffles_by_seed():
    data = make(50)
    a, b = data.split(25, seed=0)[0].images, data.split(25, seed=1)[0].images
    assert not np.array_equal(a, b)


@pytest.mark.parametrize("part", [-1, 11, 1.01, -0.2, float("nan")])
def test_invalid_split_is_refused(part):
    with pytest.raises(ValueError, match="cannot split"):
        make().split(part)


IMAGES = np.zeros((4, 1, 2, 2), np.uint8)


@pytest.mark.parametrize(
    ("error", "message", "arguments"),
    [
        (TypeError, "uint8, not float64", (IMAGES.astype(float), [0] * 4, "ab")),
        (ValueError, r"\(N, C, H, W\), not \(4, 2, 2\)", (IMAGES[:, 0], [0] * 4, "ab")),
        (ValueError, r"\(N, C, H, W\)", (IMAGES[:, :0], [0] * 4, "ab")),
        (TypeError, "whole numbers, not float64", (IMAGES, [0.0] * 4, "ab")),
        (ValueError, r"\(4,\), not \(3,\)", (IMAGES, [0] * 3, "ab")),
        (ValueError, r"0\.\.1 for 2 classes, but go from 0 to 2", (IMAGES, [0, 1, 2, 0], "ab")),
        (ValueError, "from -1 to 0", (IMAGES, [0, -1, 0, 0], "ab")),
        (ValueError, "mean must be one finite number per channel", (IMAGES, [0] * 4, "ab", "", (0, 0))),
        (ValueError, "std must be one finite", (IMAGES, [0] * 4, "ab", "", None, (np.inf,))),
        (ValueError, "std must be positive", (IMAGES, [0] * 4, "ab", "", None, (0,))),
    ],
)
def test_invalid_arguments_are_refused(error, message, arguments):
    with pytest.raises(error, match=message):
        ImageDataset(*arguments)


@pytest.mark.parametrize("indices", [[0.5], [True] * 10, [[1, 2]], 3, "ab"])
def test_invalid_indices_are_refused(indices):
    with pytest.raises(TypeError, match="indices must be"):
        make().batch(indices)


def test_index_out_of_range_is_refused():
    with pytest.raises(IndexError):
        make().batch([10])


def test_negative_take_is_refused():
    with pytest.raises(ValueError, match="-1"):
        make().take(-1)


@pytest.mark.parametrize(("error", "message", "arguments"), [
    (ValueError, r"\(4, 28, 28, 3\) looks like \(N, H, W, C\); convert with images\.transpose\(0, 3, 1, 2\)",
     (np.zeros((4, 28, 28, 3), np.uint8), [0] * 4, "ab")),
    (ValueError, "looks like", (np.zeros((4, 32, 5, 1), np.uint8), [0] * 4, "ab")),
    (ValueError, r"images\[:, None\] has one channel", (IMAGES[:, 0], [0] * 4, "ab")),
    (TypeError, r"scale pixels to 0\.\.255 and convert with \.astype\(numpy\.uint8\)", (IMAGES / 1, [0] * 4, "ab")),
    (ValueError, "these differ in shape: resize or crop them", ([IMAGES[0], IMAGES[0, :, 1:]], [0, 0], "ab")),
    (TypeError, "whole numbers, not object", (IMAGES, np.zeros(4, object), "ab")),
    (TypeError, r"not bool; convert with \.astype\(numpy\.int64\)", (IMAGES, [True] * 4, "ab")),
])
def test_an_error_says_what_to_do(error, message, arguments):
    with pytest.raises(error, match=message):
        ImageDataset(*arguments)


@pytest.mark.parametrize("shape", [(2, 3, 3), (4, 4, 4), (1, 1, 1), (3, 224, 3), (9, 5, 5)])
def test_small_images_are_not_taken_for_channels_last(shape):
    assert ImageDataset(np.zeros((2, *shape), np.uint8), [0, 0], "a").image_shape == shape


@pytest.mark.parametrize("labels", [
    [np.int8(1), np.uint16(0)], (1, 0), np.array([1, 0], ">i2"), np.array([1, 0], np.uint64), np.ma.array([1, 0]),
], ids=lambda labels: str(getattr(labels, "dtype", type(labels).__name__)))
def test_labels_of_many_kinds_become_native_integers(labels):
    data = ImageDataset([np.zeros((1, 2, 2), np.uint8)] * 2, labels, "ab")
    assert (type(data.labels), data.labels.dtype.str, data.labels.tolist()) == (np.ndarray, "<i8", [1, 0])


@pytest.mark.parametrize(("classes", "names"), [
    (np.unique([5, 3, 7]), ("3", "5", "7")), (range(3), ("0", "1", "2")),
    ([b"cat", b"dog", b"owl"], ("cat", "dog", "owl")), (np.array(["a", "b", "c"]), ("a", "b", "c")),
])
def test_facts_of_a_data_set_are_python_values(classes, names):
    """They are stored as JSON with the weights."""
    data = ImageDataset(IMAGES[:2], [0, 1], classes, np.str_("toys"), np.float32(0.5), [np.float64(0.25)])
    facts = json.loads(json.dumps([data.classes, data.name, data.mean, data.std, data.image_shape]))
    assert facts == [list(names), "toys", [0.5], [0.25], [1, 2, 2]]
    assert {type(name) for name in data.classes} == {str}


def test_numpy_numbers_are_sizes():
    data = make()
    assert len(data.take(np.int64(3))) == len(data.split(np.uint8(3), seed=np.int64(1))[0]) == 3
    assert len(data.split(np.float32(0.5))[0]) == len(data.split(np.float64(0.5))[1]) == 5
    assert data[np.int64(2)][1] == 2
    assert len(drawn_digits(np.int64(7), seed=np.int64(1))) == 7
