"""The page in a real browser: Chromium, driven by Playwright."""

import os
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from browsers import SEVEN, chromium, draw, reader_of_digits
from servers import image_bytes, running


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def digits_file(tmp_path_factory):
    return reader_of_digits(tmp_path_factory.mktemp("digits"))


@contextmanager
def page_of(browser, client, **settings):
    """A page of the server; afterwards, nothing may have gone wrong in its console."""
    context = browser.new_context(**{"viewport": {"width": 1100, "height": 800}, **settings})
    page, said = context.new_page(), []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.set_default_timeout(30_000)
    page.said = said
    try:
        page.goto(client.url + "/")
        yield page
        assert said == []
    finally:
        context.close()


def best(page, card=0):
    """The name of the best class in a card."""
    return page.locator(".card").nth(card).locator(".bars .name").first.inner_text()


def wait_for_best(page, name):
    page.wait_for_function("name => document.querySelector('.bars .name')?.textContent === name", arg=name)


def test_a_drawn_seven_is_a_seven(browser, digits_file):
    with running([digits_file]) as client, page_of(browser, client) as page:
        assert page.locator(".message").inner_text() == "Draw something."
        draw(page, SEVEN)
        wait_for_best(page, "7")
        assert page.locator(".bars li").count() == 5
        assert page.locator(".time").inner_text().endswith(" ms")
        page.check("#cam")
        page.wait_for_selector(".cam .heat[src^='data:image/png']")
        assert "“7”" in page.locator("figcaption").inner_text()
        page.click("#clear")
        page.wait_for_function("() => document.querySelectorAll('.bars li').length === 0")


def test_a_seven_drawn_with_the_keyboard(browser, digits_file):
    with running([digits_file]) as client, page_of(browser, client) as page:
        page.focus("#pad")
        for key, times in (("ArrowUp", 7), ("ArrowLeft", 7), (" ", 1), ("ArrowRight", 14)):
            for _ in range(times):
                page.keyboard.press(key)
        for _ in range(8):
            page.keyboard.press("ArrowDown")
            page.keyboard.press("ArrowDown")
            page.keyboard.press("ArrowLeft")
        wait_for_best(page, "7")
        page.wait_for_function("() => document.getElementById('status').textContent.startsWith('digits: 7, ')")


def test_files_are_chosen_dropped_and_pasted(browser, client, tmp_path):
    path = tmp_path / "photo.png"
    path.write_bytes(image_bytes())
    for event in ("choose", "drop", "paste"):
        with page_of(browser, client) as page:
            page.wait_for_selector(".card")
            if event == "choose":
                page.set_input_files("#file", path)
            else:
                page.evaluate("""([event, bytes]) => {
                    const data = new DataTransfer();
                    data.items.add(new File([new Uint8Array(bytes)], "photo.png", {type: "image/png"}));
                    const made = event === "drop" ? new DragEvent("drop", {dataTransfer: data, bubbles: true})
                                                  : new ClipboardEvent("paste", {clipboardData: data, bubbles: true});
                    document.body.dispatchEvent(made);
                }""", [event, list(path.read_bytes())])
            page.wait_for_function("() => document.querySelectorAll('.bars .name').length === 8")      # 5 of 10, and 3
            assert page.locator("#preview").is_visible()
            assert page.locator(".card h3").all_inner_texts() == ["grey", "colour"]


def test_a_photo_from_the_camera(browser, client):
    with page_of(browser, client) as page:
        page.wait_for_selector(".card")
        page.click("#tab-file")
        page.click("#photograph")
        page.wait_for_function("() => document.getElementById('video').videoWidth > 0")
        page.click("#shoot")
        page.wait_for_function("() => document.querySelectorAll('.bars .name').length === 8")
        assert not page.locator("#shutter").is_visible()


def test_networks_are_chosen_and_drawn(browser, client, tmp_path):
    path = tmp_path / "photo.png"
    path.write_bytes(image_bytes())
    with page_of(browser, client) as page:
        page.set_input_files("#file", path)
        page.wait_for_function("() => document.querySelectorAll('.bars .name').length === 8")
        page.get_by_label("grey", exact=True).uncheck()
        assert page.locator(".card h3").all_inner_texts() == ["colour"]
        page.get_by_role("button", name="The picture of the network colour").click()
        page.wait_for_function("() => document.querySelector('#network-picture img')?.naturalWidth > 100")
        page.click("#close-network")
        page.get_by_role("tab", name="Draw").click()                      # for which only the grey one is
        assert page.locator(".card h3").all_inner_texts() == []
        page.keyboard.press("ArrowLeft")
        assert page.get_by_role("tab", name="Picture").get_attribute("aria-selected") == "true"


def test_errors_are_shown(browser, client, tmp_path):
    path = tmp_path / "photo.png"
    path.write_bytes(b"no image at all")
    with page_of(browser, client) as page:
        page.wait_for_selector(".card")
        page.set_input_files("#file", path)
        page.wait_for_selector(".message.bad")
        assert page.locator(".message.bad").first.inner_text().startswith("Not an image")
        page.evaluate("document.body.dispatchEvent(new DragEvent('drop', {dataTransfer: new DataTransfer(), "
                      "bubbles: true}))")
        assert page.locator("#problem").inner_text() == "There is no file in what was dropped."
        page.said[:] = [text for text in page.said if "status of 400" not in text]       # Chromium's own notes


def test_a_server_that_is_gone_is_an_error_too(browser, model_files, tmp_path):
    path = tmp_path / "photo.png"
    path.write_bytes(image_bytes())
    with running(model_files[1:]) as client, page_of(browser, client) as page:
        page.wait_for_selector(".card")
        page.context.set_offline(True)
        page.set_input_files("#file", path)
        page.wait_for_selector(".message.bad")
        assert page.locator(".message.bad").inner_text() == "The server does not answer."
        page.said.clear()                            # Chromium's own notes


def test_a_token_is_asked_for(browser, model_files):
    with running(model_files, token="secret") as client, page_of(browser, client) as page:
        for word in ("wrong", "secret"):
            page.wait_for_selector("#token:not([hidden])")
            page.fill("#token-text", word)
            page.keyboard.press("Enter")
            if word == "wrong":
                page.wait_for_selector("#problem:not([hidden])")
        page.wait_for_selector(".card")
        assert not page.locator("#token").is_visible()
        page.said[:] = [text for text in page.said if "status of 401" not in text]


@pytest.mark.parametrize(("width", "scheme"), [(320, "dark"), (1100, "light"),
                                               pytest.param(320, "light", marks=pytest.mark.slow),
                                               pytest.param(1100, "dark", marks=pytest.mark.slow)])
def test_axe_finds_nothing(browser, client, tmp_path, width, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed: serve-test").Axe()
    path = tmp_path / "photo.png"
    path.write_bytes(image_bytes())
    with page_of(browser, client, viewport={"width": width, "height": 800}, color_scheme=scheme,
                 bypass_csp=True) as page:
        page.wait_for_selector(".card")
        assert axe.run(page).response["violations"] == []
        page.click("#tab-draw")
        draw(page, SEVEN)
        page.wait_for_selector(".bars li")
        assert axe.run(page).response["violations"] == []
        page.check("#cam")
        page.set_input_files("#file", path)
        page.wait_for_selector(".cam:not([hidden])")
        assert axe.run(page).response["violations"] == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width            # nothing is cut off
        page.get_by_role("button", name="The picture of the network grey").click()
        page.wait_for_selector("#network-picture img")
        assert axe.run(page).response["violations"] == []
        page.goto(client.url + "/docs")
        page.locator("summary").first.click()
        assert axe.run(page).response["violations"] == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_docs_list_every_operation(browser, client):
    with page_of(browser, client) as page:
        page.goto(client.url + "/docs")
        page.wait_for_selector("summary")
        paths = client.ask("/openapi.json").body["paths"]
        assert page.locator("summary").count() == sum(map(len, paths.values()))


def test_nothing_comes_from_elsewhere(browser, client):
    asked = []
    with page_of(browser, client) as page:
        page.on("request", lambda request: asked.append(request.url))
        page.reload()
        page.wait_for_selector(".card")
        page.goto(client.url + "/docs")
        page.wait_for_selector("summary")
    assert len(asked) > 8
    assert all(url.startswith(client.url + "/") for url in asked)


@pytest.mark.slow
def test_a_photograph_gives_its_class(browser, tmp_path):
    root = Path(os.environ.get("MINIDL_DATA", "nowhere"))
    weights, photo = root / "weights" / "mobilenet_v1_0.75_224.npz", root / "photos" / "dog.jpg"
    if not (weights.exists() and photo.exists()):
        pytest.skip("$MINIDL_DATA has no weights/mobilenet_v1_0.75_224.npz and photos/dog.jpg")
    from minidl.cli import main
    assert main(["convert", str(weights), "-o", str(tmp_path / "mobilenet.safetensors")]) == 0
    with running([tmp_path / "mobilenet.safetensors"]) as client, page_of(browser, client) as page:
        page.wait_for_selector(".card")
        page.set_input_files("#file", photo)
        page.wait_for_selector(".bars li")
        assert best(page) == "Samoyed"
        assert np.isclose(float(page.locator(".percent").first.inner_text().removesuffix(" %")), 86.4, atol=0.2)
