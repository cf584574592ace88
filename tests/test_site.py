"""The site: built strictly, with few tables, all of its links hold and nothing is fetched; tutorials run."""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

import pytest
from pages import ROOT
from test_report_browser import BROWSER
from test_verbs import private_imports

import polydesign
from polydesign.table.listing import GROUPS

pytest.importorskip(
    "mkdocs", reason="the extra docs is not installed: pip install -c constraints.txt -e '.[docs]'"
)

import docstrings
import hook
import nbformat
import reference
import run_tutorials
from gallery import card, picture
from nbclient.exceptions import CellExecutionError

FETCHED = {
    ("script", "src"),
    ("link", "href"),
    ("img", "src"),
    ("iframe", "src"),
    ("source", "src"),
    ("image", "href"),
}
"""What a browser loads of itself; a reader follows `a`."""


class Page(HTMLParser):
    """Links, what is loaded, and ids of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.ids: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("id", "name") and value:
                self.ids.add(value)
            if tag == "a" and name == "href" and value:
                self.links.append(value)
            if (tag, name) in FETCHED and value and ("rel", "canonical") not in attrs:
                self.loaded.append(value)


def test_the_site(tmp_path: Path) -> None:
    """One test for one build, which takes some twenty seconds: two tables of each group for all."""
    environment = os.environ | {"POLYDESIGN_GALLERY": "2", "NO_MKDOCS_2_WARNING": "1"}
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    built = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    pages = {path.relative_to(tmp_path): Page(path.read_text("utf-8")) for path in tmp_path.rglob("*.html")}
    assert len(pages) > 30
    broken, count = broken_links(tmp_path, pages)
    assert broken == []
    assert count > 1000
    loaded = [url for page in pages.values() for url in page.loaded]
    assert len(loaded) > 100
    assert [url for url in loaded if urlsplit(url).netloc] == []
    for style in tmp_path.rglob("*.css"):
        assert re.findall(r"""url\(["']?https?:""", style.read_text("utf-8")) == [], style
    check_gallery(tmp_path)
    check_reference(pages)
    check_search(tmp_path)
    if BROWSER is not None:
        check_filter(tmp_path)


def broken_links(site: Path, pages: dict[Path, Page]) -> tuple[list[str], int]:
    """The links inside of the site that lead to no file or, where they have one, to no anchor in it; and of how many."""
    broken, count = [], 0
    for path, page in pages.items():
        if path.name == "404.html":  # whose links begin at the server's top
            continue
        for link in page.links:
            target, anchor = urldefrag(link)
            if urlsplit(target).scheme:
                continue
            found = (site / path.parent / unquote(target)).resolve() if target else site / path
            found = found / "index.html" if found.is_dir() else found
            inside = pages.get(found.relative_to(site)) if found.is_relative_to(site) else None
            if not found.is_file() or (anchor and inside and unquote(anchor) not in inside.ids):
                broken.append(f"{path}: {link}")
            count += 1
    return broken, count


def check_gallery(site: Path) -> None:
    """Two tables of each group, each with its picture, promise and lines."""
    page = (site / "gallery" / "index.html").read_text("utf-8")
    for heading in GROUPS.values():
        assert (heading[1:] in page) is (heading != GROUPS["here"])
    names = [path.stem for path in (site / "tables").glob("*.svg")]
    assert 8 < len(names) <= 2 * len(GROUPS)
    for name in names:
        assert f"polydesign export {name} --to numpy" in page
        assert f'id="{name}"' in page


def check_reference(pages: dict[Path, Page]) -> None:
    """Every public name has its anchor, and no private one has."""
    ids = set().union(*(page.ids for path, page in pages.items() if path.parts[0] == "reference"))
    for place in reference.PLACES:
        module = importlib.import_module(place)
        assert reference.public(place) == module.__all__
        for name in module.__all__:
            if not name.startswith("__") and (place == "polydesign" or name not in polydesign.__all__):
                assert f"{place}.{name}" in ids
    assert [one for one in ids if re.search(r"\._(?!_)", one)] == []


def check_search(site: Path) -> None:
    index = json.loads((site / "search" / "search_index.json").read_text("utf-8"))
    places = {entry["location"].partition("#")[0] for entry in index["docs"]}
    assert {"", "gallery/", "theory/", "changelog/", "tutorials/train/", "reference/runtime/"} <= places
    assert any("jordan" in entry["title"] or "sign-" in entry["title"] for entry in index["docs"])


def check_filter(site: Path) -> None:
    """In a browser the words of the address choose the cards that have them all."""
    url = f"{(site / 'gallery' / 'index.html').as_uri()}?q=clip+fp16"
    command = [
        str(BROWSER),
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--dump-dom",
    ]
    command += ["--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={site / 'profile'}", url]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False).stdout
    sections = re.findall(r'<section class="card"(| hidden="")>(.*?)</section>', shown, re.DOTALL)
    texts = [(not hidden, re.sub(r"<[^>]*>", "", text).lower()) for hidden, text in sections]
    assert len(texts) > 8
    assert [text for visible, text in texts if visible is not ("clip" in text and "fp16" in text)] == []
    count = sum(visible for visible, _ in texts)
    assert 0 < count < len(texts)
    assert f"{count} of {len(texts)} tables" in shown


def test_a_wrong_link_is_noticed(tmp_path: Path) -> None:
    """Negative control of the reader of links."""
    text = '<a href="nowhere/">a</a> <a href="#no">b</a> <a href="#yes">c</a> <h1 id="yes">d</h1>'
    (tmp_path / "index.html").write_text(text)
    found = broken_links(tmp_path, {Path("index.html"): Page(text)})
    assert found == (["index.html: nowhere/", "index.html: #no"], 3)


def test_links_are_moved_and_code_is_not() -> None:
    page = (
        "[a](docs/theory.md#x) [b](CHANGELOG.md) [c](figures/x.png) [d](https://x.y/docs/a.md) [e](#here)\n"
    )
    code = "`[a](docs/theory.md)`\n```python\nf[0](docs)\n[a](docs/theory.md)\n```\n"
    assert hook.with_links(page + code, "README.md", "") == (
        "[a](theory.md#x) [b](changelog.md) [c](figures/x.png) [d](https://x.y/docs/a.md) [e](#here)\n" + code
    )
    page = "[a](../README.md) [b](tutorials/train.ipynb) [c](../coeffs/x.json) [d](python.md)"
    assert (
        hook.with_links(page, "docs/search.md", "")
        == "[a](index.md) [b](tutorials/train.md) [c](coeffs/x.json) [d](python.md)"
    )
    assert (
        hook.with_links("[a](../training.md)", "docs/tutorials/train.md", "tutorials")
        == "[a](../training.md)"
    )


def test_a_docstring_becomes_markdown() -> None:
    text = "Of a[0][1] and <name>, `b[0][1]`.\n\n>>> 1 + 1\n2\n"
    assert (
        docstrings.as_markdown(text)
        == "Of a[0]\\[1] and &lt;name>, `b[0][1]`.\n\nExamples:\n    >>> 1 + 1\n    2\n"
    )
    assert docstrings.as_markdown("No examples.") == "No examples."


def test_a_card_says_what_a_table_is() -> None:
    table = polydesign.load("sign-d5x5-l1e-3-bf16")
    text = card(table)
    assert "|f(x) − 1| ≤ 0.194 on [0.001,\u00a01], proved" in text
    assert "polydesign search --degree 5 --steps 5" in text
    assert repr(table.as_tuples()[0]) in text
    assert picture(table) == picture(table)
    assert picture(table) != picture(polydesign.load("jordan_5"))
    assert b"<svg" in picture(table)


def test_what_a_table_says_of_itself_is_text() -> None:
    table = polydesign.load("sign-d5x5-l1e-3-bf16")
    hostile = "<script>alert(1)</script>\n\n# heading"
    text = card(replace(table, provenance=replace(table.provenance, source=hostile)))
    assert "<script" not in text
    assert "\n# heading" not in text


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, marks=() if path.stem == "study" else pytest.mark.wide, id=path.stem)
        for path in sorted(run_tutorials.TUTORIALS.glob("*.ipynb"))
    ],
)
def test_a_tutorial_runs_and_shows_what_it_gives(path: Path) -> None:
    """Without a warning; the outputs in the file are of the kinds that come out, cell by cell."""
    kept, fresh = nbformat.read(path, as_version=4), run_tutorials.executed(path)
    assert [kinds(cell) for cell in kept.cells] == [kinds(cell) for cell in fresh.cells]
    assert [cell.source for cell in kept.cells] == [cell.source for cell in fresh.cells]
    assert [
        found for cell in kept.cells if cell.cell_type == "code" for found in private_imports(cell.source)
    ] == []
    assert any("image/png" in kind for cell in fresh.cells for kind in kinds(cell))


def kinds(cell: nbformat.NotebookNode) -> list[list[str]]:
    return [sorted(output.get("data", {output.get("name"): ""})) for output in cell.get("outputs", [])]


def test_a_tutorial_that_warns_is_noticed(tmp_path: Path) -> None:
    """Negative control."""
    cell = nbformat.v4.new_code_cell("import warnings\nwarnings.warn('old')")
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), tmp_path / "x.ipynb")
    with pytest.raises(CellExecutionError, match="old"):
        run_tutorials.executed(tmp_path / "x.ipynb")
