"""Time the page of `polydesign explore` in a headless Chromium, from a key on a slider to the map it makes.

A move is an arrow key on the slider of l, 50 ms after the frame with the map of the move before it. The time
is the browser's own, from the event of the key to the frame that follows the drawing of the new map; that of
the request, a part of it, is from its start to the end of the answer. Also: how long the proved result takes
after the last move. The first row has so many moves, the others a fifth of them.

Writes figures/explorer_latency.json.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import threading
import time
from pathlib import Path
from typing import Any

import click
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.ui import WebDriverWait

from polydesign.explorer.desk import Desk
from polydesign.explorer.server import bound
from polydesign.explorer.state import State
from polydesign.text.files import write_atomically
from polydesign.verification.machine import machine

OUTPUT = Path(__file__).resolve().parents[2] / "figures" / "explorer_latency.json"

SHOWN = {
    "five quintics": State(),
    "eight quintics": State(degrees=(5,) * 8, lower=1e-4),
    "four steps of degree 9": State(degrees=(9,) * 4),
    "three steps of degree 17": State(degrees=(17,) * 3),
}

MOVES = """
const [moves, pause, key, done] = arguments;
const map = document.querySelector("#map-figure .js-plotly-plot");
const thumb = document.querySelector("#lower-row [role=slider]");
const lower = () => map._fullLayout.meta.lower;
const found = { moves: [], requests: [] };
let before = null, start = 0;
const drawn = () => {
  if (before === null || lower() === before) return;
  before = null;
  requestAnimationFrame(() => setTimeout(() => {
    found.moves.push(performance.now() - start);
    const asked = performance.getEntriesByType("resource")
      .find((one) => one.name.includes("_dash-update-component") && one.startTime > start);
    if (asked) found.requests.push(asked.responseEnd - asked.startTime);
    if (found.moves.length === moves) done(found);
    else setTimeout(move, pause);
  }));
};
const move = () => {
  performance.clearResourceTimings();
  before = lower();
  thumb.focus();
  start = performance.now();
  thumb.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
};
map.on("plotly_afterplot", drawn);
move();
"""

PAUSE_MS = 50
"""Between the frame of a move and the next move."""

AT_ONCE = 20
"""Moves in one direction."""


def browser() -> Chrome:
    options = ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for word in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1280,900"):
        options.add_argument(word)
    return Chrome(options=options, service=Service(shutil.which("chromedriver")))


def proved(page: Chrome) -> bool:
    """Whether the map is there, and what is said of it is proved."""
    return page.execute_script(
        "return !!document.querySelector('#map-figure .js-plotly-plot')?._fullLayout?.meta && "
        "document.getElementById('said').textContent.includes('proved')"
    )


def timed(page: Chrome, address: str, moves: int) -> dict[str, Any]:
    """Milliseconds of so many moves, and seconds until the result is proved after the last of them."""
    page.get(address)
    WebDriverWait(page, 60, 0.05).until(proved)
    found: list[float] = []
    asked: list[float] = []
    for number in range(moves // AT_ONCE):
        key = "ArrowLeft" if number % 2 else "ArrowRight"
        made = page.execute_async_script(MOVES, AT_ONCE, PAUSE_MS, key)
        found += made["moves"]
        asked += made["requests"]
    start = time.monotonic()
    WebDriverWait(page, 60, 0.02).until(proved)
    exact = time.monotonic() - start
    found.sort()
    return {
        "moves": len(found),
        "median_ms": round(statistics.median(found), 1),
        "ninety_percent_ms": round(found[int(0.9 * len(found))], 1),
        "worst_ms": round(found[-1], 1),
        "request_median_ms": round(statistics.median(asked), 1),
        "proved_after_s": round(exact, 2),
    }


@click.command(help=__doc__)
@click.option("--moves", type=click.IntRange(5 * AT_ONCE), default=200, show_default=True)
@click.option("-o", "--output", type=click.Path(path_type=Path), default=OUTPUT)
def main(moves: int, output: Path) -> None:
    desk = Desk(preload=("polydesign.explorer.server",))  # a process that is forked imports this script again
    server = bound(desk)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    page = None
    try:
        desk.warm()
        page = browser()
        page.set_script_timeout(110)
        rows = {}
        for name, state in SHOWN.items():
            address = f"http://127.0.0.1:{server.port}/?{state.to_query()}"
            rows[name] = timed(page, address, moves if not rows else moves // 5)
            click.echo(f"{name}: {rows[name]}")
        version = page.capabilities["browserVersion"]
    finally:
        if page is not None:
            page.quit()
        server.shutdown()
        desk.close()
    body = {"machine": machine(), "load": round(os.getloadavg()[1], 1), "chromium": version, "slider": rows}
    write_atomically(output, json.dumps(body, indent=1) + "\n")


if __name__ == "__main__":
    main()
