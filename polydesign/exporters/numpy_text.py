"""numpy: msign(M) for root 2, inverse_root(P) for others, in float32 or float64."""

from __future__ import annotations

from polydesign.exporters.functions import Library, write
from polydesign.exporters.printer import Infix, Routine, is_one, plain
from polydesign.exporters.target import Target
from polydesign.model import Table


def numpy_text(table: Table) -> str:
    """msign for root 2, else inverse_root.

    numpy has no fast products below float32, so nothing narrower is iterated and a product may be scaled
    and added to after it: it is rounded to no less than float32 each time. Raises InputError for a
    normalization other than frobenius and schatten4.
    """
    return write(table, _NUMPY)


def _lines(routine: Routine) -> list[str]:
    return Infix(routine, "@", lambda total, weight: f"_add_identity({total}, {weight})").written()


def _scaled(routine: Routine) -> str:
    register, weight, _ = routine.final
    return register if is_one(weight) else f"{plain(weight)} * {register}"


def _add(routine: Routine) -> str:
    return f"X = {plain(routine.final[2])} * X + {_scaled(routine)} @ X"


def _inner(routine: Routine) -> str:
    return f"W = _add_identity({_scaled(routine)}, {plain(routine.final[2])})"


_HELPERS = {
    "_or_one": '''def _or_one(size):
    """What to divide by, so that zero stays zero."""
    return np.where(size == 0, size.dtype.type(1), size)
''',
    "_norm": '''def _norm(X):
    """The Frobenius norm of each matrix, shape (..., 1, 1)."""
    return np.sqrt(np.sum(X * X, axis=(-2, -1), keepdims=True))
''',
    "_add_identity": '''def _add_identity(A, weight):
    """A + weight * I, in place."""
    diagonal = np.arange(A.shape[-1])
    A[..., diagonal, diagonal] += weight
    return A
''',
}

_NORM = {
    "frobenius": """norm = _or_one(_norm(X))
X = X / norm""",
    "schatten4": """norm = _or_one(_norm(X))
Y = X / norm
bound = np.sqrt(_norm(Y @ Y.swapaxes(-1, -2))) * (1.0 + np.finfo(Y.dtype).eps)
norm = norm * _or_one(bound)
X = X / norm""",
}

_SIGN = '''def msign(M, dtype=None):
    """The polar factor U Vᵀ of M = U Σ Vᵀ, shape (..., m, n), in dtype (None: M's own).

    PROMISE
    Zero stays zero and the scale of M does not matter. A dtype below float32 is iterated in float32.
    """
    M = np.asarray(M)
    if M.shape[-2] > M.shape[-1]:
        return msign(M.swapaxes(-1, -2), dtype).swapaxes(-1, -2)
    dtype = np.result_type(M, 1.0) if dtype is None else np.dtype(dtype)
    if M.size == 0:
        return np.zeros(M.shape, dtype)
    X = M.astype(np.result_type(M, dtype, np.float32))
    X = X / _or_one(np.max(np.abs(X), axis=(-2, -1), keepdims=True))  # so that no square overflows
    NORM
    X = X.astype(np.result_type(dtype, np.float32))
    LOOP
    return X.astype(dtype)
'''

_INVERSE = '''def inverse_root(P, dtype=None):
    """ROOT of symmetric positive P, shape (..., n, n), in dtype (None: P's own).

    PROMISE
    The scale of P does not matter. A zero matrix, which has no inverse, gives zero. A dtype below float32 is
    iterated in float32.
    """
    P = np.asarray(P)
    dtype = np.result_type(P, 1.0) if dtype is None else np.dtype(dtype)
    if P.size == 0:
        return np.zeros(P.shape, dtype)
    X = P.astype(np.result_type(P, dtype, np.float32))
    largest = np.max(np.abs(X), axis=(-2, -1), keepdims=True)
    X = X / _or_one(largest)  # so that no square overflows
    NORM
    X = ((X + X.swapaxes(-1, -2)) / 2.0).astype(np.result_type(dtype, np.float32))
    LOOP
    G = (G + G.swapaxes(-1, -2)) / 2.0
    G = G * norm**EXPONENT * _or_one(largest) ** EXPONENT
    return np.where(largest > 0, G, 0.0).astype(dtype)
'''

_NUMPY = Library(
    name="numpy",
    imports="import numpy as np\n",
    helpers=_HELPERS,
    gram="A = X @ X.swapaxes(-1, -2)",
    lines=_lines,
    add=_add,
    inner=_inner,
    product=lambda a, b: f"{a} @ {b}",
    norm=_NORM,
    sign=_SIGN,
    inverse=_INVERSE,
    coarsest="float32",
)

NUMPY = Target(
    "numpy: msign(M), or inverse_root(P), in float32 or float64", ".py", numpy_text, coarsest=_NUMPY.coarsest
)
