"""Which table of the package runs where none is given: by root, precision, and products or error."""

from __future__ import annotations

import math
import warnings
from functools import lru_cache

from polydesign.approximation.sampling import stated_clip_error
from polydesign.model import STANDINGS, InputError, Plan, PromiseWarning, Table
from polydesign.table.catalogue import Entry, entries, load

SIGN = {
    "bfloat16": "sign-d5x6-l1e-3-bf16",
    "float16": "sign-d5x6-l1e-3-fp16",
    "float32": "sign-d5x7-l1e-3-fp32",
    "float64": "sign-d5x8-l1e-3-fp64",
}
"""Precision of the state -> what msign and mcsgn run where the plan says neither matmuls nor error."""


LOWEST_EIGENVALUE = 1e-4
"""Down to which the table is designed that a refusal proposes, relative to ‖P‖_F."""

DEFAULT_TABLES = {
    (1, "bfloat16"): "inverse-d3x7-l1e-4-bf16",
    (2, "bfloat16"): "sign-d5x5-l0.01-bf16-coupled",
    (3, "bfloat16"): "root3-d7x5-l0.046-bf16",
    (4, "bfloat16"): "root4-d9x4-l0.1-bf16",
    (6, "bfloat16"): "root6-d13x4-l0.21-bf16",
    (8, "bfloat16"): "root8-d17x4-l0.31-bf16",
    (1, "float16"): "inverse-d3x7-l1e-4-fp16",
    (2, "float16"): "sign-d5x5-l0.01-fp16-coupled",
    (3, "float16"): "root3-d7x5-l0.046-fp16",
    (4, "float16"): "root4-d9x4-l0.1-fp16",
    (6, "float16"): "root6-d13x4-l0.21-fp16",
    (8, "float16"): "root8-d17x4-l0.31-fp16",
    (1, "float32"): "inverse-d9x2-2-9-l1e-4-fp32",
    (2, "float32"): "sign-d17x3-l0.01-fp32-coupled",
    (3, "float32"): "root3-d25-13-25-l0.046-fp32",
    (4, "float32"): "root4-d33-17-33-l0.1-fp32",
    (6, "float32"): "root6-d49-25-49-l0.21-fp32",
    (8, "float32"): "root8-d65-33-65-l0.31-fp32",
    (1, "float64"): "inverse-d9x4-3-l1e-6-fp64",
    (2, "float64"): "sign-d3-17x3-9-l1e-3-fp64-coupled",
    (3, "float64"): "root3-d25x4-l0.01-fp64",
    (4, "float64"): "root4-d33x4-l0.03-fp64",
    (6, "float64"): "root6-d49x4-l0.1-fp64",
    (8, "float64"): "root8-d65x4-l0.17-fp64",
}
"""The catalogue table of each root and precision when none is given: eigenvalues down to 1e-4·‖P‖_F, in
float64 to 1e-6·‖P‖_F. What each is good for in its precision, tests/test_root_tables.py says."""


@lru_cache
def clip_tables(dtype: str) -> tuple[Entry, ...]:
    """The package's clip tables for a state of this precision, that for the smallest ratio ‖M‖₂/β first.

    float64 takes float32's. At l = 1e-4 rounding M to a half precision moves singular values by as much as β:
    no table serves that. At 3e-4 float16 comes near its subnormal numbers: on blocks of equal entries 0.07 of
    β was measured in place of 0.013; no value was lost.
    """
    made_for = "float32" if dtype == "float64" else dtype
    found = [one for one in entries() if one.purpose == "clip" and one.dtype == made_for]
    return tuple(sorted(found, key=lambda one: -one.interval[0]))


def clip_table(dtype: str, lower: float, plan: Plan) -> Table:
    """The clip table of this precision for β/‖M‖₂ >= lower with the fewest products.

    Raises InputError where there is none, or none within plan.matmuls or plan.error.
    """
    known = clip_tables(dtype)
    fitting = next((one for one in known if one.interval[0] <= lower), None)
    if fitting is None:
        least = known[-1].interval[0]
        wider = lower >= clip_tables("float32")[-1].interval[0]
        raise InputError(
            "high",
            f"is {lower:.2g} of what bounds the largest singular value, and the package's tables in {dtype} "
            f"go down to {least:g}: give table=polydesign.design(method='clip', degree=17, steps=6, "
            f"lower={lower / 2:.1g}, dtype={dtype!r})"
            + (", or write Plan(dtype='float32')" if wider else ""),
        )
    table = loaded(str(fitting.path))
    products = fitting.matmuls
    if plan.matmuls is not None and plan.matmuls < products:
        raise InputError(
            "plan.matmuls", f"is {plan.matmuls}, and {table.name} takes {products}: give as many"
        )
    if plan.error is not None and plan.error < (error := stated_clip_error(table.schedule)):
        raise InputError("plan.error", f"is {plan.error!r}, and {table.name} is off by {error}: give no less")
    return table


def chosen(root: int, dtype: str, plan: Plan, default: str, *, coupled: bool = False) -> Table:
    """The table of the catalogue for this plan: `default` where it says neither matmuls nor error.

    coupled: whether it is for roots, whose products are those of the coupled form; root 2 has tables of both.

    Of the tables of `budgets`: for matmuls the one that errs least of those with no more products; for an
    error the one with fewest whose error on the matrices of the search (Table.observed), or in its runs
    where no search measured it, is at most that. It is no bound. One that is unsafe in this precision
    is never taken; where one is passed over for a number of products, a PromiseWarning says so, unless
    plan.check is False.

    Raises InputError naming the field of the plan, with what there is.
    """
    if plan.matmuls is None and plan.error is None:
        return loaded(default)
    known = budgets(root, dtype, coupled=coupled)
    unsafe = any(one.standing() == "unsafe" for one in _measured(root, dtype, coupled=coupled))
    left_out = f" (what is unsafe in {dtype} is left out)" if unsafe else ""
    if not known:
        raise InputError(
            "plan.matmuls" if plan.matmuls is not None else "plan.error",
            f"no tables of root {root} for a budget come with the package in {dtype}{left_out}: make one "
            f"with `polydesign search --root {root} --matmuls N --dtype {dtype}{_option(root, coupled)}`, "
            "and pass table=",
        )
    if plan.matmuls is not None:
        fitting = [number for number in known if number <= plan.matmuls]
        if not fitting:
            raise InputError(
                "plan.matmuls",
                f"is {plan.matmuls}, and the smallest table takes {min(known)}{left_out}: give as many",
            )
        taken = min(fitting, key=lambda number: (_erred(known[number], coupled=coupled), number))
        passed_over = [
            one
            for one in _measured(root, dtype, coupled=coupled)
            if taken < one.matmuls <= plan.matmuls and one.standing() == "unsafe"
        ]
        if passed_over and plan.check:
            most = max(passed_over, key=lambda one: one.matmuls)
            error = _erred(known[taken], coupled=coupled)
            more = [str(number) for number in known if number > most.matmuls][:1]
            write = " or ".join([str(taken), *more])
            warnings.warn(
                f"plan.matmuls: the table of {taken} products runs, {known[taken].name}, with an error of "
                f"{error:.2g} as measured: that of {most.matmuls}, {most.name}, is unsafe in "
                f"{dtype}: write matmuls={write}; Plan(check=False) runs it without this warning",
                PromiseWarning,
                stacklevel=2,
            )
        return loaded(str(known[taken].path))
    assert plan.error is not None
    errors = {number: _erred(found, coupled=coupled) for number, found in known.items()}
    for number, error in errors.items():
        if error <= plan.error:
            return loaded(str(known[number].path))
    best = min(errors.values())
    raise InputError(
        "plan.error",
        f"is {plan.error!r}, and the best table in {dtype} was measured at {best:.2g}{left_out}: give no "
        "less, or take a higher precision",
    )


def measured_error(table: Table) -> float:
    """Of a table that was chosen for a sign: what the search measured, or where none did its runs."""
    if table.observed is not None:
        return table.observed
    runs = [one.worst for one in table.measured if one.dtype == table.dtype]
    return max([table.schedule.error, *(math.inf if worst is None else worst for worst in runs)])


def _erred(one: Entry, *, coupled: bool) -> float:
    """What was measured of it. For roots the files have matrices that rounding harms more than a search's."""
    if not coupled and one.observed is not None:
        return one.observed
    return math.inf if one.worst is None else one.worst


@lru_cache
def budgets(root: int, dtype: str, *, coupled: bool = False) -> dict[int, Entry]:
    """matmuls -> entry, of the package's tables that a search measured, but for unsafe ones.

    In place of an unsafe one another table of as many products, where there is one that was measured at all.
    """
    searched = _measured(root, dtype, coupled=coupled)
    fitting = [one for one in searched if one.standing() != "unsafe"]
    missing = {one.matmuls for one in searched} - {one.matmuls for one in fitting}
    fitting += [one for one in _others(dtype) if one.matmuls in missing] if not coupled and root == 2 else []
    found: dict[int, Entry] = {}

    def rank(one: Entry) -> tuple[int, int, float]:
        """Of two with as many products the safer one, and of two alike the one that erred less."""
        return one.matmuls, STANDINGS.index(one.standing()), _erred(one, coupled=coupled)

    for one in sorted(fitting, key=rank):
        found.setdefault(one.matmuls, one)
    return found


def _measured(root: int, dtype: str, *, coupled: bool) -> list[Entry]:
    """The tables that come with the package and that a search measured for this, but for those of a band:
    their intervals begin elsewhere."""
    form = "coupled" if coupled or root != 2 else "direct"
    wanted = (root, dtype, form)
    return [
        one
        for one in entries()
        if (one.root, one.dtype, one.form) == wanted and one.observed is not None and one.band is None
    ]


def _others(dtype: str) -> list[Entry]:
    """Tables for signs from the same lower end on, plain, which no search measured."""
    default = loaded(SIGN[dtype]).schedule.interval[0]
    return [
        one
        for one in entries()
        if (one.purpose, one.dtype, one.form, one.standing()) == ("sign", dtype, "direct", "plain")
        and one.observed is None
        and one.worst is not None
        and one.band is None
        and one.interval[0] <= default
    ]


def _option(root: int, coupled: bool) -> str:
    """Of the search, where the form does not follow from the root."""
    return " --form coupled" if root == 2 and coupled else ""


@lru_cache
def loaded(source: str) -> Table:
    """The table, read once."""
    return load(source)


def default_table(root: int, dtype: str, plan: Plan) -> Table:
    """What runs roots where no table is given."""
    if (root, dtype) not in DEFAULT_TABLES and plan.matmuls is None and plan.error is None:
        lower = LOWEST_EIGENVALUE ** (1 / root)
        raise InputError(
            "root",
            f"no table of root {root} comes with the package: make one with `polydesign search --root {root} "
            f"--degree {1 + 2 * root} --steps 5 --lower {lower:.2g} --dtype {dtype}`, and pass "
            "table=polydesign.load(path)",
        )
    return chosen(root, dtype, plan, DEFAULT_TABLES.get((root, dtype), ""), coupled=True)
