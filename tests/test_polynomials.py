"""Steps that are written out, and columns whose head says which coefficient they have."""

from __future__ import annotations

import pytest

import polydesign
from polydesign.identification.pasted import find_lists, read_rows
from polydesign.identification.sources import given
from polydesign.model import InputError

JORDAN = (3.4445, -4.775, 2.0315)
CUBIC = (1.5, -0.5)
MINE = (3.1, -4.2, 1.7)

WRITTEN = {
    "Python": ("3.4445*x - 4.7750*x**3 + 2.0315*x**5", (JORDAN,)),
    "a page": ("3.4445x − 4.775x³ + 2.0315x⁵", (JORDAN,)),
    "LaTeX": ("$p(x) = 3.4445x - 4.7750x^3 + 2.0315x^{5}$", (JORDAN,)),
    "fractions": ("\\frac{3}{2}x - \\frac{1}{2}x^3", (CUBIC,)),
    "factored": ("x*(3.4445 - 4.7750*x**2 + 2.0315*x**4)", (JORDAN,)),
    "over a number": ("x(3 - x^2)/2", (CUBIC,)),
    "a line a step": ("1.5*x - 0.5*x^3\n1.875x - 1.25x^3 + 0.375x^5", (CUBIC, (1.875, -1.25, 0.375))),
    "a sentence": ("The step is 3.4445x - 4.7750x³ + 2.0315x⁵, as in Muon.", (JORDAN,)),
    "a comment": ("# p(x) = 1.5x - 0.5x^3\nX = step(X)\n", (CUBIC,)),
    "C": ("float step(float x) { return f(x); }\n// 1.5f*x - 0.5f*x^3\n", (CUBIC,)),
    "matrices": ("def f(X):\n    for _ in range(5):\n        X = 1.5 * X - 0.5 * X @ X.T @ X\n    return X\n", (CUBIC,)),
    "with the identity": ("X = 0.5 * X @ (3 * torch.eye(n) - X.T @ X)", (CUBIC,)),
    "in two lines": ("A = X @ X.mT\nX = 3.4445 * X + (-4.7750 * A + 2.0315 * A @ A) @ X\n", (JORDAN,)),
    "with names": ("def f(X, p=1.5, q=-0.5):\n    p = 1.5\n    q = -0.5\n    X = p * X + q * (X @ X.T) @ X\n", (CUBIC,)),
    "Julia": ("X = 1.5*X - 0.5*X*X'*X", (CUBIC,)),
    "two steps": ("X = 1.5*X - 0.5*X@X.T@X\nX = 2*X - 1.5*X@X.T@X + 0.5*X@X.T@X@X.T@X\n", (CUBIC, (2.0, -1.5, 0.5))),
}  # fmt: skip


@pytest.mark.parametrize("case", WRITTEN)
def test_polynomials_that_are_written_out(case):
    text, rows = WRITTEN[case]
    assert [pytest.approx(row, rel=1e-15) for row in rows] == list(read_rows(text))
    assert given(text).words == "as a polynomial that is written out" or case == "with names"


def test_a_polynomial_is_proved_as_the_table_that_it_is():
    found = polydesign.identify("p(x) = 3.4445x - 4.775x^3 + 2.0315x^5")
    assert found.matches[0].name == "jordan_5"
    other = polydesign.identify("p(x) = 3.4445x - 4.775x^3 + 2.5315x^5")  # the negative control
    assert not other.matches or not other.matches[0].repeats


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("3.4445*x - 4.7750*x**2 + 2.0315*x**5", "line 1: has even powers of x"),
        ("1.5 - 0.5*x**2", "line 1: has even powers of x"),
        ("3.4445*x - 4.775*y**3", "line 1: has the variables x, y"),
        ("X = 1.5 * X - 0.5 * X @ X.T @ X\nX = R @ X + X\n", "line 2: computes X"),
        ("A = Y @ Y.T\nX = 1.5 * X - 0.5 * A @ X\n", "has the variables X, Y"),
        ("X = 1.5 * X - 0.5 * X * X.T @ X", "no list of rows"),
        ("x**99999 - 3*x", "no list of rows"),
    ],
)
def test_what_is_no_step_is_said(text, said):
    with pytest.raises(InputError, match=said):
        read_rows(text)
    assert read_rows("1.5*x - 0.5*x**3") == (CUBIC,)  # what the cure says


STEP = "A = X @ X.T\n{}B = -4.2 * A + 1.7 * A @ A\nX = 3.1 * X + B @ X\n{}"


def test_a_variable_that_is_scaled_between_is_not_passed_over():
    assert read_rows(STEP.format("", "X /= X.norm() + 1e-7\n")) == (MINE,)
    for text in (
        STEP.format("A /= 1.01\n", ""),
        STEP.format("", "X *= 1.01\n"),
        STEP.format("", "X = X / 1.01\n"),
        "a = 3.1\na *= 2\nX = a * X - 4.2 * X @ X.T @ X\n",
    ):
        with pytest.raises(InputError, match=r"variables|computes X, by what is not read|no list of rows"):
            read_rows(text)


def test_a_step_in_a_comment_is_none_of_those_that_run():
    run = "X = 1.875 * X - 1.25 * X @ X.T @ X + 0.375 * X @ X.T @ X @ X.T @ X\n"
    with pytest.raises(InputError, match="several lists"):
        read_rows(f"# X = 1.5 * X - 0.5 * X @ X.T @ X\n{run}")
    assert read_rows(f"X = 1.5 * X - 0.5 * X @ X.T @ X\n{run}") == (CUBIC, (1.875, -1.25, 0.375))


def test_a_list_comes_before_a_polynomial():
    text = "# 1.5x - 0.5x^3 is the cubic step\nc = [(3.1, -4.2, 1.7)]\n"
    assert [one.rows for one in find_lists(text)[0]] == [(MINE,)]
    assert read_rows(text.replace("c = [(3.1, -4.2, 1.7)]", "betas = (0.9, 0.95, 0.1)")) == (CUBIC,)


HEADS = {
    "c,b,a\n1.7,-4.2,3.1\n": (MINE,),
    "a5,a3,a1\n1.7,-4.2,3.1\n0.5,-1.5,2\n": (MINE, (2.0, -1.5, 0.5)),
    "x^5,x^3,x\n1.7,-4.2,3.1\n": (MINE,),
    "x⁵;x³;x\n1.7;-4.2;3.1\n": (MINE,),
    "# c b a\n1.7 -4.2 3.1\n": (MINE,),
    "step\tc\tb\ta\n1\t1.7\t-4.2\t3.1\n": (MINE,),
    "coef_x5,coef_x3,coef_x\n1.7,-4.2,3.1\n": (MINE,),
    "x,x2,x3\n3.1,0,-2.2\n": ((3.1, -2.2),),
    "| $x^5$ | $x^3$ | $x$ |\n|--|--|--|\n| 1.7 | -4.2 | 3.1 |\n": (MINE,),
    "a,b,c\n3.1,-4.2,1.7\n": (MINE,),
}


@pytest.mark.parametrize("text", HEADS)
def test_columns_go_by_what_their_head_means(text):
    assert read_rows(text) == HEADS[text]


def test_a_coefficient_that_has_no_column_is_not_passed_over():
    """1.5 and −0.5 of x and x⁵ are no cubic step."""
    for head in ("x,x^5", "x^3,x^5", "a,c", "c1,c5"):
        with pytest.raises(InputError, match="line 1: has no column for a coefficient between"):
            read_rows(f"{head}\n1.5,-0.5\n")
    assert read_rows("# One step a row: a, b and c.\nC = [(1.5, -0.5)]\n") == (CUBIC,)  # no head of columns
    table = "Steps:\n\n| {} | {} |\n|--|--|\n| 1.5 | -0.5 |\n"
    with pytest.raises(InputError, match="paste the list alone"):
        read_rows(table.format("x", "x^5"))
    for head in (("x", "x^3"), ("a", "b"), ("c1", "c3"), ("foo", "bar")):
        assert read_rows(table.format(*head)) == (CUBIC,)


def test_of_a_line_of_code_no_part_is_read():
    text = "X = 1.5 * X - 0.25 * X**3 - 0.25 * X @ X.T @ X\n"  # X**3 is of entries
    with pytest.raises(InputError, match="holds no list of rows"):
        read_rows(text)
    assert read_rows(text.replace("X**3", "X @ X.T @ X")) == (CUBIC,)


def test_a_head_that_says_nothing_leaves_both_orders():
    found = given("step,foo,bar,baz\n1,3.1,-4.2,1.7\n2,2.9,-2.3,0.61\n")
    assert found.rows == (MINE, (2.9, -2.3, 0.61))
    assert [one.rows for one in found.others] == [((1.7, -4.2, 3.1), (0.61, -2.3, 2.9))]
    with pytest.raises(
        InputError, match=r"several ways, as it stands .*, or coefficients in decreasing powers"
    ):
        read_rows("foo,bar,baz\n3.1,-4.2,1.7\n")
    assert read_rows("foo,bar,baz\n3.4445,-4.7750,2.0315\n") == (JORDAN,)  # a known table decides
    with pytest.raises(InputError, match="line 2: has a number under x2, an even power of x"):
        read_rows("x,x2,x3\n3.1,0.1,-2.2\n")
