"""Time the page of `polydesign explore` in a headless Chromium, from a key on a slider to the map it makes.

A move is an arrow key on the slider of l, pressed as soon as the map of the move before it is there. The time
is the browser's own, from the event of the key to the frame that follows the drawing of the new map; that of
the request, a part of it, is from its start to the end of the answer. Also: how long the proved result takes
after the last move. Writes figures/explorer_latency.json.
"""

from __future__ import annotations

import json
import shutil
import statistics
import threading
import time
from pathlib import Path
from typing import Any

import click
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
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

WATCH = """
window.moves = [];
window.asked = [];
const map = document.querySelector("#map-figure .js-plotly-plot");
let pressed = null, before = null;
const lower = () => map._fullLayout.meta.lower;
document.addEventListener("keydown", () => { pressed = performance.now(); before = lower(); }, true);
map.on("plotly_afterplot", () => {
  if (pressed === null || lower() === before) return;
  const start = pressed;
  pressed = null;
  requestAnimationFrame(() => setTimeout(() => {
    window.moves.push(performance.now() - start);
    const asked = performance.getEntriesByType("resource")
      .filter((one) => one.name.includes("_dash-update-component") && one.startTime > start)[0];
    if (asked) window.asked.push(asked.responseEnd - asked.startTime);
    performance.clearResourceTimings();
  }));
});
"""


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
    page.execute_script(WATCH)
    thumb = page.find_element(By.CSS_SELECTOR, "#lower-row [role=slider]")
    start = time.monotonic()
    for number in range(moves):
        thumb.send_keys(Keys.ARROW_RIGHT if number % 40 < 20 else Keys.ARROW_LEFT)
        start = time.monotonic()
        WebDriverWait(page, 20, 0.005).until(
            lambda _, wanted=number + 1: page.execute_script("return window.moves.length") >= wanted
        )
    WebDriverWait(page, 60, 0.02).until(proved)
    exact = time.monotonic() - start
    asked = page.execute_script("return window.asked")
    found = sorted(page.execute_script("return window.moves"))
    return {
        "moves": moves,
        "median_ms": round(statistics.median(found), 1),
        "ninety_percent_ms": round(found[int(0.9 * moves)], 1),
        "worst_ms": round(found[-1], 1),
        "request_median_ms": round(statistics.median(asked), 1),
        "proved_after_s": round(exact, 2),
    }


@click.command(help=__doc__)
@click.option("--moves", default=200, show_default=True)
@click.option("-o", "--output", type=click.Path(path_type=Path), default=OUTPUT)
def main(moves: int, output: Path) -> None:
    desk = Desk(preload=("polydesign.explorer.server",))  # a process that is forked imports this script again
    server = bound(desk)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    page = None
    try:
        desk.warm()
        page = browser()
        rows = {}
        for name, state in SHOWN.items():
            address = f"http://127.0.0.1:{server.port}/?{state.to_query()}"
            rows[name] = timed(page, address, moves)
            click.echo(f"{name}: {rows[name]}")
        version = page.capabilities["browserVersion"]
    finally:
        if page is not None:
            page.quit()
        server.shutdown()
        desk.close()
    body = {"machine": machine(), "chromium": version, "slider": rows}
    write_atomically(output, json.dumps(body, indent=1) + "\n")


if __name__ == "__main__":
    main()
