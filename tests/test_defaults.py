"""Which of the package's tables runs where none is given."""

from __future__ import annotations

import itertools
import math
import re

import pytest
import torch

import polydesign
from polydesign.model import DTYPES, InputError, Plan, PromiseWarning
from polydesign.program.cost import matmuls
from polydesign.runtime import inverse_root_with_info, msign, msign_with_info
from polydesign.runtime.defaults import SIGN, budgets, chosen, measured_error
from polydesign.table.catalogue import entries
from polydesign.verification.select import select

pytestmark = pytest.mark.numerics


@pytest.mark.parametrize("dtype", list(DTYPES))
def test_a_budget_takes_the_best_table_that_it_pays_for(dtype):
    known = budgets(2, dtype)
    assert {8, 15, 16, 18} <= set(known)
    left_out = {10, 12, 14} - set(known)
    unsafe = {one.matmuls for one in entries() if one.dtype == dtype and one.standing() == "unsafe"}
    assert left_out <= unsafe  # by a long hunt, each a little beyond what is allowed
    assert max(known) <= 20
    for number, found in known.items():
        table = polydesign.load(found.path)
        assert matmuls(table.schedule) == number
        kind = (number, dtype, "direct", None)
        rivals = [o for o in entries() if (o.matmuls, o.dtype, o.form, o.band) == kind]
        searched = [one for one in rivals if one.observed is not None]
        if found.observed is None:  # four quintics in bfloat16, in place of what a hunt blew up
            assert {one.standing() for one in searched} == {"unsafe"}
            assert found.standing() == "plain"
            assert found.worst == measured_error(table)
        else:
            assert found.observed == min(one.observed for one in searched if one.observed is not None)
        assert (table.purpose, table.dtype, table.form) == ("sign", dtype, "direct")
        assert chosen(2, dtype, Plan(matmuls=number), "") == table
    between = chosen(2, dtype, Plan(matmuls=17), "")
    assert between == polydesign.load(known[16].path)
    assert chosen(2, dtype, Plan(matmuls=99), "") == polydesign.load(known[max(known)].path)


@pytest.mark.parametrize("dtype", list(DTYPES))
def test_an_error_takes_the_cheapest_that_was_measured_at_it(dtype):
    tables = [polydesign.load(found.path) for found in budgets(2, dtype).values()]
    measured = [measured_error(table) for table in tables]
    found = chosen(2, dtype, Plan(error=0.1), "")
    assert found == next(table for table, error in zip(tables, measured, strict=True) if error <= 0.1)
    with pytest.raises(InputError, match=r"plan.error: is 1e-30, and the best table in .* was measured at"):
        chosen(2, dtype, Plan(error=1e-30), "")


def test_more_products_err_less():
    """Down to the floor that rounding leaves: the search takes what it measured to be best."""
    for dtype in DTYPES:
        errors = [measured_error(polydesign.load(found.path)) for found in budgets(2, dtype).values()]
        assert all(later <= 1.2 * earlier for earlier, later in itertools.pairwise(errors))
        assert errors[-1] < errors[1] / 10


def test_the_operators_run_them(seed, device):
    M = torch.randn(24, 48, generator=torch.Generator().manual_seed(seed)).to(device)
    plan = Plan(dtype="bf16", matmuls=15)
    X, info = msign_with_info(M, plan=plan)
    assert info.matmuls <= 15
    expected = msign(M, polydesign.load("sign-m15-l1e-3-bf16"), Plan(dtype="bf16"))
    assert torch.equal(X, expected)
    # Without a wish it is the default of the precision.
    assert torch.equal(
        msign(M, plan=Plan(dtype="bf16")), msign(M, polydesign.load(SIGN["bfloat16"]), Plan("bf16"))
    )


def test_roots_have_theirs(seed, device):
    G = torch.randn(16, 40, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    P = (G @ G.mT).to(device, torch.float32)
    few, many = (inverse_root_with_info(P, 4, plan=Plan(matmuls=m)) for m in (11, 17))
    assert few[1].matmuls <= 11 < many[1].matmuls <= 17
    values, vectors = torch.linalg.eigh(P.double())
    exact = vectors @ torch.diag(values**-0.25) @ vectors.mT
    errors = [(X.double() - exact).norm() / exact.norm() for X, _ in (few, many)]
    assert errors[1] < errors[0] < 0.1


def test_more_products_are_not_taken_where_they_err_more():
    """For inverses the table of 17 was measured worse than that of 14."""
    known = budgets(1, "float32", coupled=True)
    worst = {number: found.worst or math.inf for number, found in known.items()}
    assert worst[16] > worst[14]
    taken = chosen(1, "float32", Plan(matmuls=17), "", coupled=True)
    assert taken == polydesign.load(known[14].path)


def test_the_shipped_ones_are_what_they_say():
    """Measured again on small matrices: no worse than a little above what they say."""
    for name in ("sign-m12-l1e-3-bf16", "sign-m15-l1e-3-bf16", "sign-m16-l1e-3-fp16"):
        table = polydesign.load(name)
        assert table.dtype is not None
        assert table.observed is not None
        found = select([table], dtype=table.dtype, shape=(64, 96), seed=5)[0]
        assert found.worst <= 1.5 * table.observed
        assert found.worst >= 0.5 * table.schedule.error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"matmuls": 0}, "matmuls: must be a whole number"),
        ({"matmuls": 9, "error": 0.1}, "say one of them"),
        ({"error": 0.0}, "error: must be greater than 0"),
        ({"error": float("nan")}, "error: must be a finite number"),
    ],
)
def test_plans_are_checked(arguments, message):
    with pytest.raises(InputError, match=message):
        Plan(**arguments)


def test_refuses_what_is_not_there():
    with pytest.raises(InputError, match=r"plan.matmuls: is 7, and the smallest table takes 8"):
        msign(torch.eye(3), plan=Plan(matmuls=7))
    with pytest.raises(InputError, match=r"plan.matmuls: no tables of root 3 for a budget"):
        inverse_root_with_info(torch.eye(3), 3, plan=Plan(matmuls=12))
    with pytest.raises(InputError, match=r"plan.error: chooses a table where none is given"):
        msign(torch.eye(3), polydesign.load("sign-m12-l1e-3-fp32"), Plan(error=0.1))


def test_root_two_has_tables_of_both_forms():
    """Products of the coupled form are others than those of msign: P is updated beside G."""
    known = budgets(2, "float32", coupled=True)
    assert list(known) == [10, 14, 17]
    tables = {number: polydesign.load(found.path) for number, found in known.items()}
    for number, table in tables.items():
        assert matmuls(table.schedule, form="coupled") == number
        assert (table.purpose, table.form) == ("root", "coupled")
        assert table.schedule.interval[0] == 0.01
    longest = tables[17].schedule
    assert matmuls(longest) != matmuls(longest, form="coupled")
    P = torch.diag(torch.linspace(0.01, 1, 16))
    R, info = inverse_root_with_info(P, 2, plan=Plan(matmuls=14))
    assert info.matmuls <= 14
    assert (R.diagonal() * P.diagonal().sqrt() - 1).abs().max() < 1e-3
    with pytest.raises(InputError, match=r"--root 2 --matmuls N --dtype bfloat16 --form coupled"):
        inverse_root_with_info(P, 2, plan=Plan(dtype="bf16", matmuls=14))


def test_an_unsafe_table_that_is_passed_over_is_told():
    """What runs in its place errs more, and nobody asked for that."""
    passed = 0
    for dtype in ("bfloat16", "float16"):
        known = budgets(2, dtype)
        unsafe = {one.matmuls for one in entries() if one.dtype == dtype and one.standing() == "unsafe"}
        for number in unsafe & {10, 12, 14} - set(known):
            words = (
                f"^plan.matmuls: the table of .* products runs, .* that of {number}, .* is unsafe in {dtype}"
            )
            with pytest.warns(PromiseWarning, match=words) as told:
                found = chosen(2, dtype, Plan(matmuls=number), "")
            assert found == chosen(2, dtype, Plan(matmuls=number, check=False), "")
            cures = re.search(r"write matmuls=(\d+) or (\d+);", str(told[0].message))
            assert cures is not None
            fewer, more = (chosen(2, dtype, Plan(matmuls=int(one)), "") for one in cures.groups())
            assert found == fewer  # and no warning: warnings are errors
            assert more.schedule.error < fewer.schedule.error
            passed += 1
    assert passed


def test_an_error_of_a_root_is_that_of_its_file() -> None:
    """Which has matrices that rounding harms more than those of the search: a pair of eigenvalues, swept."""
    few, more = budgets(4, "float32", coupled=True)[13], budgets(4, "float32", coupled=True)[16]
    assert few.worst is not None
    assert few.observed is not None
    assert few.observed < few.worst
    between = (few.observed + few.worst) / 2
    assert chosen(4, "float32", Plan(error=between), "", coupled=True).name == more.name
    assert chosen(4, "float32", Plan(error=1.01 * few.worst), "", coupled=True).name == few.name
