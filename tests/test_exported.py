"""What polydesign export writes is read back by identify: the table by its name, or why the text cannot tell."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

import polydesign
from polydesign import export
from polydesign.exporters import TARGETS
from polydesign.identification import inventory
from polydesign.identification.known import KnownRows
from polydesign.identification.matches import find_matches
from polydesign.identification.sources import given
from polydesign.model import InputError, Table
from polydesign.table.rows import from_rows

QUINTICS, JORDAN = "sign-d5x5-l1e-3-bf16", "jordan_5"
CHEBYSHEV, COUPLED, ROOT4 = "sign-m15-l1e-3-fp16", "sign-m14-l0.01-fp32-coupled", "root4-m17-l0.1-fp32"
NAMES = [QUINTICS, JORDAN, CHEBYSHEV, COUPLED, ROOT4]
NAMES += ["root4-d9x4-l0.1-bf16", "root3-d7x5-l0.046-bf16", "inverse-m11-l1e-4-fp32", "sign-m20-l1e-3-bf16"]
NAMES += ["clip-d17x3-l0.01-fp16", "sign-d5x5-l0.01-bf16-coupled"]

DIVIDE = {"adam-atan2": 1.01, "nanochat": 1.01, "modded-nanogpt": 1.02}
ONE_ROW = ("torch", "keras", "tinygrad", "distributed-shampoo")


def texts(name: str) -> dict[str, str]:
    """The exports of a table, by the target, as far as targets take it."""
    found = {}
    for to in TARGETS:
        try:
            found[to] = export(name, to)
        except InputError:
            continue
    return found


def explained(rows: object, table: Table) -> str:
    """How the rows come from this table."""
    known = KnownRows(table.name, table.schedule.root, tuple(table.as_tuples()), False)
    (match,) = find_matches(rows, known=[known])  # pyright: ignore[reportArgumentType]
    return str(match)


@pytest.mark.few(6)
@pytest.mark.parametrize("name", NAMES)
def test_every_export_is_read_back(name: str) -> None:
    table, found = polydesign.load(name), texts(name)
    assert {"torch-function", "numpy", "jax", "python", "c", "csv", "markdown", "latex"} <= set(found)
    for to, text in found.items():
        read = given(text)
        if to in ONE_ROW:
            assert explained(read.rows, table) == f"{name}, its one row, which is run 5 times", to
        else:
            assert explained(read.rows, table) == name, to
        factor = DIVIDE.get(to)
        said = factor and f"for what divides by {factor:g} times the norm"
        assert read.words.partition(" (")[0] == (said or read.words), to
        if to in ("torch-function", "numpy", "jax", "python", "c") and name in (CHEBYSHEV, COUPLED, ROOT4):
            assert read.table, to  # the constants of programs are none of its coefficients


def changed(text: str) -> dict[str, str]:
    """The text of a program, with something else in it than the table."""
    first, last = re.findall(r"    \(\n(?:        .*\n)+    \),\n", text)[::2]
    number = re.findall(r"-?\d+\.\d{9,}", first)[0]
    return {
        "a constant": text.replace(number, "1.5"),
        "another bit": text.replace(number, f"{number[:-1]}{(int(number[-1]) + 4) % 10}"),
        "rows exchanged": text.replace(first, "@").replace(last, first).replace("@", last),
        "a row left out": text.replace(last, ""),
        "a row twice": text.replace(last, last + last),
        "reversed below": text + "\nSTEPS.reverse()\n",
        "cut below": text + "\nSTEPS = STEPS[:2]\n",
        "shuffled below": text + "\nrandom.shuffle(STEPS)\n",
        "under another name": text + "\nsteps = STEPS\nsteps.reverse()\n",
        "scaled below": text + "\nscaled = [tuple(c / 1.01 for c in row) for row in STEPS]\n",
        "run backwards": text + "\nfor row in reversed(STEPS):\n    pass\n",
        "no digest": text.replace("sha256:", ""),
    }


@pytest.mark.parametrize("to", ["numpy", "python"])
def test_constants_of_a_program_are_that_table_or_none(to: str) -> None:
    """As coefficients they would be another map, and proved."""
    text = export(CHEBYSHEV, to)
    for what, other in changed(text).items():
        assert other != text
        with pytest.raises(InputError, match="runs programs, whose constants are no coefficients") as caught:
            given(other)
        assert caught.value.field == "text"
        assert what != "rows exchanged" or not inventory(other).sightings
    (one,) = inventory(text).sightings  # the control
    assert (one.kind, one.table) == ("known", CHEBYSHEV)


def test_constants_of_a_table_that_is_nowhere_are_refused() -> None:
    """The cure is its file, or a text that has coefficients."""
    table = polydesign.load(CHEBYSHEV)
    schedule = replace(table.schedule, steps=table.schedule.steps[:2])
    parameters = replace(table.provenance, parameters={})
    other = replace(
        table, name="mine", schedule=schedule, certificate=None, measured=(), tried=(), provenance=parameters
    )
    for to in ("torch-function", "numpy", "jax", "python", "c"):
        with pytest.raises(InputError, match="names no table of the catalogue: give the table's file"):
            given(export(other, to))
    for to in ("csv", "markdown", "latex"):
        assert list(given(export(other, to)).rows) == other.as_tuples()


def test_steps_of_several_degrees_are_read_from_latex() -> None:
    rows = [(1.8123456789, -1.1, 0.3), (1.5123456789, -0.5), (1.9, -1.2, 0.3123456789)]
    for scaled in (rows, [(*row, 1e-3) for row in rows]):
        table = from_rows(scaled, 2, lower=0.3)
        assert list(given(export(table, "latex")).rows) == table.as_tuples()
    text = export(from_rows([(*row, 1e-3) for row in rows], 2, lower=0.3), "latex")
    for bad in (text.replace(" &  & 2 &", " &  & 4 &"), text.replace("0.001", "x", 1)):  # no such table
        with pytest.raises(InputError):
            given(bad)


@pytest.mark.parametrize("to", DIVIDE)
def test_a_first_row_that_makes_up_for_a_divisor_is_the_table(to: str) -> None:
    """With the digest it is the table itself; rows alone are told by what was done to the first."""
    text = export(QUINTICS, to)
    read, table = given(text), polydesign.load(QUINTICS)
    assert read.table is not None
    assert (read.table.name, list(read.rows)) == (QUINTICS, table.as_tuples())
    alone = given(text.replace("sha256:", ""))
    assert alone.table is None
    factor = DIVIDE[to]
    words = f"unfolded by {factor:g} in the first row alone, for what divides by {factor:g} times the norm ("
    assert words in explained(alone.rows, table)
    second = repr(table.as_tuples()[1][0])
    assert given(text.replace(second, "4.0")).table is None  # the control: not with another row
    reversed_ = (
        f"{text}\n{'polar_arguments' if 'polar_arguments' in text else 'polar_express_coeffs'}.reverse()"
    )
    if "polar_arguments" not in text:
        with pytest.raises(InputError, match="paste the list that results"):
            given(reversed_)
