"""torch: a function to paste, for codebases that take one (microsoft/dion), and a Muon with it.

Rounds where runtime/execute.py rounds: a product and the sum that it goes into are one operation, sums of
matrices are formed in float32 or better, multiples of I are added to a diagonal.
"""

from __future__ import annotations

from typing import Any

from polydesign.exporters.functions import Library, write
from polydesign.exporters.printer import Printer, Routine, is_one, plain
from polydesign.exporters.target import Target
from polydesign.model import Table
from polydesign.model.program import Terms


def torch_text(table: Table) -> str:
    """newton_schulz_func and Muon for root 2, else inverse_root.

    Raises InputError for a normalization other than frobenius and schatten4.
    """
    return write(table, _TORCH)


class _Printer(Printer):
    """A register a line; factors and addends that are sums come before, by a name of their own."""

    def total(self, terms: Terms, shift: Any) -> str:
        arguments = [f"({plain(weight)}, {name})" for name, weight in terms]
        if shift is not None:
            arguments.append(f"identity={plain(shift)}")
        return f"_combine({', '.join(arguments)})"

    def factor(self, terms: Terms, shift: Any, side: str) -> str:
        self.lines.append(f"{side} = {self.total(terms, shift)}")
        return side

    def addend(self, terms: Terms) -> Terms:
        return [(self.factor(terms, None, "plus"), 1)] if len(terms) > 1 else terms

    def product(self, left: str, right: str, weight: Any, addend: Terms, shift: Any) -> str:
        alpha = "" if is_one(weight) else f", alpha={plain(weight)}"
        if not addend and not alpha:
            value = f"{left} @ {right}"
        elif not addend:
            value = f"torch.baddbmm({left}, {left}, {right}, beta=0.0{alpha})"
        else:
            ((name, beta),) = addend
            scale = "" if is_one(beta) else f", beta={plain(beta)}"
            value = f"torch.baddbmm({name}, {left}, {right}{scale}{alpha})"
        return value if shift is None else f"_add_identity({value}, {plain(shift)})"


def _add(routine: Routine) -> str:
    register, weight, constant = routine.final
    alpha = "" if is_one(weight) else f", alpha={plain(weight)}"
    return f"X = torch.baddbmm(X, {register}, X, beta={plain(constant)}{alpha})"


def _inner(routine: Routine) -> str:
    register, weight, constant = routine.final
    scaled = register if is_one(weight) else f"{plain(weight)} * {register}"
    return f"W = _add_identity({scaled}, {plain(constant)})"


_TORCH = Library(
    name="torch-function",
    template="torch.py.j2",
    gram="A = X @ X.mT",
    lines=lambda routine: _Printer(routine).written(),
    add=_add,
    inner=_inner,
    product=lambda a, b: f"{a} @ {b}",
    coarsest="bfloat16",
    loop="fused",
)

TORCH_FUNCTION = Target(
    "torch: newton_schulz_func and Muon (or inverse_root) to paste, for dion and for torch.optim.Muon",
    ".py",
    torch_text,
    coarsest=_TORCH.coarsest,
    loop=_TORCH.loop,
)
