"""torch: a function to paste, for codebases that take one (microsoft/dion) and for torch.optim.Muon.

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
    """newton_schulz_func for root 2, else inverse_root.

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


_HELPERS = {
    "_or_one": '''def _or_one(size):
    """What to divide by, so that zero stays zero."""
    return torch.where(size == 0, 1.0, size)
''',
    "_norm": '''def _norm(X):
    """The Frobenius norm of each matrix, shape (..., 1, 1)."""
    return X.square().sum(dim=(-2, -1), keepdim=True).sqrt()
''',
    "_combine": '''def _combine(*terms, identity=None):
    """The sum of weight * matrix, plus a multiple of I, rounded once: formed in float32 or better."""
    (weight, matrix), *others = terms
    dtype = matrix.dtype
    total = weight * matrix.to(torch.promote_types(dtype, torch.float32))
    for weight, matrix in others:
        total = torch.add(total, matrix, alpha=weight)
    if identity is not None:
        total.diagonal(dim1=-2, dim2=-1).add_(identity)
    return total.to(dtype)
''',
    "_add_identity": '''def _add_identity(A, weight):
    """A + weight * I, on A's own diagonal: an identity stored in a narrow dtype would lose accuracy."""
    A.diagonal(dim1=-2, dim2=-1).add_(weight)
    return A
''',
}

_NORM = {
    "frobenius": """norm = _or_one(_norm(X))
X = X / norm""",
    "schatten4": """norm = _or_one(_norm(X))
Y = (128.0 * (X / norm)).to(dtype)  # so that float16 holds the small entries of Y Yᵀ
bound = _norm((Y @ Y.mT).to(X.dtype)).sqrt() / 128.0 * (1.0 + torch.finfo(dtype).eps / 2)
norm = norm * _or_one(bound)
X = X / norm""",
}

_SIGN = '''def newton_schulz_func(M, epsilon=None, *, dtype=DTYPE):
    """The polar factor U Vᵀ of M = U Σ Vᵀ, shape (..., m, n), iterated in dtype (None: in M's own).

    PROMISE
    Zero stays zero and the scale of M does not matter: epsilon is there for callers that pass it, unused.
    """
    if M.shape[-2] > M.shape[-1]:
        return newton_schulz_func(M.mT, dtype=dtype).mT
    dtype = dtype or torch.result_type(M, 1.0)
    if M.numel() == 0:
        return M.to(dtype)
    with torch.autocast(M.device.type, enabled=False):
        X = M.to(torch.promote_types(torch.promote_types(M.dtype, dtype), torch.float32))
        X = X / _or_one(X.abs().amax(dim=(-2, -1), keepdim=True))  # so that no square overflows
        NORM
        X = X.to(dtype).reshape(-1, *M.shape[-2:])
        LOOP
        return X.reshape(M.shape)


# torch.optim.Muon repeats a single row, so it cannot take this table as ns_coefficients. Write, before its
# first step (for every Muon of the process; checked with torch 2.13):
#
#     import torch.optim._muon
#
#     torch.optim._muon._zeropower_via_newtonschulz = lambda grad, *_: newton_schulz_func(grad)
#
# ns_coefficients, ns_steps and eps then have no effect.
'''

_INVERSE = '''def inverse_root(P, *, dtype=DTYPE):
    """ROOT of symmetric positive P, shape (..., n, n), iterated in dtype (None: in P's own).

    PROMISE
    The scale of P does not matter. A zero matrix, which has no inverse, gives zero.
    """
    dtype = dtype or torch.result_type(P, 1.0)
    if P.numel() == 0:
        return P.to(dtype)
    with torch.autocast(P.device.type, enabled=False):
        wide = torch.promote_types(torch.promote_types(P.dtype, dtype), torch.float32)
        X = P.to(wide).reshape(-1, *P.shape[-2:])
        largest = X.abs().amax(dim=(-2, -1), keepdim=True)
        X = X / _or_one(largest)  # so that no square overflows
        NORM
        X = ((X + X.mT) / 2.0).to(dtype)
        LOOP
        G = (G.to(wide) + G.mT.to(wide)) / 2.0
        G = G * norm**EXPONENT * _or_one(largest) ** EXPONENT
        return torch.where(largest > 0, G, 0.0).to(dtype).reshape(P.shape)
'''

_TORCH = Library(
    name="torch-function",
    imports="import torch\n",
    helpers=_HELPERS,
    gram="A = X @ X.mT",
    lines=lambda routine: _Printer(routine).written(),
    add=_add,
    inner=_inner,
    product=lambda a, b: f"{a} @ {b}",
    norm=_NORM,
    sign=_SIGN,
    inverse=_INVERSE,
    coarsest="bfloat16",
)

TORCH_FUNCTION = Target(
    "torch: newton_schulz_func (or inverse_root) to paste, for dion and torch.optim.Muon",
    ".py",
    torch_text,
    coarsest=_TORCH.coarsest,
)
