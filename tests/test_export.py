"""Exports to other codebases: read back and run by each target's own conventions, the map is the table's."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache
from typing import Any

import mpmath
import pytest

import polydesign
from polydesign import export
from polydesign.approximation.sampling import sampled_certificate
from polydesign.approximation.scalar import schedule_from
from polydesign.exporters.caveats import caveats
from polydesign.exporters.half import loop_notes
from polydesign.exporters.target import header
from polydesign.exporters.targets import CODEBASES, TARGETS
from polydesign.model import InputError, Provenance, Table
from polydesign.table import digest
from polydesign.table.catalogue import shipped
from tests.tables import prototype, table_of

JORDAN = (3.4445, -4.775, 2.0315)
CUBIC = (1.5, -0.5)
DEGREE_7 = (35 / 16, -35 / 16, 21 / 16, -5 / 16)


@dataclass(frozen=True)
class Convention:
    """How a target runs what it is given, from its source: the names that hold the rows and the number of steps.

    factor: of the norm. rule: what it does where steps and rows differ: cycle, repeat (the last, or the front
    only), rows (no say), equal (an error). One row stands for all steps with `rule` "one".
    """

    name: str
    rows: str
    steps: str | None
    rule: str
    factor: float = 1.0
    eps: float = 1e-7
    adds: bool = False


CONVENTIONS = {
    "torch": Convention("muon_arguments", "ns_coefficients", "ns_steps", "one"),
    "optax": Convention("muon_arguments", "ns_coeffs", "ns_steps", "rows", eps=1e-8, adds=True),
    "timm": Convention("muon_arguments", "ns_coefficients", "ns_steps", "repeat"),
    "pytorch_optimizer": Convention("muon_arguments", "ns_coeffs", "ns_steps", "repeat"),
    "emerging-optimizers": Convention(
        "newton_schulz_arguments", "custom_coefficient_sets", "steps", "cycle", eps=1e-15
    ),
    "transformer-engine": Convention(
        "newton_schulz_arguments", "coefficients", "num_iterations", "equal", eps=0.0
    ),
    "gram-newton-schulz": Convention("newton_schulz_arguments", "ns_coefficients", None, "rows", adds=True),
    "adam-atan2": Convention("polar_arguments", "polar_express_coefs", "polar_steps", "repeat", factor=1.01),
    "keras": Convention("muon_arguments", "muon_abc", "ns_steps", "one", adds=True),
    "tinygrad": Convention("muon_arguments", "ns_coefficients", "ns_steps", "one", adds=True),
    "distributed-shampoo": Convention(
        "newton_schulz_arguments", "coefficients", "num_iterations", "one", eps=1e-8
    ),
    "newtonschulz.jl": Convention("coeffs", "coeffs", None, "rows", eps=1e-20, adds=True),
    "modded-nanogpt": Convention(
        "polar_express_coeffs", "polar_express_coeffs", None, "rows", factor=1.02, eps=1e-6, adds=True
    ),
    "nanochat": Convention(
        "polar_express_coeffs", "polar_express_coeffs", None, "rows", factor=1.01, eps=1e-6, adds=True
    ),
}
REFUSING = [name for name, target in CODEBASES.items() if target.reason is not None]
ONE_ROW = [name for name, convention in CONVENTIONS.items() if convention.rule == "one"]
FACTORS = [name for name, convention in CONVENTIONS.items() if convention.factor != 1]

NORM = 2.0**60
"""‖M‖_F in the runs below: every eps is lost in it."""

DIGITS = 60


made = cache(lambda *rows: table_of([*rows]))


@cache
def repeated(row: tuple[float, ...], steps: int) -> Table:
    return table_of([row] * steps, name="repeated")


def tables_for(name: str) -> list[Table]:
    """Tables that this target can express: of one row, or of several, degree 3 among them."""
    if name == "tinygrad":
        return [repeated(JORDAN, 5), repeated(CUBIC, 3), repeated(DEGREE_7, 4)]
    if CONVENTIONS[name].rule == "one":
        return [repeated(JORDAN, 5), repeated(CUBIC, 3), made(JORDAN)]
    return [prototype("quintics_15"), made(CUBIC, JORDAN, CUBIC), repeated(JORDAN, 5)]


CASES = [(name, table) for name in CONVENTIONS for table in tables_for(name)]


def parsed(name: str, text: str) -> tuple[list[Any], int | None]:
    """The rows and the number of steps that the text holds, by the target's own names."""
    convention = CONVENTIONS[name]
    if name == "newtonschulz.jl":
        inside = re.fullmatch(r"(?:#.*\n)+const coeffs = \[\n((?:    \(.*\),\n)+)\]\n", text)
        assert inside
        return [ast.literal_eval(line.strip().rstrip(",")) for line in inside[1].splitlines()], None
    (statement,) = ast.parse(text).body
    assert isinstance(statement, ast.Assign)
    assert [ast.unparse(target) for target in statement.targets] == [convention.name]
    if not isinstance(statement.value, ast.Call):
        return ast.literal_eval(statement.value), None
    assert ast.unparse(statement.value.func) == "dict"
    arguments = {str(k.arg): ast.literal_eval(k.value) for k in statement.value.keywords}
    if name == "keras":
        arguments["muon_abc"] = tuple(arguments.pop(f"muon_{letter}") for letter in "abc")
    return arguments[convention.rows], arguments[convention.steps] if convention.steps else None


def steps_run(name: str, rows: Any, steps: int | None) -> list[tuple[float, ...]]:
    """The rows that the target runs, one after the other."""
    rule = CONVENTIONS[name].rule
    if rule == "one":
        assert steps is not None
        return [rows] * steps
    if rule == "cycle":
        assert steps is not None
        return [rows[i % len(rows)] for i in range(steps)]
    if rule == "repeat":
        assert steps is not None
        return [rows[min(i, len(rows) - 1)] for i in range(steps)]
    assert rule == "rows" or steps == len(rows)
    assert steps is None or steps >= len(rows)  # optax refuses less
    return rows


def composed(rows: Any, x: Any) -> Any:
    for row in rows:
        x = sum(c * x ** (1 + 2 * j) for j, c in enumerate(row))
    return x


def divisor(name: str, norm: float) -> Any:
    """What the target divides M by."""
    convention = CONVENTIONS[name]
    if name == "transformer-engine":
        return mpmath.mpf(norm)  # the caller does, as the text says
    scaled = mpmath.mpf(convention.factor) * norm
    return scaled + convention.eps if convention.adds else max(scaled, convention.eps)


def run(name: str, text: str, sigma: float, more: int = 0) -> Any:
    """What the target makes of a singular value σ of a matrix with ‖M‖_F = NORM; more: steps asked for beyond."""
    rows, steps = parsed(name, text)
    with mpmath.workdps(DIGITS):
        x = mpmath.mpf(sigma) / divisor(name, NORM)
        return composed(steps_run(name, rows, None if steps is None else steps + more), x)


def allowed(table: Table, factor: float, x: float) -> float:
    """How far rounding the first row's coefficients to float64 may carry f(x), to first order, and a margin of 2.

    c·factor^(1+2j) is off by at most 4 roundings of 2⁻⁵³: the factor as a float is the target's own, its power
    is within an ulp, the product is rounded. The steps that follow multiply this by their slopes.
    """
    first, *rest = table.as_tuples()
    error = 4 * 2.0**-53 * sum(abs(c) * x ** (1 + 2 * j) for j, c in enumerate(first))
    y = composed([first], x)
    for row in rest:
        error *= abs(sum((1 + 2 * j) * c * y ** (2 * j) for j, c in enumerate(row)))
        y = composed([row], y)
    # 10^(8 − DIGITS) is what the reference itself may be off by; eps of 1e-6 in NORM is 1e-24 relative.
    return 2 * error * (factor != 1) + 1e-18


GRID = [10.0 ** (-3 + 3 * k / 100) for k in range(101)]


@pytest.mark.few(16)
@pytest.mark.parametrize(
    ("name", "table"), CASES, ids=lambda value: value if isinstance(value, str) else value.name
)
def test_the_map_of_M_is_the_tables(name, table):
    text = export(table, name)
    for x in GRID:
        with mpmath.workdps(DIGITS):
            expected = composed(table.as_tuples(), mpmath.mpf(x))
            off = abs(run(name, text, x * NORM) - expected)
        assert off <= allowed(table, CONVENTIONS[name].factor, x), x


@pytest.mark.parametrize("name", FACTORS)
def test_without_the_factor_the_map_is_another(name):
    """Negative control: the table's own rows, as people paste them today."""
    table = prototype("quintics_15")
    rows, _ = parsed(name, export(table, name))
    assert rows[0] != table.as_tuples()[0]
    assert rows[1:] == table.as_tuples()[1:]
    off = []
    for x in GRID:
        with mpmath.workdps(DIGITS):
            wrong = composed(table.as_tuples(), mpmath.mpf(x * NORM) / divisor(name, NORM))
            off.append(abs(wrong - composed(table.as_tuples(), mpmath.mpf(x))))
        assert off[-1] > allowed(table, CONVENTIONS[name].factor, x)
    assert max(off) > 0.01


@pytest.mark.parametrize("name", [n for n, c in CONVENTIONS.items() if c.rule in ("one", "repeat", "cycle")])
def test_another_number_of_steps_is_another_map(name):
    """Negative control of the steps: what the targets do beyond the rows is seen."""
    table = tables_for(name)[0]
    text = export(table, name)
    worst = max(abs(run(name, text, x * NORM, more=1) - run(name, text, x * NORM)) for x in GRID)
    assert worst > 0.05


@pytest.mark.parametrize(
    ("name", "table"), CASES, ids=lambda value: value if isinstance(value, str) else value.name
)
def test_only_types_that_every_target_takes(name, table):
    rows, steps = parsed(name, export(table, name))
    if CONVENTIONS[name].rule == "one":
        rows = [rows]
    assert type(rows) is list
    assert {type(row) for row in rows} == {tuple}
    assert {type(c) for row in rows for c in row} == {float}
    assert {len(row) for row in rows} == ({len(table.as_tuples()[0])} if name == "tinygrad" else {3})
    assert steps in (None, len(table.schedule.steps))


@pytest.mark.parametrize(
    ("name", "table"), CASES, ids=lambda value: value if isinstance(value, str) else value.name
)
def test_says_which_table_it_is(name, table):
    text = export(table, name)
    comments = [line for line in text.splitlines() if line.startswith("#")]
    assert comments == text.splitlines()[: len(comments)]
    together = " ".join(line[1:].strip() for line in comments)
    for line in header(table):
        assert line in together
    assert TARGETS[name].suffix == (".jl" if name == "newtonschulz.jl" else ".py")


def test_every_target_that_takes_tables_has_a_convention():
    assert set(CODEBASES) == {*CONVENTIONS, *REFUSING}


def test_optax_gets_the_normalization_that_the_table_was_made_for():
    table = prototype("quintics_15")
    for ours, theirs in (("frobenius", "frobenius"), ("schatten4", "schatten"), ("aol", "aol")):
        text = export(replace(table, normalization=ours), "optax")
        assert f"    preconditioning={theirs!r}," in text
        assert ("rescaled matrix" in text) == (ours == "aol")


@pytest.mark.parametrize("power", [4, 8])
def test_who_divides_for_transformer_engine_is_told_the_norm(power):
    """The caller does; the norm is (Σσᵏ)^(1/k), k twice in it."""
    text = export(replace(prototype("quintics_15"), normalization=f"schatten{power}"), "transformer-engine")
    assert f"divide x by (Σσ{'⁴' if power == 4 else '⁸'})^(1/{power}) of the whole matrix" in text
    text = export(replace(prototype("quintics_15"), normalization="none"), "transformer-engine")
    assert "divide x by a bound of the spectral norm" in text


def test_roots_of_newtonschulz_jl_are_what_the_text_says():
    """mrsqrt and msqrt of a number λ in a matrix of trace T, as its source has them: Z/√T and Y·√T."""
    table, trace = prototype("quintics_15"), 40.0
    text = export(table, "newtonschulz.jl")
    assert table.schedule.interval[0] == 1e-3
    assert "eigenvalues of at least 1e-06 times the trace" in text.replace("\n#   ", " ")
    rows, _ = parsed("newtonschulz.jl", text)
    with mpmath.workdps(DIGITS):
        for x in GRID:
            value = mpmath.mpf(x) ** 2 * trace
            product, Y, Z = value / trace, value / trace, mpmath.mpf(1)
            for a, b, c in rows:
                W = a + b * product + c * product**2
                Y, Z, product = W * Y, Z * W, W * W * product
            expected = composed(table.as_tuples(), mpmath.mpf(x))
            assert abs(Z / mpmath.sqrt(trace) * mpmath.sqrt(value) - expected) < 1e-30
            assert abs(Y * mpmath.sqrt(trace) / mpmath.sqrt(value) - expected) < 1e-30


ROOT_4 = Table(
    "root4", schedule_from(4, [(1.5, -0.5)], (0.1, 1.0)), Provenance("0", "test", {}, source="test")
)
NINE = prototype("9x4_16_fp16")
SEVERAL = prototype("quintics_15")
LONG = repeated(CUBIC, 100)

REFUSALS = [
    *((name, NINE, "has degree 9 in step 1, 2, 3, 4: take a table of quintics") for name in CONVENTIONS if name not in ONE_ROW),
    *((name, repeated(DEGREE_7, 2), "has degree 7 in step 1, 2: take a table of quintics") for name in ONE_ROW if name != "tinygrad"),
    *((name, ROOT_4, "runs the polar factor (root 2), and root4 is of root 4") for name in CONVENTIONS if name != "newtonschulz.jl"),
    ("newtonschulz.jl", ROOT_4, "NewtonSchulz.jl runs the polar factor (root 2), and root4 is of root 4"),
    *((name, replace(repeated(JORDAN, 2), normalization="schatten8"), "made for schatten8: design it again with --normalization frobenius")
      for name in CONVENTIONS if name != "transformer-engine"),
    ("transformer-engine", replace(SEVERAL, normalization="aol"), "TransformerEngine divides by the norm of frobenius or schatten4"),
    ("torch", SEVERAL, "repeats it, and the 5 steps of quintics_15 differ: take --to torch-function"),
    ("torch", table_of([JORDAN, (JORDAN[0], *CUBIC)]), "the 2 steps of test differ"),
    ("torch", LONG, "runs at most 99 steps, and repeated has 100"),
    ("keras", SEVERAL, "differ: override its method zeropower_via_newtonschulz5"),
    ("tinygrad", SEVERAL, "differ: it has no place for a row a step"),
    ("distributed-shampoo", SEVERAL, "differ: it has no place for a row a step"),
    ("dion", SEVERAL, "write it with --to torch-function and give it as newton_schulz_func="),
    ("kellerjordan-muon", SEVERAL, "three numbers inside zeropower_via_newtonschulz5: replace that function"),
    ("flash-muon", SEVERAL, "three numbers inside its function"),
    ("megatron-lm", SEVERAL, "takes the name of a preset (--muon-coefficient-type)"),
    ("mlx", SEVERAL, "subclass it and override that method"),
    ("deepspeed", SEVERAL, "takes the name of a method (ns_method)"),
    ("heavyball", SEVERAL, "runs its own table on inputs that are not square"),
    ("optx", SEVERAL, "'optx' is not a target; did you mean optax?"),
    ("Keras", SEVERAL, "did you mean keras?"),
    ("pytorch", SEVERAL, "did you mean pytorch_optimizer"),
    ("Megatron LM", SEVERAL, "did you mean megatron-lm"),
    ("jquery", SEVERAL, "'jquery' is not a target; polydesign export --list shows them all"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "table", "message"), REFUSALS)
def test_refuses_with_the_reason(name, table, message):
    with pytest.raises(InputError) as refusal:
        export(table, name)
    assert refusal.value.field == "to"
    assert message in refusal.value.problem


def test_every_refusal_is_exercised():
    refused = {name for name, _, _ in REFUSALS}
    assert set(REFUSING) <= refused
    assert set(CONVENTIONS) <= refused


def test_a_source_cannot_end_the_comment():
    """A table from elsewhere must not bring code into what is pasted."""
    table = repeated(JORDAN, 2)
    source = "a paper\nimport os\r\nos.remove('x')\x0cb\u2028c"
    text = export(replace(table, provenance=Provenance("0\nimport os", "test", {}, source=source)), "torch")
    (statement,) = ast.parse(text).body
    assert isinstance(statement, ast.Assign)
    assert "a paper import os os.remove('x') b c" in text


@pytest.mark.parametrize("name", [name for name, target in TARGETS.items() if target.reason is None])
def test_a_source_of_odd_characters_leaves_text(name):
    """A control character, half of a surrogate pair and a change of direction are no text, or hide some."""
    table = repeated(JORDAN, 2)
    source = "a\x00b\ud800c \u202e d\x1b[31m"
    text = export(replace(table, provenance=Provenance("0", "test", {}, source=source)), name)
    assert not set("\x00\ud800\u202e\x1b") & set(text)
    text.encode()
    if TARGETS[name].suffix == ".py":
        ast.parse(text)


def test_the_bound_is_rounded_up():
    """To nearest it would be below the error for many tables: no bound, and called proved."""
    rounded_down = 0
    for path in sorted(shipped().glob("*.json")):
        table = polydesign.load(path)
        assert table.certificate is not None
        stated = re.search(r"\|f\(x\) - 1\| <= (\S+) for", " ".join(header(table)))
        assert stated
        exact = Decimal(table.certificate.error[1])
        assert exact <= Decimal(stated[1]) <= exact * (1 + Decimal("1e-5"))
        rounded_down += Decimal(f"{exact:.6g}") < exact
    assert rounded_down > 5


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("clip-d9x3-l0.1-bf16", "made for clipping singular values: f(x) is near min(x/0.1, 1)"),
        ("sign-m14-l0.01-fp32-coupled", "made for P^(-1/2) in the coupled form"),
        ("aol_4_initial", "Warning: some x of this interval come out at 0 or below"),
        ("jordan_5", None),
        ("root4-m11-l0.1-fp32", None),
    ],
)
def test_says_what_a_table_is_for_where_its_promise_does_not(name, words):
    found = [line for line in header(polydesign.load(name)) if line.startswith(("made for", "Warning"))]
    assert len(found) == (words is not None)
    assert words is None or found[0].startswith(words)


def test_a_sampled_bound_is_called_so():
    table = polydesign.load("sign-d5x5-l1e-3")
    sampled = replace(table, certificate=sampled_certificate(table.schedule, digest(table.schedule)))
    assert "(sampled, not proved)" in header(sampled)[1]
    assert "(not certified)" in header(replace(table, certificate=None))[1]
    assert "(proved)" in header(table)[1]


def test_says_that_coefficients_run_in_place_of_a_program():
    direct, other = prototype("quintics_15"), prototype("quintics_15", evaluation="chebyshev")
    assert "certificate is of another evaluation" not in export(direct, "optax")
    text = export(other, "optax")
    assert "Warning: step 1, 2, 3, 4, 5: the certificate is of another evaluation than powers of A" in text


def test_warns_where_rounding_reaches_beyond_the_promise():
    bare, roomy = polydesign.load("sign-d5x5-l1e-3"), polydesign.load("sign-d5x6-l1e-3-bf16")
    for name, target in CODEBASES.items():
        if target.reason is None and name not in ONE_ROW:
            assert "Warning:" in export(bare, name)
            assert "Warning:" not in export(roomy, name)
    narrow = polydesign.load("sign-d5x6-l1e-3-fp16")  # room for the roundings of float16, not of bfloat16
    assert caveats(narrow, CODEBASES["gram-newton-schulz"]) == []
    (line,) = caveats(narrow, CODEBASES["timm"])
    assert line.startswith(
        "rounding in bfloat16 can lift a singular value to 1.0078278, and sign-d5x6-l1e-3-fp16"
    )
    assert "keeps its promise up to 1.0018045 only" in line
    assert caveats(repeated(JORDAN, 5), CODEBASES["torch"]) == []  # what lies above 1 errs by less than 0.53
    (line,) = caveats(table_of(bare.as_tuples()), CODEBASES["timm"])
    assert "test keeps its promise up to 1 only" in line
    (line,) = caveats(narrow, CODEBASES["optax"])
    assert line.startswith("where updates are bfloat16, rounding")


def test_a_text_for_every_dtype_warns_of_the_coarsest():
    """Where the table was made for none; one that names its precision runs in that, or says what is coarser."""
    bare = polydesign.load("polar_express_deg5")
    for name, dtype in (("torch-function", "bfloat16"), ("jax", "bfloat16"), ("numpy", "float32")):
        line, *others = caveats(bare, TARGETS[name])
        assert line.startswith(f"where the dtype is {dtype}, rounding in {dtype} can lift")
        # In half precision it blows up what was tried, too.
        assert ["blows up" in one for one in others] == [True] * (dtype == "bfloat16")
        assert f"# Warning: where the dtype is {dtype}" in export(bare, name)
        assert caveats(repeated(JORDAN, 5), TARGETS[name]) == []  # it has room
        assert "Warning" not in export(polydesign.load("sign-d5x5-l1e-3-bf16"), name)
    assert caveats(bare, TARGETS["c"]) == []
    # A precision that is only named gives no room; the default's own safety does.
    named = polydesign.design(steps=5, headroom=1, dtype="bf16")
    assert len(caveats(named, TARGETS["torch-function"])) == 1
    assert caveats(polydesign.design(steps=5, dtype="bf16"), TARGETS["torch-function"]) == []


def test_norm_and_quotient_reach_what_the_warning_says():
    """(1 + u)² is reached within a rounding: rank 1 and equal entries, as torch's Muon divides."""
    torch = pytest.importorskip("torch")
    reached = 0.0
    for side in range(2, 60):
        X = torch.ones(side, side, dtype=torch.bfloat16)
        X = X / X.norm()
        reached = max(reached, torch.linalg.matrix_norm(X.double(), 2).item())
    assert 1 + 2.0**-9 < reached <= (1 + 2.0**-8) ** 2


@pytest.mark.parametrize(("name", "runs_away"), [("sign-d5x5-l1e-3", True), ("sign-d5x5-l1e-3-bf16", False)])
def test_a_value_runs_away_where_the_warning_says_so(name, runs_away):
    """A matrix of ones in bfloat16, as the codebases compute it; the table with headroom keeps its promise."""
    torch = pytest.importorskip("torch")
    table = polydesign.load(name)
    X = torch.ones(24, 24, dtype=torch.bfloat16)
    X = X / X.norm()
    for a, b, c in table.as_tuples():
        A = X @ X.mT
        X = a * X + (b * A + c * (A @ A)) @ X
    value = torch.linalg.matrix_norm(X.double(), 2).item()
    assert bool(caveats(table, CODEBASES["timm"])) == runs_away
    assert (value > 1e3) == runs_away
    assert runs_away or abs(value - 1) <= table.schedule.error + 4 * 2.0**-8  # as much as one step may lose


def test_trials_of_another_evaluation_are_said_to_be_that() -> None:
    balanced, powers = map(polydesign.load, ("sign-m16-l1e-3-bf16", "sign-d5x5-l1e-3-bf16"))
    for table in (balanced, powers):
        (own,) = loop_notes(table, "fused", "bfloat16")
        (other,) = loop_notes(table, "fused", "bfloat16", as_powers=True)
        assert "computed otherwise" not in own
        assert ("computed otherwise" in other) == (table is balanced)
