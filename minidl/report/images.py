"""The sections of the page with pictures: mistakes, uncertain images, Grad-CAM, and masks."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.data import ImageDataset
from minidl.device import Device
from minidl.evaluation import Evaluation, Images, Masks, predict
from minidl.nn import Module
from minidl.plot.inside import cam_of
from minidl.report import pictures
from minidl.report.html import Html, element, section
from minidl.report.pictures import gallery, heated, name_of, painted, picture, pixels_of
from minidl.text import shortened

SHOWN, MAPS, MASKED = 12, 6, 3                   # pictures of a kind, Grad-CAM maps, masks of a kind
LONGEST = 40                                     # columns of the name of a class below a picture
MASK_SIDE = 224
WRONG = np.array([(213, 40, 40)], np.float64)    # the colour of wrong pixels


def mistakes(dataset: ImageDataset, each: Images) -> Html | None:
    """The images whose wrong class has the highest probability."""
    chosen = pictures.confident_mistakes(each, SHOWN)
    note = "Images whose wrong class has the highest probability. Look here for wrong labels first."
    return section("Most confident mistakes", described(dataset, each, chosen), note=note) if chosen else None


def uncertain(dataset: ImageDataset, each: Images) -> Html | None:
    """The images whose predicted class has the lowest probability."""
    chosen = pictures.least_certain(each, SHOWN)
    note = "Images whose predicted class, right or wrong, has the lowest probability."
    return section("Least certain images", described(dataset, each, chosen), note=note) if chosen else None


def described(dataset: ImageDataset, each: Images, chosen: Sequence[int]) -> Html:
    """Pictures with the true class, the predicted class, its probability and the name."""
    return gallery([element("figure", picture(pixels_of(dataset, i), name_of(dataset, i)), caption(dataset, each, i))
                    for i in chosen])


def caption(dataset: ImageDataset, each: Images, i: int) -> Html:
    """What is known of an image."""
    true, predicted = (dataset.classes[labels[i]] for labels in (each.labels, each.predictions))
    right = each.labels[i] == each.predictions[i]
    return element("figcaption",
                   named("span", predicted, class_="right" if right else "wrong"), f" {each.confidences[i]:.1%}",
                   element("br"), "correct" if right else ["true: ", named("b", true), f" {each.likelihoods[i]:.1%}"],
                   element("br"), element("span", name_of(dataset, i), class_="file"))


def named(tag: str, name: str, **attributes: str) -> Html:
    """The name of a class, which a pointer shows in full if it is long."""
    shown = shortened(name, LONGEST)
    return element(tag, shown, title=None if shown == name else name, **attributes)


def maps(model: Module, dataset: ImageDataset, each: Images) -> Html | None:
    """Grad-CAM of the predicted classes of some mistakes and, if there are fewer, of uncertain images.

    None if the model has no layer with maps.
    """
    chosen = list(dict.fromkeys(pictures.confident_mistakes(each, MAPS) + pictures.least_certain(each, MAPS)))[:MAPS]
    figures = []
    for i in chosen:
        try:
            heat, layer, _ = cam_of(model, dataset.batch([i])[0])
        except ValueError:                       # no layer has maps
            return None
        pixels = pixels_of(dataset, i)
        figures.append(element("figure", element("div", picture(pixels, name_of(dataset, i)), picture(
            heated(pixels, np.nan_to_num(heat)), f"Grad-CAM map of {name_of(dataset, i)}"), class_="pair"),
            caption(dataset, each, i)))
    if not figures:
        return None
    note = (f"Bright pixels raise the score of the predicted class, according to the maps of the layer {layer} "
            "(Selvaraju et al., ICCV 2017).")
    return section("Grad-CAM", gallery(figures), note=note)


def masks(model: Module, dataset: ImageDataset, result: Evaluation, device: str | Device) -> list[Html]:
    """The images with the best and the worst Dice: the true mask, the predicted one, and the wrong pixels."""
    assert isinstance(result.each, Masks)
    order = np.argsort(result.each.dice, kind="stable").tolist()
    worst = order[:MASKED]
    best = [i for i in order[::-1] if i not in worst][:MASKED]
    return [section(title, legend(dataset.classes), [mask_figure(model, dataset, result.each, i, device) for i in some],
                    note="In each row: the image, the true mask, the predicted mask, and the wrong pixels.")
            for title, some in (("Worst images", worst), ("Best images", best)) if some]


def mask_figure(model: Module, dataset: ImageDataset, each: Masks, i: int, device: str | Device) -> Html:
    """Four pictures of one image, and its Dice."""
    images, labels = dataset.batch([i])
    logits, true = predict(model, images, device)[0], labels[0]
    predicted = logits.argmax(0) if len(logits) > 1 else (logits[0] > 0).astype(np.int64)
    pixels, name = pixels_of(dataset, i), name_of(dataset, i)
    wrong = ((predicted != true) & (true >= 0)).astype(np.int64)
    shown = ((pixels, name), (painted(pixels, true), f"true mask of {name}"),
             (painted(pixels, predicted), f"predicted mask of {name}"),
             (painted(pixels, wrong, WRONG, 0.8), f"wrong pixels of {name}"))
    return element("figure", element("div", [picture(values, text, MASK_SIDE) for values, text in shown],
                                     class_="four"),
                   element("figcaption", f"{name}: mean Dice {each.dice[i]:.1%}, {each.accuracies[i]:.1%} correct"))


def legend(classes: Sequence[str]) -> Html:
    """The colours of the classes; the first has none."""
    def key(c: int, name: str) -> Html:
        red, green, blue = map(int, pictures.PALETTE[(c - 1) % len(pictures.PALETTE)])
        return named("span", name, class_="key", style=f"--key:rgb({red} {green} {blue})" if c else "--key:#888")
    keys: list[Any] = [key(c, name) for c, name in enumerate(classes[:30])]
    return element("p", keys, element("span", "wrong", class_="key", style="--key:rgb(213 40 40)"), class_="legend")
