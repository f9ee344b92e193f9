"""The page of `minidl export --html` in a real browser, opened from the disk."""

from browsers import SEVEN, chromium, draw, reader_of_digits

from minidl.cli import main


def test_a_digit_is_drawn_and_cleared_and_a_picture_opened(tmp_path):
    path = tmp_path / "demo.html"
    assert main(["export", str(reader_of_digits(tmp_path)), "--html", str(path)]) == 0
    with chromium() as browser:
        page, said, asked = browser.new_page(), [], []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(path.as_uri())
        draw(page, SEVEN)
        best = page.locator("#bars li").first
        page.wait_for_function("() => document.querySelector('#bars li')")
        assert best.inner_text().startswith("7")
        assert " ms" in page.locator("#time").inner_text()
        picture = tmp_path / "seven.png"
        page.locator("#pad").screenshot(path=picture)
        page.click("#clear")
        assert page.locator("#bars li").count() == 0
        page.set_input_files("#file", picture)
        page.wait_for_function("() => document.querySelector('#bars li')")
        assert best.inner_text().startswith("7")
        picture.write_bytes(b"no image")
        page.set_input_files("#file", picture)
        page.wait_for_function("() => document.getElementById('time').textContent.includes('image')")
        assert said == []
        assert {url.partition(":")[0] for url in asked} <= {"file", "data", "blob"}
