"""jax: msign(M) for root 2, inverse_root(P) for others, in any floating dtype."""

from __future__ import annotations

from typing import Any

from polydesign.exporters.functions import Library, write
from polydesign.exporters.printer import Printer, Routine, plain
from polydesign.exporters.target import Target
from polydesign.model import Table
from polydesign.model.program import Terms


def jax_text(table: Table) -> str:
    """msign for root 2, else inverse_root; each line of the program is rounded to the dtype once.

    Raises InputError for a normalization other than frobenius and schatten4.
    """
    return write(table, _JAX)


def _sum(terms: Terms, shift: Any = None) -> str:
    listed = [f"({plain(weight)}, {term})" for term, weight in terms]
    last = [] if shift is None else [f"identity={plain(shift)}"]
    return f"_sum({', '.join(['A.dtype', *listed, *last])})"


class _Printer(Printer):
    """A register a line; factors that are sums come before it, by a name of their own."""

    def total(self, terms: Terms, shift: Any) -> str:
        return _sum(terms, shift)

    def factor(self, terms: Terms, shift: Any, side: str) -> str:
        self.lines.append(f"{side} = {_sum(terms, shift)}")
        return side

    def product(self, left: str, right: str, weight: Any, addend: Terms, shift: Any) -> str:
        return _sum([*addend, (f"_product({left}, {right})", weight)], shift)


def _add(routine: Routine) -> str:
    register, weight, constant = routine.final
    return f"X = {_sum([('X', constant), (f'_product({register}, X)', weight)])}"


def _inner(routine: Routine) -> str:
    register, weight, constant = routine.final
    return f"W = {_sum([(register, weight)], constant)}"


_HELPERS = {
    "_or_one": '''def _or_one(size):
    """What to divide by, so that zero stays zero."""
    return jnp.where(size == 0, 1.0, size)
''',
    "_norm": '''def _norm(X):
    """The Frobenius norm of each matrix, shape (..., 1, 1)."""
    return jnp.sqrt(jnp.sum(X * X, axis=(-2, -1), keepdims=True))
''',
    "_product": '''def _product(left, right):
    """left @ right, in float32 or better and not rounded yet; no TF32 or bfloat16 passes for float32."""
    wide = jnp.promote_types(left.dtype, jnp.float32)
    return jnp.matmul(left, right, precision="highest", preferred_element_type=wide)
''',
    "_sum": '''def _sum(dtype, *terms, identity=0.0):
    """The sum of weight * matrix, plus a multiple of I, in float32 or better and rounded to dtype once."""
    wide = jnp.promote_types(dtype, jnp.float32)
    total = sum(weight * matrix.astype(wide) for weight, matrix in terms)
    if identity:
        total = total + identity * jnp.eye(total.shape[-1], dtype=wide)
    return total.astype(dtype)
''',
}

_NORM = {
    "frobenius": """norm = _or_one(_norm(X))
X = X / norm""",
    "schatten4": """norm = _or_one(_norm(X))
Y = (128.0 * (X / norm)).astype(dtype)  # so that float16 holds the small entries of Y Yᵀ
bound = jnp.sqrt(_norm(_product(Y, Y.mT).astype(X.dtype))) / 128.0 * (1.0 + float(jnp.finfo(dtype).eps))
norm = norm * _or_one(bound)
X = X / norm""",
}

_SIGN = '''def msign(M, dtype=None):
    """The polar factor U Vᵀ of M = U Σ Vᵀ, shape (..., m, n), iterated in dtype (None: in M's own).

    PROMISE
    Zero stays zero and the scale of M does not matter.
    """
    if M.shape[-2] > M.shape[-1]:
        return msign(M.mT, dtype).mT
    dtype = dtype or jnp.result_type(M, 1.0)
    if M.size == 0:
        return M.astype(dtype)
    X = M.astype(jnp.promote_types(jnp.promote_types(M.dtype, dtype), jnp.float32))
    X = X / _or_one(jnp.max(jnp.abs(X), axis=(-2, -1), keepdims=True))  # so that no square overflows
    NORM
    X = X.astype(dtype)
    LOOP
    return X
'''

_INVERSE = '''def inverse_root(P, dtype=None):
    """ROOT of symmetric positive P, shape (..., n, n), iterated in dtype (None: in P's own).

    PROMISE
    The scale of P does not matter. A zero matrix, which has no inverse, gives zero.
    """
    dtype = dtype or jnp.result_type(P, 1.0)
    if P.size == 0:
        return P.astype(dtype)
    wide = jnp.promote_types(jnp.promote_types(P.dtype, dtype), jnp.float32)
    X = P.astype(wide)
    largest = jnp.max(jnp.abs(X), axis=(-2, -1), keepdims=True)
    X = X / _or_one(largest)  # so that no square overflows
    NORM
    X = ((X + X.mT) / 2.0).astype(dtype)
    LOOP
    G = (G.astype(wide) + G.mT.astype(wide)) / 2.0
    G = G * norm**EXPONENT * _or_one(largest) ** EXPONENT
    return jnp.where(largest > 0, G, 0.0).astype(dtype)
'''

_JAX = Library(
    name="jax",
    imports="import jax.numpy as jnp\n",
    helpers=_HELPERS,
    gram="A = _product(X, X.mT).astype(X.dtype)",
    lines=lambda routine: _Printer(routine).written(),
    add=_add,
    inner=_inner,
    product=lambda a, b: f"_product({a}, {b}).astype(dtype)",
    norm=_NORM,
    sign=_SIGN,
    inverse=_INVERSE,
    coarsest="bfloat16",
)

JAX = Target(
    "jax: msign(M), or inverse_root(P), in any floating dtype", ".py", jax_text, coarsest=_JAX.coarsest
)
