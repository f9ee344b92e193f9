"""What is ignored, clamped, dropped or masked adds nothing, not even if it is NaN or infinite: 0 * NaN would be NaN."""

import math

import numpy as np
import pytest

import minidl.functional as F
from minidl import Tensor, kernels, manual_seed

INF, NAN = math.inf, math.nan
WILD = [INF, -INF, NAN]
by_value = pytest.mark.parametrize("wild", WILD, ids=str)
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")        # NumPy's, of infinity where it counts


@pytest.fixture(autouse=True, params=["plain", "auto"])
def backend(request):
    """Every test runs with both."""
    with kernels.using(request.param):
        yield


def tensor(xp, values, **settings):
    return Tensor(xp.asarray(np.array(values, np.float32)), **settings)


def slope(xp, function, values, gradient=None):
    """The gradient of a function by its only input, as a list."""
    x = tensor(xp, values, requires_grad=True)
    out = function(x)
    gradient = np.ones(out.shape, np.float32) if gradient is None else np.array(gradient, np.float32)
    out.backward(xp.asarray(gradient))
    assert x.grad.dtype == np.float32
    return Tensor(x.grad).numpy().tolist()


@by_value
@pytest.mark.parametrize(("function", "values", "expected"), [
    (F.relu, [-1, -2], [0, 0]),
    (F.relu6, [-1, 7], [0, 0]),
    (lambda x: F.relu(x, ceiling=2.0), [-1, 3], [0, 0]),
    (F.hardswish, [-4, -3], [0, 0]),
    (lambda x: F.clamp(x, min=0), [-1, -INF], [0, 0]),
    (lambda x: F.clamp(x, max=0), [1, INF], [0, 0]),
    (lambda x: F.clamp(x, min=0, max=1), [-1, 2], [0, 0]),
    (lambda x: F.dropout(x, 1.0), [1, NAN], [0, 0]),
    (lambda x: F.maximum(x, tensor(np, [1, 2])), [0, -INF], [0, 0]),
    (lambda x: F.minimum(x, 0.0), [1, INF], [0, 0]),
    (lambda x: F.pow(x, 0), [1, INF], [0, 0]),
    (lambda x: F.where(np.array([False, False]), x, 0.0), [1, INF], [0, 0]),
    (lambda x: F.pad(x, (-1, -1)), [1, 2], [0, 0]),
])
def test_no_incoming_gradient_reaches_what_was_cut_off(function, values, expected, wild):
    size = function(tensor(np, values)).shape
    assert slope(np, function, values, np.full(size, wild)) == expected


@by_value
def test_other_pieces_of_an_activation_are_left_out(wild):
    """The gradient passes the piece that holds, multiplied by its slope and by nothing else."""
    for function, negative in ((F.leaky_relu, 0.01), (F.elu, math.exp(-1))):
        np.testing.assert_array_equal(slope(np, function, [1, -1], [wild, wild]), [wild, wild * negative])
    np.testing.assert_array_equal(slope(np, F.softplus, [30], [wild]), [wild])


def test_clamp_then_log(xp):
    assert slope(xp, lambda x: F.log(F.clamp(x, min=0.0)), [-1, 2]) == [0, 0.5]


def test_clamped_nan_stays_nan_without_a_gradient(xp):
    x = tensor(xp, [NAN, 0.5])
    assert np.isnan(F.clamp(x, min=0, max=1).numpy()).tolist() == [True, False]
    assert slope(xp, lambda x: F.clamp(x, min=0, max=1), [NAN, 0.5]) == [0, 1]


def test_clamped_integers_stay_integers(xp):
    x = Tensor(xp.asarray(np.array([1, 5])))
    assert F.clamp(x, max=np.int32(3)).numpy().tolist() == [1, 3]
    assert F.clamp(x, max=3).dtype == np.int64
    assert F.clamp(x, max=3.5).dtype == np.float32


@by_value
def test_dropped_elements(xp, wild):
    for function, shape in ((F.dropout, (4, 50)), (F.dropout2d, (10, 20, 1, 1))):
        manual_seed(0)
        kept = function(tensor(xp, np.ones(shape))).numpy() != 0
        manual_seed(0)
        out = function(tensor(xp, np.where(kept, 1, wild))).numpy()
        np.testing.assert_array_equal(out, np.where(kept, 2, 0))
        manual_seed(0)
        np.testing.assert_array_equal(slope(xp, function, np.ones(shape), np.where(kept, 1, wild)),
                                      np.where(kept, 2, 0))


def test_dropout_of_everything(xp):
    for function in (F.dropout, F.dropout2d):
        x = tensor(xp, np.full((2, 3, 2, 2), NAN), requires_grad=True)
        out = function(x, p=1)
        assert not out.numpy().any()
        out.sum().backward()
        assert not Tensor(x.grad).numpy().any()


@by_value
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("classes", [3, 100])
@pytest.mark.parametrize("planes", [False, True])
def test_ignored_targets(xp, wild, smoothing, reduction, classes, planes):
    """In every loss of classes, the scores of ignored targets count nothing and get the gradient 0."""
    rng = np.random.default_rng(0)
    scores, target = rng.standard_normal((2, classes, 70)), np.array([[0, -100, 1, -100, 2, -100, 0] * 10] * 2)
    if not planes:
        scores, target = scores.transpose(0, 2, 1).reshape(140, classes), target.reshape(140)
    ignored = np.broadcast_to((target == -100)[:, None], scores.shape)
    wild_scores, t = np.where(ignored, wild, scores), xp.asarray(target)
    losses = [lambda x: F.cross_entropy(x, t, reduction=reduction, label_smoothing=smoothing)]
    if smoothing == 0:
        losses += [lambda x: F.nll_loss(x, t, reduction=reduction), lambda x: F.focal_loss(x, t, reduction=reduction)]
    for loss in losses:
        np.testing.assert_array_equal(loss(tensor(xp, wild_scores)).numpy(), loss(tensor(xp, scores)).numpy())
        np.testing.assert_array_equal(slope(xp, loss, wild_scores), slope(xp, loss, scores))


@by_value
def test_the_incoming_gradient_of_an_ignored_target(xp, wild):
    scores, target = np.random.default_rng(0).standard_normal((3, 4)), xp.asarray(np.array([1, -100, 2]))
    for loss in (F.cross_entropy, F.nll_loss, F.focal_loss):
        dx = slope(xp, lambda x, loss=loss: loss(x, target, reduction="none"), scores, [1, wild, 1])
        assert np.isfinite(dx).all()
        assert dx[1] == [0, 0, 0, 0]


@by_value
def test_classes_of_weight_0(xp, wild):
    """They count nothing either, as targets or under label smoothing."""
    target, weight = xp.asarray(np.array([0, 1, 2])), tensor(xp, [0, 1, 2])
    scores = np.array([[wild, wild, wild], [-1, 1, 0], [0, 2, 1]])
    for loss in (F.cross_entropy, F.nll_loss, F.focal_loss):
        tame = np.where(np.isfinite(scores), scores, 0)
        np.testing.assert_array_equal(loss(tensor(xp, scores), target, weight).numpy(),
                                      loss(tensor(xp, tame), target, weight).numpy())
        np.testing.assert_array_equal(slope(xp, lambda x, loss=loss: loss(x, target, weight), scores),
                                      slope(xp, lambda x, loss=loss: loss(x, target, weight), tame))
@by_value
@pytest.mark.parametrize("classes", [3, 90])
def test_the_weight_of_a_class_that_is_no_target(xp, wild, classes):
    """Such as 1 / frequency of a class without images: only targets choose weights."""
    scores, target = np.random.default_rng(0).standard_normal((4, classes)), xp.asarray(np.array([2, 1, -100, 2]))
    weight = np.ones(classes)
    weight[0] = wild
    for loss in (F.cross_entropy, F.nll_loss, F.focal_loss):
        ours, ones = (tensor(xp, w) for w in (weight, np.ones(classes)))
        assert loss(tensor(xp, scores), target, ours).item() == loss(tensor(xp, scores), target, ones).item()
        np.testing.assert_array_equal(slope(xp, lambda x, loss=loss, w=ours: loss(x, target, w), scores),
                                      slope(xp, lambda x, loss=loss, w=ones: loss(x, target, w), scores))


def test_an_impossible_class_of_weight_0_under_smoothing(xp):
    low = [[-INF, 1, 0]]
    for classes in (3, 90):
        weight = tensor(xp, [0, 1, 2] + [1] * (classes - 3))
        loss = F.cross_entropy(tensor(xp, [low[0] + [0] * (classes - 3)]), xp.asarray(np.array([1])), weight,
                               label_smoothing=0.1)
        assert math.isfinite(loss.item())


@by_value
@pytest.mark.parametrize("channels", [1, 2])
def test_ignored_pixels_of_dice_loss(xp, wild, channels):
    scores = np.random.default_rng(0).standard_normal((2, channels, 3, 4))
    target = np.arange(24).reshape(2, 3, 4) % 3
    target[target == 2] = -1
    wild_scores = np.where((target == -1)[:, None], wild, scores)

    def loss(x):
        return F.dice_loss(x, xp.asarray(target), ignore_index=-1)
    assert loss(tensor(xp, wild_scores)).item() == loss(tensor(xp, scores)).item()
    np.testing.assert_array_equal(slope(xp, loss, wild_scores), slope(xp, loss, scores))


@by_value
def test_binary_cross_entropy_without_weight(xp, wild):
    weight, target = tensor(xp, [0, 1]), tensor(xp, [1, 1])
    for settings in ({}, {"reduction": "sum"}, {"reduction": "none"}):
        def loss(x, settings=settings):
            return F.binary_cross_entropy_with_logits(x, target, weight, **settings)
        np.testing.assert_array_equal(loss(tensor(xp, [wild, 2])).numpy(), loss(tensor(xp, [0, 2])).numpy())
        assert slope(xp, loss, [wild, 2])[0] == 0


@by_value
def test_the_weight_of_positives_where_there_are_none(xp, wild):
    x, target = tensor(xp, [1, 2]), tensor(xp, [0, 1])
    for pos_weight in ([wild, 2], [0, 2]):
        loss = F.binary_cross_entropy_with_logits(x, target, None, tensor(xp, pos_weight), reduction="none")
        np.testing.assert_allclose(loss.numpy(), [math.log1p(math.exp(1)), 2 * math.log1p(math.exp(-2))], rtol=1e-6)


def test_binary_cross_entropy_of_certain_answers(xp):
    """An infinite score of the right sign has no loss, and no term for the other class."""
    x, target = tensor(xp, [INF, -INF, INF, -INF]), tensor(xp, [1, 0, 0, 1])
    loss = F.binary_cross_entropy_with_logits(x, target, reduction="none")
    assert loss.numpy().tolist() == [0, 0, INF, INF]


@pytest.mark.parametrize("channels", [1, 5, 8, 40])
@pytest.mark.parametrize(("kernel", "stride", "padding"), [(3, 2, 1), (2, 2, 1), (3, 1, 1), (5, 3, 2)])
def test_pooling_over_nothing_but_minus_infinity(xp, channels, kernel, stride, padding):
    """Each window's gradient goes to the first of its pixels, never to the padding."""
    x = tensor(xp, np.full((2, channels, 6, 7), -INF), requires_grad=True)
    out = F.max_pool2d(x, kernel, stride, padding)
    assert (out.numpy() == -INF).all()
    expected = np.zeros((6, 7))
    for oy in range(out.shape[2]):
        for ox in range(out.shape[3]):
            expected[max(0, oy * stride - padding), max(0, ox * stride - padding)] += 1
    out.backward(xp.ones(out.shape, dtype=xp.float32))
    np.testing.assert_array_equal(Tensor(x.grad).numpy(), np.broadcast_to(expected, x.shape))


@by_value
def test_a_pixel_reaches_its_own_windows_only(xp, wild):
    """Whatever it holds, in adaptive pooling of unequal parts and in resizing; and so does a gradient."""
    x = np.ones((1, 2, 7, 8))
    x[0, 0, 3, 1] = wild
    for function, rows, columns in (
        (lambda x: F.adaptive_avg_pool2d(x, (3, 5)), [1], [0, 1]),
        (lambda x: F.adaptive_avg_pool2d(x, (4, 3)), [1, 2], [0]),
        (lambda x: F.interpolate(x, (14, 16)), [6, 7], [2, 3]),
        (lambda x: F.interpolate(x, (7, 8), mode="bilinear"), [3], [1]),
    ):
        out = function(tensor(xp, x)).numpy()
        touched = np.zeros(out.shape, bool)
        touched[0, 0, rows[0]:rows[-1] + 1, columns[0]:columns[-1] + 1] = True
        np.testing.assert_array_equal(~np.isfinite(out), touched)
    size = (1, 1, 3, 5)
    gradient = np.ones(size)
    gradient[0, 0, 1, 2] = wild
    dx = np.array(slope(xp, lambda x: F.adaptive_avg_pool2d(x, (3, 5)), np.ones((1, 1, 7, 8)), gradient))
    touched = np.zeros(dx.shape, bool)
    touched[0, 0, 2:5, 3:5] = True
    np.testing.assert_array_equal(~np.isfinite(dx), touched)


@by_value
@pytest.mark.parametrize("relu", [False, True])
def test_batch_norm_in_eval_mode_mixes_no_pixels(xp, wild, relu):
    x, gradient = np.ones((2, 3, 4, 4)), np.ones((2, 3, 4, 4))
    x[0, 1, 2, 2], gradient[1, 2, 0, 0] = wild, wild
    one = xp.ones(3, dtype=xp.float32)
    dx = np.array(slope(xp, lambda x: F.batch_norm(x, Tensor(one), Tensor(one), mean=one, var=one, training=False,
                                                   relu=relu), x, gradient))
    assert np.argwhere(~np.isfinite(dx)).tolist() == [[1, 2, 0, 0]]


def test_equal_extremes_of_an_infinite_gradient(xp):
    np.testing.assert_array_equal(slope(xp, lambda x: F.amax(x, 1), [[1, 2, 2]], [INF]), [[0, INF, INF]])
    np.testing.assert_array_equal(slope(xp, lambda x: F.amin(x, 1), [[1, NAN, 2]]), [[NAN, NAN, NAN]])


def test_powers_of_a_negative_number(xp):
    out = (-2.0) ** tensor(xp, [2, 3, 0.5])
    np.testing.assert_array_equal(out.numpy(), [4, -8, NAN])
    assert np.isnan(slope(xp, lambda x: (-2.0) ** x, [2, 3, 0.5])).all()
    assert slope(xp, lambda x: 0.0 ** x, [2, 0, -1]) == [0, 0, -INF]
