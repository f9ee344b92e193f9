"""Drawings of expressions: every node once, with its value and its gradient; boxes apart, text in its room."""

import itertools
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

import minidl.functional as F
from minidl import Tensor, no_grad, plot
from minidl.plot.letters import SIZE, text, text_width

SVG = "{http://www.w3.org/2000/svg}"


def boxes(drawing):
    """{the texts of a box, joined: (left, top, width, height)}"""
    return {" | ".join(each.text for each in group.iter(f"{SVG}text")): tuple(
        float(group.find(f"{SVG}rect").get(name)) for name in ("x", "y", "width", "height"))
        for group in ElementTree.fromstring(drawing).iter(f"{SVG}g")}


def test_a_tensor():
    a, b = Tensor(2.0, requires_grad=True), Tensor(-3.0, requires_grad=True)
    product = a * b
    found = boxes(plot.tape(product + a, a=a, b=b, product=product))
    assert set(found) == {"a | value 2 | grad -2", "b | value -3 | grad 2", "product = \u00d7 | value -6 | grad 1",
                          "+ | value -4 | grad 1"}
    assert a.grad is None
    assert {text.partition(" ")[0]: text for text in boxes(plot.tape(a * 3))}["leaf"] == "leaf | shape () | grad 3"


def test_a_function_shows_all_values():
    found = boxes(plot.tape(lambda x, w: F.tanh(x * w), x=2.0, w=Tensor(0.25)))
    assert set(found) == {"x | value 2 | grad 0.1966", "w | value 0.25 | grad 1.573",
                          "\u00d7 | value 0.5 | grad 0.7864", "tanh | value 0.4621 | grad 1"}


def test_arrays_constants_and_results_of_several_elements():
    found = boxes(plot.tape(lambda x: x * np.ones(3, np.float32), x=np.arange(3, dtype=np.float32)))
    assert set(found) == {"x | value 0, 1, 2 | grad 1, 1, 1", "\u00d7 with a constant | value 0, 1, 2 | grad 1, 1, 1"}
    labels = np.array([0, 1])
    found = boxes(plot.tape(lambda x, y: F.cross_entropy(x, y), x=np.eye(2, 9, dtype=np.float32), y=labels))
    assert any(text.startswith("x | value 2 x 9, mean 0.111 | grad 2 x 9") for text in found)


def test_after_backward_there_are_the_gradients_that_it_left():
    a = Tensor(2.0, requires_grad=True)
    result = a * a
    result.backward()
    assert set(boxes(plot.tape(result, a=a))) == {"a | value 2 | grad 4", "\u00d7 | value 4"}


def knot(x, w):
    a = F.tanh(x * w)
    b = F.sigmoid(a + x)
    return (a * b + F.exp(w) * x).sum() + (b * b).sum()


def test_boxes_are_apart_and_inputs_are_left_of_what_reads_them():
    drawing = plot.tape(knot, x=1.0, w=0.5)
    root = ElementTree.fromstring(drawing)
    places = [tuple(float(rect.get(name)) for name in ("x", "y", "width", "height"))
              for group in root.iter(f"{SVG}g") for rect in group.iter(f"{SVG}rect")]
    for (ax, ay, aw, ah), (bx, by, bw, bh) in itertools.combinations(places, 2):
        assert ax + aw <= bx or bx + bw <= ax or ay + ah <= by or by + bh <= ay
    for left, top, width, height in places:
        assert left >= 0
        assert top >= 0
        assert left + width <= float(root.get("width")) + 1
        assert top + height <= float(root.get("height")) + 1
    for path in re.findall(r'd="M([\d.]+) [\d.]+ C[^"]*? ([\d.]+) [\d.]+(?: H[\d.]+)?(?:M[^"]*)?"', drawing):
        assert float(path[0]) < float(path[1])


def test_a_drawing_shows_and_saves_itself(tmp_path):
    drawing = plot.tape(Tensor(2.0, requires_grad=True) * 3)
    assert drawing._repr_svg_() == drawing
    drawing.save(tmp_path / "a.svg")
    assert (tmp_path / "a.svg").read_text() == drawing


def test_what_has_no_graph():
    a = Tensor(2.0, requires_grad=True)
    with no_grad():
        result = a * 2
    with pytest.raises(ValueError, match="this tensor has no graph"):
        plot.tape(result)
    with pytest.raises(TypeError, match="the function returned a float, not a Tensor"):
        plot.tape(lambda x: 3.0, x=1.0)
    for _ in range(201):
        a = a + 1
    with pytest.raises(ValueError, match="the graph has 202 nodes, more than the 200"):
        plot.tape(a)


def test_a_node_prints_the_tape():
    a, b = Tensor(2.0, requires_grad=True), Tensor([1.0, 2.0], requires_grad=True)
    result = (a * b * 2).sum()
    assert repr(result.node).splitlines() == [
        "1  leaf              ()", "2  leaf              (2,)", "3  mul(1, 2)         (2,)",
        "4  mul(3, constant)  (2,)", "5  sum(4)            ()"]
    result.backward()
    assert "1  leaf              ()    grad 6" in repr(result.node)
    assert "2  leaf              (2,)  has a grad" in repr(result.node)


def test_widths_are_those_of_a_wide_font():
    """DejaVu Sans Bold is as wide as text may be without being cut off."""
    from matplotlib.font_manager import FontProperties, findfont
    from matplotlib.ft2font import FT2Font
    for weight, bold in (("bold", True), ("normal", False)):
        font = FT2Font(findfont(FontProperties(family="DejaVu Sans", weight=weight)))
        font.set_size(100, 72)
        for words in ("BatchNorm2d, add, ReLU", "128 params · 64 x 56 x 56", "layer2.0.conv1", "MMMMWWWW", "illi"):
            width = sum(font.load_char(ord(letter)).linearHoriAdvance for letter in words) / 65536
            assert width * SIZE / 100 <= text_width(words, bold) * 1.01 + 0.5


def test_text_ends_where_its_room_does():
    inner = ElementTree.fromstring(text(10, 30, 50, "bold", "plain & more"))
    assert (inner.get("x"), inner.get("width")) == ("10.0", "50.0")  # an inner SVG cuts off what is outside it
    inner = ElementTree.fromstring(text(100, 30, 50, "", "right", end=True))
    assert (inner.get("x"), inner.find("text").get("text-anchor")) == ("50.0", "end")
    assert text(0, 0, 10, "", "") == ""
