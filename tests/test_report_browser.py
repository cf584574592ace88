"""The report's page in a real browser: it fits a phone, fetches nothing, and is readable in grey."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
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
  parent.postMessage(JSON.stringify({
    inner: innerWidth, scroll: root.scrollWidth,
    broken: images.filter(i => !i.naturalWidth).length, images: images.length,
    narrowest: Math.min(...images.map(i => i.clientWidth)),
    wide: boxes.filter(b => b.scrollWidth > b.clientWidth).length,
    fetched: performance.getEntriesByType("resource").map(e => e.name).filter(n => !n.startsWith("data:"))
  }), "*");
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


def probed(page: Path, size: tuple[int, int], body: str = "") -> dict[str, Any]:
    """What a script finds in a copy of the page in a frame of this size, with `body` at the copy's end."""
    copy = page.with_name("probe.html")
    text = page.read_text("utf-8")
    assert "<script" not in text
    copy.write_text(text.replace("</body>", body + PROBE), "utf-8")
    frame = page.with_name("frame.html")
    frame.write_text(FRAME % (copy.name, *size), "utf-8")
    dom = browse(frame, DESK, "--virtual-time-budget=10000", "--dump-dom")
    found = re.search(r'data-probe="([^"]*)"', dom)
    assert found, dom[:500]
    return json.loads(found.group(1).replace("&quot;", '"'))


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
