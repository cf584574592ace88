"""Who runs in a bench: our operators, and what a user would otherwise call.

A contestant is a function of (M, table) and an entry in OPERATORS. M: (..., m, n) on its device, in the
precision of the bench, not to be changed; table: ours, which gives a rival its root and its number of
products. It returns the result in M's shape. The first line of its docstring is what the bench says of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from polydesign.model import InputError, Plan, Schedule, Table
from polydesign.program.cost import matmuls
from polydesign.runtime import defaults, inverse_root, msign, root
from polydesign.table.catalogue import load
from polydesign.table.published import published

OURS = "polydesign"
"""The contestant that the others' times are divided by."""

LISTING = "polar_express_deg5_folded_1.01"
UNCHECKED = Plan(check=False)

Contestant = Callable[[Tensor, Table], Tensor]


def _msign(M: Tensor, table: Table) -> Tensor:
    """msign as it is called by default, which looks for NaN first"""
    return msign(M, table)


def _msign_unchecked(M: Tensor, table: Table) -> Tensor:
    """msign with Plan(check=False)"""
    return msign(M, table, UNCHECKED)


def _msign_gram(M: Tensor, table: Table) -> Tensor:
    """msign in the gram form, restarts chosen for the precision, with Plan(check=False)"""
    return msign(M, table, Plan(form="gram", check=False))


def _svd(M: Tensor, table: Table) -> Tensor:
    """U Vᵀ of torch.linalg.svd, which has no half precision: in float32, or float64 for float64"""
    U, _, Vt = torch.linalg.svd(_wide(M), full_matrices=False)
    return (U @ Vt).to(M.dtype)


def _muon(M: Tensor, table: Table) -> Tensor:
    """torch.optim.Muon's function with its constants, 5 steps: in bfloat16 always, one matrix at a time"""
    from torch.optim import _muon

    names = ("_zeropower_via_newtonschulz", "DEFAULT_A", "DEFAULT_B", "DEFAULT_C", "DEFAULT_NS_STEPS", "EPS")
    if not all(hasattr(_muon, name) for name in names):
        raise NotImplementedError("this version of torch keeps the function of torch.optim.Muon elsewhere")
    iterate, a, b, c, steps, eps = (getattr(_muon, name) for name in names)
    # It normalizes a bfloat16 input in place; the copy is part of its price.
    results = [iterate(matrix.clone(), (a, b, c), steps, eps) for matrix in M.reshape(-1, *M.shape[-2:])]
    return torch.stack(results).reshape(M.shape) if M.ndim > 2 else results[0]


def _polar_express(M: Tensor, table: Table) -> Tensor:
    """the listing of arXiv 2505.16932 without torch.compile, as many quintics as our products pay for"""
    rows = published(LISTING).rows
    steps = max(1, matmuls(table.schedule) // 3)
    X = M.mT if M.shape[-2] > M.shape[-1] else M
    X = X / (X.norm(dim=(-2, -1), keepdim=True) * 1.01 + 1e-7)
    for a, b, c in (*rows[:steps], *[rows[-1]] * (steps - len(rows))):
        A = X @ X.mT
        B = b * A + c * A @ A
        X = a * X + B @ X
    return X.mT if M.shape[-2] > M.shape[-1] else X


def _inverse_root(P: Tensor, table: Table) -> Tensor:
    """the operator as it is called by default, which checks its input first"""
    return inverse_root(P, table.schedule.root, table=table)


def _inverse_root_unchecked(P: Tensor, table: Table) -> Tensor:
    """the operator with Plan(check=False)"""
    return inverse_root(P, table.schedule.root, table=table, plan=UNCHECKED)


def _root(P: Tensor, table: Table) -> Tensor:
    """the operator as it is called by default, which checks its input first"""
    return root(P, table.schedule.root, table)


def _root_unchecked(P: Tensor, table: Table) -> Tensor:
    """the operator with Plan(check=False)"""
    return root(P, table.schedule.root, table, UNCHECKED)


def _eigh_inverse_root(P: Tensor, table: Table) -> Tensor:
    """Q Λ^(−1/r) Qᵀ of torch.linalg.eigh, which has no half precision: in float32, or float64 for float64"""
    return _eigh_power(P, -1 / table.schedule.root)


def _eigh_root(P: Tensor, table: Table) -> Tensor:
    """Q Λ^(1/r) Qᵀ of torch.linalg.eigh, which has no half precision: in float32, or float64 for float64"""
    return _eigh_power(P, 1 / table.schedule.root)


def _inv(P: Tensor, table: Table) -> Tensor:
    """torch.linalg.inv, which has no half precision: in float32, or float64 for float64"""
    return torch.linalg.inv(_wide(P)).to(P.dtype)


def _cholesky(P: Tensor, table: Table) -> Tensor:
    """torch.cholesky_inverse, which has no half precision: in float32, or float64 for float64"""
    return torch.cholesky_inverse(torch.linalg.cholesky(_wide(P))).to(P.dtype)


def _eigh_power(P: Tensor, exponent: float) -> Tensor:
    eigenvalues, Q = torch.linalg.eigh(_wide(P))
    return ((Q * eigenvalues[..., None, :] ** exponent) @ Q.mT).to(P.dtype)


def _wide(M: Tensor) -> Tensor:
    return M.to(torch.promote_types(M.dtype, torch.float32))


class ContestantOperator(NamedTuple):
    """What is timed: an operator and all that do the same.

    root: the only one, or with any_root that of the default table. exponent: e where the result is Pᵉ, by
    the root; None for msign. products: matrix products that ours takes. contestants: by name, with OURS.
    """

    root: int
    any_root: bool
    exponent: Callable[[int], float] | None
    products: Callable[[Schedule], int]
    contestants: dict[str, Contestant]


def _products_from_identity(schedule: Schedule) -> int:
    return matmuls(schedule, form="coupled", from_identity=True)


OPERATORS: dict[str, ContestantOperator] = {
    "msign": ContestantOperator(
        root=2,
        any_root=False,
        exponent=None,
        products=matmuls,
        contestants={
            OURS: _msign,
            "unchecked": _msign_unchecked,
            "gram": _msign_gram,
            "svd": _svd,
            "muon": _muon,
            "polar-express": _polar_express,
        },
    ),
    "inverse_root": ContestantOperator(
        root=4,
        any_root=True,
        exponent=lambda r: -1 / r,
        products=_products_from_identity,
        contestants={OURS: _inverse_root, "unchecked": _inverse_root_unchecked, "eigh": _eigh_inverse_root},
    ),
    "root": ContestantOperator(
        root=2,
        any_root=True,
        exponent=lambda r: 1 / r,
        products=lambda schedule: matmuls(schedule, form="coupled", power=schedule.root - 1),
        contestants={OURS: _root, "unchecked": _root_unchecked, "eigh": _eigh_root},
    ),
    "inverse": ContestantOperator(
        root=1,
        any_root=False,
        exponent=lambda r: -1.0,
        products=_products_from_identity,
        contestants={
            OURS: _inverse_root,
            "unchecked": _inverse_root_unchecked,
            "inv": _inv,
            "cholesky": _cholesky,
        },
    ),
}


def contestants(operator: str, beside: Iterable[str] | None = None) -> dict[str, Contestant]:
    """OURS and those named, or all. Raises InputError for a name that is not known."""
    if operator not in OPERATORS:
        raise InputError("operator", f"{operator!r} is not one of {', '.join(OPERATORS)}")
    known = OPERATORS[operator].contestants
    names = list(known) if beside is None else [OURS, *beside]
    for name in names:
        if name not in known:
            others = ", ".join(other for other in known if other != OURS)
            raise InputError("beside", f"{name!r} is not a contestant of {operator}: take from {others}")
    return {name: known[name] for name in dict.fromkeys(names)}


def table_for(operator: str, table: Table | None, *, dtype: str, root: int | None = None) -> Table:
    """The table, or the one that the operator runs in this precision when none is given.

    Raises InputError for a root that the operator, the catalogue or the table does not have.
    """
    entry = OPERATORS[operator]
    given = None if table is None else table.schedule.root
    root = root or (given if given is not None and entry.any_root else entry.root)
    if root != entry.root and not entry.any_root:
        raise InputError("root", f"{operator} has root {entry.root}, not {root}: leave it out")
    if operator == "root" and root == 1:
        raise InputError("root", "the first root of a matrix is that matrix: take 2 or more")
    if table is not None:
        if given != root:
            raise InputError("table", f"{table.name} has root {given}, and {operator} is to run root {root}")
        return table
    if operator == "msign":
        return load(defaults.SIGN[dtype])
    if (root, dtype) not in defaults.DEFAULT_TABLES:
        known = ", ".join(str(r) for r, own in defaults.DEFAULT_TABLES if own == dtype)
        raise InputError("root", f"no table of root {root} comes with the package, only of {known}: give one")
    return load(defaults.DEFAULT_TABLES[root, dtype])
