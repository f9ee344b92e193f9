"""Chromium, driven by Playwright, a network that reads digits, and a digit to draw: for tests of pages."""

import shutil
from contextlib import contextmanager

import pytest

import zoo
from minidl import Tensor, manual_seed
from minidl.data import DataLoader, drawn_digits
from minidl.evaluation import evaluate, loss_of
from minidl.io import save_model
from minidl.optim import Adam

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = ["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
SEVEN = [(0.25, 0.25), (0.75, 0.25), (0.45, 0.85)]           # corners of a stroke, in parts of the pad


@contextmanager
def chromium():
    """A browser; skips where there is none."""
    api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: the extra serve-test")
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip(f"there is no {' or '.join(BROWSERS)}")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


def reader_of_digits(folder):
    """The model file of a LeNet, trained on digits that are drawn from a seed."""
    manual_seed(0)
    model, train_set = zoo.create("lenet5"), drawn_digits(4000)
    optimizer, loss = Adam(model.parameters(), lr=2e-3), loss_of(model)
    for epoch in range(3):
        for images, labels in DataLoader(train_set, 64, seed=epoch):
            model.zero_grad()
            loss(model(Tensor(images)), labels).backward()
            optimizer.step()
    assert evaluate(model, DataLoader(drawn_digits(500, seed=1), 100), 10).accuracy > 0.9
    path = folder / "digits.safetensors"
    save_model(path, model.eval(), classes=list("0123456789"), input=(1, 28, 28), mean=train_set.mean,
               std=train_set.std)
    return path


def draw(page, points):
    """Draw a stroke on the page's pad with the mouse."""
    box = page.locator("#pad").bounding_box()
    for i, (x, y) in enumerate(points):
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=1 if i == 0 else 6)
        if i == 0:
            page.mouse.down()
    page.mouse.up()
