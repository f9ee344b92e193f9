"""evaluate and predict agree with one image at a time, and leave the model unchanged."""

import numpy as np
import pytest
import toy_run

import minidl
import minidl.functional as F
from minidl import Tensor
from minidl.data import DataLoader
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
    assert loss_of(plain) is F.cross_entropy


def test_label_out_of_range_is_refused():
    with pytest.raises(ValueError, match="label is not one of the classes 0 to 4"):
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
