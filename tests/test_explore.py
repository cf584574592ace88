"""The page of `polydesign explore` without a browser: its links, its limits, who may ask it, and its processes."""

from __future__ import annotations

import base64
import http.client
import json
import socket
import sys
import threading
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from polydesign.cli import main
from polydesign.model import DTYPES, InputError

if find_spec("dash") is None:
    pytest.skip("no Dash: pip install 'polydesign[explore]'", allow_module_level=True)

import plotly.graph_objects as go

from polydesign.approximation.certificate import certify
from polydesign.drawing.panels import curve
from polydesign.explorer import designs, state, work
from polydesign.explorer.around import around, products_figure
from polydesign.explorer.desk import MOST_TEXT, PASTED, Desk
from polydesign.explorer.jobs import LimitError, Pool, StaleError
from polydesign.explorer.looks import DARK, LIGHT
from polydesign.explorer.server import MOST_BYTES, bound, opening
from polydesign.explorer.state import State
from polydesign.table import load

# Links

degrees = st.lists(st.sampled_from((3, 5, 7, 9, 17)), min_size=1, max_size=state.MOST_STEPS).map(tuple)
names = st.lists(st.text("abcXYZ019._+-:", min_size=1, max_size=20), max_size=4, unique=True)
text = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Zl", "Zp")), max_size=60)
states = st.builds(
    State,
    goal=st.sampled_from(tuple(state.GOALS)),
    safety=st.sampled_from(tuple(state.SAFETIES)),
    lower=st.floats(state.LEAST_LOWER, state.MOST_LOWER),
    degrees=degrees,
    products=st.integers(2, state.MOST_PRODUCTS),
    band=st.floats(1e-6, 0.9),
    headroom=st.floats(1, 1.5),
    floor=st.floats(0, 0.9),
    tail=st.integers(0, state.MOST_STEPS),
    dtype=st.sampled_from(tuple(DTYPES)),
    over=names.map(tuple),
    pasted=text,
    shape=st.sampled_from(state.SHAPES),
)


@given(states)
def test_a_link_brings_back_what_was_shown(shown: State) -> None:
    assert State.from_query(shown.to_query()) == shown
    assert State.from_query("?" + shown.to_query()) == shown


def test_a_plain_page_has_a_plain_link() -> None:
    assert State().to_query() == ""
    assert State(lower=1e-4).to_query() == "lower=0.0001"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("lower=2", "lower"),
        ("lower=nan", "lower"),
        ("lower=1e400", "lower"),
        ("degrees=4", "degrees"),
        ("degrees=" + ",".join(["5"] * 13), "degrees"),
        ("goal=fast", "goal"),
        ("products=1e9", "products"),
        ("over=../../etc/passwd", "over"),
        ("over=a,a", "over"),
        ("reference=jordan_5", "reference"),
        ("pasted=%1b[31m", "pasted"),
        ("purpose=root", None),  # the root of Shampoo may be 2
        ("purpose=inverse", "purpose"),
        ("nothing=1", "link"),
        ("lower=0.1&lower=0.2", "link"),
        ("lower", "link"),
        ("pasted=" + "a" * 20_000, "link"),
    ],
)
def test_a_link_that_does_not_fit_is_refused_by_name(query: str, field: str | None) -> None:
    if field is None:
        assert State.from_query(query).purpose == "root"
        return
    with pytest.raises(InputError) as refused:
        State.from_query(query)
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("written", "read"),
    [("5x3, 9", (5, 5, 5, 9)), ("5 5;17", (5, 5, 17)), ("3", (3,)), ("5×2", (5, 5))],
)
def test_degrees_are_read_as_people_write_them(written: str, read: tuple[int, ...]) -> None:
    assert state.degrees_of(written) == read


@pytest.mark.parametrize("written", ["", "five", "5x99", "5,,x", "1" * 300])
def test_what_is_no_list_of_degrees_is_refused(written: str) -> None:
    with pytest.raises(InputError, match="degrees"):
        state.degrees_of(written)


# Designs and figures


def points(trace: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    x, y = (np.frombuffer(base64.b64decode(trace[axis]["bdata"]), "<f4") for axis in ("x", "y"))
    return x, y


@pytest.mark.parametrize(
    "asked", [State(), State(safety="none", lower=1e-2, degrees=(3, 5, 5))], ids=["own", "none"]
)
def test_a_preview_of_quintics_is_the_table(asked: State) -> None:
    assert designs.precise(asked)
    seen, made = designs.preview(asked), designs.table(asked)
    assert seen.rows == made.schedule.rows
    assert made.certificate is not None
    assert made.certificate == certify(made.schedule)


def test_a_preview_of_long_steps_is_the_table_but_for_rounding() -> None:
    asked = State(degrees=(9, 9), lower=0.05)
    seen, made = designs.preview(asked), designs.table(asked).schedule
    x = np.geomspace(0.05, 1, 500)
    # The program's constants are rounded to float64, and its q is evaluated with terms of at most 1e3.
    assert np.max(np.abs(seen(x) - made(x))) < 1e3 * 500 * np.finfo(float).eps
    assert not designs.precise(asked)


def test_the_command_makes_the_same_table() -> None:
    made = designs.table(State(degrees=(5, 5), lower=0.1))
    line, _ = designs.command(made)
    result = CliRunner().invoke(main, [*line.split()[1:], "-o", "-"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["certificate"]["digest"] == made.digest


@pytest.mark.parametrize("dark", [False, True])
def test_figures_are_plotly_s(dark: bool) -> None:
    look = DARK if dark else LIGHT
    view = work.View((("jordan_5", load("jordan_5").schedule),), look, {"gaussian": ([0.1, 0.2], [1.0, 0.9])})
    drawn = work.preview(State(over=("jordan_5",), reference="jordan_5"), view, None, None)
    for figure in drawn["figures"].values():
        go.Figure(figure)
    with pytest.raises(ValueError, match="Invalid"):  # the negative control: it does look
        go.Figure({"data": [{"type": "scatter", "mode": "wrong"}]})
    dashes = {
        trace["line"]["dash"] for trace in drawn["figures"]["map"]["data"] if "dash" in trace.get("line", {})
    }
    assert len(dashes) >= 3  # band, rounding and the other table differ without colours


def test_the_map_that_is_drawn_is_the_schedule_s() -> None:
    drawn = work.preview(State(), work.View(), None, None)
    schedule = designs.preview(State())
    (trace,) = [one for one in drawn["figures"]["map"]["data"] if one.get("name") == "the design"]
    x, y = points(trace)
    # float32 moves x by 6e-8 of itself, and the map rises by less than 1e4 there.
    x, y = x[x <= 1], y[x <= 1]
    assert np.max(np.abs(schedule(x.astype(float)) - y)) < 1e4 * np.finfo(np.float32).eps
    full_x, full = curve(schedule, 1e-3, 1.0)
    inside = full_x <= 1
    assert np.max(y) == np.float32(np.max(full[inside]))  # thinning loses no extreme


def test_tables_around_a_design_err_by_what_they_prove() -> None:
    found = around(2, "sign", 1e-3, 15)
    errors = {name: error for name, _, _, error in found["points"]}
    table = load("sign-d5x5-l1e-3-bf16")
    assert table.certificate is not None
    proved = float(table.certificate.error[1])
    assert 0.99 * proved < errors[table.name] <= proved
    assert dict(found["front"])[15] < errors[table.name]
    go.Figure(products_figure(found, ("the design", 15, 0.14), [("jordan_5", 15, 0.5)], LIGHT))


def test_the_page_opens_on_what_was_given() -> None:
    table = load("sign-d5x6-l1e-3-fp16")
    shown = opening({table.name: table})
    assert (shown.degrees, shown.dtype, shown.over) == ((5,) * 6, "float16", (table.name,))
    assert opening({}) == State()


# Processes


@pytest.fixture(scope="module")
def desk() -> Iterator[Desk]:
    made = Desk({"mine": load("jordan_5")})
    yield made
    made.close()


SLOW = State(safety="found", degrees=(5,) * 6, lower=9e-4)  # at 1e-3 the package has its headroom
"""Takes ten seconds of a core at least."""


def test_stale_work_ends_and_nobody_waits_for_another(desk: Desk) -> None:
    ended: dict[str, Any] = {}

    def ask(name: str, shown: State) -> None:
        try:
            ended[name] = desk.exact(name.partition("-")[0], shown, work.View())
        except StaleError as problem:
            ended[name] = problem

    first = threading.Thread(target=ask, args=("a-slow", SLOW))
    first.start()
    while not desk.slow._busy:
        time.sleep(0.01)
    ask("b-other", State(degrees=(5, 5)))  # another page is served while the first one searches
    assert ended["b-other"][0].schedule.degrees == (5, 5)
    assert first.is_alive()
    assert desk.preview("a", State(), work.View(), None, None)["degrees"] == [5] * 5  # and so are previews
    ask("a-new", State(degrees=(5, 5, 5)))  # a newer request of the first page ends the older
    first.join(20)
    assert isinstance(ended["a-slow"], StaleError)
    assert ended["a-new"][0].schedule.degrees == (5, 5, 5)


def test_work_has_a_limit_and_its_process_is_replaced() -> None:
    pool = Pool(1, 1, 30)
    try:
        pool.run("a", "first", "loaded", "jordan_5")
        with pytest.raises(LimitError, match="time"):
            pool.run("a", "exact", "exact", SLOW, work.View(), limit=0.5)
        assert pool.run("a", "exact", "loaded", "jordan_5").root == 2
        with pytest.raises(InputError, match="neither"):  # a refusal is no end of a process
            pool.run("a", "exact", "loaded", "no-such-table")
        assert len(pool._free) == 1
    finally:
        pool.close()


def test_only_names_of_tables_are_opened(desk: Desk, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret.json").write_text("{}")
    for name in ("secret.json", "/etc/passwd", "no-such-table"):
        with pytest.raises(InputError, match="no table of the catalogue"):
            desk.schedule("a", name, None)
    assert desk.schedule("a", "mine", None) == load("jordan_5").schedule
    with pytest.raises(InputError, match="paste a list first"):
        desk.schedule("a", PASTED, None)


def test_a_pasted_list_is_known_and_not_run(desk: Desk, tmp_path: Any) -> None:
    ran = tmp_path / "ran"
    hostile = f"open({str(ran)!r}, 'w')\nimport os; os.system('touch {ran}')\ncoeffs = [(3.4445, -4.775, 2.0315)] * 5"
    found = desk.identify("a", hostile, "muon.py", None)
    assert found["match"] == "jordan_5"
    assert not ran.exists()
    assert desk.schedule("a", PASTED, found["key"]).error == pytest.approx(0.5294, abs=1e-4)
    with pytest.raises(InputError):
        desk.identify("a", "[" * 20_000, "x.py", None)
    with pytest.raises(InputError, match="characters"):
        desk.identify("a", " " * (MOST_TEXT + 1), "", None)


# The server


@pytest.fixture(scope="module")
def port(desk: Desk) -> Iterator[int]:
    server = bound(desk)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.port
    server.shutdown()
    server.server_close()


def answer(
    port: int, method: str = "GET", path: str = "/", body: bytes = b"", headers: dict[str, str] | None = None
) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    named = {key.replace("_", "-"): value for key, value in (headers or {}).items()}
    connection.request(method, path, body or None, {"Content-Type": "application/json", **named})
    response = connection.getresponse()
    found = (response.status, response.read())
    connection.close()
    return found


def test_it_listens_on_this_machine_alone(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        assert connection.getpeername()[0] == "127.0.0.1"
    server = bound(Desk())
    assert server.socket.getsockname()[0] == "127.0.0.1"
    server.server_close()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost:{port}"}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Host": "evil.example:{port}"}, 403),  # a name that was made to resolve to this machine
        ({"Host": "127.0.0.1:1"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "https://127.0.0.1:{port}"}, 403),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
    ],
)
def test_only_this_page_is_answered(port: int, headers: dict[str, str], status: int) -> None:
    made = {key: value.replace("{port}", str(port)) for key, value in headers.items()}
    assert answer(port, headers=made)[0] == status
    assert answer(port, path="/_dash-layout", headers=made)[0] == status


def test_a_post_says_where_it_is_from_and_is_not_large(port: int) -> None:
    path, own = "/_dash-update-component", f"http://127.0.0.1:{port}"
    assert answer(port, "POST", path, b"{}")[0] == 403
    assert answer(port, "POST", path, b"{}", {"Origin": "http://evil.example"})[0] == 403
    assert answer(port, "POST", path, b" " * 1000, {"Origin": own})[0] not in (403, 413)
    assert answer(port, "POST", path, b" ", {"Origin": own, "Content_Length": str(MOST_BYTES + 1)})[0] == 413


def test_nothing_is_fetched_from_elsewhere(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", "/")
    response = connection.getresponse()
    page, policy = response.read().decode(), response.headers["Content-Security-Policy"]
    connection.close()
    assert 'src="http' not in page
    assert 'href="http' not in page
    assert "default-src 'none'" in policy
    assert "connect-src 'self'" in policy
    assert "http" not in policy


def test_a_port_that_is_taken_is_said(port: int) -> None:
    with pytest.raises(InputError, match="take another"):
        bound(Desk(), port)


# The command


def test_without_dash_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["polydesign.cli.explore"], "find_spec", lambda name: None)
    result = CliRunner().invoke(main, ["explore", "--no-open"])
    assert result.exit_code == 2
    assert "pip install 'polydesign[explore]'" in result.output


def test_two_tables_of_one_name_are_refused() -> None:
    result = CliRunner().invoke(main, ["explore", "jordan_5", "jordan_5", "--no-open"])
    assert result.exit_code == 2
    assert "two are called jordan_5" in result.output


def test_the_page_states_what_was_measured() -> None:
    root = Path(__file__).parent.parent
    body = json.loads((root / "figures" / "explorer_latency.json").read_text("utf-8"))
    page = (root / "docs" / "explore.md").read_text("utf-8")
    assert f"{body['machine']['date']};" in page
    for name, row in body["slider"].items():
        cells = [f"{row['median_ms']:.0f} ms", f"{row['worst_ms'] / 1000:.1f} s"]
        cells += [f"{row['request_median_ms']:.0f} ms", f"{row['proved_after_s']:.1f} s"]
        assert f"| {name} | {' | '.join(cells)} |" in page
