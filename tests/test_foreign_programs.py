"""Programs that no builder here makes: all that walk one agree with its exact polynomial, or it is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from examples import examples
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from texts import run

from polydesign import export, load
from polydesign.approximation.fold import folded
from polydesign.approximation.scalar import received_step
from polydesign.model import InputError, Provenance, Schedule, Step, Table
from polydesign.model.program import IDENTITY, A, Line, Program, check_program
from polydesign.program.basis import expanded
from polydesign.program.gains import stored
from polydesign.rounding.algebras import all_equal
from polydesign.rounding.followed import _RUNS, follow
from polydesign.rounding.perturbed import RandomRounding, perturbed_inverse_root, perturbed_sign
from polydesign.rounding.running import running_error
from polydesign.runtime import execute
from polydesign.table.reading import loads
from polydesign.table.writing import dumps

pytestmark = pytest.mark.numerics

WEIGHTS = st.sampled_from([1, 1, 1, -1, 2, -3, 0, 0.0, -0.0, 1.0, 2.0]) | st.floats(-1.5, 1.5, width=16)
SIGMA = np.linspace(0.25, 1, 5)


@st.composite
def sums(draw: Any, known: int, least: int) -> Any:
    registers = draw(st.lists(st.integers(0, known - 1), min_size=least, max_size=3, unique=True))
    return tuple((register, draw(WEIGHTS)) for register in registers)


@st.composite
def programs(draw: Any) -> Program:
    """Any that is not refused and whose q has an inner degree of at most 12, and is not 0."""
    lines: list[Line] = []
    for index in range(draw(st.integers(1, 4))):
        before = ((index + 1, draw(WEIGHTS)),)  # so that most lines are read
        factors = draw(st.booleans())
        left = draw(sums(index + 2, 1)) if factors else ()
        right = before if factors else ()
        plus = draw(sums(index + 2, 0)) if factors else (*before, (IDENTITY, draw(WEIGHTS)))
        lines.append(Line(plus, left, right, draw(WEIGHTS) if factors else 1))
    code = Program(tuple(lines), (len(lines) + 1, draw(WEIGHTS)), draw(WEIGHTS))
    try:
        check_program(code)
    except InputError:
        assume(False)
    assume(code.degree <= 12)
    assume(any(expanded(code)[1:]))
    return code


def schedule_of(codes: list[Program], root: int) -> Schedule:
    steps, received = [], (0.25, 1.0)
    for code in codes:
        try:
            step, received = received_step(root, code, "foreign", received)
        except InputError:  # no such thing for powers of A
            assume(False)
        steps.append(step)
    schedule = Schedule(root, (0.25, 1.0), tuple(steps))
    if schedule.error >= 20:
        assume(False)
    return schedule


def q(step: Step, y: np.ndarray) -> np.ndarray:
    """Of the exact polynomial."""
    exact = expanded(step.program)
    return np.array([float(sum(c * Fraction(float(v)) ** j for j, c in enumerate(exact))) for v in y])


def expected(schedule: Schedule, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """f(x), and the product of all q, which is what G becomes."""
    product = np.ones_like(x)
    for step in schedule.steps:
        w = q(step, x**schedule.root)
        x, product = x * w, product * w
    return x, product


def tolerance(schedule: Schedule) -> float:
    """Far above what float64 rounds, far below a wrong term: of the steps' running errors and of f's slope."""
    sizes = [1 + running_error(step.program, schedule.root, 2.0) for step in schedule.steps]
    found = 1e-12 * float(np.prod(sizes)) ** 2
    assume(found < 1e-5)
    return found


def same(found: Any, wanted: np.ndarray, atol: float) -> None:
    assert np.allclose(found, wanted, rtol=0, atol=atol * max(1.0, float(np.abs(wanted).max())))


def rotation() -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(0).standard_normal((5, 5)))[0]


@given(st.lists(programs(), min_size=1, max_size=2))
# Lists of programs are refused while they are drawn, how often depends on what else is collected.
@settings(
    max_examples=examples(25, wide=60), deadline=None, suppress_health_check=[HealthCheck.filter_too_much]
)
def test_signs(codes: list[Program]) -> None:
    schedule = schedule_of(codes, 2)
    atol, V = tolerance(schedule), rotation()
    f, _ = expected(schedule, SIGMA)
    X, S = torch.tensor(V * SIGMA), torch.tensor(V * SIGMA @ V.T)
    gram = X @ X.mT
    before = [t.clone() for t in (X, S, gram)]
    same(execute.direct(X, schedule, gram), V * f, atol)
    same(execute.gram(X, schedule, (), gram), V * f, atol)
    same(execute.gram(X, schedule, range(1, len(codes))), V * f, atol)
    same(execute.matrix_sign(S, schedule), V * f @ V.T, atol)
    assert all(map(torch.equal, (X, S, gram), before))
    rounding = RandomRounding("float64", np.random.default_rng(0), coherent=False)
    same(perturbed_sign(V * SIGMA, 1.0, schedule, rounding), V * f, 100 * atol)
    table = Table("t", schedule, Provenance("0", "x", {}, source="s"))
    same([run(export(table, "python")).f(float(x)) for x in SIGMA], f, atol)
    norm = float(np.linalg.norm(SIGMA))
    f, _ = expected(schedule, SIGMA / norm)
    same(run(export(table, "numpy")).msign(V * SIGMA), V * f, atol)
    torch_function = run(export(table, "torch-function")).newton_schulz_func
    same(torch_function(X, dtype=torch.float64), V * f, atol)
    assert all(export(table, target) for target in ("c", "jax", "csv", "markdown", "latex"))


@given(st.lists(programs(), min_size=1, max_size=2))
@settings(max_examples=examples(25, wide=60), deadline=None)
def test_matrices_of_few_numbers(codes: list[Program]) -> None:
    """Without rounding x becomes f(x), step by step, in one stretch, and in all loops."""
    schedule = schedule_of(codes, 2)
    atol = tolerance(schedule)
    f, _ = expected(schedule, SIGMA)
    members = all_equal(np.array([2, 3, 5, 12, 2])).members((SIGMA, -SIGMA[::-1]), np.array([1, 2, 1, 3, 5]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("polydesign.rounding.followed.rounded", lambda a, dtype: a)
        ends = [follow(schedule, members, "bfloat16", loop=loop)[-1] for loop in _RUNS]
        ends.append(follow(schedule, members, "bfloat16", restarts=())[-1])
    for entries in ends:
        one, other = members.transformed(entries)
        same(one, f, atol)
        same(other, -f[::-1], atol)


@given(st.lists(programs(), min_size=1, max_size=2), st.sampled_from([1, 3, 4]))
@settings(max_examples=examples(25, wide=60), deadline=None)
def test_roots(codes: list[Program], root: int) -> None:
    schedule = schedule_of(codes, root)
    atol, V = tolerance(schedule), rotation()
    _, g = expected(schedule, SIGMA)
    P, G = torch.tensor(V * SIGMA**root @ V.T), torch.tensor(V[:3])
    before = [P.clone(), G.clone()]
    same(execute.coupled(P, None, schedule).G, V * g @ V.T, atol)
    same(execute.coupled(P, G, schedule).G, V[:3] @ (V * g @ V.T), atol)
    assert all(map(torch.equal, (P, G), before))
    rounding = RandomRounding("float64", np.random.default_rng(0), coherent=False)
    same(perturbed_inverse_root(P.numpy(), 1.0, schedule, rounding), V * g @ V.T, 100 * atol)
    table = Table("t", schedule, Provenance("0", "x", {}, source="s"))
    norm = float(np.linalg.norm(SIGMA**root))
    _, g = expected(schedule, SIGMA / norm ** (1 / root))
    wanted = norm ** (-1 / root) * (V * g @ V.T)
    same(run(export(table, "numpy")).inverse_root(P.numpy()), wanted, atol)
    same(run(export(table, "torch-function")).inverse_root(P, dtype=torch.float64), wanted, atol)
    assert torch.equal(P, before[0])


@given(programs(), st.sampled_from([1, 2, 3]))
@settings(max_examples=examples(25, wide=60), deadline=None)
def test_scales_and_gains(code: Program, root: int) -> None:
    """A folded program is q(A/σ)/s to the rounding of its constants, and gains are derivatives."""
    step = schedule_of([code], root).steps[0]
    exact, twin = expanded(step.program), expanded(folded(step, Fraction(5, 4)))
    for j, (one, other) in enumerate(zip(exact, twin, strict=True)):
        scaled = one / Fraction(5, 4) ** (1 + j * root)
        assert abs(float(other - scaled)) <= 1e-12 * (1 + running_error(step.program, 1, 2.0))
    y = np.linspace(0.1, 1, 7)
    _, gains = stored(step.program, y)
    slope = [sum(c * j * Fraction(float(v)) ** (j - 1) for j, c in enumerate(exact) if j) for v in y]
    # Of A alone nothing but A's own error reaches Q: the first gain is the slope of Q.
    assert np.allclose(
        gains[0], list(map(float, slope)), rtol=1e-9, atol=1e-9 * (1 + running_error(code, 1, 2))
    )


def foreign(edit: Any) -> str:
    """The text of a table of the package, with the JSON of its first step edited."""
    body = json.loads(dumps(load("sign-d5x5-l1e-3-bf16")))
    del body["certificate"]
    edit(body["steps"][0])
    return json.dumps(body)


def squared(step: dict[str, Any]) -> None:
    known = len(step["program"]["lines"]) + 1
    for register in range(A, A + 20):
        term = [[register if register == A else known + register - A, 1]]
        step["program"]["lines"].append({"plus": [], "left": term, "right": term, "weight": 1})
    step["evaluation"] = "foreign"


def test_a_line_that_nothing_reads_is_refused_before_it_is_expanded() -> None:
    """Of twenty squarings q would have degree 2²⁰."""
    with pytest.raises(InputError, match=r"steps\[0\]\.program\.lines\[\d+\]: is read by no line") as caught:
        loads(foreign(squared))
    assert "leave it out" in caught.value.problem


def test_whole_numbers_for_floats_are_the_same_table() -> None:
    """As JavaScript writes them: powers of A stay powers of A, and every text is the same but for the source."""
    rows = [Step(5, (2.0, -1.5, 0.5), (0.25, 1.0), (0.4, 1.5), 0.6)]
    table = Table("t", Schedule(2, (0.25, 1.0), tuple(rows)), Provenance("0", "x", {}, source="s"))
    whole = replace(rows[0], coefficients=(2, -1.5, 0.5))
    assert [type(c) for c in (*whole.coefficients, *whole.program.constants)] == [float] * 6
    twin = replace(table, schedule=Schedule(2, (0.25, 1.0), (whole,)))
    numpy_weights = Step(5, tuple(np.array([2.0, -1.5, 0.5])), (0.25, 1.0), (0.4, 1.5), 0.6)
    other = replace(table, schedule=Schedule(2, (0.25, 1.0), (numpy_weights,)))
    for target in ("python", "numpy", "torch-function", "jax", "c", "csv", "markdown", "latex"):
        assert export(twin, target) == export(other, target) == export(table, target)


def test_a_zero_that_is_whole_is_no_constant_of_another_step() -> None:
    """Two steps that differ in 0 and 0.5 are not one routine."""

    def code(weight: Any) -> Program:
        return Program((Line(((A, weight),), ((A, 1),), ((A, 1),), -0.25),), (2, -1), 1.5)

    schedule = schedule_of([code(0.5), code(0)], 2)
    table = Table("t", schedule, Provenance("0", "x", {}, source="s"))
    f, _ = expected(schedule, SIGMA)
    same([run(export(table, "python")).f(float(x)) for x in SIGMA], f, 1e-14)
    assert {len(step.program.constants) for step in schedule.steps} == {2, 3}


def test_a_program_of_whole_numbers_keeps_its_constant() -> None:
    code = Program((Line(((A, -1), (IDENTITY, 2))),), (2, 1), 0)
    schedule = schedule_of([code], 2)
    table = Table("t", schedule, Provenance("0", "x", {}, source="s"))
    assert schedule.steps[0].program.constants == (0.0,)
    f, _ = expected(schedule, SIGMA)
    same([run(export(table, "python")).f(float(x)) for x in SIGMA], f, 1e-14)
    assert "for k0, in STEPS" in export(table, "numpy")


def test_a_number_that_float64_does_not_have_is_refused() -> None:
    with pytest.raises(InputError, match="finite number"):
        Step(5, (10**400, -1.5, 0.5), (0.25, 1.0), (0.4, 1.5), 0.6)
