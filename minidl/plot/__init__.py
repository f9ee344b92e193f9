"""Looking inside a network: how it is built, what its filters are, what it sees, and where it looks.

    Path("net.svg").write_text(plot.network(model, (3, 224, 224)))
    plot.filters(model).save("filters.png")
    plot.feature_maps(model, x, layer="layer1").save("maps.png")
    plot.grad_cam(model, x).save("cam.png")

Read `graph.py` first for the drawing, `inside.py` for the rest.
"""

from minidl.plot.drawing import network
from minidl.plot.pictures import Picture, feature_maps, filters, grad_cam

__all__ = ["Picture", "feature_maps", "filters", "grad_cam", "network"]
