"""The site is built strictly, every link in it leads somewhere, and nothing is loaded from elsewhere."""

import importlib.util
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).parents[2]
LOADING = {"script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src", "audio": "src",
           "embed": "src", "object": "data"}
LOADED_BY_LINK = {"stylesheet", "icon", "preload", "prefetch", "preconnect", "dns-prefetch", "modulepreload",
                  "manifest"}


class Page(HTMLParser):
    """What a page links to, what it loads, and the names in it that links can lead to."""

    def __init__(self, file):
        super().__init__()
        self.links, self.loads, self.names = set(), set(), set()
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        found = {name: value or "" for name, value in attributes}
        self.names |= {found[name] for name in ("id", "name") if name in found}
        if tag in LOADING and LOADING[tag] in found:
            self.loads.add(found[LOADING[tag]])
        elif tag == "link" and LOADED_BY_LINK & set(found.get("rel", "").split()):
            self.loads.add(found["href"])
        elif tag == "a" and "href" in found:
            self.links.add(found["href"])
        if "srcset" in found:
            self.loads |= {each.split()[0] for each in found["srcset"].split(",")}
        self.loads |= set(re.findall(r"url\(['\"]?([^'\")]+)", found.get("style", "")))


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the built site."""
    pytest.importorskip("mkdocs", reason="MkDocs is not installed: the extra docs")
    pytest.importorskip("material", reason="mkdocs-material is not installed: the extra docs")
    pytest.importorskip("mkdocstrings_handlers.python", reason="mkdocstrings is not installed: the extra docs")
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run([sys.executable, "-m", "mkdocs", "build", "--strict", "-f", ".mkdocs.yml", "-d",
                            str(folder)], cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site):
    """{file: Page}; not the page for addresses that are not there, whose links begin with a slash."""
    return {file: Page(file) for file in site.rglob("*.html") if file.name != "404.html"}


def local(file, link):
    """(the file that a link on a page leads to, the name in it); None for an address elsewhere."""
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return None
    path = (file.parent / unquote(parts.path)).resolve() if parts.path else file
    return path / "index.html" if path.is_dir() else path, unquote(parts.fragment)


def test_signs_of_docstrings_stand_for_themselves():
    pytest.importorskip("griffe", reason="griffe is not installed: the extra docs")
    spec = importlib.util.spec_from_file_location("docstrings", ROOT / ".mkdocs" / "docstrings.py")
    docstrings = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(docstrings)
    text = ("x <- x - lr * `g`\n\nlr     the rate,\n       above 0\nbeta   its part\n\n    step(x)\n    step(y)\n"
            "He et al., 2015.   (N,)  ->  (N,)")
    assert docstrings.shown(text) == (
        '<p>x &lt;- x - lr * <code>g</code></p><table class="settings"><tr><td><code>lr</code></td><td>the rate, '
        'above 0</td></tr><tr><td><code>beta</code></td><td>its part</td></tr></table><pre>    step(x)&#10;    step(y)'
        "</pre><p>He et al., 2015.   (N,)  -&gt;  (N,)</p>")


@pytest.mark.slow
def test_no_link_is_dead(site, pages):
    dead = []
    for file, page in pages.items():
        for link in page.links | page.loads:
            if (found := local(file, link)) is None:
                continue
            target, name = found
            if not target.is_file() or (name and target in pages and name not in pages[target].names):
                dead.append(f"{file.relative_to(site)}: {link}")
    assert dead == []


@pytest.mark.slow
def test_nothing_is_loaded_from_elsewhere(site, pages):
    """Scripts of the theme name addresses that it loads for diagrams and formulas alone, which there are none of."""
    assert [(file.name, link) for file, page in pages.items() for link in page.loads
            if re.match(r"(\w+:)?//", link)] == []
    for style in site.rglob("*.css"):
        assert re.findall(r"(?:@import|url\()[\s'\"]*((?:https?:)?//[^'\")]+)", style.read_text(encoding="utf-8")) == []
    assert not any(re.search(r'class="(mermaid|arithmatex)"', file.read_text(encoding="utf-8")) for file in pages)


@pytest.mark.slow
def test_every_page_of_the_documentation_is_in_the_menu(site, pages):
    menu = {local(site / "index.html", link) for link in pages[site / "index.html"].links}
    known = {found[0] for found in menu if found}
    for page in (ROOT / "docs").rglob("*.md"):
        name = page.relative_to(ROOT / "docs").with_suffix("")
        file = site / (name.parent if name.name == "README" else name) / "index.html"
        assert file in known, f"{page} is in no menu"
