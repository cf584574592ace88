"""Options of the test run: --device, --seed and --seeds, as fixtures; --cases, --all-cases; what was skipped."""

from __future__ import annotations

import gc
import hashlib
import os
import re
import signal
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

import examples
import hypothesis
import pytest

from polydesign.search import bands, candidates, long_schedules, long_steps, survival, survivors
from polydesign.search.settling import QUICK, Effort

hypothesis.settings.register_profile("fixed", derandomize=True)
hypothesis.settings.load_profile("fixed")

_BAND_SEQUENCES, _BAND_TRIED = bands.SEQUENCES, bands.TRIED
_SEQUENCES, _STRATEGIES, _SURVIVORS = survivors.SEQUENCES, survivors.STRATEGIES, candidates.SURVIVORS
_SHORT = Effort(1_024, 32, 8, 4)
SHORT_TRUST = survival.Trust(_SHORT, 4096, _SHORT)
SHORT_FIT = long_steps.Effort(starts=1, polished=1, hops=0, rounds=5)
QUICK_TRUST = survival.Trust(QUICK, 4096, QUICK)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--device", default="cpu", help="torch device of the tests that run matrices")
    parser.addoption("--seed", type=int, default=0, help="seed of the random matrices")
    parser.addoption(
        "--seeds", type=int, help="so many seeds from 0, one after the other, in place of --seed"
    )
    parser.addoption("--cases", type=int, help="of each test function at most so many cases")
    parser.addoption(
        "--all-cases",
        action="store_true",
        help="all cases of functions that are marked few, and what is marked wide, too",
    )
    parser.addoption("--kernels", action="store_true", help="run the tests that are marked kernels too")


def pytest_configure(config: pytest.Config) -> None:
    examples.WIDE = bool(config.getoption("all_cases"))
    # What was found before this run, with another trust, is no answer of this one.
    os.environ["POLYDESIGN_CACHE"] = "off"
    # A run in the background of a shell ignores Ctrl-C, and so would all processes that tests interrupt.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)

    # A hundredth of the time: what most tests of a search ask is not how many matrices it tries.
    trust(SHORT_TRUST, SHORT_TRUST, pytest.MonkeyPatch())
    # Nor how good a long step is: one start in place of half a minute.
    pytest.MonkeyPatch().setattr(long_schedules, "EFFORT", SHORT_FIT)


@pytest.fixture(scope="session")
def ranks() -> Iterator[Any]:
    """Four processes in which tests run ranks, and which start with the first of these tests."""
    from ranks import Ranks

    found = Ranks(4, preload=["sharded_cases", "muon_cases"])
    yield found
    found.close()


def pytest_collection(session: pytest.Session) -> None:
    """What is imported and collected stays: looking through it for garbage took a tenth of the time."""
    gc.disable()


def pytest_collection_finish(session: pytest.Session) -> None:
    gc.freeze()
    gc.set_threshold(20_000)
    gc.enable()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    count = metafunc.config.getoption("seeds")
    if count is not None and "seed" in metafunc.fixturenames:
        metafunc.parametrize("seed", range(count), ids=lambda seed: f"seed{seed}")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A processor that nobody has calibrated the rounding models on may sum worse: no fault of the code."""
    left = {item for item in items if item.get_closest_marker("kernels")}
    if config.getoption("kernels"):
        left = set()
    most = config.getoption("cases")
    if most is not None:
        kept = few_cases((item.nodeid for item in items), most)
        left |= {item for item in items if item.nodeid not in kept}
    if not config.getoption("all_cases"):
        left |= beyond_few(items)
    config.hook.pytest_deselected(items=[item for item in items if item in left])
    items[:] = [item for item in items if item not in left]


def beyond_few(items: Iterable[Any]) -> set[Any]:
    """What is marked wide, and of functions that are marked few(most) the cases beyond `most` of few_cases."""
    marked: dict[int, list[Any]] = defaultdict(list)
    wide = {item for item in items if item.get_closest_marker("wide")}
    for item in (item for item in items if item not in wide):
        mark = item.get_closest_marker("few")
        if mark is not None:
            marked[mark.args[0]].append(item)
    left = wide
    for most, found in marked.items():
        kept = few_cases((item.nodeid for item in found), most)
        left |= {item for item in found if item.nodeid not in kept}
    return left


def few_cases(names: Iterable[str], most: int) -> set[str]:
    """Of each test function at most `most` cases, the same ones everywhere and in any order.

    By a hash of their names, so that no parameter keeps one value where functions have many cases.
    """
    of: dict[str, list[str]] = defaultdict(list)
    for name in names:
        of[name.partition("[")[0]].append(name)
    return {
        name
        for cases in of.values()
        for name in sorted(cases, key=lambda name: hashlib.sha256(name.encode()).digest())[:most]
    }


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """A line a reason. A report's longrepr is (file, line, "Skipped: reason")."""
    reports = terminalreporter.stats.get("skipped", [])
    reasons = Counter(re.sub("^Skipped: ", "", str(report.longrepr[2])) for report in reports)
    for reason, count in sorted(reasons.items()):
        terminalreporter.write_line(f"skipped {count}: {reason}")


@pytest.fixture
def device(request: pytest.FixtureRequest) -> str:
    return str(request.config.getoption("--device"))


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    return int(request.config.getoption("--seed", 0) or 0)


@pytest.fixture
def thorough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Searches in half precision try as much as they do outside of the tests."""
    trust(survival.FULL, survival.CHOSEN, monkeypatch)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> survival.Trust:
    """They try four times as much as in other tests, so that what is found lasts on other members."""
    trust(QUICK_TRUST, QUICK_TRUST, monkeypatch)
    return QUICK_TRUST


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """For words and files alone: most of a report's time is the layout and the writing of its figures."""
    from polydesign.reporting import chapter, page, pictures

    monkeypatch.setattr(pictures, "_finished", lambda fig, *_, **__: fig)
    for module in (chapter, page):
        monkeypatch.setattr(module, "rendered", lambda *_: b"<svg/>")


def trust(all_: survival.Trust, chosen: survival.Trust, monkeypatch: pytest.MonkeyPatch) -> None:
    for function in (survival.surviving, survival.roomiest, survival.survives, survival.widest):
        monkeypatch.setitem(function.__kwdefaults__ or {}, "trust", all_)
    monkeypatch.setattr(candidates, "CHOSEN", chosen)
    monkeypatch.setitem(bands.from_smallest.__kwdefaults__ or {}, "trust", chosen)
    few = all_ is not survival.FULL
    monkeypatch.setattr(survivors, "QUICK", all_.settling if few else QUICK)
    monkeypatch.setattr(bands, "QUICK", all_.settling if few else QUICK)
    monkeypatch.setattr(bands, "SEQUENCES", 4 if few else _BAND_SEQUENCES)
    monkeypatch.setattr(bands, "TRIED", 2 if few else _BAND_TRIED)
    monkeypatch.setattr(survivors, "SEQUENCES", 6 if few else _SEQUENCES)
    monkeypatch.setattr(survivors, "STRATEGIES", 2 if few else _STRATEGIES)
    monkeypatch.setattr(candidates, "SURVIVORS", 2 if few else _SURVIVORS)
