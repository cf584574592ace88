"""What a console and a notebook show of an object: one screen, true, and nothing that is obeyed."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from html.parser import HTMLParser
from typing import Any

import pytest
import torch
from matplotlib.figure import Figure

import polydesign
from polydesign import Schedule
from polydesign.drawing.figures import rendered
from polydesign.model import Step
from polydesign.runtime import EffectiveRank, InverseRoot, Lyapunov, Run, Sign
from polydesign.text.sheet import MOST_CHARACTERS, MOST_ROWS, Cells, Sheet

OURS = "sign-d5x5-l1e-3-bf16"
LINES, COLUMNS = 24, MOST_CHARACTERS + 20
"""A screen; a fact of MOST_CHARACTERS has its word before it."""

HOSTILE = "</td><script>alert(1)</script><img src=x onerror=alert(1)> & \x1b[31mred\u202eback\n" * 30
"""Tags, an escape sequence of terminals, writing turned round, and many lines."""


def matrix(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def compared(*names: str) -> polydesign.Comparison:
    return polydesign.compare(list(names))


def many_steps() -> Schedule:
    return Schedule(2, (0.5, 1.0), (Step(3, (1.5, -0.5), (0.5, 1.0), (0.6, 1.0), 0.4),) * 64)


SHOWN: dict[str, Any] = {
    "table": lambda: polydesign.load(OURS),
    "table of the literature": lambda: polydesign.load("jordan_5"),
    "table for clipping": lambda: polydesign.load("clip-d9x3-l0.1-bf16"),
    "table of rows": lambda: replace(polydesign.load("jordan_5"), certificate=None, measured=(), tried=()),
    "schedule": lambda: polydesign.load(OURS).schedule,
    "schedule of many steps": many_steps,
    "certificate": lambda: polydesign.load(OURS).certificate,
    "measurement": lambda: polydesign.load(OURS).measured[0],
    "comparison": lambda: compared(OURS, "jordan_5"),
    "comparison of many": lambda: compared(
        *(t.name for t in polydesign.tables(root=2, degree=5) if t.shipped)
    ),
    "run": lambda: Sign().run(matrix(6, 8)),
    "run of a batch": lambda: InverseRoot(4).run(matrix(3, 4, 8) @ matrix(3, 4, 8).mT),
    "run of no matrix": lambda: Sign().run(torch.zeros(0, 3, 4)),
    "run of an equation": lambda: Lyapunov().run(-torch.eye(3), torch.eye(3)),
    "run of a number": lambda: EffectiveRank(0.1).run(matrix(5, 4)),
}


class Reader(HTMLParser):
    """Tags, attributes and text of a page, and whether every tag is closed in its turn."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.names: set[str] = set()
        self.text = ""
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.names |= {name for name, _ in attrs}
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data + " "


ALLOWED = {"div", "strong", "table", "thead", "tbody", "tr", "th", "td", "p"}


@pytest.mark.parametrize("name", SHOWN)
def test_a_repr_is_one_screen_and_the_page_says_the_same(name: str) -> None:
    shown = SHOWN[name]()
    lines, page = repr(shown).splitlines(), Reader(shown._repr_html_())
    assert 1 <= len(lines) <= LINES
    assert max(map(len, lines)) <= COLUMNS
    assert page.tags <= ALLOWED
    assert page.names <= {"style"}
    assert page.open == []
    title = lines[0].strip("<>")
    assert title in page.text
    facts = [line.split("  ", 1)[1].strip() for line in lines[1:] if "  " in line]
    assert [fact for fact in facts if "  " not in fact and fact not in page.text] == []


def test_what_a_table_shows_is_what_is_proved() -> None:
    table = polydesign.load(OURS)
    assert table.certificate is not None
    shown = repr(table).partition("<= ")[2].partition(" ")[0]
    assert (
        Decimal(table.certificate.error[1])
        <= Decimal(shown)
        < Decimal(table.certificate.error[1]) * Decimal("1.01")
    )
    assert "proved" in repr(table)
    assert "proved" not in repr(replace(table, certificate=None))
    assert "15 matrix products" in repr(table)


@pytest.mark.parametrize("place", ["source", "strategy"])
def test_hostile_text_of_a_table_is_text(place: str) -> None:
    table = polydesign.load(OURS)
    hostile = replace(table, provenance=replace(table.provenance, **{place: HOSTILE}))
    check(repr(hostile), hostile._repr_html_())


def test_hostile_text_of_a_run_is_text() -> None:
    run = Run(HOSTILE, None, HOSTILE, 3, table=HOSTILE, choice=HOSTILE, warnings=(HOSTILE, HOSTILE))
    check(repr(run), run._repr_html_())


def test_hostile_cells_and_notes_are_text() -> None:
    sheet = Sheet(HOSTILE, ((HOSTILE, HOSTILE),), (Cells((HOSTILE,), ((HOSTILE,),)),), (HOSTILE,))
    check(sheet.text(), sheet.html())


def check(text: str, page: str) -> None:
    read = Reader(page)
    assert read.tags <= ALLOWED
    assert "<script>" in read.text  # shown, and so not obeyed
    for said in (text, page):
        assert "\x1b" not in said
        assert "\u202e" not in said
    assert len(text.splitlines()) <= LINES


def test_the_check_sees_what_is_not_escaped() -> None:
    """Negative control: a page with the text as it is has a script."""
    with pytest.raises(AssertionError):
        check("", f"<table><tr><td>{HOSTILE}</td></tr></table>")


def test_rows_beyond_a_screen_are_counted() -> None:
    sheet = Sheet("many", grids=(Cells(("n",), tuple((str(n),) for n in range(MOST_ROWS + 5))),))
    assert sheet.text().endswith("… and 5 more")
    assert "… and 5 more" in sheet.html()
    assert "more" not in Sheet("few", grids=(Cells(("n",), (("1",),)),)).text()


def test_a_run_says_the_least_and_the_largest_of_a_batch() -> None:
    run = Sign().run(torch.stack([torch.eye(4), 3 * torch.eye(4)]))
    least, most = (float(x) for x in run.norm)
    (line,) = (line for line in repr(run).splitlines() if line.startswith("divided by"))
    low, high = line.removeprefix("divided by").split(" to ")
    assert float(low) == pytest.approx(least, rel=1e-3)
    assert float(high) == pytest.approx(most, rel=1e-3)
    assert least < most


def test_a_run_without_data_is_shown_by_its_shapes() -> None:
    empty = torch.empty(3, device="meta")
    run = Run(
        "msign", torch.empty(3, 4, 5, device="meta"), "float32", 21, residual=empty, norm=empty * torch.nan
    )
    assert "of shape (3,)" in repr(run)
    assert "3 x 4 x 5, float32, meta" in repr(run)


def test_a_run_that_is_not_finite_says_so() -> None:
    run = Run(
        "msign", None, "float32", 21, residual=torch.tensor([1.0, torch.nan]), norm=torch.tensor(torch.inf)
    )
    assert "residual    nan" in repr(run)
    assert "divided by  inf" in repr(run)


def test_a_measurement_in_a_list_is_a_line() -> None:
    runs = polydesign.load(OURS).measured[:3]
    assert repr(runs).count("\n") == 0
    assert len(repr(runs)) < 3 * COLUMNS
    failed = replace(runs[0], worst=1.0, holds=False)
    assert "FAILED" in repr(failed)
    assert "FAILED" in failed._repr_html_()


def test_a_table_plots_itself() -> None:
    """The figure of polydesign.plot, measured values with it."""
    table = polydesign.load(OURS)
    run = polydesign.verify(table, shape=(16, 24), spectra="gaussian")
    figure, expected = table.plot(run), polydesign.plot(table, measured=run)
    assert isinstance(figure, Figure)
    assert rendered(figure, "svg") == rendered(expected, "svg")
    with pytest.raises(polydesign.InputError, match="measured"):
        polydesign.load("jordan_5").plot(run)
