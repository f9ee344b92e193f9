"""evaluate and predict agree with one image at a time, and leave the model unchanged."""

import numpy as np
import pytest
import toy_run

import minidl
import minidl.functional as F
from minidl import Tensor, nn
from minidl.data import DataLoader
from minidl.evaluation import Augmented, metrics
from minidl.evaluation.decisions import cross_entropy
from minidl.evaluation.evaluation import batch_size
from minidl.train import evaluate, in_order, loss_of, predict


@pytest.fixture(scope="module")
def one_by_one():
    """(logits, losses) of all images, each evaluated alone."""
    model = toy_run.net().eval()
    logits = np.concatenate([model(Tensor(toy_run.DIGITS.batch([i])[0])).numpy() for i in range(len(toy_run.DIGITS))])
    losses = F.cross_entropy(Tensor(logits), toy_run.DIGITS.labels, reduction="none").numpy()
    return logits, losses


@pytest.mark.parametrize("batch_size", [170, 64, 1000])
def test_evaluate_agrees_with_one_image_at_a_time(one_by_one, batch_size):
    logits, losses = one_by_one
    result = evaluate(toy_run.net(), DataLoader(toy_run.DIGITS, batch_size), 10)
    assert result.loss == pytest.approx(losses.mean(), rel=1e-5)
    assert result.accuracy == (logits.argmax(1) == toy_run.DIGITS.labels).mean()
    np.testing.assert_array_equal(result.confusion.sum(1), np.bincount(toy_run.DIGITS.labels, minlength=10))


def test_predict_in_batches_agrees_with_one_image_at_a_time(one_by_one, monkeypatch):
    monkeypatch.setattr("minidl.evaluation.evaluation.BATCH", 64)
    out = predict(toy_run.net(), toy_run.DIGITS.batch(range(170))[0])
    np.testing.assert_allclose(out, one_by_one[0], rtol=1e-4, atol=1e-5)


def test_evaluate_restores_modes_and_weights():
    model = toy_run.net()
    model.norm.eval()                            # frozen by the user: must stay in eval mode
    before = model.state_dict()
    evaluate(model, in_order(toy_run.DIGITS), 10)
    assert (model.training, model.norm.training, model.dropout.training) == (True, False, True)
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_custom_loss():
    def smoothed(logits, labels):
        return F.cross_entropy(logits, labels, label_smoothing=0.5)

    plain = evaluate(toy_run.net(), in_order(toy_run.DIGITS), 10)
    other = evaluate(toy_run.net(), in_order(toy_run.DIGITS), 10, loss=smoothed)
    assert plain.loss != other.loss
    assert plain.accuracy == other.accuracy


def test_loss_method_of_the_model_is_the_default():
    class Halved(toy_run.Net):
        def loss(self, outputs, labels):
            return 0.5 * F.cross_entropy(outputs, labels)

    minidl.manual_seed(7)
    halved, plain = Halved(), toy_run.net()
    whole = evaluate(plain, in_order(toy_run.DIGITS), 10).loss
    assert evaluate(halved, in_order(toy_run.DIGITS), 10).loss == pytest.approx(whole / 2)
    assert evaluate(halved, in_order(toy_run.DIGITS), 10, loss=F.cross_entropy).loss == pytest.approx(whole)
    plain.loss = 0.25                                                # an attribute that is not callable is ignored
    assert loss_of(plain) is cross_entropy


def test_label_out_of_range_is_refused():
    with pytest.raises(ValueError, match="the label 9 is none of the 5 classes"):
        evaluate(toy_run.net(), in_order(toy_run.DIGITS), 5)


# Nothing to evaluate

@pytest.mark.parametrize("shape", [(0, 1, 28, 28)])
def test_predict_no_images(shape):
    model = toy_run.net()
    out = predict(model, np.zeros(shape, np.float32))
    assert (out.shape, out.dtype, type(out)) == ((0, 10), np.float32, np.ndarray)
    assert model.training


def test_predict_no_vectors():
    assert predict(minidl.nn.Linear(3, 2), np.zeros((0, 3), np.float32)).shape == (0, 2)


@pytest.mark.parametrize(("images", "error", "message"), [
    (None, TypeError, r"a tensor needs numbers, not NoneType"),
    ([], ValueError, r"predict: images must be an array \(N, C, H, W\), not \(0,\)"),
    (np.zeros(3, np.float32), ValueError, r"predict: images must be an array \(N, C, H, W\), not \(3,\)"),
    (toy_run.DIGITS, TypeError, r"predict: images must be an array .*, not ImageDataset; give dataset\.batch"),
])
def test_predict_what_is_no_images(images, error, message):
    with pytest.raises(error, match=message):
        predict(toy_run.net(), images)


def test_predict_a_list_of_images():
    images = toy_run.DIGITS.batch(range(3))[0]
    for a_list in (list(images), images.tolist()):
        np.testing.assert_array_equal(predict(toy_run.net(), a_list), predict(toy_run.net(), images))


@pytest.mark.parametrize("batches", [[], iter(())])
def test_evaluate_nothing(batches):
    with pytest.raises(ValueError, match="evaluate: there are no images"):
        evaluate(toy_run.net(), batches, 10)


def test_evaluate_an_empty_set():
    with pytest.raises(ValueError, match=r"in_order: there are no images in ImageDataset\("):
        evaluate(toy_run.net(), in_order(toy_run.DIGITS.take(0)), 10)
    with pytest.raises(TypeError, match=r"give the batches of the ImageDataset, in_order\(dataset\), not itself"):
        evaluate(toy_run.net(), toy_run.DIGITS, 10)


# What is gathered in the same pass

class Given(nn.Module):
    """A model whose logits are its inputs."""

    def forward(self, x):
        return F.mul(x, 1.0)


def given(logits, labels, classes=None, size=7, **settings):
    """The Evaluation of these logits, in batches of `size`."""
    batches = [(logits[i:i + size], labels[i:i + size]) for i in range(0, len(logits), size)]
    return evaluate(Given(), batches, classes or logits.shape[1], **settings)


def softmax(logits):
    exponentials = np.exp(logits.astype(np.float64) - logits.max(1, keepdims=True))
    return exponentials / exponentials.sum(1, keepdims=True)


@pytest.mark.parametrize("classes", [2, 7])
def test_metrics_agree_with_loops(classes):
    rng = np.random.default_rng(classes)
    logits, labels = rng.standard_normal((50, classes)).astype(np.float32) * 3, rng.integers(0, classes, 50)
    result, p = given(logits, labels), softmax(logits)
    hot = np.eye(classes)[labels]
    assert result.log_loss == pytest.approx(-np.log(p[hot == 1]).mean(), rel=1e-5)
    assert result.loss == pytest.approx(result.log_loss, rel=1e-5)
    assert result.brier == pytest.approx(((p - hot)**2).sum(1).mean(), rel=1e-5)
    np.testing.assert_allclose(result.each.likelihoods, p[hot == 1], rtol=1e-4)
    np.testing.assert_allclose(result.each.confidences, p.max(1), rtol=1e-4)
    assert result.each.ranks.tolist() == [list(np.argsort(-row)).index(label)
                                          for row, label in zip(logits, labels, strict=True)]
    np.testing.assert_array_equal(result.diagram, metrics.calibration(result.each.confidences,
                                                                      result.each.predictions == labels))
    summary = result.summary()
    if classes == 2:
        assert summary["roc_auc"] == metrics.roc_auc(labels, logits[:, 1].astype(float) - logits[:, 0])
        assert "top5_accuracy" not in summary
    else:
        assert summary["top5_accuracy"] == np.mean([labels[i] in np.argsort(-logits[i])[:5] for i in range(50)])
        assert "roc_auc" not in summary


def test_equal_logits_are_ranked_as_argmax_ranks_them():
    result = given(np.zeros((3, 6), np.float32), np.array([0, 1, 5]))
    assert result.each.ranks.tolist() == [0, 1, 5]
    assert result.accuracy == pytest.approx(1 / 3)


def test_a_single_logit_means_two_classes():
    """Everything is as for the two logits (0, z), the loss included."""
    rng = np.random.default_rng(0)
    z, labels = rng.standard_normal((20, 1)).astype(np.float32), rng.integers(0, 2, 20)
    one, two = given(z, labels, 2), given(np.concatenate([0 * z, z], 1), labels)
    np.testing.assert_array_equal(one.confusion, two.confusion)
    assert one.each.predictions.tolist() == (z[:, 0] > 0).astype(int).tolist()
    assert one.summary() == pytest.approx(two.summary())
    np.testing.assert_array_equal(one.each.margins, z[:, 0])


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_masks(channels):
    """Pixels are counted, except ignored ones; each image has its own Dice."""
    rng = np.random.default_rng(channels)
    classes = max(2, channels)
    logits = rng.standard_normal((5, channels, 4, 3)).astype(np.float32)
    masks = rng.integers(0, classes, (5, 4, 3))
    masks[0, :2] = -100
    result = given(logits, masks, classes, size=2)
    predictions = logits.argmax(1) if channels > 1 else (logits[:, 0] > 0).astype(int)
    counted = masks >= 0
    np.testing.assert_array_equal(result.confusion, metrics.confusion_matrix(masks[counted], predictions[counted],
                                                                             classes))
    assert result.of_pixels
    assert result.accuracy == (masks == predictions)[counted].mean()
    for image, (mask, predicted) in enumerate(zip(masks, predictions, strict=True)):
        inside = mask >= 0
        alone = metrics.confusion_matrix(mask[inside], predicted[inside], classes)
        assert result.each.accuracies[image] == metrics.accuracy(alone)
        assert result.each.dice[image] == metrics.mean_over_classes(metrics.dice(alone), alone)
    summary = result.summary()
    assert summary["mean_dice"] == pytest.approx(metrics.dice(result.confusion).mean())
    assert summary["mean_iou"] == pytest.approx(metrics.iou(result.confusion).mean())
    assert "roc_auc" not in summary
    flat = logits if channels > 1 else np.concatenate([0 * logits, logits], 1)
    pixels = given(flat.transpose(0, 2, 3, 1)[counted], masks[counted])
    assert (result.log_loss, result.brier) == pytest.approx((pixels.log_loss, pixels.brier))
    np.testing.assert_allclose(result.diagram, pixels.diagram)


def test_a_model_that_diverged_is_evaluated():
    result = given(np.full((3, 2), np.nan, np.float32), np.array([0, 1, 1]))
    assert np.isnan([result.loss, result.log_loss, result.brier, result.summary()["roc_auc"]]).all()
    assert result.confusion.sum() == 3
    given(np.array([[np.inf, 0.0]], np.float32), np.array([1]))


def test_labels_that_do_not_match():
    logits = np.zeros((2, 3, 4, 4), np.float32)
    with pytest.raises(ValueError, match=r"logits \(2, 3, 4, 4\) do not match labels \(2,\)"):
        evaluate(Given(), [(logits, np.zeros(2, int))], 3, loss=lambda logits, labels: F.mean(logits))
    with pytest.raises(ValueError, match="the model has 3 classes, and the labels have 2"):
        given(logits[..., 0, 0], np.zeros(2, int), 2)


def test_mirror_images():
    """The mean of the logits of an image and of its mirror image; masks are mirrored back."""
    model, images = toy_run.net().eval(), toy_run.DIGITS.batch(range(20))[0]
    mirrored = predict(Augmented(model, "mirror"), images)
    np.testing.assert_allclose(mirrored, (predict(model, images) + predict(model, images[..., ::-1])) / 2, atol=1e-6)
    batches = [(images, toy_run.DIGITS.labels[:20])]
    result = evaluate(model, batches, 10, tta=True)
    np.testing.assert_array_equal(result.each.predictions, mirrored.argmax(1))
    masks = np.random.default_rng(0).standard_normal((2, 3, 4, 5)).astype(np.float32)
    np.testing.assert_array_equal(predict(Augmented(Given(), "mirror"), masks), masks)


def test_large_images_come_in_small_batches():
    assert (batch_size((1, 28, 28)), batch_size((3, 224, 224)), batch_size((1, 5000, 5000))) == (1000, 20, 1)
