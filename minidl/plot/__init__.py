"""Pictures of a network: its architecture, filters, feature maps, and Grad-CAM heat maps; of expressions and data.

    plot.network(model, (3, 224, 224)).save("net.svg")
    plot.tape(loss, w=w, x=x).save("tape.svg")
    plot.filters(model).save("filters.png")
    plot.feature_maps(model, x, layer="layer1").save("maps.png")
    plot.grad_cam(model, x).save("cam.png")
    plot.augmentation_grid(images, transform).save("augmented.png")
    plot.segmentation_grid(images, masks, predictions, classes).save("mistakes.png")

All show themselves in notebooks. Read `graph.py` first for the drawing of the architecture, `inside.py` for the rest.
"""

from minidl.plot.augmentation import augmentation_grid
from minidl.plot.drawing import network
from minidl.plot.figure import Drawing
from minidl.plot.overview import data_overview
from minidl.plot.pictures import Picture, feature_maps, filters, grad_cam
from minidl.plot.segmentation import segmentation_grid
from minidl.plot.tape import tape

__all__ = ["Drawing", "Picture", "augmentation_grid", "data_overview", "feature_maps", "filters", "grad_cam", "network",
           "segmentation_grid", "tape"]
