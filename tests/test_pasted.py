"""Rows from pasted texts: JSON, Python and plain numbers; nothing in them runs."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polydesign.identification.pasted import read_rows
from polydesign.model import InputError
from polydesign.table.published import published

JORDAN = (3.4445, -4.775, 2.0315)
TWO = (JORDAN, (2.0, -1.5, 0.5))

LISTING = """
coeffs_list = [
    (8.28721201814563, -23.595886519098837, 17.300387312530933),
    (4.107059111542203, -2.9478499167379106, 0.5448431082926601),
    (1.875, -1.25, 0.375),  # subsequent coeffs equal this numerically
]
# safety factor for numerical stability (but exclude last polynomial)
coeffs_list = [(a / 1.01, b / 1.01**3, c / 1.01**5)
               for (a, b, c) in coeffs_list[:-1]] + [coeffs_list[-1]]

@torch.compile
def PolarExpress(G: torch.Tensor, steps: int) -> torch.Tensor:
    assert G.ndim >= 2
    X = G.bfloat16()
    hs = coeffs_list[:steps] + list(
        repeat(coeffs_list[-1], steps - len(coeffs_list)))
    for a, b, c in hs:
        A = X @ X.mT
        X = a * X + (b * A + c * A @ A) @ X
    return X
"""

KELLER = '''
def zeropower_via_newtonschulz5(G, steps: int):
    """Newton-Schulz iteration."""
    assert G.ndim >= 2
    a, b, c = (3.4445, -4.7750,  2.0315)
    X = G.bfloat16()
    if G.size(-2) > G.size(-1):
        X = X.mT
    for _ in range(steps):
        A = X @ X.mT
        B = b * A + c * A @ A # quintic computation strategy
        X = a * X + B @ X
    return X
'''

CASES = {
    "JSON": ("[[3.4445, -4.775, 2.0315], [2, -1.5, 0.5]]", TWO),
    "JSON, one row": ("[3.4445, -4.775, 2.0315]", (JORDAN,)),
    "JSON object": ('{"lr": 1, "ns_coefficients": [[3.4445, -4.775, 2.0315], [2.0, -1.5, 0.5]]}', TWO),
    "JSON of letters": ('[{"a": 3.4445, "b": -4.775, "c": 2.0315}, {"a": 2, "b": -1.5, "c": 0.5}]', TWO),
    "assignment": ("coeffs = [(3.4445, -4.775, 2.0315), # first\n  (2, -3/2, 0.5),]", TWO),
    "typed": ("x: list[tuple[float, float, float]] = [(3.4445, -4.7750, 2.0315), (2.0, -1.5, .5)]", TWO),
    "array": ("c = jnp.array([[3.4445, -4.775, 2.0315], [2, -1.5, 0.5]], dtype=jnp.float32)", TWO),
    "tensor": ("torch.tensor([[3.4445, -4.775, 2.0315], [2, -1.5, 0.5]], device=device)", TWO),
    "a call": ("opt = Muon(params, lr=0.02, betas=(0.9, 0.95), ns_coefficients=(3.4445, -4.775, 2.0315))", (JORDAN,)),
    "a default": ("def ns(G, steps=5, coefficients=(3.4445, -4.775, 2.0315)):\n    pass", (JORDAN,)),
    "expressions": ("[(3.4445*1.01/1.01, -(4.775), 2.0315 + 0*1.01**3)]", (JORDAN,)),
    "repeated": ("rows = [(3.4445, -4.775, 2.0315)] * 2", (JORDAN, JORDAN)),
    "names": ("s = 1.5\nrows = [[3.4445, -4.775, 2.0315], [2, -s, s / 3]]", TWO),
    "letters": ("a = 3.4445\nb = -4.775\nc = 2.0315", (JORDAN,)),
    "keras": ("def __init__(self, beta=0.9, muon_a=3.4445, muon_b=-4.775, muon_c=2.0315, axes=(-2, -1)):\n    pass", (JORDAN,)),
    "unpacked": ("a, b, c = 3.4445, -4.7750, 2.0315", (JORDAN,)),
    "lines of tuples": ("   (3.4445, -4.775, 2.0315),\n   (2, -1.5, 0.5),\n", TWO),
    "braces": ("{{3.4445, -4.775, 2.0315}, {2.0, -1.5, 0.5}};", TWO),
    "C": ("static const float c[2][3] = {\n  {3.4445f, -4.775f, 2.0315f}, // first (1, 2)\n  {2.0, -1.5, 0.5}};", TWO),
    "Julia": ("const coeffs = [ # of Muon\n (3.4445, -4.775, 2.0315),\n (2.0, -1.5, 0.5),\n]", TWO),
    "CSV with other columns": ("step,c0,c1,c2\n1,3.4445,-4.775,2.0315\n2,2,-1.5,0.5\n", TWO),
    "keyword arguments": ("Muon(lr, muon_a=3.4445, muon_b=-4.775, muon_c=2.0315)", (JORDAN,)),
    "numbers": ("3.4445 -4.7750 2.0315\n\n2 -1.5 .5\n", TWO),
    "numbers, cubic": ("1.5 -0.5\n1.5 -0.5", ((1.5, -0.5), (1.5, -0.5))),
    "CSV": ("a,b,c\n3.4445,-4.775,2.0315\n2,-1.5,5e-1", TWO),
    "semicolons": ("3.4445; -4.775; 2.0315 # Jordan\n2;-1.5;0.5;", TWO),
    "fence": ("```python\nx = [(3.4445, -4.775, 2.0315), (2, -1.5, 0.5)]\n```", TWO),
    "Windows": ("3.4445,-4.775,2.0315\r\n2,-1.5,0.5\r\n", TWO),
    "Muon's own function": (KELLER, (JORDAN,)),
}  # fmt: skip


@pytest.mark.parametrize("kind", CASES)
def test_what_people_paste(kind):
    text, rows = CASES[kind]
    assert [pytest.approx(row, rel=1e-15) for row in rows] == list(read_rows(text))


def test_the_listing_of_polar_express_gives_what_it_runs():
    """The list is assigned twice; the second time folded. Names of the loop are not taken for a row."""
    rows = read_rows(LISTING)
    listed = published("polar_express_deg5_folded_1.01").rows
    assert rows == (*listed[:2], (1.875, -1.25, 0.375))


@pytest.mark.parametrize(
    ("text", "field", "problem"),
    [
        ("", "text", "is empty"),
        ("hello", "text", "holds no list of rows"),
        ("betas = (0.9, 0.95)", "text", "holds no list of rows"),
        ("x = [(1.0, 2/1, 3.0),\n  (1.0, 2.0", "line 2", "is not read as Python"),
        ("int d[2] = {1, 2};", "line 1", "is not read as Python"),
        ("p = [(1, 2, 3)]\nq = [(4, 5, 6)]", "text", r"several lists, p \(line 1\), q \(line 2\)"),
        ("p = [(1, 2, 3)]\nq = [(4, 5, 6)]", "text", "name one with which=NAME, or paste it alone"),
        ('{"a1": [[1, 2, 3]], "b1": [[4, 5, 6]]}', "text", "several lists"),
        ("SETS = {'one': [(1, 2, 3)], 'two': [(4, 5, 6)]}", "text", r"SETS\['one'\]"),
        ("1.5 -0.5 2\n3", "line 1, row 2", "has one number"),
        ("x = [1/0, 2, 3]", "line 1", "cannot be computed"),
        ("[[1e400, 2, 3]]", "line 1", "not finite"),
        ("x = [(1, 2, 3)]\nx = f(x)", "line 2", "assigns x again"),
        (str(list(range(1, 16))), "line 1", "put rows in brackets"),
        ("1 2 3\n" * 300, "line 1", "has 300 rows"),
        ("x" * 2_000_000, "text", "2000000 characters"),
        ("[" * 5000, "text|line 1", "is not read as Python"),
        ("x = [(-1.0) ** 0.5, 2.0, 3.0]", "text", "holds no list"),
        ("x = [(10.0 ** 10 ** 10, 1, 2)]", "line 1", "cannot be computed"),
    ],
)  # fmt: skip
def test_refusals_name_the_line_and_the_cure(text, field, problem):
    with pytest.raises(InputError, match=problem) as refusal:
        read_rows(text)
    assert refusal.value.field in field.split("|")


def test_one_of_several_lists_by_its_name():
    text = (
        "SETS = {'simple': [(1, 2, 3)], 'polar': [(4, 5, 6)], 'polar_express': [(7, 8, 9)]}\nq = [(4, 5, 6)]"
    )
    assert read_rows(text, "simple") == ((1, 2, 3),)
    assert read_rows(text, "express") == ((7, 8, 9),)
    assert read_rows(text, "polar") == ((4, 5, 6),)
    with pytest.raises(InputError, match="several lists"):
        read_rows(text, "pol")
    with pytest.raises(InputError, match="no list of rows called cans"):
        read_rows(text, "cans")


def test_a_default_that_is_passed_on_is_one_list():
    text = (
        "def f(coeffs=(1, 2, 3)):\n    return g(coeffs=coeffs, betas=(0.9, 0.95))\nf(coeffs=group['coeffs'])"
    )
    assert read_rows(text) == ((1, 2, 3),)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('touch {}')",
        "x = [(__import__('pathlib').Path('{}').touch(), 2, 3)]",
        "x = [open('{}', 'w'), 1, 2]",
    ],
)
def test_nothing_is_run(text, tmp_path):
    target = tmp_path / "touched"
    with pytest.raises(InputError, match=r"holds no list of rows|is not read here"):
        read_rows(text.format(target))
    assert not target.exists()


@pytest.mark.parametrize(
    "text",
    [
        "x = 99999999999\n" + "x = x * x\n" * 40,
        "x = [1, -2, 3]\n" + "x = x + x\n" * 40,
        "x = [1, -2, 3]\n" + "x = [*x, *x]\n" * 40,
        "x = [1.0] * 200\ny = [[[[a * b for a in x] for b in x] for c in x] for d in x]",
        "x = [(1, -2, 3)] * 10**9",
    ],
)
def test_a_small_text_cannot_grow(text):
    """Each of these would take gigabytes or hours, were it computed as Python would."""
    with pytest.raises(InputError):
        read_rows(text)


# Signs of a step, and no 1 in front, so that there is one way to read them: nothing else could be a column.
STEPS = st.tuples(st.floats(1.5, 4), st.floats(-1e6, -1e-300), st.floats(1e-300, 1e6))


@given(st.lists(STEPS, min_size=1, max_size=8))
def test_every_form_of_the_same_rows_reads_the_same(rows):
    forms = [
        json.dumps(rows),
        f"coeffs = {rows!r}",
        f"np.array({rows!r})",
        "\n".join(", ".join(map(repr, row)) for row in rows),
        "\n".join(" ".join(map(repr, row)) for row in rows),
    ]
    read = [read_rows(f"x = {form}" if form.startswith("np") else form) for form in forms]
    assert all(one == tuple(rows) for one in read)


def test_of_a_table_of_ours_only_its_steps_are_rows():
    """Three headrooms are three numbers; without the name of our format they are a list that can be no step."""
    steps = [{"coefficients": [1.5, -0.5]}] * 3
    body = {"provenance": {"parameters": {"headroom": [1.05, 1.05, 1.03]}}, "steps": steps}
    assert read_rows(json.dumps({"schema": "polydesign/schedule/v1"} | body)) == ((1.5, -0.5),) * 3
    assert read_rows(json.dumps(body)) == ((1.5, -0.5),) * 3
    assert read_rows(json.dumps(body), "headroom") == ((1.05, 1.05, 1.03),)


def test_a_short_text_makes_no_long_list():
    """Ten letters could ask for any memory: beyond what a table can have nothing is multiplied."""
    with pytest.raises(InputError, match="holds no list of rows"):
        read_rows("x = [(1.5, -0.5)] * 100000")
    assert len(read_rows("x = [(1.5, -0.5)] * 100")) == 100


@pytest.mark.parametrize(
    "text",
    [
        "[[ 3.4445 -4.775   2.0315]\n [ 1.5    -0.5     0.    ]]",
        "| a | b | c |\n|---|---:|:-:|\n| 3.4445 | -4.775 | 2.0315 |\n| 1.5 | -0.5 | 0 |",
    ],
    ids=["numpy", "Markdown"],
)
def test_rows_as_they_are_printed(text):
    assert read_rows(text) == ((3.4445, -4.775, 2.0315), (1.5, -0.5, 0.0))


def test_a_row_of_zeros_is_no_step():
    with pytest.raises(InputError, match="row 2: is all zeros"):
        read_rows("1.5 -0.5\n0 0")
