"""PyTorch's idioms have its values, recorded and computed anew where it is installed; the rest raise and help."""

import json

import numpy as np
import pytest
from idioms import RECORDED, REFUSED, WORK, value_of

import minidl.torch

recorded = json.loads(RECORDED.read_text(encoding="utf-8"))


def check(ours, theirs):
    if isinstance(theirs, dict):
        assert (ours["dtype"], ours["shape"]) == (theirs["dtype"], theirs["shape"])
        np.testing.assert_allclose(ours["values"], theirs["values"], rtol=1e-4, atol=1e-5)
    elif isinstance(theirs, list):
        assert len(ours) == len(theirs)
        for a, b in zip(ours, theirs, strict=True):
            check(a, b)
    else:
        assert ours == pytest.approx(theirs, abs=1e-5) if isinstance(theirs, float) else ours == theirs


@pytest.mark.parametrize("idiom", WORK)
def test_idiom(idiom):
    check(value_of(idiom, minidl.torch), recorded[idiom])


def test_the_recorded_values_are_pytorchs():
    torch = pytest.importorskip("torch")
    for idiom in WORK:
        check(value_of(idiom, torch), recorded[idiom])


@pytest.mark.parametrize("idiom", REFUSED)
def test_what_does_not_work_says_what_to_write(idiom):
    with pytest.raises((AttributeError, TypeError, RuntimeError), match=REFUSED[idiom].replace("(", r"\(")
                       .replace(")", r"\)")):
        value_of(idiom, minidl.torch)


def test_most_idioms_work():
    assert len(WORK) / (len(WORK) + len(REFUSED)) >= 0.85
    assert set(recorded) == set(WORK)
