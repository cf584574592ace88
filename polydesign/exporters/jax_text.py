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


_JAX = Library(
    name="jax",
    template="jax.py.j2",
    gram="A = _product(X, X.mT).astype(X.dtype)",
    lines=lambda routine: _Printer(routine).written(),
    add=_add,
    inner=_inner,
    product=lambda a, b: f"_product({a}, {b}).astype(dtype)",
    coarsest="bfloat16",
    loop="fused",
)

JAX = Target(
    "jax: msign(M), or inverse_root(P), in any floating dtype",
    ".py",
    jax_text,
    coarsest=_JAX.coarsest,
    loop=_JAX.loop,
)
