"""What the page says: of a design, of a refusal, of the steps, and of runs."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_CEILING
from typing import Any

from dash import html

from polydesign.explorer.jobs import BrokenError
from polydesign.explorer.state import State
from polydesign.model import InputError, Schedule, Table
from polydesign.program.cost import matmuls_of
from polydesign.text.digits import in_digits
from polydesign.text.numbers import number, short

LABELS = {
    "lower": "Lower end l",
    "degrees": "Degrees",
    "degree": "Degrees",
    "steps": "Degrees",
    "products": "Matrix products",
    "matmuls": "Matrix products",
    "band": "Band",
    "headroom": "Headroom",
    "image_floor": "Image floor",
    "floor": "Image floor",
    "floor_free_tail": "Last steps without floor",
    "tail": "Last steps without floor",
    "root": "Root",
    "purpose": "For",
    "over": "Tables over the design",
    "spectra": "Test matrices",
    "text": "The text",
    "time": "The time",
    "to": "This target",
}
"""What a field is called on the page."""


def problem_words(problem: Exception) -> str:
    """A refusal, by the control that it is of."""
    if isinstance(problem, InputError):
        return f"{LABELS.get(problem.field, problem.field)}: {problem.problem}"
    if isinstance(problem, BrokenError):
        return f"Nothing came of it: {problem}. Change something, or load the page again."
    return str(problem)


def refused(problem: Exception) -> Any:
    """A refusal, in place of what was said of the design."""
    return html.Div(problem_words(problem), className="problem", id="problem", role="alert")


def said(state: State, drawn: dict[str, Any], table: Table | None, notes: Sequence[str]) -> list[Any]:
    """What is drawn, in a sentence, and notes; table: that which design made, None for a preview."""
    low = short(float(f"{drawn['lower']:.6g}"))
    if table is not None and table.certificate is not None:
        bound = in_digits(table.certificate.error[1], 4, ROUND_CEILING)
        standing = f"proved: {table.name}"
    else:
        bound, standing = number(drawn["error"], 4), "preview, the exact result follows"
    degrees = ", ".join(map(str, drawn["degrees"]))
    products = drawn["products"] if table is None else matmuls_of(table)
    parts: list[Any] = [
        html.Strong(f"|f(x) − 1| ≤ {bound} on [{low}, 1]"),
        f" with {products} matrix products, degrees {degrees}. ",
        html.Span(standing, className="standing"),
    ]
    if drawn["allowed"] is not None:
        more = number(drawn["allowed"], 2)
        parts.append(f". In {state.dtype} rounding may add {more} in a {state.shape} matrix.")
    apart = [f"{name} is of another root, and not drawn." for name in drawn["left_out"]]
    listed = [html.P(one) for one in dict.fromkeys([*notes, *apart])]
    return [html.Div(parts, className="summary", id="summary"), html.Div(listed, className="notes")]


def listed_degrees(degrees: Sequence[int]) -> str:
    """As a person writes them."""
    return ", ".join(map(str, degrees))


def steps_table(schedule: Schedule) -> Any:
    """The steps in numbers: what the figures show, for people who do not see them."""
    head = ("step", "degree", "domain", "image", "error", "coefficients of q, increasing powers")
    rows = []
    for index, step in enumerate(schedule.steps, start=1):
        domain, image = (f"[{a:.6g}, {b:.6g}]" for a, b in (step.domain, step.image))
        coefficients = ", ".join(f"{c!r}" for c in step.coefficients)
        rows.append((str(index), str(step.degree), domain, image, number(step.half_width, 4), coefficients))
    return table_of(head, rows)


def run_rows(rows: Sequence[Sequence[Any]]) -> Any:
    """What runs on matrices gave, a line each."""
    head = ("matrix", "precision", "worst error", "allowed", "promise")
    return table_of(head, [(*map(str, row[:4]), "holds" if row[4] else "FAILED") for row in rows])


def aria(**said: str) -> dict[str, Any]:
    """Attributes for screen readers: label="…" for aria-label."""
    return {f"aria-{name}": text for name, text in said.items()}


def table_of(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Any:
    """A table that scrolls in a box of its own where it is wide."""
    body = [html.Tr([html.Td(cell) for cell in row]) for row in rows]
    table = html.Table([html.Thead(html.Tr([html.Th(cell, scope="col") for cell in head])), html.Tbody(body)])
    return html.Div(table, className="scroll", tabIndex=0, role="region", **aria(label="table"))
