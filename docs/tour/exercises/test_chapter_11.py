"""Tests of the exercises of chapter 11."""

import numpy as np
import pytest

import minidl.functional as F
from minidl import Tensor

rng = np.random.default_rng(0)


def test_occlusion(exercise):
    calls = []

    def predict(images):
        """Class 1 is as probable as the pixel (2, 3) of the second channel is bright."""
        calls.append(len(images))
        bright = images[:, 1, 2, 3]
        return np.stack([1 - bright, bright], axis=1)

    image = np.zeros((2, 6, 7), np.float32)
    image[1, 2, 3] = 0.75
    drop = exercise.occlusion(predict, image, 1, 3)
    expected = np.zeros((4, 5))
    expected[0:3, 1:4] = 0.75
    np.testing.assert_allclose(drop, expected)
    np.testing.assert_allclose(exercise.occlusion(predict, image, 0, 3), -expected)
    assert len(calls) <= 2 * (4 + 1)


def test_occlusion_leaves_the_image_alone(exercise):
    image = rng.random((1, 5, 5))
    before = image.copy()
    exercise.occlusion(lambda images: images.reshape(len(images), -1), image, 7, 2)
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("sure", [0.3, 1.0, 4.0])
def test_temperature(exercise, sure):
    logits = rng.standard_normal((3000, 4)) * 2
    p = F.softmax(Tensor(logits), axis=1).numpy()
    labels = (p.cumsum(1) < rng.random((3000, 1))).sum(1)        # drawn with the probabilities of T = 1
    found = exercise.temperature_of(logits * sure, labels)
    assert found == pytest.approx(sure, rel=0.1)

    def loss(t):
        return F.cross_entropy(Tensor(logits * sure / t), labels).item()
    assert loss(found) <= min(loss(1.02 * found), loss(found / 1.02))


def test_threshold(exercise):
    confidence = np.array([0.5, 0.9, 0.7, 0.99, 0.6])
    right = np.array([False, True, False, True, True])
    assert exercise.threshold(confidence, right, 0.0) == 0.9
    assert exercise.threshold(confidence, right, 0.25) == 0.6
    assert exercise.threshold(confidence, right, 0.4) == 0.5
    assert exercise.threshold(confidence, np.zeros(5, bool), 0.5) == np.inf


def test_threshold_of_equal_confidences(exercise):
    assert exercise.threshold(np.array([0.8, 0.8, 0.9]), np.array([True, False, True]), 0.1) == 0.9
