"""The report's page in a real browser: it fits a phone, fetches nothing, and is readable in grey."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread

from polydesign.designer.design import published_table
from polydesign.reporting.folder import write
from polydesign.reporting.page import laid_out
from polydesign.table.catalogue import load

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no browser: apt-get install chromium")
PHONE, DESK = (390, 844), (1200, 900)

PROBE = """<script>
addEventListener("load", () => {
  const root = document.documentElement, images = [...document.images];
  const boxes = [...document.querySelectorAll(".scroll, pre")];
  const copied = [], button = document.querySelector("button");
  const offer = writeText => Object.defineProperty(navigator, "clipboard", {configurable: true, value: {writeText}});
  offer(text => { copied.push(text); return Promise.resolve(); });
  button?.click();
  offer(() => Promise.reject("not from a file"));
  button?.click();
  setTimeout(() => parent.postMessage(JSON.stringify({
    copied, selected: getSelection().toString(), listing: document.querySelector("pre")?.textContent,
    scrolled: [...document.querySelectorAll(".scroll")].filter(b => b.scrollWidth > b.clientWidth).length,
    inner: innerWidth, scroll: root.scrollWidth,
    broken: images.filter(i => !i.naturalWidth).length, images: images.length,
    narrowest: Math.min(...images.map(i => i.clientWidth)),
    buttons: document.querySelectorAll("button").length, blocks: document.querySelectorAll("pre").length,
    paper: getComputedStyle(document.body).backgroundColor, ink: getComputedStyle(document.body).color,
    cut: [...document.querySelectorAll("h1, h2, .names th a")].filter(h => h.scrollWidth > h.clientWidth + 1
      && h.clientWidth).length,
    wide: boxes.filter(b => b.scrollWidth > b.clientWidth).length,
    fetched: performance.getEntriesByType("resource").map(e => e.name).filter(n => !n.startsWith("data:"))
  }), "*"), 100);
});
</script></body>"""

FRAME = """<!DOCTYPE html><script>
addEventListener("message", e => { document.documentElement.dataset.probe = e.data; });
</script><iframe src="%s" style="border: 0; width: %dpx; height: %dpx"></iframe>"""
"""A window of the browser is 500 pixels wide at least; a frame may be as narrow as a phone."""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    tables = [load("sign-d9x4-l1e-3-h1.015-f0.12x3-0"), published_table("polar_express_gram_ns_1.05")]
    return write(laid_out(tables, command="polydesign report " + "a-long-name " * 20), folder)[0]


def browse(page: Path, size: tuple[int, int], *options: str) -> str:
    """What the browser prints; skips where it does not start at all. It can resolve no name, so that whatever a page asks for is not there."""
    assert BROWSER is not None
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    command += [
        "--disable-dev-shm-usage",
        "--host-resolver-rules=MAP * ~NOTFOUND",
        f"--user-data-dir={page.parent / 'profile'}",
    ]
    command += [f"--window-size={size[0]},{size[1]}", *options, page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if done.returncode:
        empty = subprocess.run([*command[:-1], "--dump-dom", "about:blank"], capture_output=True, timeout=120)
        if empty.returncode:
            pytest.skip(f"{BROWSER} shows no page here, not even an empty one")
    assert done.returncode == 0, done.stderr
    return done.stdout


def probed(page: Path, size: tuple[int, int], body: str = "", *options: str) -> dict[str, Any]:
    """What a script finds in a copy of the page in a frame of this size, with `body` at the copy's end."""
    copy = page.with_name("probe.html")
    text = page.read_text("utf-8")
    copy.write_text(text.replace("</body>", body + PROBE), "utf-8")
    frame = page.with_name("frame.html")
    frame.write_text(FRAME % (copy.name, *size), "utf-8")
    dom = browse(frame, DESK, *options, "--virtual-time-budget=10000", "--dump-dom")
    found = re.search(r'data-probe="([^"]*)"', dom)
    assert found, dom[:500]
    return json.loads(unescape(found.group(1)))


def test_a_phone_shows_all_of_it_without_scrolling_sideways(page: Path) -> None:
    found = probed(page, PHONE)
    assert found["inner"] == 390
    assert found["scroll"] <= 390
    assert found["narrowest"] >= 350  # where 9.5 points of a figure are 11 pixels
    assert found["wide"] >= 2  # the wide tables scroll in boxes of their own
    # Negative control: what does not fit is seen.
    assert probed(page, PHONE, '<div style="width: 600px">wide</div>')["scroll"] > 390


def test_nothing_is_fetched_and_every_figure_is_shown(page: Path) -> None:
    found = probed(page, DESK)
    assert found["fetched"] == []
    assert found["broken"] == 0
    assert found["images"] == 2 + 2 * 4
    assert found["scroll"] <= 1200
    # Negative control: a request and a figure that is not there are seen.
    other = probed(page, DESK, '<img src="http://example.invalid/x.png" alt="x">')
    assert other["fetched"] == ["http://example.invalid/x.png"]
    assert other["broken"] == 1


@pytest.mark.few(2)
@pytest.mark.parametrize("width", [360, 768, 1280, 1920])
def test_every_width_shows_names_and_tables_whole(page: Path, width: int) -> None:
    found = probed(page, (width, 900))
    assert found["scroll"] <= width
    assert found["cut"] == 0
    assert (found["scrolled"] == 0) == (width >= 768)  # a phone scrolls tables in their boxes
    # Negative control: a name that does not fit is seen.
    long = f'<h2 style="overflow: hidden; white-space: nowrap; width: 9rem">{"sign-" * 40}</h2>'
    assert probed(page, (width, 900), long)["cut"] == 1


def test_buttons_copy_what_they_stand_on(page: Path) -> None:
    """By the clipboard where a page may use it, else by the selection, which is there to be copied by hand."""
    found = probed(page, DESK)
    assert found["listing"].startswith("[\n    (")
    assert found["copied"] == [found["listing"]]
    assert found["selected"].split() == found["listing"].split()
    assert found["buttons"] == found["blocks"] > 20


def test_a_dark_page_is_dark(page: Path) -> None:
    def levels(mode: int) -> list[float]:
        found = probed(page, DESK, "", f"--blink-settings=preferredColorScheme={mode}")
        return [sum(map(int, re.findall(r"\d+", found[key]))) / 3 for key in ("paper", "ink")]

    dark, light = levels(0), levels(1)
    assert dark[0] < 40 < 200 < dark[1]
    assert light[1] < 40 < 200 < light[0]


def ink(page: Path, size: tuple[int, int]) -> float:
    """The part of the pixels, in grey, that are dark."""
    picture = page.with_name("shot.png")
    browse(page, size, f"--screenshot={picture}")
    pixels = imread(picture)[..., :3]
    assert pixels.shape[:2] == size[::-1]
    grey = pixels @ np.array([0.299, 0.587, 0.114])
    return float(np.mean(grey < 0.5))


def test_in_grey_it_is_not_blank(page: Path) -> None:
    assert 0.01 < ink(page, PHONE) < 0.5
    assert 0.01 < ink(page, DESK) < 0.5
    blank = page.with_name("blank.html")
    blank.write_text("<!DOCTYPE html><title>nothing</title>")
    assert ink(blank, PHONE) == 0
