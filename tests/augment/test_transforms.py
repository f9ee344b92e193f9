"""Transforms: exact results where they are simple, statistics of what is drawn, masks, settings, printing."""

import math

import numpy as np
import pytest

import minidl
from minidl import augment, kernels
from minidl.augment import (
    AlternatingFlip,
    ColorJitter,
    Compose,
    Cutout,
    Draws,
    ElasticTransform,
    GaussianBlur,
    GaussianNoise,
    RandAugment,
    RandomAffine,
    RandomApply,
    RandomCrop,
    RandomErasing,
    RandomGrayscale,
    RandomHorizontalFlip,
    RandomResizedCrop,
    RandomRotation,
    RandomVerticalFlip,
)
from minidl.augment.affine import inverse_affine
from minidl.augment.policy import CHANGES, changed

MOVING = [RandomCrop(12, padding=2), RandomCrop((9, 10), padding=(1, 2), padding_mode="reflect"),
          RandomHorizontalFlip(), RandomVerticalFlip(p=0.3), RandomAffine(30, (0.1, 0.2), (0.8, 1.2), 10),
          RandomAffine((5, 9), shear=(-3, 3, -4, 4), padding_mode="edge"), RandomRotation(45, "nearest", 9),
          RandomResizedCrop(8), RandomResizedCrop((14, 7), (0.2, 0.9)), ElasticTransform(20.0, 2.0)]
STAYING = [ColorJitter(0.4, 0.4, 0.4, 0.1), ColorJitter(brightness=(0.5, 0.6)), RandomGrayscale(0.5), GaussianBlur(5),
           GaussianNoise((0.0, 0.2)), Cutout(4), Cutout(7, 0.5, 255), RandomErasing(0.8)]
CHAINS = [Compose([RandomCrop(12, padding=2), RandomHorizontalFlip(), Cutout(4)]), RandAugment(), RandAugment(3, 20),
          RandomApply([GaussianBlur(3), RandomHorizontalFlip()], 0.4)]
ALL = [*MOVING, *STAYING, *CHAINS]
each = pytest.mark.parametrize("transform", ALL, ids=repr)


def batch(n=16, size=(12, 12), channels=3):
    return np.random.default_rng(0).integers(0, 256, (n, channels, *size)).astype(np.uint8)


@each
def test_an_image_is_changed_alike_in_any_batch(transform):
    """Its random numbers depend on the seed, the epoch and its index alone; backends agree but for rounding."""
    images = batch()
    whole = transform(images, draws=Draws(3, 1, np.arange(16)))
    assert whole.dtype == np.uint8
    assert whole.flags.c_contiguous
    order = np.array([5, 0, 11, 7])
    np.testing.assert_array_equal(transform(images[order], draws=Draws(3, 1, order)), whole[order])
    single = transform(images[9], draws=Draws(3, 1, [9]))
    np.testing.assert_array_equal(single, whole[9])
    with kernels.using("plain"):
        plain = transform(images, draws=Draws(3, 1, np.arange(16)))
    difference = np.abs(plain.astype(int) - whole)
    assert np.count_nonzero(difference > 1) <= difference.size // 100
    for other in (Draws(4, 1, np.arange(16)), Draws(3, 2, np.arange(16))):
        assert not np.array_equal(transform(images, draws=other), whole)
    assert transform(images[:0]).shape == (0, *whole.shape[1:])


@each
def test_the_images_given_are_not_changed(transform):
    images = batch()
    masks = images[:, 0] % 3
    before = images.copy(), masks.copy()
    out, moved = transform(images, masks)
    np.testing.assert_array_equal(images, before[0])
    np.testing.assert_array_equal(masks, before[1])
    assert moved.shape == (16, *out.shape[2:])
    assert not np.shares_memory(out, images)


@each
def test_grey_images(transform):
    assert transform(batch(channels=1)).shape[1] == 1


@each
def test_manual_seed_repeats_a_call_without_draws(transform):
    images = batch()
    minidl.manual_seed(1)
    first, second = transform(images), transform(images)
    minidl.manual_seed(1)
    np.testing.assert_array_equal(transform(images), first)
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("transform", [*MOVING, CHAINS[0], CHAINS[3]], ids=repr)
def test_masks_follow_their_images(transform):
    """An image of two colours and a mask of the same two areas: far from edges they still agree."""
    area = np.zeros((16, 24, 24), np.uint8)
    area[:, 4:20, 6:20] = 1
    images = np.repeat(area[:, None] * 200 + 20, 3, axis=1).astype(np.uint8)
    out, masks = transform(images, area, Draws(0, 0, np.arange(16)))
    visible = np.abs(out.astype(int) - 20).min(1) <= 20, np.abs(out.astype(int) - 220).min(1) <= 20
    wrong = (visible[0] & (masks == 1)) | (visible[1] & (masks == 0))
    assert wrong.mean() < 0.06
    assert set(np.unique(masks)) <= {0, 1}
    assert (masks == 1).any()


@pytest.mark.parametrize("transform", STAYING, ids=repr)
def test_masks_stay_where_nothing_moves(transform):
    images = batch()
    masks = images[:, 0] % 3
    np.testing.assert_array_equal(transform(images, masks)[1], masks)


def test_crop_of_every_place():
    image = np.arange(16, dtype=np.uint8).reshape(1, 4, 4) + 1
    padded = np.pad(image[0], 1)
    expected = {padded[y:y + 3, x:x + 3].tobytes() for y in range(4) for x in range(4)}
    images = np.repeat(image[None], 400, axis=0)
    found = [crop.tobytes() for crop in RandomCrop(3, padding=1)(images)]
    assert set(found) == expected
    assert max(map(found.count, expected)) < 60                        # 25 on average
    left = RandomCrop((4, 2), padding=(1, 0, 0, 0), fill=9)(images)
    assert {crop[0, :, 0].tobytes() for crop in left} == {bytes([9] * 4), *(image[0, :, x].tobytes() for x in range(3))}


def test_flips():
    images = batch(400)
    out = RandomHorizontalFlip(0.25)(images)
    same = (out == images).all((1, 2, 3))
    assert 0.65 < same.mean() < 0.85
    np.testing.assert_array_equal(out[~same], images[~same, :, :, ::-1])
    np.testing.assert_array_equal(RandomVerticalFlip(1)(images), images[:, :, ::-1])
    np.testing.assert_array_equal(RandomVerticalFlip(0)(images), images)


def test_rotations_by_right_angles_are_exact():
    images = batch(size=(9, 9))
    for angle in (90, 180, 270):
        out = RandomRotation((angle, angle))(images)
        np.testing.assert_array_equal(out, np.rot90(images, angle // 90, axes=(2, 3)))      # counter-clockwise


def test_translation_and_zoom():
    """By whole pixels to the right and down; twice as large about the centre."""
    zero = np.zeros(1)
    one = inverse_affine((8, 8), zero, (zero + 2, zero + 1), zero + 1, (zero, zero))[0]
    np.testing.assert_allclose(one @ [3, 5, 1], [2, 3])                # row 3, column 5 comes from row 2, column 3
    two = inverse_affine((9, 9), zero, (zero, zero), zero + 2, (zero, zero))[0]
    np.testing.assert_allclose(two @ [4, 4, 1], [4, 4])
    np.testing.assert_allclose(two @ [8, 6, 1], [6, 5])
    sheared = inverse_affine((9, 9), zero, (zero, zero), zero + 1, (zero + 45, zero))[0]
    np.testing.assert_allclose(sheared @ [4, 4, 1], [4, 4])
    np.testing.assert_allclose(sheared @ [5, 4, 1], [5, 5], atol=1e-12)


@pytest.mark.parametrize(("setting", "value", "expected"), [
    ("brightness", (0.5, 0.5), lambda x: x * 0.5),
    ("contrast", (0.0, 0.0), lambda x: np.broadcast_to(
        (x.mean((2, 3)) @ [0.299, 0.587, 0.114])[:, None, None, None], x.shape)),
    ("saturation", (0.0, 0.0), lambda x: np.repeat(np.einsum("nchw,c->nhw", x, [0.299, 0.587, 0.114])[:, None], 3, 1)),
    ("hue", (0.0, 0.0), lambda x: x),
])
def test_colours(setting, value, expected):
    images = batch()
    out = ColorJitter(**{setting: value})(images)
    np.testing.assert_allclose(out, expected(images.astype(float)), atol=0.51)


def test_hue_keeps_the_brightness():
    images = (batch() // 4 + 96).astype(np.uint8)                      # far from black and white: nothing is limited
    out = ColorJitter(hue=(0.5, 0.5))(images)
    luma = np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(np.einsum("nchw,c->nhw", out.astype(float), luma),
                               np.einsum("nchw,c->nhw", images.astype(float), luma), atol=1)
    back = ColorJitter(hue=(0.5, 0.5))(out)
    np.testing.assert_allclose(back, images, atol=2)


def test_erased_areas():
    images = np.full((300, 1, 20, 20), 7, np.uint8)
    out = Cutout(6, 0.5)(images)
    areas = (out == 0).sum((1, 2, 3))
    assert set(areas) <= {0, *(a * b for a in range(3, 7) for b in range(3, 7))}
    assert 0.4 < (areas == 0).mean() < 0.6
    boxes = (RandomErasing(1, scale=(0.1, 0.2), value=9)(images) == 9).sum((1, 2, 3)) / 400
    assert boxes.min() > 0.07
    assert boxes.max() < 0.23


def test_resized_crop_of_the_whole_image():
    """Of scale 1 and ratio 1 it is the image itself, or its means."""
    images = batch(size=(12, 12))
    np.testing.assert_array_equal(RandomResizedCrop(12, (1, 1), (1, 1))(images), images)
    halved = RandomResizedCrop(6, (1, 1), (1, 1))(images)
    assert abs(halved.astype(float).mean() - images.mean()) < 1
    stripes = np.tile(np.arange(0, 240, 20, dtype=np.uint8), (50, 1, 12, 1))
    area = RandomResizedCrop(12, (0.25, 0.25), (1, 1))(stripes)
    assert len({image.tobytes() for image in area}) == 7               # windows of 6 of 12 columns


def test_elastic_deformation_is_smooth():
    images = np.tile(np.arange(0, 240, 10, dtype=np.uint8), (8, 1, 24, 1))
    out = ElasticTransform(40.0, 4.0, padding_mode="edge")(images)
    moved = (out.astype(float) - images) / 10
    assert 0.3 < np.abs(moved).max() < 8
    assert np.abs(np.diff(moved, axis=2)).max() < 2.5


def test_every_change_of_randaugment():
    images, signs = batch(size=(40, 40)) // 2 + 50, np.where(np.arange(16) % 2, 1.0, -1.0)
    masks = images[:, 0] % 2

    def change(name, strength, masks=None):
        return changed(images, masks, np.full(16, CHANGES.index(name)), strength * signs, 0)

    for name in CHANGES:
        none, same = change(name, 0.0, masks)
        if name not in ("autocontrast", "equalize"):                   # these have no strength
            np.testing.assert_array_equal(none, images, err_msg=name)
            np.testing.assert_array_equal(same, masks, err_msg=name)
        assert name == "identity" or not np.array_equal(change(name, 1.0)[0], images)
    assert change("posterize", 1.0)[0].max() % 16 == 0
    stretched = change("autocontrast", 0.0)[0]
    assert (stretched.min((2, 3)) == 0).all()
    assert (stretched.max((2, 3)) == 255).all()


def test_random_numbers():
    draws = Draws(0, 0, np.arange(20_000))
    u = draws.uniform(2, 4)
    assert u.min() >= 2
    assert u.max() < 4
    np.testing.assert_allclose([u.mean(), u.std()], [3, 2 / math.sqrt(12)], atol=0.02)
    counts = np.bincount(draws.integers(0, 4), minlength=5)
    assert len(counts) == 5
    np.testing.assert_allclose(counts / 20_000, 0.2, atol=0.01)
    assert abs(draws.chance(0.3).mean() - 0.3) < 0.02
    assert (np.sort(draws.order(4), axis=1) == np.arange(4)).all()
    pairs = [Draws(s, e, [i]).uniform()[0] for s in range(3) for e in range(3) for i in range(30)]
    assert len(set(pairs)) == 270
    first, second = Draws(0, 0, np.arange(20_000)).split(2)
    assert abs(np.corrcoef(first.uniform(), second.uniform())[0, 1]) < 0.03
    first, second = (Draws(0, epoch, np.arange(20_000)).uniform() for epoch in (0, 1))
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.03


def test_printing():
    assert repr(RandomCrop(32, padding=4)) == "RandomCrop(size=(32, 32), padding=4)"
    assert repr(RandomHorizontalFlip()) == "RandomHorizontalFlip()"
    assert str(Compose([RandomCrop(32), RandomApply([RandomHorizontalFlip()])])) == """Compose([
    RandomCrop(size=(32, 32))
    RandomApply(Compose([
        RandomHorizontalFlip()
    ]), p=0.5)
])"""
    for transform in ALL:
        assert repr(transform).startswith(type(transform).__name__)
    assert set(augment.__all__) >= {type(transform).__name__ for transform in ALL}


@pytest.mark.parametrize(("make", "words"), [
    (lambda: RandomCrop(0), r"RandomCrop: size=0 must be a whole number of at least 1"),
    (lambda: RandomCrop((3, 4, 5)), r"size=\(3, 4, 5\) must be"),
    (lambda: RandomCrop(3, padding=-1), r"padding=-1 must be a whole number of at least 0"),
    (lambda: RandomCrop(3, padding=(1, 2, 3)), r"padding=\(1, 2, 3\)"),
    (lambda: RandomCrop(3, fill=256), r"fill=256 must be a whole number from 0 to 255"),
    (lambda: RandomCrop(3, padding_mode="wrap"), r"padding_mode='wrap' is none of constant, reflect, edge"),
    (lambda: RandomHorizontalFlip(1.5), r"RandomHorizontalFlip: p=1.5 must be from 0 to 1"),
    (lambda: RandomHorizontalFlip("1"), r"p='1' must be"),
    (lambda: RandomHorizontalFlip(float("nan")), r"p=nan must be"),
    (lambda: RandomAffine(-3), r"RandomAffine: degrees=-3 must not be negative"),
    (lambda: RandomAffine((9, 3)), r"degrees=\(9, 3\) must be a number, or two"),
    (lambda: RandomAffine(3, translate=(2, 0)), r"translate=\(2, 0\)"),
    (lambda: RandomAffine(3, scale=(0, 1)), r"scale=\(0, 1\)"),
    (lambda: RandomRotation(3, "cubic"), r"RandomRotation: interpolation='cubic' is none of bilinear, nearest"),
    (lambda: RandomResizedCrop(3, scale=(0.5, 2)), r"scale=\(0.5, 2\)"),
    (lambda: RandomResizedCrop(3, ratio=(2, 1)), r"ratio=\(2, 1\)"),
    (lambda: ElasticTransform(sigma=0), r"ElasticTransform: alpha=50.0 must be at least 0, and sigma=0 above 0"),
    (lambda: ColorJitter(-1), r"ColorJitter: brightness=-1 must not be negative"),
    (lambda: ColorJitter(hue=0.6), r"hue=0.6 must not exceed 0.5"),
    (lambda: GaussianBlur(4), r"kernel_size=4 must be odd"),
    (lambda: GaussianBlur(3, 0), r"sigma=0 must be a number from 0.01"),
    (lambda: GaussianNoise(2), r"sigma=2 must be a number from 0.0 to 1.0"),
    (lambda: Cutout(0), r"Cutout: length=0"),
    (lambda: RandomErasing(scale=(0.5, 0.2)), r"RandomErasing: scale="),
    (lambda: RandAugment(0), r"RandAugment: num_ops=0"),
    (lambda: RandAugment(magnitude=31), r"magnitude=31 must be from 0 to 30"),
])
def test_bad_settings(make, words):
    with pytest.raises(ValueError, match=words):
        make()


@pytest.mark.parametrize("number", [np.int64, np.float32, np.array])
def test_settings_of_numpy(number):
    """They become Python's numbers, so that they print alike."""
    one = number(1)
    assert repr(RandomHorizontalFlip(one)) == "RandomHorizontalFlip(p=1.0)"
    assert repr(ColorJitter(one, hue=number(0))) == repr(ColorJitter(1, hue=0))
    assert repr(GaussianNoise(one)) == "GaussianNoise(sigma=(1.0, 1.0))"
    if number is not np.float32:
        assert RandomCrop(number(8), padding=one, fill=number(9)).size == (8, 8)
        assert repr(Cutout(number(4), value=one)) == "Cutout(length=4, value=1)"
        assert RandAugment(one).num_ops == 1


def test_bad_inputs():
    flip = RandomHorizontalFlip()
    with pytest.raises(TypeError, match=r"^RandomHorizontalFlip: images must be bytes \(uint8\), not float64; "):
        flip(np.ones((2, 3, 4, 4)))
    with pytest.raises(ValueError, match=r"images must be \(N, C, H, W\) or \(C, H, W\), not \(4, 4\)"):
        flip(np.ones((4, 4), np.uint8))
    with pytest.raises(ValueError, match=r"masks \(2, 4, 5\) do not fit images \(2, 3, 4, 4\)"):
        flip(np.ones((2, 3, 4, 4), np.uint8), np.ones((2, 4, 5), np.uint8))
    with pytest.raises(TypeError, match=r"masks must be bytes"):
        flip(np.ones((2, 3, 4, 4), np.uint8), np.ones((2, 4, 4)))
    with pytest.raises(ValueError, match=r"2 images, but random numbers for 3"):
        flip(np.ones((2, 3, 4, 4), np.uint8), draws=Draws(0, 0, range(3)))
    with pytest.raises(ValueError, match=r"^RandomCrop: size=\(9, 9\) is larger than images of 4 x 4 pixels"):
        RandomCrop(9)(np.ones((2, 3, 4, 4), np.uint8))
    with pytest.raises(ValueError, match=r"^ColorJitter: images must have 1 channel \(grey\) or 3"):
        ColorJitter(0.1)(np.ones((2, 4, 4, 4), np.uint8))
    with pytest.raises(ValueError, match=r"must keep their size"):
        RandomApply([RandomCrop(2)], 1)(np.ones((2, 3, 4, 4), np.uint8))
    with pytest.raises(TypeError, match=r"^Compose: 3 is not a transform"):
        Compose([3])


def test_alternating_flip():
    """Two epochs in succession show each image both ways, and about half of them are flipped in the first."""
    images = np.random.default_rng(0).integers(0, 256, (200, 1, 2, 3)).astype(np.uint8)
    flip, indices = AlternatingFlip(), np.arange(200)
    epochs = [flip(images, draws=Draws(3, epoch, indices)) for epoch in range(4)]
    turned = (epochs[0] != images).any((1, 2, 3))
    assert 60 < turned.sum() < 140
    np.testing.assert_array_equal(epochs[0][turned], images[turned][..., ::-1])
    np.testing.assert_array_equal(epochs[1], epochs[0][..., ::-1])
    np.testing.assert_array_equal(epochs[2], epochs[0])
    np.testing.assert_array_equal(epochs[3], epochs[1])
    assert (flip(images, draws=Draws(4, 0, indices)) != epochs[0]).any()
    some = np.array([5, 77, 9])
    np.testing.assert_array_equal(flip(images[some], draws=Draws(3, 1, some)), epochs[1][some])
    chain = Compose([RandomCrop((2, 3)), flip])
    np.testing.assert_array_equal(chain(images, draws=Draws(3, 1, indices)), epochs[1])
    assert repr(chain) == "Compose([\n    RandomCrop(size=(2, 3))\n    AlternatingFlip()\n])"
    some_only = RandomApply(flip, 0.5)
    assert some_only(images, draws=Draws(3, 0, indices)).shape == images.shape
