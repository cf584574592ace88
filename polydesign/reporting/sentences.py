"""What a table promises and what is proved of it, in sentences."""

from __future__ import annotations

import math
from collections.abc import Sequence

from polydesign.exporters.target import standings
from polydesign.model import DTYPES, Measurement, Table
from polydesign.reporting import origin
from polydesign.reporting.comparison import Row
from polydesign.reporting.tables import edge, ratio
from polydesign.rounding.direct import Prediction
from polydesign.text.numbers import number, short

VALUES = {1: "eigenvalue", 2: "singular value"}
NORMS = {
    "frobenius": "its Frobenius norm",
    "schatten4": "its Schatten-4 norm",
    "schatten8": "its Schatten-8 norm",
    "power": "an estimate of its spectral norm",
    "aol": "its rows' own bounds",
}

LEAST_ROOM = 1.0001
"""A safe edge below this is none that anyone can use."""


def values(root: int) -> str:
    """What x is: a singular value, an eigenvalue, an eigenvalue^(1/r)."""
    return VALUES.get(root, f"eigenvalue^(1/{root})")


def _article(root: int) -> str:
    return f"{'a' if root == 2 else 'an'} {values(root)}"


def promise(table: Table, row: Row) -> str:
    """What the user gets."""
    low, high = map(short, table.schedule.interval)
    norm = NORMS.get(table.normalization)
    after = f"of the input divided by {norm}" if norm else "of the input as it is"
    steps = len(table.schedule.steps)
    cost = (
        f"after exactly {steps} step{'s' * (steps != 1)}, which take {row.products} matrix products in the "
        f"{row.form} form"
    )
    if row.error >= 1:
        return (
            f"Nothing: {_article(row.root)} x in [{low}, {high}] {after} may end as far as "
            f"{number(row.error, 3, up=True)} from 1, at 0 or with another sign, {cost}."
        )
    return (
        f"Every {values(row.root)} x in [{low}, {high}] {after} ends within {number(row.error, 3, up=True)} "
        f"of 1, {cost}."
    )


def proof(table: Table, row: Row) -> list[str]:
    """What is proved, what it costs, and where it ends."""
    low, high = map(short, table.schedule.interval)
    certificate = table.certificate
    sentences = []
    if certificate is not None and certificate.kind == "proved":
        sentences.append(
            "In exact arithmetic, with the constants of the file just as they are, the largest |f(x) − 1| "
            f"on [{low}, {high}] lies between {certificate.error[0]} and {certificate.error[1]}."
        )
    else:
        sentences.append(
            f"The file has no proof; here and now max |f(x) − 1| ≤ {number(row.error, 6, up=True)} on "
            f"[{low}, {high}] was proved in exact arithmetic."
        )
    price = (
        "headroom, cushion and rounding"
        if table.provenance.source is None
        else "rounding, folding or cushion"
    )
    if row.ratio_to_optimum < 1 + 1e-6:
        sentences.append("No schedule with these degrees does better on this interval.")
    elif row.ratio_to_optimum < math.inf:
        sentences.append(
            f"That is {ratio(row.ratio_to_optimum)} times the least that these degrees can do there: the "
            f"price of {price}."
        )
    if row.safe_edge is None:
        sentences.append(f"At x = {high} itself a step leaves (0, 2): no error of the norm is allowed for.")
    elif row.safe_edge < LEAST_ROOM:
        sentences.append(
            f"There is no room above {high}: what rounding or the norm pushes beyond may be lost."
        )
    else:
        room = f"a factor {edge(row)} (the safe edge)"
        sentences.append(f"The promise still holds for values that are too large by up to {room}.")
    sentences.append(
        f"Values far below {low} grow by a factor {number(row.slope, 4)}, the slope of f at 0, and are not "
        "promised anything."
    )
    return sentences


UNPROVED = (
    "Not covered by the proof: rounding, which is expected and measured below; matrices that are not normal; "
    "values below the lower end."
)


def rounding(
    row: Row, predictions: dict[str, Prediction], measurements: Sequence[Measurement]
) -> list[tuple[str, ...]]:
    """A row a precision: exact, expected with rounding, measured, where, runs that held, source."""
    rows = []
    seen = [m.dtype for m in measurements]
    for dtype in [d for d in DTYPES if d in predictions or d in seen]:
        runs = [m for m in measurements if m.dtype == dtype and m.count]
        expected = predictions.get(dtype)
        cells = [
            DTYPES[dtype],
            number(row.error, 3, up=True),
            "-" if expected is None else _expected(expected),
        ]
        if not runs:
            rows.append((*cells, "-", "-", "-"))
            continue
        lost = [m for m in runs if m.worst is None]
        worst = lost[0] if lost else max(runs, key=lambda m: m.worst or 0.0)
        value = "not finite" if worst.worst is None else number(worst.worst, 3, up=True)
        held = sum(m.holds for m in runs)
        rows.append((*cells, value, worst.spectrum, f"{held} of {len(runs)}"))
    return rows


def expected(table: Table) -> str:
    """What the expected errors are, and for how much of the noise."""
    dtype = table.dtype
    part = origin.caution(table, str(dtype))
    less = (
        f" (in {DTYPES[str(dtype)]} for {part:g} of that noise, which it was made for)" if part != 1 else ""
    )
    return (
        f"Expected: by the rounding model, for the worst that each step may meet{less}, which all of them "
        "seldom meet together; unsafe: a value may leave for good."
        + "".join(f" Tried: {line}." for line in standings(table))
    )


def _expected(prediction: Prediction) -> str:
    return "unsafe" if math.isinf(prediction.error) else number(prediction.error, 3, up=True)


def runs(measurements: Sequence[Measurement]) -> str:
    """Where the measurements were taken."""
    if not measurements:
        return "Nothing is measured; polydesign report --measure does it."
    shapes = sorted({"×".join(map(str, m.shape[-2:])) for m in measurements})
    places = sorted({m.device_name or m.device for m in measurements})
    torch = sorted({m.versions["torch"] for m in measurements if "torch" in m.versions})
    words = [", ".join(shapes), ", ".join(places), *(f"torch {one}" for one in torch)]
    operators = sorted({m.operator + (f" with power {m.power}" if m.power > 1 else "") for m in measurements})
    return f"{len(measurements)} runs of {', '.join(operators)}: {'; '.join(words)}."
