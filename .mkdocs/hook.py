"""The pages of the site and their order, and links that lead out of docs/.

Pages are read where GitHub shows them: README.md is the first. A link to another file of the repository leads to the
repository, if setup.cfg names its address; otherwise to a page of the site that shows the file.
"""

import configparser
import os
import posixpath
import re
from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[1]
MADE = {"README.md": "index.md", "CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}
HOW_TO = ["own_data", "own_op", "own_layer", "own_network", "own_kernel", "debugging", "reproducibility", "speed",
          "from_keras", "contributing"]
GUIDES = ["data", "training", "optimization", "freezing", "evaluation", "look_inside", "own_networks", "from_pytorch",
          "distributed", "deploy", "files"]
NETWORKS = ["zoo", "results"]
PAPERS = ["lenet", "alexnet", "zfnet", "vgg", "googlenet", "resnet", "unet", "mobilenet", "airbench", "simple_cnn"]
REFERENCE = ["minidl", "functional", "nn", "init", "optim", "data", "augment", "train", "evaluation", "report", "plot",
             "io", "testing", "zoo", "distributed", "serve", "kernels"]
BACKGROUND = ["architecture", "performance", "kernels", "gpu", "gpu_kernels", "gpu_training", "testing"]
CODE = re.compile(r"^(```+).*?^\1|^    .*?$|`[^`\n]*`", re.M | re.S)
LINK = re.compile(r"(?<=\]\()([^)\s#]+)(?=[)#])")
LANGUAGES = {".py": "python", ".cu": "cuda", ".cuh": "cuda", ".h": "c", ".js": "js", ".css": "css", ".html": "html",
             ".json": "json", ".toml": "toml", ".cfg": "ini", ".yml": "yaml", ".sh": "bash", ".ipynb": "json"}
MOST_BYTES = 200_000                             # of a file that is shown


def on_files(files, config):
    """Add the pages that lie outside of docs/, and the menu."""
    for path, uri in MADE.items():
        files.append(File.generated(config, uri, content=(ROOT / path).read_text(encoding="utf-8")))
    files.append(File.generated(config, "site.css", abs_src_path=str(ROOT / ".mkdocs" / "site.css")))
    if repository() is None:
        pages = [file for file in files if file.src_uri.endswith(".md")]
        wanted = {path for file in pages for path in paths(file.src_uri, file.content_string) if outside(path)}
        folders = {path for path in wanted if (ROOT / path).is_dir()}
        for folder in folders:
            wanted |= {f"{folder}/{each.name}" for each in (ROOT / folder).iterdir() if shows(each)}
        for path in sorted(wanted):
            files.append(File.generated(config, uri_of(path), **content(path)))
    config.nav = menu({file.src_uri for file in files})
    return files


def on_page_markdown(markdown, page, config, files):
    """Let the links of a page lead to pages of the site."""
    if page.file.src_uri.startswith("source/"):
        return markdown
    origin = origin_of(page.file.src_uri)

    def target(match):
        path = resolved(origin, match[1])
        if path is None:
            return match[1]
        if repository() and outside(path):
            return f"{repository()}/blob/main/{path}"
        return posixpath.relpath(uri_of(path), posixpath.dirname(page.file.src_uri) or ".")
    markdown = outside_code(markdown, lambda text: LINK.sub(target, text))
    return re.sub(r"^```text measured$", '```{.text title="measured on one machine"}', markdown, flags=re.M)


def on_page_content(html, **_):
    """Keep the source of functions out of the search, which would find little else."""
    source = '<details class="mkdocstrings-source"'
    return html.replace(source, f"{source} data-search-exclude")


def repository():
    """The address of the repository, as setup.cfg knows it; else None."""
    setup = configparser.ConfigParser(interpolation=None)
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    return setup["metadata"].get("url")


def menu(known):
    """The menu, of the pages that there are."""
    def those(folder, names):
        return [uri for name in names if (uri := f"{folder}{name}.md") in known]

    def rest(folder, listed=()):
        pattern = re.compile(rf"{folder}(?!README)[^/]+\.md")
        return sorted(uri for uri in known if pattern.fullmatch(uri) and uri not in listed)

    how_to = those("howto/", HOW_TO)
    listed = {f"{name}.md" for name in (*GUIDES, *NETWORKS, *BACKGROUND)} | set(MADE.values())
    nav = {
        "Start": ["index.md"],
        "Tour": [*those("tour/", ["README"]), *rest("tour/")],
        "How-to": [*those("howto/", ["README"]), *how_to, *rest("howto/", how_to), *those("", GUIDES)],
        "Networks": [*those("networks/", ["README", *PAPERS]), *rest("networks/", those("networks/", PAPERS)),
                     *those("", NETWORKS)],
        "Reference": [*those("reference/", ["README", *REFERENCE]),
                      *rest("reference/", those("reference/", REFERENCE))],
        "Background": [*those("", BACKGROUND), *rest("", listed), *those("", ["contributing", "changelog"])],
    }
    return [{name: pages} for name, pages in nav.items() if pages]


def outside_code(markdown, change):
    """A page whose text, but not its code, was changed."""
    parts, at = [], 0
    for match in CODE.finditer(markdown):
        parts += [change(markdown[at:match.start()]), match[0]]
        at = match.end()
    return "".join([*parts, change(markdown[at:])])


def origin_of(uri):
    """Where in the repository a page of the site is."""
    return next((path for path, made in MADE.items() if made == uri), f"docs/{uri}")


def resolved(origin, link):
    """The path in the repository that a link of a page leads to; None for an address elsewhere."""
    if re.match(r"[a-z]+:", link):
        return None
    path = posixpath.normpath(posixpath.join(posixpath.dirname(origin), link))
    return path if (ROOT / path).exists() else None


def paths(uri, markdown):
    """The paths in the repository that the links of a page lead to."""
    found = []
    outside_code(markdown, lambda text: found.extend(LINK.findall(text)) or text)
    return {path for link in found if (path := resolved(origin_of(uri), link))}


def outside(path):
    """Whether a file of the repository is no page or picture of the site."""
    return path not in MADE and (not path.startswith("docs/") or path.endswith(".py") or (ROOT / path).is_dir())


def uri_of(path):
    """The page, or the file, of the site for a path in the repository."""
    if not outside(path):
        return MADE.get(path, path.removeprefix("docs/"))
    if (ROOT / path).is_dir():
        return f"source/{path}/index.md"
    return f"source/{path}.md" if shows(ROOT / path) else f"source/{path}"


def shows(path):
    """Whether a file is a text that a page can show."""
    if not path.is_file() or path.stat().st_size > MOST_BYTES or path.suffix in {".pyc", ".nbi", ".nbc"}:
        return False
    return b"\0" not in path.read_bytes()


def content(path):
    """What a page for a path in the repository shows: the text of a file, or the names in a folder."""
    place = ROOT / path
    head = f"---\nsearch: {{exclude: true}}\nhide: [navigation, toc]\n---\n\n# {path}\n\n"
    if place.is_dir():
        names = sorted(each.name + "/" * each.is_dir() for each in place.iterdir() if each.name != "__pycache__")
        lines = [f"- [{name}]({name}.md)" if shows(place / name) else f"- {name}" for name in names]
        return {"content": head + "\n".join(lines) + "\n"}
    if not shows(place):
        return {"abs_src_path": os.fspath(place)}
    text = place.read_text(encoding="utf-8", errors="replace")
    fence = "`" * max(3, 1 + max(map(len, re.findall(r"`+", text)), default=0))
    return {"content": f"{head}{fence}{LANGUAGES.get(place.suffix, 'text')}\n{text.rstrip()}\n{fence}\n"}
