"""The geometry of drawings: every layer once, boxes apart, and edges that cross no box."""

import itertools
import xml.etree.ElementTree as ElementTree
from collections import Counter

import numpy as np
import pytest

import minidl.functional as F
import minidl.nn as nn
import zoo
from minidl import plot
from minidl.cli import main
from minidl.plot.arrange import arrange
from minidl.plot.bent import arms_of
from minidl.plot.drawing import labels_of, sizes_of
from minidl.plot.graph import Group, boxes_in, groups_in, trace
from minidl.plot.layout import lay_out
from minidl.summary import summary


def small(name):
    """A network of the zoo with few weights, and its input shape."""
    if name == "unet":
        return zoo.create(name, base_channels=2), (1, 188, 188)
    if name in ("lenet5", "lenet5_1998", "simple_cnn"):
        return zoo.create(name), (1, 28, 28)
    settings = {}
    if name.startswith(("alexnet", "zfnet")) or (name.startswith("vgg") and not name.endswith("cifar")):
        settings |= {"hidden": 8}
    if name.startswith(("vgg", "resnet", "mobilenet")):
        settings |= {"width": 0.25 if name.startswith("mobilenet") else 4}
    return zoo.create(name, **settings), (3, 64, 64) if zoo.image_size(name) == 224 else (3, 32, 32)


def laid_out(graph):
    labels, titles = labels_of(graph.root)
    return lay_out(graph, sizes_of(graph.root, labels), dict.fromkeys(titles, 150))


def within(x, y, place):
    left, top, width, height = place
    return left < x < left + width and top < y < top + height


def apart(one, other):
    (ax, ay, aw, ah), (bx, by, bw, bh) = one, other
    return ax + aw <= bx or bx + bw <= ax or ay + ah <= by or by + bh <= ay


def crosses(start, end, place):
    """Whether a horizontal or vertical line runs through the inside of a box."""
    left, top, width, height = place
    (x0, x1), (y0, y1) = sorted((start[0], end[0])), sorted((start[1], end[1]))
    return x0 < left + width - 0.01 and left + 0.01 < x1 and y0 < top + height - 0.01 and top + 0.01 < y1


def check_geometry(graph):
    layout = laid_out(graph)
    assert set(layout.boxes) == set(boxes_in(graph.root))
    assert set(layout.groups) == set(groups_in(graph.root)) - {graph.root}
    for one, other in itertools.combinations(layout.boxes.values(), 2):
        assert apart(one, other)
    for group, place in layout.groups.items():
        inner = set(boxes_in(group))
        for box, (left, top, width, height) in layout.boxes.items():
            inside = within(left + 1, top + 1, place) and within(left + width - 1, top + height - 1, place)
            assert inside if box in inner else apart((left, top, width, height), place)
    for left, top, width, height in (*layout.boxes.values(), *layout.groups.values()):
        assert left >= 0
        assert top >= 0
        assert left + width <= layout.width + 1e-6
        assert top + height <= layout.height + 1e-6
    for above, below in graph.edges:
        left, top, width, height = layout.boxes[above]
        under_left, under_top, under_width, _ = layout.boxes[below]
        if (above, below) not in layout.routes:                      # the boxes touch
            assert (under_left, under_top) == pytest.approx((left, top + height))
            continue
        points = layout.routes[above, below]
        assert points[0] == pytest.approx((left + width / 2, top + height))
        assert points[-1] == pytest.approx((under_left + under_width / 2, under_top))
        for start, end in itertools.pairwise(points):
            assert start[0] == end[0] or start[1] == end[1]
            assert start[1] <= end[1] or arms_of(graph.root, graph.edges)      # up in the right arm of a U
            assert start[0] <= layout.width
            assert not any(crosses(start, end, place) for place in layout.boxes.values())
    for (one, first), (other, second) in itertools.combinations(layout.routes.items(), 2):
        if one[0] is not other[0] and one[1] is not other[1]:        # else they may share a piece
            assert not any(together(*pair) for pair in itertools.product(pieces(first), pieces(second)))


def pieces(points):
    return list(itertools.pairwise(points))


def together(one, other):
    """Whether two horizontal or two vertical lines share more than a point."""
    for axis, along in ((0, 1), (1, 0)):
        if one[0][axis] == one[1][axis] == other[0][axis] == other[1][axis]:
            (a, b), (c, d) = (sorted(point[along] for point in line) for line in (one, other))
            return min(b, d) > max(a, c)
    return False


@pytest.mark.parametrize("name", zoo.names())
def test_every_network_of_the_zoo(name):
    model, shape = small(name)
    called = Counter(row.name for row in summary(model, shape).rows)
    for fold in (False, True):
        graph = arrange(trace(model, shape), fold)
        check_geometry(graph)
        assert Counter(layer for box in boxes_in(graph.root) for layer in box.layers) == called
        text = plot.network(model, shape, fold)
        drawn = ElementTree.fromstring(text).iter("{http://www.w3.org/2000/svg}g")
        assert sum(g.get("class", "").startswith("box") for g in drawn) == len(boxes_in(graph.root))
        if not fold:
            assert sum(box.parameters for box in boxes_in(graph.root)) <= sum(p.numel() for p in model.parameters())


def test_a_u():
    """Skips run straight across, from the left arm to the right one; the bottom is between them, and lower."""
    graph = arrange(trace(*small("unet")))
    arms = arms_of(graph.root, graph.edges)
    assert [item.name for item in arms.left if isinstance(item, Group)] == ["down.0", "down.1", "down.2", "down.3"]
    assert [item.name for item in arms.bottom if isinstance(item, Group)] == ["bottom"]
    place = laid_out(graph).groups
    named = {group.name: place[group] for group in place}
    for level in range(4):
        (left, top, width, height), across = named[f"down.{level}"], named[f"up.{3 - level}"]
        assert left + width < across[0]
        assert 0 < across[1] - (top + height) < 100
    assert named["down.3"][0] < named["bottom"][0] < named["up.0"][0]
    assert named["bottom"][1] > named["down.3"][1] + named["down.3"][3]


@pytest.mark.parametrize("name", [name for name in zoo.names() if name != "unet"])
def test_nothing_else_is_a_u(name):
    with nn.init.placeholders():
        model, shape = small(name)
        graph = arrange(trace(model, shape))
    assert arms_of(graph.root, graph.edges) is None


class Knot(nn.Module):
    """All kinds of edges: past one row and past several, two from one box, a layer called twice, a function."""

    def __init__(self):
        self.a, self.b, self.c = nn.Conv2d(2, 2, 1), nn.Conv2d(2, 2, 3, padding=1), nn.Conv2d(4, 2, 1)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.gate, self.rest = nn.Conv2d(2, 2, 1), nn.Identity()

    def forward(self, x):
        a = self.a(x)
        b = self.b(a)
        c = self.c(F.cat([a, b], 1))
        d = self.b(c) * F.sigmoid(self.gate(self.pool(c)))
        return {"first": F.cat([x, a, b, c, d, self.rest(x + a + d)], 1), "others": [d * 2, c]}


def names(graph):
    """The edges by the names of their boxes."""
    return Counter((above.name or above.layer, below.name or below.layer) for above, below in graph.edges)


def test_a_knot():
    graph = arrange(trace(Knot(), (2, 5, 5)))
    check_geometry(graph)
    assert names(graph) == Counter([
        ("input", "a"), ("a", "b"), ("a", "cat"), ("b", "cat"), ("cat", "c"), ("c", "b"), ("c", "pool"),
        ("pool", "gate"), ("gate", "sigmoid"), ("b", "mul"), ("sigmoid", "mul"),
        ("input", "add"), ("a", "add"), ("add", "add"), ("mul", "add"), ("add", "rest"),
        ("input", "cat"), ("a", "cat"), ("b", "cat"), ("c", "cat"), ("mul", "cat"), ("rest", "cat"),
        ("cat", "output"), ("mul", "mul"), ("mul", "output"), ("c", "output"),
    ])


class Dense(nn.Module):
    """Each layer reads all layers before it."""

    def __init__(self, depth):
        self.layers = [nn.Conv2d(2 * (i + 1), 2, 1) for i in range(depth)]

    def forward(self, x):
        for layer in self.layers:
            x = F.cat([x, layer(x)], 1)
        return x


def test_dense_connections_and_random_ones():
    check_geometry(arrange(trace(Dense(5), (2, 3, 3))))
    rng = np.random.default_rng(0)
    for _ in range(30):
        check_geometry(arrange(trace(Random(rng), (2, 3, 3))))


class Random(nn.Module):
    """Layers that read some of those before them, some of them in groups."""

    def __init__(self, rng):
        self.reads = [sorted(set(rng.integers(0, i + 1, 2).tolist())) for i in range(9)]
        self.layers = [nn.Sequential(nn.Conv2d(2, 2, 1), nn.Tanh(), nn.Conv2d(2, 2, 1)) if rng.random() < 0.4
                       else nn.Conv2d(2, 2, 1) for _ in self.reads]

    def forward(self, x):
        outs = [x]
        for layer, reads in zip(self.layers, self.reads, strict=True):
            outs.append(layer(sum([outs[i] for i in reads])))
        return F.cat(outs[-3:], 1)


def test_a_residual_block_and_the_row_it_is_in():
    graph = arrange(trace(zoo.create("resnet20"), (3, 32, 32)))
    rows = {group.name: group for group in groups_in(graph.root)}
    assert {name: group.times for name, group in rows.items() if group.times > 1} == {"layer1.0": 3, "layer2.1": 2,
                                                                                      "layer3.1": 2}
    assert rows["layer1.0"].until == "layer1.2"
    steps = ["conv1", "bn1", "conv2", "bn2"]
    assert [box.name for box in boxes_in(rows["layer1.0"])] == [f"layer1.0.{step}" for step in steps]
    assert boxes_in(rows["layer1.0"])[3].layers == [f"layer1.{i}.bn2" for i in range(3)]
    assert boxes_in(rows["layer1.0"])[3].settings == ", add, ReLU"
    edges = names(graph)
    assert edges["bn1", "layer1.0.bn2"] == 1                         # the shortcut
    assert edges["layer1.0.bn2", "layer2.0.conv1"] == edges["layer1.0.bn2", "getitem"] == 1
    assert edges["layer2.0.bn2", "layer2.1.bn2"] == edges["pad", "layer2.0.bn2"] == 1


def test_the_ceiling_of_a_relu_is_shown():
    settings = [box.settings for box in boxes_in(trace(zoo.create("mobilenet_v2_cifar", width=0.25), (3, 32, 32)).root)]
    assert {", ReLU6", "", ", add"} < set(settings)
    assert ", ReLU" not in settings


def test_unet_reads_each_level_again():
    model, shape = small("unet")
    graph = trace(model, shape)
    crops = [(above.name, below.shape) for above, below in graph.edges if below.layer == "getitem"]
    assert [name for name, _ in crops] == [f"down.{i}.layers.2" for i in (3, 2, 1, 0)]


def test_depth_and_what_is_too_broad():
    graph = arrange(trace(zoo.create("resnet18", width=4), (3, 32, 32)), depth=0)
    assert [box.name or box.layer for box in boxes_in(graph.root)] == [
        "input", "conv1", "bn1", "maxpool", *(f"layer{i}" for i in (1, 2, 3, 4)), "avgpool", "reshape", "fc", "output"]
    check_geometry(graph)
    sparse = next(box for box in boxes_in(arrange(trace(zoo.create("lenet5_1998"), (1, 28, 28))).root)
                  if box.name == "c3")
    assert (sparse.layer, sparse.shape, sparse.parameters, len(sparse.layers)) == ("SparseConv", (16, 10, 10), 1516, 16)


def test_it_leaves_no_trace():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout(0.5))
    model[1].eval()
    before = model.state_dict()
    attributes = [dict(vars(module)) for _, module in model.named_modules()]
    text = plot.network(model, (1, 8, 8))
    assert text == plot.network(model, (1, 8, 8))
    with pytest.raises(ValueError, match="conv2d"):
        plot.network(model, (2, 8, 8))
    assert [dict(vars(module)) for _, module in model.named_modules()] == attributes
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])
    assert all(p.grad is None for p in model.parameters())


def test_a_single_layer_and_one_called_three_times():
    for model in (nn.Linear(3, 4), nn.Identity()):
        assert len(boxes_in(trace(model, (3,)).root)) == 3
    layer = nn.Linear(3, 3)
    shared = arrange(trace(nn.Sequential(layer, layer, layer), (3,)))
    assert [box.parameters for box in boxes_in(shared.root)] == [0, 12, 0, 0, 0]


def test_hostile_names_stay_text():
    class Evil(nn.Module):
        def __init__(self):
            vars(self)["</text><script>alert(1)</script>&\x00\x1b\ud800" + "x" * 500] = nn.Conv2d(1, 1, 1)

        def forward(self, x):
            return next(iter(vars(self).values()))(x)

        def __repr__(self):
            return "<!--"

    Evil.__name__ = "<evil>"
    text = plot.network(Evil(), (1, 2, 2))
    text.encode()
    root = ElementTree.fromstring(text)
    assert not list(root.iter("{http://www.w3.org/2000/svg}script"))
    assert float(root.get("width")) < 1000
    assert "<script" not in text


def test_bad_input():
    model = nn.Conv2d(1, 1, 1)
    for shape in ((), (0, 1, 1), (1.5, 1, 1)):
        with pytest.raises(ValueError, match="input_shape"):
            plot.network(model, shape)
    with pytest.raises(ValueError, match="depth=-1"):
        plot.network(model, (1, 1, 1), depth=-1)

    class Constant(nn.Module):
        def forward(self, x):
            return x.data

    with pytest.raises(ValueError, match="Constant returns nothing"):
        plot.network(Constant(), (1,))


def test_on_the_command_line(tmp_path, capsys):
    file = tmp_path / "net.svg"
    assert main(["draw", "lenet5", "--input", "3,28,28", "-o", str(file)]) == 0
    assert ">62,006 parameters<" in file.read_text()
    assert ">3 x 28 x 28<" in file.read_text()
    assert main(["draw", "lenet", "-o", str(file)]) == 2
    assert "did you mean lenet5" in capsys.readouterr().err
    assert main(["draw", "lenet5", "-o", str(tmp_path / "missing" / "net.svg")]) == 2


def test_groups_are_groups():
    graph = trace(nn.Sequential(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)), nn.Tanh()), (2,))
    assert [isinstance(item, Group) for item in graph.root.items] == [False, True, False, False]
