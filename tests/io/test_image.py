"""Photographs in every format: decoded correctly, or a clear error. Pillow writes the files, or the test does."""

import os
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from minidl.io import image
from minidl.io.image import ImageError, Preprocessing, read_image

COLOURS = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]], [[0, 0, 0], [255, 255, 255], [128, 64, 32]]], np.uint8)
GREYS = np.array([[0, 100, 200], [255, 128, 1]], np.uint8)


def saved(path, picture, **settings):
    picture.save(path, **settings)
    return path


def shown(path, channels=3):
    return np.asarray(read_image(path, channels))


@pytest.mark.parametrize("suffix", ["png", "bmp", "tiff", "ppm", "gif"])
def test_lossless_formats(tmp_path, suffix):
    np.testing.assert_array_equal(shown(saved(tmp_path / f"a.{suffix}", Image.fromarray(COLOURS))), COLOURS)


@pytest.mark.parametrize("suffix", ["jpg", "webp"])
def test_lossy_formats(tmp_path, suffix):
    flat = np.full((32, 48, 3), (200, 100, 50), np.uint8)
    back = shown(saved(tmp_path / f"a.{suffix}", Image.fromarray(flat), quality=95))
    assert back.shape == flat.shape
    np.testing.assert_allclose(back, flat, atol=4)


def test_format_does_not_depend_on_the_name(tmp_path):
    saved(tmp_path / "a.png", Image.fromarray(COLOURS))
    (tmp_path / "a.png").rename(tmp_path / "a.jpg")
    np.testing.assert_array_equal(shown(tmp_path / "a.jpg"), COLOURS)


@pytest.mark.parametrize("channels", [1, 3])
def test_greyscale(tmp_path, channels):
    back = shown(saved(tmp_path / "a.png", Image.fromarray(GREYS)), channels)
    np.testing.assert_array_equal(back if channels == 1 else back[..., 1], GREYS)


def test_colour_to_greyscale(tmp_path):
    expected = COLOURS @ np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(shown(saved(tmp_path / "a.png", Image.fromarray(COLOURS)), 1), expected, atol=1)


def test_bilevel(tmp_path):
    back = shown(saved(tmp_path / "a.png", Image.fromarray(GREYS > 127)))
    np.testing.assert_array_equal(back[..., 0], 255 * (GREYS > 127))


@pytest.mark.parametrize("suffix", ["png", "tiff", "pgm"])
def test_16_bit_pixels_keep_their_upper_byte(tmp_path, suffix):
    """Pillow's own conversion clips everything above 255 to white."""
    deep = GREYS.astype(np.uint16) * 257
    path = tmp_path / f"a.{suffix}"
    if suffix == "pgm":
        path.write_bytes(b"P5 3 2 65535\n" + deep.astype(">u2").tobytes())
    else:
        Image.fromarray(deep).save(path)
    np.testing.assert_array_equal(shown(path)[..., 2], GREYS)


def tiff(content, size, bits, photometric, order="<", sample_format=1):
    """A TIFF file of one uncompressed strip of grey."""
    width, height = size
    tags = [(256, width), (257, height), (258, bits), (259, 1), (262, photometric), (273, None), (277, 1),
            (278, height), (279, len(content)), (339, sample_format)]
    start = 8 + 2 + 12 * len(tags) + 4
    header = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IH", 8, len(tags))
    entries = b"".join(struct.pack(order + "HHII", tag, 4, 1, start if value is None else value)
                       for tag, value in tags)
    return header + entries + bytes(4) + content


RAMP = np.array([0, 51, 102, 255], np.uint8)


def packed_12(values):
    """Pairs of 12-bit numbers in three bytes."""
    pairs = np.asarray(values).reshape(-1, 2).tolist()
    return b"".join(((a << 12) | b).to_bytes(3, "big") for a, b in pairs)


@pytest.mark.parametrize(("content", "bits", "photometric", "order"), [
    ((RAMP.astype(np.uint16) * 257).astype("<u2").tobytes(), 16, 1, "<"),
    ((RAMP.astype(np.uint16) * 257).astype(">u2").tobytes(), 16, 1, ">"),
    (packed_12(RAMP.astype(int) * 4095 // 255), 12, 1, "<"), (RAMP.tobytes(), 8, 1, "<"),
    (((255 - RAMP).astype(np.uint16) * 257).astype("<u2").tobytes(), 16, 0, "<"), ((255 - RAMP).tobytes(), 8, 0, ">"),
    (b"\xfc\xa0", 4, 0, "<"),
])
def test_grey_of_any_depth_in_tiff(tmp_path, content, bits, photometric, order):
    """Photometric 0 is a negative: white is zero."""
    (tmp_path / "a.tif").write_bytes(tiff(content, (4, 1), bits, photometric, order))
    np.testing.assert_array_equal(shown(tmp_path / "a.tif", 1), [RAMP if bits != 4 else [0, 51, 85, 255]])


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_deflate", "packbits"])
def test_compressed_negative_of_16_bits(tmp_path, compression):
    deep = (255 - RAMP[None]).astype(np.uint16) * 257
    path = saved(tmp_path / "a.tif", Image.fromarray(deep), compression=compression, tiffinfo={262: 0})
    np.testing.assert_array_equal(shown(path, 1), [RAMP])


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("order", ["<", ">"])
def test_pixels_with_a_sign_are_refused(tmp_path, bits, order):
    """Pillow would show -1 as white."""
    (tmp_path / "a.tif").write_bytes(tiff(bytes(bits // 2), (4, 1), bits, 1, order, sample_format=2))
    with pytest.raises(ImageError, match=r"a\.tif: its pixels have a sign"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("largest", [15, 255, 1023, 4095, 65535])
def test_grey_of_any_depth_in_pgm(tmp_path, largest):
    values = np.array([0, largest // 5, largest], ">u2" if largest > 255 else "u1")
    (tmp_path / "a.pgm").write_bytes(b"P5 3 1 %d\n" % largest + values.tobytes())
    np.testing.assert_allclose(shown(tmp_path / "a.pgm", 1), [[0, 51, 255]], atol=1)


def grey_png(depth, row, transparent, colours=0, width=2):
    """A PNG of one row, with the grey or colour `transparent` in a tRNS entry."""
    header = struct.pack(">IIBBBBB", width, 1, depth, colours, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"tRNS", transparent)
            + chunk(b"IDAT", zlib.compress(b"\0" + row)) + chunk(b"IEND", b""))


@pytest.mark.parametrize(("depth", "row", "transparent", "expected"), [
    (1, b"\x40", 0, [255, 255]), (1, b"\x40", 1, [0, 255]), (2, b"\x60", 1, [255, 170]), (2, b"\x60", 0, [85, 170]),
    (4, b"\x5a", 5, [255, 170]), (4, b"\x5a", 85, [85, 170]), (8, b"\x05\x06", 5, [255, 6]),
    (16, struct.pack(">2H", 257, 258), 257, [255, 1]), (16, struct.pack(">2H", 0, 514), 0, [255, 2]),
])
@pytest.mark.parametrize("channels", [1, 3])
def test_transparent_grey_of_every_depth(tmp_path, depth, row, transparent, expected, channels):
    (tmp_path / "a.png").write_bytes(grey_png(depth, row, struct.pack(">H", transparent)))
    np.testing.assert_array_equal(shown(tmp_path / "a.png", channels).reshape(2, channels)[:, 0], expected)


@pytest.mark.parametrize(("depth", "code"), [(8, ">6B"), (16, ">6H")])
def test_transparent_colour(tmp_path, depth, code):
    unit = 1 if depth == 8 else 257
    row = struct.pack(code, *(unit * value for value in (1, 2, 3, 4, 5, 6)))
    (tmp_path / "a.png").write_bytes(grey_png(depth, row, struct.pack(">3H", unit, 2 * unit, 3 * unit), colours=2))
    np.testing.assert_array_equal(shown(tmp_path / "a.png"), [[[255, 255, 255], [4, 5, 6]]])


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_32_bit_pixels_are_refused(tmp_path, dtype):
    path = saved(tmp_path / "a.tiff", Image.fromarray(GREYS.astype(dtype)))
    with pytest.raises(ImageError, match=r"a\.tiff: its pixels are 32-bit numbers"):
        read_image(path)


def test_cmyk(tmp_path):
    ink = np.zeros((16, 16, 4), np.uint8)
    ink[..., 1:3] = 255                                              # magenta and yellow give red
    for suffix, tolerance in (("tiff", 0), ("jpg", 6)):
        path = saved(tmp_path / f"a.{suffix}", Image.fromarray(ink, "CMYK"))
        np.testing.assert_allclose(shown(path), np.broadcast_to([255, 0, 0], (16, 16, 3)), atol=tolerance)


def test_palette(tmp_path):
    picture = Image.fromarray(np.array([[0, 1, 2]], np.uint8), "L").convert("P")
    picture.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    expected = [[[10, 20, 30], [40, 50, 60], [70, 80, 90]]]
    np.testing.assert_array_equal(shown(saved(tmp_path / "a.png", picture)), expected)
    expected = [[[10, 20, 30], [255, 255, 255], [70, 80, 90]]]
    np.testing.assert_array_equal(shown(saved(tmp_path / "b.png", picture, transparency=1)), expected)


def test_transparent_pixels_are_shown_on_white(tmp_path):
    colours = np.dstack([COLOURS, np.array([[255, 0, 255], [0, 255, 51]], np.uint8)])
    expected = COLOURS.astype(float)
    expected[0, 1] = expected[1, 0] = 255
    expected[1, 2] = 0.2 * expected[1, 2] + 0.8 * 255
    np.testing.assert_allclose(shown(saved(tmp_path / "a.png", Image.fromarray(colours))), expected, atol=1)
    greys = np.dstack([GREYS, np.array([[0, 255, 255], [255, 255, 0]], np.uint8)])
    expected = GREYS.copy()
    expected[0, 0] = expected[1, 2] = 255
    np.testing.assert_array_equal(shown(saved(tmp_path / "b.png", Image.fromarray(greys, "LA")), 1), expected)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path, orientation):
    """EXIF records how the camera was held; `stored` is the sensor's image in that position."""
    upright = COLOURS
    stored = [upright, upright[:, ::-1], upright[::-1, ::-1], upright[::-1], upright.transpose(1, 0, 2),
              upright.transpose(1, 0, 2)[::-1], upright[::-1, ::-1].transpose(1, 0, 2),
              upright.transpose(1, 0, 2)[:, ::-1]][orientation - 1]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path / "a.png", Image.fromarray(np.ascontiguousarray(stored)), exif=exif)
    np.testing.assert_array_equal(shown(path), upright)


@pytest.mark.parametrize("suffix", ["gif", "webp", "png", "tiff"])
def test_first_frame_of_an_animation_is_read(tmp_path, suffix):
    first, second = Image.new("RGB", (8, 8), (255, 0, 0)), Image.new("RGB", (8, 8), (0, 0, 255))
    lossless = {"lossless": True} if suffix == "webp" else {}
    path = saved(tmp_path / f"a.{suffix}", first, save_all=True, append_images=[second], **lossless)
    np.testing.assert_array_equal(shown(path), np.broadcast_to([255, 0, 0], (8, 8, 3)))


@pytest.fixture(scope="module", params=["png", "jpg", "gif", "bmp", "tiff", "webp", "ppm"])
def content(request, tmp_path_factory):
    """The bytes of a valid file of each format."""
    pixels = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    path = tmp_path_factory.mktemp("good") / f"a.{request.param}"
    return saved(path, Image.fromarray(pixels)).read_bytes()


@pytest.mark.parametrize("part", [0.0, 0.01, 0.3, 0.7])
def test_truncated_file_is_refused(tmp_path, content, part):
    (tmp_path / "cut.jpg").write_bytes(content[: int(part * len(content))])
    with pytest.raises(ImageError, match=r"cut\.jpg: (not an image|a damaged image)"):
        read_image(tmp_path / "cut.jpg")


@given(data=st.data())
def test_mutated_file_is_read_or_refused(tmp_path_factory, content, data):
    mutated = bytearray(content)
    for _ in range(data.draw(st.integers(1, 4))):
        mutated[data.draw(st.integers(0, min(200, len(mutated) - 1)))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "mutated"
    path.write_bytes(mutated)
    try:
        assert read_image(path).mode == "RGB"
    except ImageError as error:
        assert str(path) in str(error)               # noqa: PT017  (either outcome is valid)


def chunk(kind, body):
    """A part of a PNG."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width, height):
    """A PNG that declares a size and contains almost nothing."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000)))
            + chunk(b"IEND", b""))


@pytest.mark.parametrize("size", [(50_000, 50_000), (10_001, 10_000), (1_000_000_000, 1)])
@pytest.mark.parametrize("own_limit", [None, 89_478_485])
def test_decompression_bomb_is_refused_before_decoding(tmp_path, monkeypatch, size, own_limit):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", own_limit)        # a program may have removed Pillow's own limit
    (tmp_path / "bomb.png").write_bytes(png(*size))
    tracemalloc.start()
    try:
        with pytest.raises(ImageError, match=r"bomb\.png: .* too many"):
            read_image(tmp_path / "bomb.png")
        assert tracemalloc.get_traced_memory()[1] < 1 << 21
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("text", [b"hello", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"%!PS-Adobe-3.0 EPSF-3.0\n"
                                  b"%%BoundingBox: 0 0 9 9\n%%EndComments\n", b"%PDF-1.7\n"])
def test_other_files_are_refused(tmp_path, text):
    (tmp_path / "a.jpg").write_bytes(text)
    with pytest.raises(ImageError, match=r"a\.jpg: not an image"):
        read_image(tmp_path / "a.jpg")


@pytest.mark.parametrize(("content", "reason"), [
    (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "git lfs pull"),
    (b"<!DOCTYPE html><html>", "is a web page.*download the file itself")])
def test_what_stands_in_the_place_of_a_photograph_is_named(tmp_path, content, reason):
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(ImageError, match=rf"a\.jpg: not an image; it .*{reason}"):
        read_image(tmp_path / "a.jpg")


def test_missing_file_and_two_channels_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_image(tmp_path / "a.jpg")
    with pytest.raises(ValueError, match="1 channel or 3, not 2"):
        read_image(tmp_path / "a.jpg", channels=2)


@pytest.mark.parametrize("name", [None, 3, True, b"a.png", ["a.png"], np.zeros(3), Image.new("L", (2, 2))])
def test_what_is_no_path_is_refused(name):
    with pytest.raises(TypeError, match="read_image: path must be text or a Path, not"):
        read_image(name)


@pytest.mark.parametrize("name", ["", "a\0b"])
def test_impossible_names_are_refused(name):
    with pytest.raises(ImageError, match="is not the name of a file"):
        read_image(name)


# Preprocessing

@pytest.mark.parametrize("mode", ["1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "CMYK", "YCbCr", "I;16"])
def test_preprocessing_takes_images_of_every_mode(mode):
    for channels in (1, 3):
        out = Preprocessing((channels, 4, 4), 4, (0.0,) * channels, (1.0,) * channels)(Image.new(mode, (5, 4)))
        assert out.shape == (channels, 4, 4)


@pytest.mark.parametrize(("mean", "std", "reason"), [
    ((123.675, 116.28, 103.53), (1.0,) * 3, r"divided by 255 it is \(0\.485"), ((0.5,) * 3, (58.4,) * 3, "its std"),
    ((0.5,), (1.0,) * 3, "3 in all"), ((0.5,) * 3, (0.0,) * 3, "positive"), ((0.5,) * 3, (float("nan"),) * 3, "finite"),
])
def test_preprocessing_refuses_a_mean_and_std_that_do_not_fit(mean, std, reason):
    with pytest.raises(ValueError, match=reason):
        Preprocessing((3, 4, 4), 4, mean, std)


@pytest.mark.parametrize("thing", [None, "a.png", np.zeros((4, 4, 3), np.uint8), b""])
def test_preprocessing_takes_nothing_else(thing):
    with pytest.raises(TypeError, match=r"Preprocessing: image must be a Pillow image.*read\(path\)"):
        Preprocessing((3, 4, 4), 4, (0.0,) * 3, (1.0,) * 3)(thing)


@given(width=st.integers(1, 90), height=st.integers(1, 90), resize=st.integers(8, 20), grey=st.booleans())
def test_preprocessing_agrees_with_torchvision(width, height, resize, grey):
    """torchvision: F.resize to (resize, int(resize * long / short)), F.center_crop, to_tensor, normalize."""
    shape = (height, width) if grey else (height, width, 3)
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))
    mean, std = (0.4,) if grey else (0.5, 0.4, 0.3), (0.2,) if grey else (0.1, 0.2, 0.3)
    out = Preprocessing((len(mean), 8, 6), resize, mean, std)(picture)

    short, long = sorted((width, height))
    scaled = int(resize * long / short)
    size = (resize, scaled) if width <= height else (scaled, resize)
    pixels = np.asarray(picture.resize(size, Image.Resampling.BILINEAR)).reshape(size[1], size[0], -1)
    top, left = round((size[1] - 8) / 2.0), round((size[0] - 6) / 2.0)
    expected = (pixels[top:top + 8, left:left + 6] / 255 - mean) / std
    np.testing.assert_allclose(out, expected.transpose(2, 0, 1), atol=1e-5)
    assert out.dtype == np.float32


def test_image_that_resizing_would_make_huge_is_refused(monkeypatch):
    with pytest.raises(ImageError, match="1 x 60000 pixels are too narrow"):
        Preprocessing((3, 224, 224), 256, (0.0,) * 3, (1.0,) * 3)(Image.new("RGB", (1, 60_000)))
    assert image.MAX_PIXELS < 256 * 256 * 60_000


def test_read_returns_an_input_or_names_the_file(tmp_path):
    preprocessing = Preprocessing((3, 2, 3), 2, (0.0,) * 3, (1.0,) * 3)
    np.testing.assert_allclose(preprocessing.read(saved(tmp_path / "a.png", Image.fromarray(COLOURS))),
                               COLOURS.transpose(2, 0, 1) / 255, atol=1e-6)
    narrow = saved(tmp_path / "narrow.png", Image.new("L", (1, 60_000)))
    with pytest.raises(ImageError, match=r"narrow\.png: 1 x 60000 pixels are too narrow"):
        Preprocessing((3, 224, 224), 256, (0.0,) * 3, (1.0,) * 3).read(narrow)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_pipe_is_refused_without_blocking(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(ImageError, match=r"pipe\.jpg: a pipe or a device"):
        read_image(tmp_path / "pipe.jpg")


def test_preprocessing_from_the_facts_of_a_model_file():
    facts = {"input": [1, 28, 20], "mean": [0.1], "std": [0.3], "classes": ["a"]}
    assert Preprocessing.of(facts) == ((1, 28, 20), 28, (0.1,), (0.3,))
    assert Preprocessing.of({"input": (3, 8, 8), "resize": 9}) == ((3, 8, 8), 9, (0.0,) * 3, (1.0,) * 3)


@pytest.mark.parametrize("facts", [
    {}, {"input": 3}, {"input": [3, 8]}, {"input": [2, 8, 8]}, {"input": [3, 0, 8]}, {"input": [3, 8, 1 << 20]},
    {"input": [3, 8.0, 8]}, {"input": ["3", 8, 8]}, {"input": [3, 8, 8], "resize": 7},
    {"input": [3, 8, 8], "resize": 1 << 20}, {"input": [3, 8, 8], "mean": [0.5]}, {"input": [1, 8, 8], "std": [0.0]},
    {"input": [1, 8, 8], "mean": "a"}, {"input": [1, 8, 8], "mean": [float("nan")]}, {"input": [1, 8, 8], "std": 1.0},
])
def test_invalid_facts_are_refused(facts):
    with pytest.raises(ValueError, match=r"^its? "):
        Preprocessing.of(facts)
