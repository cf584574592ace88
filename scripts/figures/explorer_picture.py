"""A picture of the page of `polydesign explore` for README: six quintics beside two published schedules.

python scripts/figures/explorer_picture.py     needs chromium and chromedriver; writes figures/explorer.png
"""

from __future__ import annotations

import base64
import shutil
import threading
from pathlib import Path

import click
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.ui import WebDriverWait

from polydesign.explorer.desk import Desk
from polydesign.explorer.server import bound

OUTPUT = Path(__file__).resolve().parents[2] / "figures" / "explorer.png"

QUERY = "degrees=5,5,5,5,5,5&over=jordan_5,polar_express_deg5"
WIDTH, HEIGHT = 1280, 720

DRAWN = """
const map = document.querySelector("#map-figure .js-plotly-plot")?._fullData ?? [];
const said = document.getElementById("said")?.textContent ?? "";
return said.includes("proved") && map.some((one) => one.name === "polar_express_deg5");
"""


@click.command(help=__doc__)
@click.option("-o", "--output", type=click.Path(path_type=Path), default=OUTPUT, show_default=True)
def main(output: Path) -> None:
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if browser is None or driver is None:
        raise click.ClickException("no browser: apt-get install chromium chromium-driver")
    options = ChromeOptions()
    options.binary_location = browser
    for one in ("--headless=new", "--no-sandbox", "--hide-scrollbars"):
        options.add_argument(one)
    desk = Desk()
    server = bound(desk)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    page = Chrome(options=options, service=Service(driver))
    try:
        size = {"width": WIDTH, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": False}
        page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        page.get(f"http://127.0.0.1:{server.port}/?{QUERY}")
        WebDriverWait(page, 120).until(lambda page: page.execute_script(DRAWN))
        # Two frames after what was drawn last, so that it is on the screen.
        page.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")
        output.write_bytes(base64.b64decode(page.get_screenshot_as_base64()))
    finally:
        page.quit()
        server.shutdown()
        desk.close()
    click.echo(f"wrote {output}")


if __name__ == "__main__":
    main()
