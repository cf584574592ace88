"""NewtonSchulz.jl: polar factor, and square roots of positive matrices, by a vector of triples."""

from __future__ import annotations

from polydesign.exporters.keywords import comments
from polydesign.exporters.target import Target, check_normalization, is_polar, quintic_rows
from polydesign.model import Table


def write(table: Table) -> str:
    """Julia text that defines the vector. Raises InputError for what NewtonSchulz.jl cannot run."""
    rows = quintic_rows(table, "NewtonSchulz.jl", roots=True)
    check_normalization(table, "NewtonSchulz.jl", "frobenius")
    low = table.schedule.interval[0]
    roots = (
        "msqrt(A, coeffs), mrsqrt(A, coeffs), matmul_mrsqrt(A, B, coeffs), for positive A or B: "
        "these divide by the trace, so that x = sqrt(λ/trace), and the promise is for eigenvalues of at "
        f"least {low * low:g} times the trace"
    )
    polar = "NewtonSchulz.newton_schulz(A, coeffs), which divides by ‖A‖_F + 1e-20: the polar factor"
    notes = [
        *([f"for {polar}", f"and for {roots}"] if is_polar(table) else [f"for NewtonSchulz.{roots}"]),
        "give coeffs itself, not a method: mrsqrt(A, method) computes msqrt",
        "leave nsteps out: it is the number of rows; less leaves rows out, more repeats the last one",
    ]
    body = [f"    ({', '.join(map(repr, row))})," for row in rows]
    return "\n".join([*comments(table, TARGET, notes), "const coeffs = [", *body, "]"]) + "\n"


TARGET = Target(
    "NewtonSchulz.jl (Julia), newton_schulz, msqrt, mrsqrt, matmul_mrsqrt: coeffs; the one with roots",
    ".jl",
    write,
    dtype="float32",
    when="A is Float32",
    loop=None,
)
