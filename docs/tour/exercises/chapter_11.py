"""Exercises of chapter 11, being wrong: `python -m pytest -n 0 docs/tour/exercises/test_chapter_11.py` tests them."""


def occlusion(predict, image, target, size):
    """How far the probability of a class falls when a square of the image is covered.

    predict   a function: images (N, C, H, W) -> probabilities (N, classes), both NumPy
    image     (C, H, W); target: the class; size: of the square, in pixels
    Returns the map (H - size + 1, W - size + 1): for each place (y, x) of the square's upper left corner, the
    probability of the target for the whole image, minus the one for the image whose square is filled with the image's
    least value.
    `predict` is called with many images at once: once for each row of the map at most, and once for the whole image.
    """
    raise NotImplementedError("exercise 11.1: cover each square, predict, and subtract")


def temperature_of(logits, labels, steps=200, lr=0.05):
    """The number T > 0 with the least cross entropy of logits / T (N, classes), labels (N,), by gradient descent.

    The trained Tensor is a logarithm, which may be any number: T is its exponential. It begins at log T = 0. Use
    `optim.Adam`, and compute in float64.
    """
    raise NotImplementedError("exercise 11.2: train log T by the tape")


def threshold(confidence, right, most):
    """The lowest confidence t such that of all predictions with confidence >= t at most the share `most` is wrong.

    confidence (N,), right (N,) bool. Equal confidences are answered together. If there is no such t, infinity.
    """
    raise NotImplementedError("exercise 11.3: sort, count the wrong ones, and find the last place that is good enough")
