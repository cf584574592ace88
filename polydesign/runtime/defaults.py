"""Which table of the package runs where none is given: by root, precision, and products or error."""

from __future__ import annotations

from functools import lru_cache

from polydesign.catalogue import load, shipped
from polydesign.model import DTYPES, InputError, Plan, Table
from polydesign.naming import family

SIGN = {
    "bfloat16": "sign-d5x6-l1e-3-bf16",
    "float16": "sign-d5x6-l1e-3-fp16",
    "float32": "sign-d5x7-l1e-3-fp32",
    "float64": "sign-d5x8-l1e-3-fp64",
}
"""Precision of the state -> what msign and mcsgn run where the plan says neither matmuls nor error."""


def chosen(root: int, dtype: str, plan: Plan, default: str) -> Table:
    """The table of the catalogue for this plan: `default` where it says neither matmuls nor error.

    Of the tables that the budget search made for this root and precision, <family>-m<matmuls>-…: for matmuls
    the one with most products that are no more than these; for an error the one with fewest whose measured
    error is at most that. What was measured stands in the table's provenance: the largest error on the
    matrices that the search tried, not a bound.

    Raises InputError naming the field of the plan, with what there is.
    """
    if plan.matmuls is None and plan.error is None:
        return _loaded(default)
    known = budgets(root, dtype)
    if not known:
        raise InputError(
            "plan.matmuls" if plan.matmuls is not None else "plan.error",
            f"no tables of root {root} for a budget come with the package in {dtype}: make one with "
            f"`polydesign search --root {root} --matmuls N --dtype {dtype}`, and pass table=",
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
def budgets(root: int, dtype: str) -> dict[int, str]:
    """matmuls -> name, of the tables for a budget that come with the package for matrices of any shape."""
    found = {}
    for path in shipped().glob(f"{family(root)}-m*-{DTYPES[dtype]}.json"):
        number = path.stem.split("-")[1].removeprefix("m")
        if number.isdecimal():
            found[int(number)] = str(path)
    return dict(sorted(found.items()))


@lru_cache
def _loaded(source: str) -> Table:
    return load(source)
