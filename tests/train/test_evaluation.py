"""evaluate and predict against one image at a time, and that they leave the model as it was."""

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
    """(logits, loss) of every image, alone."""
    model = toy_run.net().eval()
    logits = np.concatenate([model(Tensor(toy_run.DIGITS.batch([i])[0])).numpy() for i in range(len(toy_run.DIGITS))])
    losses = F.cross_entropy(Tensor(logits), toy_run.DIGITS.labels, reduction="none").numpy()
    return logits, losses


@pytest.mark.parametrize("batch_size", [170, 64, 1000])
def test_evaluate(one_by_one, batch_size):
    logits, losses = one_by_one
    result = evaluate(toy_run.net(), DataLoader(toy_run.DIGITS, batch_size), 10)
    assert result.loss == pytest.approx(losses.mean(), rel=1e-5)
    assert result.accuracy == (logits.argmax(1) == toy_run.DIGITS.labels).mean()
    np.testing.assert_array_equal(result.confusion.sum(1), np.bincount(toy_run.DIGITS.labels, minlength=10))


def test_predict_in_parts(one_by_one, monkeypatch):
    monkeypatch.setattr("minidl.train.evaluation.BATCH", 64)
    out = predict(toy_run.net(), toy_run.DIGITS.batch(range(170))[0])
    np.testing.assert_allclose(out, one_by_one[0], rtol=1e-4, atol=1e-5)


def test_the_model_is_left_as_it_was():
    model = toy_run.net()
    model.norm.eval()                            # frozen by its owner, and to stay so
    before = model.state_dict()
    evaluate(model, in_order(toy_run.DIGITS), 10)
    assert (model.training, model.norm.training, model.dropout.training) == (True, False, True)
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_another_loss():
    def smoothed(logits, labels):
        return F.cross_entropy(logits, labels, label_smoothing=0.5)

    plain = evaluate(toy_run.net(), in_order(toy_run.DIGITS), 10)
    other = evaluate(toy_run.net(), in_order(toy_run.DIGITS), 10, loss=smoothed)
    assert plain.loss != other.loss
    assert plain.accuracy == other.accuracy


def test_a_model_may_have_a_loss_of_its_own():
    class Halved(toy_run.Net):
        def loss(self, outputs, labels):
            return 0.5 * F.cross_entropy(outputs, labels)

    minidl.manual_seed(7)
    halved, plain = Halved(), toy_run.net()
    whole = evaluate(plain, in_order(toy_run.DIGITS), 10).loss
    assert evaluate(halved, in_order(toy_run.DIGITS), 10).loss == pytest.approx(whole / 2)
    assert evaluate(halved, in_order(toy_run.DIGITS), 10, loss=F.cross_entropy).loss == pytest.approx(whole)
    plain.loss = 0.25                                                # a number that someone keeps there is none
    assert loss_of(plain) is F.cross_entropy


def test_more_classes_in_the_labels_than_in_the_model():
    with pytest.raises(ValueError, match="label is not one of the classes 0 to 4"):
        evaluate(toy_run.net(), in_order(toy_run.DIGITS), 5)
