"""The page of `polydesign explore` in a real browser: every control, hostile text, links, a phone, the keyboard.

One browser and one server for the module. It can resolve no name, and what it asks for is looked at.
"""

# ruff: noqa: E402
from __future__ import annotations

import json
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from polydesign.table import load

webdriver = pytest.importorskip("selenium.webdriver", reason="no Selenium: pip install selenium")
pytest.importorskip("dash", reason="no Dash: pip install 'polydesign[explore]'")

from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from polydesign.explorer.desk import Desk
from polydesign.explorer.server import bound
from polydesign.explorer.state import State

BROWSER, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    BROWSER is None or DRIVER is None, reason="no browser: apt-get install chromium chromium-driver"
)
LONG = 60.0
"""Seconds until what should happen is given up; nothing is asserted of how long it takes."""

PHONE, DESK = (390, 844), (1280, 900)


class Page:
    """The browser with the page open."""

    def __init__(self, browser: Any, port: int, downloads: Path) -> None:
        self.browser, self.port, self.downloads = browser, port, downloads

    def open(self, query: str = "") -> None:
        self.browser.get(f"http://127.0.0.1:{self.port}/?{query}")
        self.until(lambda: "proved" in self.text("said") or self.text("link-problem"))
        self.until(
            lambda: self.js("return !!document.querySelector('#map-figure .js-plotly-plot')?._fullLayout")
        )

    def js(self, script: str, *args: Any) -> Any:
        return self.browser.execute_script(script, *args)

    def text(self, name: str) -> str:
        return self.js("return document.getElementById(arguments[0])?.textContent ?? ''", name)

    def until(self, true: Callable[[], Any]) -> Any:
        start = time.monotonic()
        while not (found := true()):
            assert time.monotonic() - start < LONG, self.text("said") + self.browser.current_url
            time.sleep(0.03)
        return found

    def query(self) -> str:
        return self.browser.current_url.partition("?")[2]

    def state(self) -> State:
        return State.from_query(self.query())

    def write(self, name: str, value: str) -> None:
        box = self.browser.find_element(By.ID, name)
        box.send_keys(Keys.CONTROL, "a")
        box.send_keys(value, Keys.ENTER)

    def choose(self, name: str, label: str) -> None:
        """A radio button, as a mouse does."""
        for one in self.browser.find_elements(By.CSS_SELECTOR, f"#{name} label"):
            if one.text.startswith(label):
                one.click()
                return
        pytest.fail(f"{name} has no {label}")

    def press(self, name: str) -> None:
        self.js("document.getElementById(arguments[0]).scrollIntoView({block: 'center'})", name)
        self.browser.find_element(By.ID, name).click()

    def slide(self, name: str, key: str) -> None:
        self.browser.find_element(By.CSS_SELECTOR, f"#{name}-row [role=slider]").send_keys(key)

    def traces(self, figure: str = "map") -> list[str]:
        return self.js(
            f"return document.querySelector('#{figure}-figure .js-plotly-plot').data.map(t => t.name)"
        )

    def screen(self, size: tuple[int, int], *, dark: bool = False) -> None:
        width, height = size
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})

    def errors(self) -> list[str]:
        return [one["message"] for one in self.browser.get_log("browser") if one["level"] == "SEVERE"]

    def asked(self) -> list[str]:
        """Every address that the browser has asked for since the last look."""
        events = [json.loads(one["message"])["message"] for one in self.browser.get_log("performance")]
        return [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    desk = Desk()
    server = bound(desk)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    downloads = tmp_path_factory.mktemp("downloads")
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for word in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        "--disable-dev-shm-usage",
    ):
        options.add_argument(word)
    options.add_argument("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    try:
        browser = webdriver.Chrome(options=options, service=Service(DRIVER))
    except Exception as problem:
        server.shutdown()
        desk.close()
        pytest.skip(f"{BROWSER} does not start here: {str(problem)[:200]}")
    page = Page(browser, server.port, downloads)
    clipboard = {
        "origin": f"http://127.0.0.1:{server.port}",
        "permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"],
    }
    browser.execute_cdp_cmd("Browser.grantPermissions", clipboard)
    page.screen(DESK)
    page.open()
    yield page
    browser.quit()
    server.shutdown()
    server.server_close()
    desk.close()


@pytest.fixture
def page(opened: Page) -> Iterator[Page]:
    """The page; after each test there is no error on its console, and nothing was asked for elsewhere."""
    yield opened
    assert opened.errors() == []
    own = (f"http://127.0.0.1:{opened.port}/", f"blob:http://127.0.0.1:{opened.port}/", "data:")
    assert [one for one in opened.asked() if not one.startswith(own)] == []


CONTROLS: list[tuple[str, Callable[[Page], None], Callable[[State], bool]]] = [
    ("l by the slider", lambda p: p.slide("lower", Keys.ARROW_RIGHT), lambda s: s.lower == 0.00102),
    ("l as a number", lambda p: p.write("lower-number", "2e-3"), lambda s: s.lower == 0.002),
    ("degrees", lambda p: p.write("degrees", "3, 5, 5"), lambda s: s.degrees == (3, 5, 5)),
    ("one step more", lambda p: p.press("longer"), lambda s: s.degrees == (3, 5, 5, 5)),
    ("one step less", lambda p: p.press("shorter"), lambda s: s.degrees == (3, 5, 5)),
    ("headroom by the slider", lambda p: p.slide("headroom", Keys.ARROW_LEFT), lambda s: s.headroom == 1.019),
    ("headroom as a number", lambda p: p.write("headroom-number", "1.03"), lambda s: s.headroom == 1.03),
    ("floor by the slider", lambda p: p.slide("floor", Keys.ARROW_RIGHT), lambda s: s.floor == 0.09),
    ("floor as a number", lambda p: p.write("floor-number", "0.1"), lambda s: s.floor == 0.1),
    ("steps without floor", lambda p: p.write("tail", "1"), lambda s: s.tail == 1),
    ("precision", lambda p: p.choose("dtype", "fp32"), lambda s: s.dtype == "float32"),
    ("no safety", lambda p: p.choose("safety", "none"), lambda s: s.safety == "none"),
    ("products", lambda p: p.choose("goal", "the best"), lambda s: s.goal == "products"),
    ("products by the slider", lambda p: p.slide("products", Keys.ARROW_LEFT), lambda s: s.products == 14),
    ("products as a number", lambda p: p.write("products-number", "9"), lambda s: s.products == 9),
    ("band", lambda p: p.choose("goal", "these degrees from"), lambda s: s.goal == "band"),
    ("band by the slider", lambda p: p.slide("band", Keys.ARROW_RIGHT), lambda s: s.band == 0.31),
    ("band as a number", lambda p: p.write("band-number", "0.2"), lambda s: s.band == 0.2),
    ("degrees again", lambda p: p.choose("goal", "these degrees on"), lambda s: s.goal == "degrees"),
    ("roots", lambda p: p.choose("purpose", "inverse root"), lambda s: s.purpose == "root"),
    ("signs again", lambda p: p.choose("purpose", "sign"), lambda s: s.purpose == "sign"),
]


def test_every_control_is_heard(page: Page) -> None:
    for _, act, holds in CONTROLS:
        act(page)
        page.until(lambda holds=holds: holds(page.state()))
    page.until(lambda: "proved" in page.text("said"))
    assert page.js(
        "return document.querySelector('#map-figure .js-plotly-plot')._fullLayout.meta.degrees"
    ) == [3, 5, 5]
    assert "star" in page.js(
        "return document.querySelector('#products-figure .js-plotly-plot').data.map(t => t.marker?.symbol)"
    )


def test_bad_input_is_answered_in_the_page(page: Page) -> None:
    page.write("degrees", "4")
    page.until(lambda: "a step of root 2 has degree" in page.text("problem"))
    page.write("degrees", "5x5")
    page.until(lambda: not page.text("problem"))
    page.write("lower-number", "-3")
    page.until(lambda: "Lower end l" in page.text("problem"))
    page.write("lower-number", "1e-3")
    page.until(lambda: page.state().lower == 1e-3 and "proved" in page.text("said"))


HOSTILE = {
    "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>": "Nothing|no list|not",
    "__import__('os').system('false') or [(1.5, -0.5)]": "",
    "[" * 5000: "",
    "a = " + "9" * 5000: "",
}


def test_hostile_text_is_text(page: Page) -> None:
    page.choose("tab", "Compare")
    for text, said in HOSTILE.items():
        before = page.text("identified")
        page.js(
            "const box = document.getElementById('paste'); const set = Object.getOwnPropertyDescriptor("
            "HTMLTextAreaElement.prototype, 'value').set; set.call(box, arguments[0]);"
            "box.dispatchEvent(new Event('input', {bubbles: true}))",
            text,
        )
        page.press("identify")
        page.until(lambda before=before: page.text("identified") != before)
        assert re.search(said, page.text("identified"))
    assert page.js("return window.hacked") is None
    assert page.js("return document.querySelectorAll('#identified *, .page img').length") == 0
    page.open("pasted=%3Cimg+src%3Dx+onerror%3D%22window.hacked%3D1%22%3E")
    page.until(lambda: page.text("identified"))
    assert page.js("return window.hacked") is None
    page.open("lower=%3Cscript%3E")
    assert "The link is not read" in page.text("link-problem")


def test_a_link_restores_the_page(page: Page) -> None:
    shown = State(
        lower=0.01,
        degrees=(5, 9),
        headroom=1.03,
        over=("jordan_5", "polar_express_deg5"),
        reference="jordan_5",
    )
    page.open(shown.to_query())
    page.until(lambda: page.query() == shown.to_query())
    page.until(lambda: "polar_express_deg5" in page.traces())
    page.until(lambda: not page.js("return document.getElementById('difference-box').hidden"))
    link = page.text("link")
    page.choose("goal", "the best")
    page.until(lambda: page.state().goal == "products")
    page.browser.get(link)
    page.until(lambda: page.query() == shown.to_query() and "degrees 5, 9" in page.text("said"))
    assert page.js("return document.getElementById('degrees').value") == "5, 9"
    assert page.js("return document.getElementById('lower-number').value") == "0.01"


def test_a_run_shows_points_and_can_be_cancelled(page: Page) -> None:
    page.open("degrees=5%2C5&lower=0.05&spectra=gaussian&shape=32x64")
    page.choose("tab", "Run")
    page.press("run")
    page.until(lambda: "the points are on the map" in page.text("running"))
    page.until(lambda: "gaussian, bfloat16" in page.traces())
    assert "gaussian" in page.text("runs")
    assert page.js("return Number(document.getElementById('progress').value)") == 1
    page.choose("shape", "512x1024")
    page.until(lambda: page.state().shape == "512x1024" and "proved" in page.text("said"))
    page.press("run")
    page.until(lambda: not page.js("return document.getElementById('cancel').disabled"))
    page.press("cancel")
    page.until(lambda: page.text("running") in ("cancelled", "1 matrices done: the points are on the map"))


def test_a_newcomer_takes_a_better_table(page: Page) -> None:
    """From a pasted list to the lines of a better table, by keys and buttons alone."""
    page.open()
    page.choose("tab", "Compare")
    page.browser.find_element(By.ID, "paste").send_keys("[(3.4445, -4.7750, 2.0315)] * 5")
    page.press("identify")
    page.until(lambda: "jordan_5" in page.text("identified"))
    page.until(lambda: "pasted" in page.traces())
    better = page.browser.find_elements(By.CSS_SELECTOR, "#instead button")[0]
    assert better.text.startswith("Take sign-d5x5-l1e-3-bf16 instead")
    better.click()
    page.until(lambda: page.text("export").count("\n    (") == 5)
    assert "polydesign" in page.text("command")
    copy = page.browser.find_element(By.ID, "export-copy")
    assert (copy.get_attribute("role"), copy.get_attribute("tabindex")) == ("button", "0")
    copy.send_keys(Keys.ENTER)
    page.until(lambda: page.text("export-copy") == "Copied")
    clipboard = page.browser.execute_async_script("navigator.clipboard.readText().then(arguments[0])")
    assert clipboard.split() == page.text("export").split()
    page.press("download")
    path = page.downloads / "sign-d5x5-l1e-3-bf16.json"
    page.until(path.is_file)
    assert load(path) == load("sign-d5x5-l1e-3-bf16")
    before = page.text("export")
    page.press("target")
    (optax,) = [
        one
        for one in page.browser.find_elements(By.CSS_SELECTOR, ".dash-options-list-option")
        if one.text.startswith("optax:")
    ]
    optax.click()
    page.until(lambda: page.text("export") != before and "preconditioning" in page.text("export"))


UNNAMED = """
const named = (one) => one.getAttribute("aria-label") || one.getAttribute("aria-labelledby") || one.textContent.trim()
  || (one.labels && one.labels.length) || one.title;
return [...document.querySelectorAll("input, textarea, button, select, [role=slider], [role=button]")]
  .filter((one) => one.offsetParent !== null && !one.closest("[aria-hidden=true]") && !named(one)).map((one) => one.outerHTML.slice(0, 200));
"""


def test_everything_has_a_name_and_the_keyboard_reaches_it(page: Page) -> None:
    for tab in ("Design", "Compare", "Run", "Take"):
        page.choose("tab", tab)
        page.until(lambda tab=tab: not page.js(f"return document.getElementById('tab-{tab.lower()}').hidden"))
        assert page.js(UNNAMED) == []
    page.js("document.body.insertAdjacentHTML('beforeend', '<button id=\"bare\"></button>')")
    assert len(page.js(UNNAMED)) == 1  # the negative control
    page.js("document.getElementById('bare').remove()")
    page.choose("tab", "Design")
    page.js("document.activeElement.blur()")
    reached = set()
    for _ in range(30):
        page.browser.switch_to.active_element.send_keys(Keys.TAB)
        reached.add(page.js("return document.activeElement.closest('[id]')?.id"))
    assert {"degrees", "longer", "shorter", "lower-number"} <= reached
    assert page.js("return document.querySelectorAll('[role=img][aria-label]').length") == 4


def test_a_phone_shows_all_without_scrolling_sideways(page: Page) -> None:
    page.screen(PHONE, dark=True)
    try:
        for tab in ("Design", "Compare", "Run", "Take"):
            page.choose("tab", tab)
            page.until(
                lambda tab=tab: not page.js(f"return document.getElementById('tab-{tab.lower()}').hidden")
            )
            assert page.js("return [innerWidth, document.documentElement.scrollWidth]") == [390, 390]
        page.js(
            "document.body.insertAdjacentHTML('beforeend', '<div id=\"wide\" style=\"width: 600px\">x</div>')"
        )
        assert page.js("return document.documentElement.scrollWidth") > 390  # the negative control
        page.js("document.getElementById('wide').remove()")
        levels = page.js(
            "const s = getComputedStyle(document.body);"
            "return [s.backgroundColor, s.color].map(c => c.match(/\\d+/g).slice(0, 3).reduce((a, b) => a + Number(b), 0))"
        )
        assert levels[0] < 150 < 600 < levels[1]
        page.until(
            lambda: (
                page.js("return document.querySelector('#map-figure .js-plotly-plot')._fullLayout.font.color")
                == "#f0f0f0"
            )
        )
    finally:
        page.screen(DESK)


def test_a_request_elsewhere_would_be_seen(opened: Page) -> None:
    """Negative controls of what every test ends with."""
    opened.asked()
    opened.browser.get("data:text/html,<img src='http://example.invalid/x.png'><script>nothing()</script>")
    opened.until(lambda: "http://example.invalid/x.png" in opened.asked())
    assert any("nothing" in one for one in opened.errors())
