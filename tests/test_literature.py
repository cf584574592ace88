"""Published schemes that are no rows: their programs, what is proved of them, and how a text of theirs is known."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import polydesign
from polydesign.designer.design import published_table
from polydesign.identification.scanning import inventory
from polydesign.identification.schemes import of_its_constants
from polydesign.model import InputError
from polydesign.model.program import check_program
from polydesign.program.basis import expanded
from polydesign.program.literature import SCHEMES, odd_chebyshev, products_of_sums
from polydesign.table.published import names, published

ERIKSON, LATTIGO = "erikson_machpolar17", "lattigo_sign_30"
POINTS = [Fraction(1, 3), Fraction(7, 5), Fraction(-2, 7), Fraction(9, 8)]


def series(constants: list[float], x: Fraction) -> Fraction:
    """Σ c_k T_(2k+1)(x), by the three-term recurrence."""
    before, value, total = Fraction(1), x, Fraction(0)
    for index in range(1, 2 * len(constants)):
        if index % 2:
            total += Fraction(constants[index // 2]) * value
        before, value = value, 2 * x * value - before
    return total


def nested(row: tuple[float, ...], x: Fraction) -> Fraction:
    """x·Σ c_j R_j, as the source's loop has it."""
    numbers = list(map(Fraction, row))
    left, right, last = numbers[:9], numbers[9:18], numbers[18:]
    registers = [Fraction(1), x * x]
    for start, width in ((0, 2), (2, 3), (5, 4)):
        one, other = (
            sum((w * r for w, r in zip(side[start : start + width], registers, strict=True)), Fraction(0))
            for side in (left, right)
        )
        registers.append(one * other)
    return x * sum((w * r for w, r in zip(last, registers, strict=True)), Fraction(0))


def value(code: Any, x: Fraction) -> Fraction:
    return x * sum((c * x ** (2 * j) for j, c in enumerate(expanded(code))), Fraction(0))


@pytest.mark.parametrize("count", range(4, 17))
def test_a_program_is_exactly_the_chebyshev_series(count: int) -> None:
    """And of another constant it is not."""
    constants = np.random.default_rng(count).uniform(-1, 1, count).tolist()
    code = odd_chebyshev(constants)
    check_program(code)
    assert code.degree == count - 1
    assert [value(code, x) for x in POINTS] == [series(constants, x) for x in POINTS]
    other = [*constants[:-1], np.nextafter(constants[-1], 2)]
    assert value(odd_chebyshev(other), POINTS[0]) != series(constants, POINTS[0])


def test_products_are_few() -> None:
    """Beside A and Q·X: as many as the docstring says."""
    counts = {2 * n - 1: odd_chebyshev([1.0] * n).products for n in (4, 8, 9, 16)}
    assert counts == {7: 2, 15: 4, 17: 5, 31: 7}
    assert products_of_sums([1.0] * 23).products == 3


@pytest.mark.parametrize(("scheme", "counts"), [("products-of-sums", (22, 24)), ("odd-chebyshev", (3, 17))])
def test_other_numbers_of_constants_are_refused(scheme: str, counts: tuple[int, int]) -> None:
    for count in counts:
        with pytest.raises(InputError, match=rf"constants: must be .* for {scheme}, not {count}"):
            SCHEMES[scheme]([1.0] * count)


def test_published_rows_are_those_of_the_constants() -> None:
    schemes = {name: published(name) for name in names() if published(name).scheme}
    assert set(schemes) == {ERIKSON, LATTIGO}
    for entry in schemes.values():
        codes = entry.programs() or ()
        assert tuple(tuple(map(float, expanded(code))) for code in codes) == entry.rows
    for row, code in zip(published(ERIKSON).constants, published(ERIKSON).programs() or (), strict=True):
        assert [value(code, x) for x in POINTS] == [nested(row, x) for x in POINTS]
    assert published("jordan_5").programs() is None


def test_what_lattigo_says_is_proved() -> None:
    """Its comment: 2^-21.93 before the last step, there about the middle of the image, and some 80 bits after it."""
    steps = polydesign.load(LATTIGO).schedule.steps
    assert [step.degree for step in steps] == [15, 15, 15, 17, 31, 31, 31, 31, 7]
    low, high = steps[-2].image
    assert (high - low) / (high + low) == pytest.approx(2.0**-21.926741, rel=1e-3)
    assert 2.0**-83 < steps[-1].half_width < 2.0**-80


def test_what_erikson_and_niemitalo_reach() -> None:
    """Fifteen products of the first, and what the other's README gives as its cost, which was taken on a grid."""
    steps = polydesign.load(ERIKSON).schedule.steps
    assert steps[2].half_width == pytest.approx(0.0373, abs=1e-4)
    assert polydesign.load("niemitalo_5").schedule.error == pytest.approx(0.115707, abs=2e-4)
    assert polydesign.load("niemitalo_5_error_1.01").schedule.error == pytest.approx(0.127108, abs=1e-6)


def rescaled(name: str) -> float:
    """How far the logarithms of its coefficients are from those of the best steps, scaled between steps."""
    entry = published(name)
    low, high = entry.interval or (1e-3, 1.0)
    best = polydesign.design(degree=5, steps=5, lower=low, upper=high, headroom=1, cushion=0).as_tuples()
    equations = np.zeros((15, 6))
    ratios = np.log(np.array(entry.rows) / np.array(best)).ravel()
    for index in range(15):
        step, power = divmod(index, 3)
        equations[index, step + 1] = 1
        equations[index, step] = -(1 + 2 * power)
    found = np.linalg.lstsq(equations, ratios, rcond=None)[0]
    return float(np.abs(equations @ found - ratios).max())


def test_one_of_niemitalo_is_the_best_composition_in_other_scales() -> None:
    """The search by differential evolution found the minimax steps; with errors between steps it found others."""
    assert rescaled("niemitalo_5") < 1e-6
    assert rescaled("niemitalo_5_error_1.01") > 1e-3


def as_go(constants: tuple[tuple[float, ...], ...]) -> str:
    """As lattigo has it: strings, with a zero for every even power."""
    rows = ["{" + ", ".join(f'"0", "{c:.19f}"' for c in row) + "}," for row in constants]
    return "package comparison\n\nvar Default = [][]string{\n\t" + "\n\t".join(rows) + "\n}\n"


def as_python(name: str, digits: int = 16) -> str:
    """As Erikson has it: lists of lists, and the last of each undivided."""
    entry, steps = published(name), []
    for index, row in enumerate(entry.constants):
        factor = 1.01 if index < len(entry.constants) - 1 else 1.0
        said = [f"{c:.{digits}e}" for c in (*row[:18], *(c * factor for c in row[18:]))]
        cuts = [(0, 2), (2, 5), (5, 9), (9, 11), (11, 14), (14, 18), (18, 23)]
        parts = [f"[{', '.join(said[a:b])}]" for a, b in cuts]
        steps.append(f"[[{', '.join(parts[:3])}], [{', '.join(parts[3:6])}], {parts[6]}]")
    return "import torch\n\nco = [" + ",\n".join(steps) + "]\n"


@pytest.mark.parametrize(
    ("name", "text"), [(ERIKSON, as_python(ERIKSON)), (LATTIGO, as_go(published(LATTIGO).constants))]
)
def test_a_scheme_is_known_by_its_constants(name: str, text: str, tmp_path: Path) -> None:
    found = polydesign.identify(text)
    assert found.matches[0].name == name
    assert found.matches[0].exact
    assert found.words == "by its constants, which are no coefficients"
    assert found.schedule == polydesign.load(name).schedule
    path = tmp_path / "source.go"
    path.write_text(text, "utf-8")
    (sighting,) = inventory(path).sightings
    assert (sighting.table, sighting.kind, sighting.line) == (
        name,
        "known",
        text[: text.index(".")].count("\n") + 1,
    )
    assert polydesign.import_table(path).digest == polydesign.load(name).digest


def test_the_first_steps_of_a_scheme_are_told_apart() -> None:
    """Lattigo's last step stands in another file."""
    text = as_go(published(LATTIGO).constants[:-1])
    found = polydesign.identify(text)
    assert str(found.matches[0]) == f"{LATTIGO}, the first 8 of 9 rows"
    assert found.schedule is not None
    assert found.schedule.steps == polydesign.load(LATTIGO).schedule.steps[:8]
    table, _ = of_its_constants(text) or (None, 0)
    assert table is not None
    assert (table.name, table.tried) == (f"{LATTIGO}-first-8", ())


def test_other_constants_are_no_scheme() -> None:
    """Fewer digits, one number changed in the first step, and one step alone."""
    assert of_its_constants(as_python(ERIKSON, digits=8)) is None
    constants = published(LATTIGO).constants
    changed = ((constants[0][0] + 1e-9, *constants[0][1:]), *constants[1:])
    assert of_its_constants(as_go(changed)) is None
    assert of_its_constants(as_go(constants[:1])) is None
    assert of_its_constants("(3.4445, -4.7750, 2.0315)") is None


def test_the_table_of_the_catalogue_is_made_again() -> None:
    for name in (ERIKSON, LATTIGO):
        made = published_table(name)
        assert made.schedule == polydesign.load(name).schedule
        assert {step.evaluation for step in made.schedule.steps} == {published(name).scheme}
