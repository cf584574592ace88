"""Tables as text in languages and formats: run or read back, every constant and every rounding."""

from __future__ import annotations

import ast
import csv
import io
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest
from texts import NAMES, run, table

from polydesign.exporters.layout import WIDTH, identifier
from polydesign.exporters.printer import routines
from polydesign.exporters.target import stated_error
from polydesign.exporters.targets import TEXTS
from polydesign.model import InputError, Schedule, Step, Table
from polydesign.program.cost import matmuls_of
from polydesign.rounding.running import running_error

IN_PYTHON = ["python", "numpy", "jax", "torch-function"]
FUNCTIONS = ["numpy", "jax", "torch-function"]
SOURCE = 'A "quoted\\path" */ /* --> \\end{x} """ | `x` _y_ # 100%\nsecond line ' + "long " * 60


def grid(schedule: Schedule, count: int = 200) -> np.ndarray:
    return np.concatenate([[0.0], np.geomspace(schedule.interval[0] / 10, schedule.interval[1], count)])


def exactly(schedule: Schedule, x: Any) -> Any:
    """What the programs that run here make of x, in the digits of x."""
    for step in schedule.steps:
        x = x * step.program(x**schedule.root)
    return x


def rounding(schedule: Schedule, x: np.ndarray) -> np.ndarray:
    """First-order bound, twice, of how far two float64 evaluations of f may lie apart: by programs and by
    Horner's rule on coefficients that are rounded once. What a step adds, later ones multiply by |p′|."""
    u, total, root = 2.0**-53, np.zeros_like(x), schedule.root
    for step in schedule.steps:
        powers = [x ** (j * root) for j in range(len(step.coefficients))]
        sizes = x * sum(abs(c) * y for c, y in zip(step.coefficients, powers, strict=True))
        slope = sum(
            (1 + j * root) * c * y for j, (c, y) in enumerate(zip(step.coefficients, powers, strict=True))
        )
        horner = (2 * len(powers) + root + 1) * sizes
        total = abs(slope) * total + u * (horner + running_error(step.program, root, float(np.max(x))))
        x = abs(step(x))
    return 2 * total


def differs(text: str, schedule: Schedule) -> float:
    """max |f(x) of the text − f(x)| in 60 digits."""
    f = run(text).f
    with mpmath.workdps(60):
        return float(
            max(abs(f(mpmath.mpf(x)) - exactly(schedule, mpmath.mpf(x))) for x in grid(schedule, 20))
        )


# python


@pytest.mark.parametrize("name", NAMES)
def test_python_runs_the_program_with_every_constant(name: str) -> None:
    # Numbers of 60 digits leave nothing but the constants, whose own sums are float64 in both.
    schedule = table(name).schedule
    assert differs(TEXTS["python"].write(table(name)), schedule) < 1e-45


@pytest.mark.parametrize("name", NAMES)
def test_one_bit_of_one_constant_is_seen(name: str) -> None:
    """Negative control of the test above, for the first and the last constant that runs."""
    schedule, text = table(name).schedule, TEXTS["python"].write(table(name))
    for constant in (schedule.steps[0].program.constants[0], schedule.steps[-1].program.constants[-1]):
        changed = text.replace(repr(constant), repr(float(np.nextafter(constant, np.inf))))
        assert changed != text
        assert differs(changed, schedule) > 1e-30


@pytest.mark.parametrize("name", NAMES)
def test_python_agrees_with_the_coefficients_in_float64(name: str) -> None:
    schedule = table(name).schedule
    x = grid(schedule)
    f = run(TEXTS["python"].write(table(name))).f
    assert np.all(abs(f(x) - schedule(x)) <= rounding(schedule, x))
    assert [f(float(one)) for one in x[:20]] == f(x)[:20].tolist()


def test_a_rounded_coefficient_is_seen_in_float64() -> None:
    """Negative control of the tolerance."""
    schedule = table("sign-d5x6-l1e-3-bf16").schedule
    text = TEXTS["python"].write(table("sign-d5x6-l1e-3-bf16"))
    x = grid(schedule)
    changed = run(text.replace("8.230358729732423", "8.2304")).f(x)
    assert np.any(abs(changed - schedule(x)) > rounding(schedule, x))


# what every text has


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("target", TEXTS)
def test_every_text_names_the_table_its_digest_and_its_promise(target: str, name: str) -> None:
    text = TEXTS[target].write(table(name))
    assert table(name).digest in text
    assert name in text.replace("\\_", "_")
    assert text.endswith("\n")
    assert not text.endswith("\n\n")
    if target != "csv":
        assert f"<= {stated_error(table(name), 6)} for" in text.replace("\\", "")
        assert "never repeat or leave out a row" in text
    assert TEXTS[target].suffix.startswith(".")


@pytest.mark.parametrize("target", TEXTS)
def test_a_source_of_any_kind_harms_no_text(target: str, tmp_path: Path) -> None:
    hostile = table("sign-d5x6-l1e-3-bf16")
    hostile = replace(hostile, provenance=replace(hostile.provenance, source=SOURCE))
    text = TEXTS[target].write(hostile)
    if target in IN_PYTHON:
        assert all(len(line) <= WIDTH for line in text.splitlines())
        ast.parse(text)
    elif target == "c":
        compiled(text, hostile, tmp_path, [0.5])
    elif target == "csv":
        assert len(list(csv.reader(io.StringIO(text)))) == 7
    elif target == "markdown":
        assert len([line for line in text.splitlines() if line.startswith("|")]) == 8
    else:
        assert text.count("\n\\end{") == 1


def test_markdown_leaves_the_source_as_it_is() -> None:
    """Its signs are escaped, none twice; what is left after that is the source."""
    hostile = table("sign-d5x6-l1e-3-bf16")
    source = "a_b*c*`d` [e](f) <g> #h |i| \\j"
    hostile = replace(hostile, provenance=replace(hostile.provenance, source=source))
    (line,) = [one for one in TEXTS["markdown"].write(hostile).splitlines() if "source:" in one]
    assert not re.search(r"(?<!\\)(\\\\)*[*_`\[\]<>#|]", line)
    assert re.sub(r"\\(.)", r"\1", line) == f"- source: {source}"


@pytest.mark.parametrize("target", IN_PYTHON)
def test_lines_fit_and_constants_are_floats(target: str) -> None:
    for name in NAMES:
        text = TEXTS[target].write(table(name))
        assert all(len(line) <= WIDTH for line in text.splitlines())
        assigned = [node for node in ast.parse(text).body if isinstance(node, ast.Assign)]
        (steps,) = [node.value for node in assigned if ast.unparse(node.targets[0]) == "STEPS"]
        # An int among floats is another schema to a compiler.
        assert all(
            isinstance(node.value, float) for node in ast.walk(steps) if isinstance(node, ast.Constant)
        )


@pytest.mark.parametrize("target", IN_PYTHON)
def test_python_texts_are_formatted_and_have_no_unused_name(target: str, tmp_path: Path) -> None:
    ruff = shutil.which("ruff", path=str(Path(sys.executable).parent)) or shutil.which("ruff")
    if ruff is None:
        pytest.skip("ruff is not installed: pip install -e '.[dev]'")
    for name in NAMES:
        text = TEXTS[target].write(table(name))
        (tmp_path / f"{identifier(name)}.py").write_text(text, encoding="utf-8")

    def done(*arguments: str) -> subprocess.CompletedProcess[str]:
        common = ["--isolated", "--no-cache", "--line-length", str(WIDTH), str(tmp_path)]
        return subprocess.run([ruff, *arguments, *common], capture_output=True, text=True, check=False)

    for arguments in (["format", "--check", "--diff"], ["check", "--select", "E,F,W,B,PLE"]):
        found = done(*arguments)
        assert found.returncode == 0, found.stdout + found.stderr
    # Negative control: a name that nothing defines.
    (tmp_path / "bad.py").write_text("def f(x):\n    return x + missing\n")
    assert "missing" in done("check", "--select", "F").stdout


@pytest.mark.parametrize("name", NAMES)
def test_routines_cover_the_steps_and_leave_out_zeros_only(name: str) -> None:
    schedule = table(name).schedule
    made, calls = routines(schedule)
    assert len({routine.name for routine in made}) == len(made)
    assert [routine.degree for routine, _ in calls] == list(schedule.degrees)
    for step, (routine, row) in zip(schedule.steps, calls, strict=True):
        assert len(row) == len(routine.constants)
        assert [c for c in row if c] == [c for c in step.program.constants if c]
        assert routine.program.products == step.program.products


# C


def compiled(text: str, table: Table, folder: Path, x: list[float]) -> list[float]:
    """The header in a program with f of these numbers, steps, products, degrees and error."""
    gcc = shutil.which("gcc")
    if gcc is None:
        pytest.skip("gcc is not installed")
    name = identifier(table.name)
    (folder / "table.h").write_text(text, encoding="utf-8")
    numbers = ", ".join(float(one).hex() for one in x)
    (folder / "main.c").write_text(
        f"""#include <stdio.h>
#include "table.h"
#include "table.h"
int main(void)
{{
    const double x[] = {{{numbers}}};
    int sum = 0;
    for (int i = 0; i < {name.upper()}_STEPS; i++)
        sum += {name}_degrees[i];
    for (int i = 0; i < {len(x)}; i++)
        printf("%a\\n", {name}(x[i]));
    printf("%d %d %d\\n%a\\n", sum, {name.upper()}_MATMULS, {name.upper()}_ROOT, {name.upper()}_ERROR);
    return 0;
}}
"""
    )
    strict = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic"]
    subprocess.run([gcc, *strict, "main.c", "-o", "main"], cwd=folder, check=True, capture_output=True)
    lines = subprocess.run([folder / "main"], capture_output=True, text=True, check=True).stdout.split()
    *values, degrees, products, root, error = lines
    schedule = table.schedule
    assert [int(degrees), int(products), int(root)] == [
        sum(schedule.degrees),
        matmuls_of(table),
        schedule.root,
    ]
    assert float.fromhex(error) == schedule.error
    return [float.fromhex(value) for value in values]


@pytest.mark.few(10)
@pytest.mark.parametrize("name", NAMES)
def test_c_computes_what_python_does_to_the_last_bit(name: str, tmp_path: Path) -> None:
    x = grid(table(name).schedule, 50).tolist()
    f = run(TEXTS["python"].write(table(name))).f
    text = TEXTS["c"].write(table(name))
    assert compiled(text, table(name), tmp_path, x) == [f(one) for one in x]
    # Negative control: a constant changed in its tenth digit.
    first = table(name).schedule.steps[0].program.constants[0]
    changed = text.replace(first.hex(), (first * (1 + 1e-9)).hex(), 1)
    assert compiled(changed, table(name), tmp_path, x) != [f(one) for one in x]


@pytest.mark.parametrize("name", ["double", "9x4", "_Bool", "résumé", "+", "x.y-z"])
def test_a_table_of_any_name_compiles(name: str, tmp_path: Path) -> None:
    """A name is letters, digits and . _ + -: some are no identifiers of C, and some are its keywords."""
    named = replace(table("sign-d5x6-l1e-3-bf16"), name=name)
    assert compiled(TEXTS["c"].write(named), named, tmp_path, [0.5]) == [
        run(TEXTS["python"].write(named)).f(0.5)
    ]


# formats


@pytest.mark.parametrize("name", NAMES)
def test_csv_reads_back_to_every_number(name: str) -> None:
    text = TEXTS["csv"].write(table(name))
    assert text.count("\r\n") == text.count("\n") == len(table(name).schedule.steps) + 1
    rows = list(csv.DictReader(io.StringIO(text)))
    for index, (step, row) in enumerate(zip(table(name).schedule.steps, rows, strict=True), start=1):
        assert None not in row
        assert (int(row["step"]), int(row["degree"]), row["evaluation"]) == (
            index,
            step.degree,
            step.evaluation,
        )
        assert (float(row["domain_low"]), float(row["domain_high"])) == step.domain
        assert (float(row["image_low"]), float(row["image_high"])) == step.image
        assert tuple(float(c) for k, c in row.items() if re.fullmatch(r"c\d+", k) and c) == step.coefficients
        assert tuple(float(c) for k, c in row.items() if re.fullmatch(r"k\d+", k) and c) == running(step)
        assert bool(row.get("program")) == bool(running(step))
        assert (row["name"], row["digest"]) == (name, table(name).digest)


def running(step: Step) -> tuple[float, ...]:
    """The constants that run, where they are not the coefficients."""
    return () if step.evaluation == "monomial" else step.program.constants


@pytest.mark.parametrize("name", NAMES)
def test_markdown_reads_back_to_every_number(name: str) -> None:
    lines = TEXTS["markdown"].write(table(name)).splitlines()
    rows = [line for line in lines if line.startswith("| ")][1:]
    for step, row in zip(table(name).schedule.steps, rows, strict=True):
        assert row.count("|") == 6
        assert tuple(map(float, re.findall(r"`([^`]*)`", row))) == (*step.coefficients, *running(step))


@pytest.mark.parametrize("name", NAMES)
def test_latex_reads_back_and_is_one_tabular(name: str) -> None:
    text = TEXTS["latex"].write(table(name))
    body = [line for line in text.splitlines() if not line.startswith("%")]
    rows = [line for line in body if line.endswith(r"\\")]
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == 1
    assert all(line.count("{") == line.count("}") for line in body)
    assert len({line.count("&") for line in rows}) == 1
    numbers = [float(n) for line in rows[1:] for n in re.findall(r"-?\d+\.\d+(?:e[+-]?\d+)?", line)]
    assert numbers == [c for step in table(name).schedule.steps for c in step.coefficients]
    whole, digits = map(int, re.findall(r"table-format=-?(\d+)\.(\d+)", text)[0])
    assert all(len(repr(abs(n)).split("e")[0].split(".")[0]) <= whole for n in numbers)
    assert all(len(repr(n).split("e")[0].split(".")[1]) <= digits for n in numbers)


# refusals


@pytest.mark.parametrize("target", FUNCTIONS)
@pytest.mark.parametrize(
    ("normalization", "reason"),
    [
        ("aol", "rescales each row by its own factor"),
        ("schatten8", "takes a product that the text does not have"),
        ("power", "guarantees nothing"),
        ("none", "leaves the division to the caller"),
    ],
)
def test_a_normalization_that_the_text_lacks_is_refused(target: str, normalization: str, reason: str) -> None:
    other = replace(table("sign-d5x6-l1e-3-bf16"), normalization=normalization)
    with pytest.raises(InputError, match=rf"^to: {target} divides by .*{reason}.*polydesign\.runtime"):
        TEXTS[target].write(other)
    # The texts that normalize nothing take it, and say what they were made for.
    assert f"normalization {normalization}" in TEXTS["python"].write(other)
