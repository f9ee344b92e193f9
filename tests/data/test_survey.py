"""What a survey finds in folders and sets: counts, sizes, duplicates, leaks, and files that cannot be read."""

import numpy as np
import pytest
from PIL import Image

from minidl import data
from minidl.data.fingerprint import fingerprints, near_pairs, reduced
from minidl.data.survey import survey_folder, survey_sets
from minidl.data.survey_text import facts, text

rng = np.random.default_rng(0)


def scene():
    """A picture with large shapes, as photographs have."""
    blocks = rng.integers(0, 256, (9, 12, 3))
    return Image.fromarray(np.kron(blocks, np.ones((8, 8, 1))).astype(np.uint8))


def save(path, image, **settings):
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **settings)


@pytest.fixture
def root(tmp_path):
    """Two classes in three parts, with copies of training images in other parts."""
    root = tmp_path / "zoo"
    for part in ("train", "val", "test"):
        for name, count in (("ant", 6), ("bee", 2)):
            for i in range(count):
                image = scene()
                save(root / part / name / f"{i}.png", image)
                if part == "train" and i == 1:
                    save(root / "test" / name / "copy.bmp", image)
                    save(root / "val" / "ant" / f"small {name}.jpg", image.resize((60, 45)), quality=70)
    save(root / "train" / "ant" / "grey.png", Image.new("L", (10, 20), 7))
    (root / "train" / "ant" / "bad.png").write_bytes(b"x")
    return root


def test_a_folder_with_parts(root):
    found = facts(survey_folder(root))
    assert (found["name"], found["images"], found["counted"]) == ("zoo", 29, "images")
    assert found["parts"] == {"train": 9, "validation": 10, "test": 10}
    assert found["classes"] == [
        {"name": "ant", "total": 22, "parts": {"train": 7, "validation": 8, "test": 7}},
        {"name": "bee", "total": 7, "parts": {"train": 2, "validation": 2, "test": 3}}]
    assert found["sizes"] == {"smallest": (10, 20), "median": (96, 72), "largest": (96, 72), "different": 3}
    assert found["formats"] == {"PNG": 25, "BMP": 2, "JPEG": 2}
    assert found["modes"] == {"RGB": 28, "L": 1}
    assert found["channels"] == 3
    assert [fact["path"] for fact in found["unreadable"]] == [str(root / "train" / "ant" / "bad.png")]
    same = [[str(root / "train" / name / "1.png"), str(root / "test" / name / "copy.bmp")] for name in ("ant", "bee")]
    assert found["leaks"] == found["duplicates"] == same
    assert found["near_leaks"] == [[pair[0], str(root / "val" / "ant" / f"small {name}.jpg")]
                                   for pair, name in zip(same, ("ant", "bee"), strict=True)]
    assert len(found["near_duplicates"]) == 4


def test_the_statistics_are_those_of_the_training_images(root):
    for part in ("val", "test"):
        save(root / part / "ant" / "white.png", Image.new("RGB", (300, 300), "white"))
    found = facts(survey_folder(root))
    pixels = np.concatenate([np.asarray(Image.open(path).convert("RGB")).reshape(-1, 3) for path in
                             sorted((root / "train").rglob("*.png")) if path.name != "bad.png"]) / 255
    np.testing.assert_allclose(found["mean"], pixels.mean(0), rtol=1e-9)
    np.testing.assert_allclose(found["std"], pixels.std(0), rtol=1e-9)


def test_the_text(root):
    lines = text(facts(survey_folder(root))).splitlines()
    assert lines[0] == "zoo: 29 images, 2 classes (9 for train, 10 for validation, 10 for test)"
    assert lines[1].startswith("LEAK: 2 images are in the training part and in another part, too.")
    assert "ant       7            8      7       22   75.9 %   ####################" in lines
    assert "The largest class has 3.1 times as many images as the smallest: see" in lines
    assert "sizes     10 x 20 (smallest), 96 x 72 (median), 96 x 72 (largest)" in lines
    assert "  train/ant/1.png = test/ant/copy.bmp" in lines
    assert any(line.startswith("  train/ant/bad.png: not an image") for line in lines)
    assert max(len(line) for line in lines if not line.startswith("  ")) <= 80


def test_an_image_in_two_classes(tmp_path):
    image = scene()
    for name in ("ant", "bee"):
        save(tmp_path / name / "1.png", image)
    found = facts(survey_folder(tmp_path))
    assert found["leaks"] == []
    assert len(found["contradictions"]) == 1
    assert "1 image is in several classes:\n" in text(found)


def test_one_class_and_images_without_class(tmp_path):
    save(tmp_path / "only" / "1.png", scene())
    assert "There is a single class; a classifier needs at least two." in text(facts(survey_folder(tmp_path)))
    (tmp_path / "empty").mkdir()
    assert "1 class without images: empty" in text(facts(survey_folder(tmp_path)))
    save(tmp_path / "loose.png", scene())
    assert [row["name"] for row in facts(survey_folder(tmp_path))["classes"]] == ["(no class)", "empty", "only"]


def test_very_many_classes(tmp_path):
    for i in range(60):
        for j in range(1 + (i == 7)):
            save(tmp_path / f"a class with a very long name, {i}" / f"{j}.png", Image.new("L", (3, 3), i))
    lines = text(facts(survey_folder(tmp_path))).splitlines()
    assert len(lines) < 60
    assert lines[3].endswith("2   3.3 %   ####################")
    assert "  30 classes between the largest and the smallest" in lines
    assert max(map(len, lines[:36])) <= 80


def test_masks(tmp_path):
    for part, share in (("train", 3), ("test", 5)):
        for i in range(4):
            save(tmp_path / part / "images" / f"{i}.png", Image.new("L", (10, 8), i * 20))
            mask = np.zeros((8, 10), np.uint8)
            mask[:, :share] = 255
            save(tmp_path / part / "masks" / f"{i}.png", Image.fromarray(mask))
    save(tmp_path / "train" / "masks" / "3.png", Image.new("L", (5, 5)))
    found = facts(survey_folder(tmp_path))
    assert found["counted"] == "pixels"
    assert found["classes"] == [{"name": "0", "total": 328, "parts": {"train": 168, "test": 160}},
                                {"name": "255", "total": 232, "parts": {"train": 72, "test": 160}}]
    assert found["channels"] == 1
    assert "has 5 x 5 pixels, not 10 x 8" in found["unreadable"][0]["reason"]
    assert "255   30.0 %   50.0 %" in text(found)
    (tmp_path / "train" / "masks" / "2.png").unlink()
    with pytest.raises(data.DataError, match=r"images.2\.png: has no mask"):
        survey_folder(tmp_path)


def test_a_set_in_memory():
    images = rng.integers(0, 256, (20, 1, 8, 8)).astype(np.uint8)
    train = data.ImageDataset(images[:12], np.arange(12) % 3, "abc")
    test = data.ImageDataset(np.concatenate([images[12:], images[4:5]]), [0] * 9, "abc")
    survey = survey_sets("noise", {"train": train, "test": test})
    found = facts(survey)
    assert found["parts"] == {"train": 12, "test": 9}
    assert [row["parts"] for row in found["classes"]] == [{"train": 4, "test": 9}, *[{"train": 4, "test": 0}] * 2]
    assert found["leaks"] == [["train 4", "test 8"]]
    np.testing.assert_allclose(found["mean"], (train.images / 255).mean(), rtol=1e-9)
    np.testing.assert_array_equal(np.asarray(survey.picture("test 8"))[..., 0], images[4, 0])
    assert "all 8 x 8" in text(found)
    assert "2 classes without images in the part for test: b, c" in text(found)


def test_bad_folders(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"^data: '.*nowhere' is missing; it must hold images"):
        survey_folder(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"^data: there are no images in"):
        survey_folder(tmp_path)
    (tmp_path / "below").mkdir()
    (tmp_path / "again").symlink_to(tmp_path)
    save(tmp_path / "ant" / "1.png", scene())
    save(tmp_path / "bee" / "1.png", scene())
    assert len(survey_folder(tmp_path).entries) == 2


def test_folders_that_cannot_be_read(tmp_path, locked_below):
    save(tmp_path / "ant" / "1.png", scene())
    save(tmp_path / "ant" / "below" / "2.png", scene())
    assert facts(survey_folder(tmp_path))["unreadable"][0]["reason"] == "Permission denied"


# Fingerprints

def test_reduced_is_the_mean_of_areas():
    grey = rng.integers(0, 256, (2, 24, 36)).astype(np.float32)
    np.testing.assert_array_equal(reduced(grey, 8, 9), np.rint(grey.reshape(2, 8, 3, 9, 4).mean((2, 4))))
    halves = np.array([[[0, 100, 200]]], np.float32)                    # 1.5 pixels each
    assert reduced(halves, 1, 2).tolist() == [[[33, 167]]]


def test_near_pairs_are_the_same_picture():
    pictures = [scene() for _ in range(30)]
    others = [pictures[0].resize((48, 36)).resize((96, 72)), pictures[1].point(lambda v: min(255, v + 3))]
    images = [*pictures, *others, pictures[2]]
    prints = fingerprints(np.stack([np.asarray(image).transpose(2, 0, 1) for image in images]))
    assert near_pairs(prints) == [(0, 30), (1, 31)]
    assert prints[2].digest == prints[32].digest
    assert len({own.digest for own in prints}) == 32
    assert near_pairs([]) == []
