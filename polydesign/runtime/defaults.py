"""Which table of the package runs where none is given: by root, precision, and products or error."""

from __future__ import annotations

from functools import lru_cache

from polydesign.catalogue import load, shipped
from polydesign.evaluation.cost import matmuls
from polydesign.model import DTYPES, InputError, Plan, Table
from polydesign.naming import family

SIGN = {
    "bfloat16": "sign-d5x6-l1e-3-bf16",
    "float16": "sign-d5x6-l1e-3-fp16",
    "float32": "sign-d5x7-l1e-3-fp32",
    "float64": "sign-d5x8-l1e-3-fp64",
}
"""Precision of the state -> what msign and mcsgn run where the plan says neither matmuls nor error."""


_WIDE = ("clip-d17x2-l0.1", "clip-d17x3-l0.01", "clip-d17x4-l1e-3", "clip-d17x4-l3e-4", "clip-d17x5-l1e-4")
_HALF = ("clip-d9x3-l0.1", "clip-d9x4-l0.01", "clip-d9x5-l1e-3", "clip-d9x6-l3e-4")

CLIP = {
    "bfloat16": tuple(f"{name}-bf16" for name in _HALF),
    "float16": tuple(f"{name}-fp16" for name in (*_WIDE[:3], "clip-d9x4-17-l3e-4")),
    "float32": tuple(f"{name}-fp32" for name in _WIDE),
    "float64": tuple(f"{name}-fp32" for name in _WIDE),
}
"""Precision of the state -> the clip tables, that for the smallest ratio ‖M‖₂/β first. At 1e-4 rounding M to
a half precision moves singular values by as much as β: no table serves that. At 3e-4 float16 comes near its
subnormal numbers: on blocks of equal entries 0.07 of β was measured in place of 0.013; no value was lost."""


def clip_table(dtype: str, lower: float, plan: Plan) -> Table:
    """The clip table of this precision for β/‖M‖₂ >= lower with the fewest products.

    Raises InputError where there is none, or none within plan.matmuls or plan.error.
    """
    table = next((t for t in map(_loaded, CLIP[dtype]) if t.schedule.interval[0] <= lower), None)
    if table is None:
        least = _loaded(CLIP[dtype][-1]).schedule.interval[0]
        raise InputError(
            "high",
            f"is {lower:.2g} of what bounds the largest singular value, and the package's tables in {dtype} "
            f"go down to {least:g}: give table=polydesign.design(method='clip', degree=17, steps=6, "
            f"lower={lower / 2:.1g}, dtype={dtype!r})"
            + ("" if dtype in ("float32", "float64") else ", or write Plan(dtype='float32')"),
        )
    products, error = matmuls(table.schedule), table.provenance.parameters["clip_error"]
    if plan.matmuls is not None and plan.matmuls < products:
        raise InputError(
            "plan.matmuls", f"is {plan.matmuls}, and {table.name} takes {products}: give as many"
        )
    if plan.error is not None and plan.error < error:
        raise InputError("plan.error", f"is {plan.error!r}, and {table.name} is off by {error}: give no less")
    return table


def chosen(root: int, dtype: str, plan: Plan, default: str, *, coupled: bool = False) -> Table:
    """The table of the catalogue for this plan: `default` where it says neither matmuls nor error.

    coupled: whether it is for roots, whose products are those of the coupled form; root 2 has tables of both.

    Of the tables that the budget search made for this root and precision, <family>-m<matmuls>-…: for matmuls
    the one with most products that are no more than these; for an error the one with fewest whose measured
    error is at most that. What was measured stands in the table's provenance: the largest error on the
    matrices that the search tried, not a bound.

    Raises InputError naming the field of the plan, with what there is.
    """
    if plan.matmuls is None and plan.error is None:
        return _loaded(default)
    known = budgets(root, dtype, coupled=coupled)
    if not known:
        raise InputError(
            "plan.matmuls" if plan.matmuls is not None else "plan.error",
            f"no tables of root {root} for a budget come with the package in {dtype}: make one with "
            f"`polydesign search --root {root} --matmuls N --dtype {dtype}{_option(root, coupled)}`, and "
            "pass table=",
        )
    if plan.matmuls is not None:
        fitting = [number for number in known if number <= plan.matmuls]
        if not fitting:
            raise InputError(
                "plan.matmuls", f"is {plan.matmuls}, and the smallest table takes {min(known)}: give as many"
            )
        return _loaded(known[max(fitting)])
    assert plan.error is not None
    for number in sorted(known):
        table = _loaded(known[number])
        if table.provenance.parameters["measured"] <= plan.error:
            return table
    best = min(_loaded(name).provenance.parameters["measured"] for name in known.values())
    raise InputError(
        "plan.error",
        f"is {plan.error!r}, and the best table in {dtype} was measured at {best:.2g}: give no less, or take "
        "a higher precision",
    )


@lru_cache
def budgets(root: int, dtype: str, *, coupled: bool = False) -> dict[int, str]:
    """matmuls -> name, of the tables for a budget that come with the package for matrices of any shape."""
    found = {}
    form = "-coupled" if _option(root, coupled) else ""
    for path in shipped().glob(f"{family(root)}-m*-{DTYPES[dtype]}{form}.json"):
        number = path.stem.split("-")[1].removeprefix("m")
        if number.isdecimal():
            found[int(number)] = str(path)
    return dict(sorted(found.items()))


def _option(root: int, coupled: bool) -> str:
    """Of the search, where the form does not follow from the root."""
    return " --form coupled" if root == 2 and coupled else ""


@lru_cache
def _loaded(source: str) -> Table:
    return load(source)
