"""Mistakes that codes make with a table, each as the code that makes it.

A guess is made by running these on a kit's matrices (guessing.py), so a name here says exactly what its
function does. The functions take the right code and a case, and return what comes out.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from polydesign.rounding.followed import rounded
from polydesign.verification.calling import strided_storage
from polydesign.verification.expected import KitCase
from polydesign.verification.plain_code import Code, Rows

Mistake = Callable[[Code, KitCase], np.ndarray]

Divisor = Callable[[Code, np.ndarray], np.ndarray | float]
"""What M is divided by."""

COMMON_FACTORS = (1.01, 1.02, 1.05, 1.1)

EPSILONS = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-12, 1e-15)


def _folded(rows: Rows, factor: float, root: int) -> Rows:
    """Rows with x/factor put in for x."""
    return [[c / factor ** (1 + root * j) for j, c in enumerate(row)] for row in rows]


def all_mistakes() -> dict[str, Mistake]:
    """Every mistake by the sentence that names it, the more common of equal ones first."""
    found: dict[str, Mistake] = {name: _with_rows(change) for name, change in ROWS.items()}
    for factor in COMMON_FACTORS:
        found[f"the factor {factor:g} is applied twice: the input is divided by it too"] = _divided(factor)
        found[f"the factor {factor:g} is left out of the norm"] = _divided(1 / factor)
        found[f"the factor {factor:g} is folded twice into all rows but the last"] = _refolded(factor)
    found |= {name: _with_divisor(divisor) for name, divisor in DIVISORS.items()}
    found["a zero matrix is divided by its norm, 0/0"] = _with_divisor(Code.norm, guarded=False)
    for epsilon in EPSILONS:
        found[f"{epsilon:g} is added to the norm"] = _with_divisor(
            lambda code, M, epsilon=epsilon: code.norm(M) + epsilon
        )
    return found | SHAPES | RESULTS | EVERYWHERE


def _with_rows(change: Callable[[Rows], Rows]) -> Mistake:
    return lambda code, case: code.changed(rows=change(code.rows))(case.input)


def _with_divisor(divisor: Divisor, *, guarded: bool = True) -> Mistake:
    """guarded: a norm of 0 is taken for 1, as a code does that is right but for this."""

    def by(code: Code, M: np.ndarray) -> np.ndarray:
        found = np.asarray(divisor(code, M))
        return np.where(found == 0, 1, found) if guarded else found

    return lambda code, case: code(case.input, lambda M: by(code, M))


def _divided(factor: float) -> Mistake:
    return _with_divisor(lambda code, M: factor * code.guarded(M))


def _refolded(factor: float) -> Mistake:
    def run(code: Code, case: KitCase) -> np.ndarray:
        rows = [*_folded(code.rows[:-1], factor, code.root), code.rows[-1]]
        return code.changed(rows=rows)(case.input)

    return run


def _exchanged(rows: Rows, first: int) -> Rows:
    """Row `first`, from 1, and the one after it exchanged; ValueError where one is not there."""
    if first >= len(rows):
        raise ValueError(first)
    return [*rows[: first - 1], rows[first], rows[first - 1], *rows[first + 1 :]]


EXCHANGES: dict[str, Callable[[Rows], Rows]] = {
    f"rows {first} and {first + 1} are exchanged": lambda rows, first=first: _exchanged(rows, first)
    for first in range(1, 8)
}
"""Named only where they give the values that were found: that they blow up tells none from another."""

ROWS: dict[str, Callable[[Rows], Rows]] = {
    "the rows run in reverse order": lambda rows: rows[::-1],
    "the rows run too often: the last one twice": lambda rows: [*rows, rows[-1]],
    "the rows run too often: the first one twice": lambda rows: [rows[0], *rows],
    "the rows run too often: all of them twice": lambda rows: [*rows, *rows],
    "the rows run too few times: the last one is left out": lambda rows: rows[:-1],
    "the rows run too few times: the first one is left out": lambda rows: rows[1:],
    "the rows run too few times: the last two are left out": lambda rows: rows[:-2],
    **EXCHANGES,
    "every step runs the first row": lambda rows: [rows[0]] * len(rows),
    "every step runs the last row": lambda rows: [rows[-1]] * len(rows),
    "the coefficients of each row are in reverse order: decreasing powers": lambda rows: [
        row[::-1] for row in rows
    ],
    **{
        f"the coefficients are rounded to {digits} decimals": lambda rows, digits=digits: [
            [round(c, digits) for c in row] for row in rows
        ]
        for digits in (1, 2, 3, 4)
    },
    "the coefficients are rounded to bfloat16": lambda rows: [
        rounded(row, "bfloat16").tolist() for row in rows
    ],
}


def _alike(code: Code, M: np.ndarray) -> np.ndarray | float:
    """1 for all, where one matrix of the batch is zero."""
    norm = code.norm(M)
    return 1.0 if (norm == 0).any() else norm


def _least(code: Code, M: np.ndarray) -> np.ndarray:
    norm = code.guarded(M)
    return np.minimum(norm, norm.min())


def _single_norm(M: np.ndarray) -> np.ndarray:
    squares = np.square(M.astype(np.float32))
    return np.sqrt(squares.sum(axis=(-2, -1), keepdims=True)).astype(np.float64)


DIVISORS: dict[str, Divisor] = {
    "the normalization is missing": lambda code, M: 1.0,
    "all matrices of a batch are divided by one norm": lambda code, M: float(np.linalg.norm(M)),
    "one zero matrix changes its neighbours: none of the batch is divided by its norm": _alike,
    "one zero matrix changes its neighbours: the batch is divided by one sum of norms": lambda code, M: (
        code.guarded(M).sum() if (code.norm(M) == 0).any() else code.norm(M)
    ),
    "all matrices of a batch are divided by the smallest norm among them": _least,
    "each row is divided by its own norm": lambda code, M: np.linalg.norm(M, axis=-1, keepdims=True),
    "each column is divided by its own norm": lambda code, M: np.linalg.norm(M, axis=-2, keepdims=True),
    "the norm is over the first two axes, and not the last two": lambda code, M: np.linalg.norm(
        M, axis=(0, 1), keepdims=True
    ),
    "the square of the norm is divided by: a square root is missing": lambda code, M: code.guarded(M) ** 2,
    "the input is divided by the largest singular value": lambda code, M: np.linalg.norm(
        M, 2, axis=(-2, -1), keepdims=True
    ),
    "the input is divided by its largest entry": lambda code, M: np.abs(M).max((-2, -1), keepdims=True),
    "the input is divided by the Frobenius norm": lambda code, M: code.changed(p=2.0).guarded(M),
    "the squares in the norm overflow or underflow in float32": lambda code, M: _single_norm(M),
}


def _turned_by(tall: Callable[[np.ndarray], bool]) -> Mistake:
    """Transposed by .T, which reverses all axes of a batch, where the code takes a matrix for tall."""

    def run(code: Code, case: KitCase) -> np.ndarray:
        M = case.input
        return code(M.T, turn=False).T if tall(M) else code(M, turn=False)

    return run


def _kept_turned(code: Code, case: KitCase) -> np.ndarray:
    tall = case.input.shape[-2] > case.input.shape[-1]
    found = code(case.input)
    return found.swapaxes(-1, -2) if tall else found


def _as_one(code: Code, case: KitCase) -> np.ndarray:
    M = case.input
    return code(M.reshape(len(M), -1)).reshape(M.shape) if M.ndim == 3 else code(M)


def _row_major(code: Code, case: KitCase) -> np.ndarray:
    storage = strided_storage(case).reshape(-1)
    return code(storage[: case.input.size].reshape(case.input.shape))


SHAPES: dict[str, Mistake] = {
    "the transposition back is missing: tall matrices come out transposed": _kept_turned,
    "the transposition back is missing: tall matrices are reshaped": lambda code, case: _kept_turned(
        code, case
    ).reshape(case.input.shape),
    "the result is transposed": lambda code, case: code(case.input).swapaxes(-1, -2),
    "shape[0] > shape[1] decides what is tall, in place of shape[-2] > shape[-1], and .T turns a batch": (
        _turned_by(lambda M: M.shape[0] > M.shape[1])
    ),
    ".T turns a batch, where it must be the last two axes": _turned_by(lambda M: M.shape[-2] > M.shape[-1]),
    "a batch is taken as one matrix, with a row for each": _as_one,
    "the input's strides are ignored: its memory is read in one piece": _row_major,
}


def _ideal(code: Code, case: KitCase) -> np.ndarray:
    if code.positive:
        values, vectors = np.linalg.eigh(case.input)
        return (vectors * values[..., None, :] ** (-1 / code.root)) @ vectors.swapaxes(-1, -2)
    U, sigma, Vt = np.linalg.svd(case.input, full_matrices=False)
    kept = sigma > 1e-12 * sigma.max(axis=-1, keepdims=True)
    return (U * kept[..., None, :]) @ Vt


EVERYWHERE: dict[str, Mistake] = {
    "the input is returned": lambda code, case: case.input,
    "the normalized input is returned": lambda code, case: case.input / code.guarded(case.input),
    "zeros are returned": lambda code, case: np.zeros_like(case.input),
}
"""Named only where they explain all that failed: a case alone may come near them for another reason."""

RESULTS: dict[str, Mistake] = {
    "the exact function is computed, and not the table's map": _ideal,
    "the result is scaled by √max(1, rows/columns)": lambda code, case: (
        code(case.input) * max(1, case.input.shape[-2] / case.input.shape[-1]) ** 0.5
    ),
    "the result is scaled by √(rows/columns)": lambda code, case: (
        code(case.input) * (case.input.shape[-2] / case.input.shape[-1]) ** 0.5
    ),
    "the result is scaled by 0.2·√max(rows, columns)": lambda code, case: (
        code(case.input) * 0.2 * max(case.input.shape[-2:]) ** 0.5
    ),
    "the result is multiplied by the norm": lambda code, case: code(case.input) * code.norm(case.input),
    "the result is not multiplied by the norm's power −1/r": lambda code, case: (
        code(case.input) * code.guarded(case.input) ** (1 / code.root if code.positive else 0)
    ),
    "the entries of the result are clamped to [-1, 1]": lambda code, case: code(case.input).clip(-1, 1),
    "the sign is wrong": lambda code, case: -code(case.input),
    "one zero matrix makes the whole batch zero": lambda code, case: (
        code(case.input) * float(bool((code.norm(case.input) != 0).all()))
    ),
    "one zero matrix makes the whole batch NaN": lambda code, case: (
        code(case.input, lambda M: code.norm(M)) + 0 * np.sum(1 / code.norm(case.input) * 0)
    ),
}
