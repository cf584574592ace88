"""A product XY from k columns of X and the same k rows of Y: C·D·R, with XY never formed.

C = X[:, i] and R = Y[i, :] for a list i of inner indices, chosen by CHOICES; D, k×k, by MIDDLES. Everything
is thin products and norms, in float32 or better; nothing here needs a table. XY = Σ_i X[:, i]·Y[i, :], and
with w_i = ‖X[:, i]‖·‖Y[i, :]‖, W = Σ w_i:

- largest: the k largest w_i, each once. With D = I, ‖XY − CR‖_F <= the sum of the w_i left out.
- sampled: k independent draws with p_i = w_i/W. With D = diag(1/(k·p_i)) the expectation of CDR is XY, and
  that of ‖XY − CDR‖_F² is (W² − ‖XY‖_F²)/k, the least of all p (Drineas, Kannan, Mahoney, Fast Monte Carlo
  algorithms for matrices I, SIAM J. Comput. 36, 2006, lemma 4).
- diagonal: the diagonal D that makes ‖XY − CDR‖_F least, from (CᵀC ∘ RRᵀ)·d = diag(CᵀXYRᵀ).
- full: the D that makes it least of all, C⁺·X·Y·R⁺.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from polydesign.model import InputError, check_choice, check_integer
from polydesign.runtime.checks import check_finite, check_matrix
from polydesign.runtime.surroundings import pinned, seen

OF_COMPLEX = (
    "write found = column_row(torch.cat([X.real, X.imag], -2), torch.cat([Y.real, Y.imag], -1), k, how) for "
    "X and Y of one complex dtype: its indices are theirs, and without a middle XY is near "
    "torch.complex(*found.left.chunk(2, -2)) @ torch.complex(*found.right.chunk(2, -1))"
)
"""Columns and rows of these are as long as the complex ones; those of [[Re, −Im], [Im, Re]] come twice."""


@dataclass(frozen=True, slots=True)
class ColumnRow:
    """XY ≈ left·right. indices: (..., k), of the columns of X and rows of Y; left = C·D: (..., m, k);
    right = R: (..., k, n)."""

    indices: Tensor
    left: Tensor
    right: Tensor

    def product(self) -> Tensor:
        """C·D·R, (..., m, n)."""
        return self.left @ self.right


def column_row(
    X: Tensor,
    Y: Tensor,
    k: int,
    how: str = "largest",
    *,
    middle: str | None = None,
    generator: torch.Generator | None = None,
) -> ColumnRow:
    """C·D·R ≈ XY for X (..., m, p) and Y (..., p, n), 1 <= k <= p; formulas in the module.

    how: largest or sampled, with replacement, so that an index may come twice. middle: None is I for largest
    and diag(1/(k·p_i)), which makes it unbiased, for sampled; diagonal and full are optimal for the indices
    chosen, and biased. generator: of the draws, on X's device; None is torch's own. Inputs are not changed
    and nothing is shared with them; results have the wider of both dtypes. Gradients pass through the factors
    and not through the choice; full differentiates only where C and R have full rank.

    Cost beside the norms, in multiplications: none for I and 1/(k·p); (m + n)·p·k + (m + n)·k² for diagonal;
    that and m·p·k more for full, whose pseudo-inverses are singular value decompositions of C and R.

    Raises InputError for what is no floating matrix, holds NaN or infinity, or does not fit, for an unknown
    how or middle, and for k outside 1 to p.
    """
    for name, M in (("X", X), ("Y", Y)):
        check_matrix(name, M, OF_COMPLEX)
        if seen(M):
            check_finite(name, M, "")
    if X.shape[-1] != Y.shape[-2] or X.shape[:-2] != Y.shape[:-2]:
        raise InputError(
            "Y", f"has shape {tuple(Y.shape)}, and X {tuple(X.shape)}: Y is (..., p, n) for X (..., m, p)"
        )
    for name, value, known in (("how", how, CHOICES), ("middle", middle, (None, *MIDDLES))):
        check_choice(name, value, known)
    k = check_integer("k", k, 1)
    if k > X.shape[-1]:
        raise InputError("k", f"is {k}, and X has {X.shape[-1]} columns: choose at most as many")
    dtype = torch.promote_types(X.dtype, Y.dtype)
    with pinned(X.device.type):
        work = torch.promote_types(dtype, torch.float32)
        X, Y = X.to(work), Y.to(work)
        weights = _relative(X.detach().norm(dim=-2)) * _relative(Y.detach().norm(dim=-1))
        indices, scale = CHOICES[how](weights, k, generator)
        C = X.take_along_dim(indices[..., None, :], dim=-1)
        R = Y.take_along_dim(indices[..., :, None], dim=-2)
        left = C * scale[..., None, :] if middle is None else MIDDLES[middle](X, Y, C, R)
        return ColumnRow(indices, left.to(dtype), R.to(dtype))


def _relative(norms: Tensor) -> Tensor:
    """To the largest, which loses nothing: what counts is p."""
    return norms / norms.amax(dim=-1, keepdim=True).clamp(min=torch.finfo(norms.dtype).tiny)


def _largest(weights: Tensor, k: int, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
    del generator
    top = weights.topk(k, dim=-1)
    return top.indices, torch.ones_like(top.values)


def _sampled(weights: Tensor, k: int, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
    # Where all are zero, so is XY, and any index will do.
    total = weights.sum(dim=-1, keepdim=True)
    p = torch.where(total > 0, weights / total, 1 / weights.shape[-1])
    flat = p.reshape(-1, p.shape[-1])
    indices = torch.multinomial(flat, k, replacement=True, generator=generator).reshape(*p.shape[:-1], k)
    return indices, 1 / (k * p.take_along_dim(indices, dim=-1))


def _diagonal(X: Tensor, Y: Tensor, C: Tensor, R: Tensor) -> Tensor:
    """C·D. An index that came twice makes the equations singular: the least solution shares its weight."""
    Gram = ((C.mT @ C) * (R @ R.mT)).double()
    right = ((C.mT @ X) * (Y @ R.mT).mT).sum(dim=-1).double()
    d = torch.linalg.pinv(Gram, hermitian=True) @ right[..., None]
    return C * d.mT.to(C.dtype)


def _full(X: Tensor, Y: Tensor, C: Tensor, R: Tensor) -> Tensor:
    """C·D."""
    return C @ ((torch.linalg.pinv(C) @ X) @ (Y @ torch.linalg.pinv(R)))


CHOICES: dict[str, Callable[[Tensor, int, torch.Generator | None], tuple[Tensor, Tensor]]] = {
    "largest": _largest,
    "sampled": _sampled,
}
"""How -> indices (..., k) and the diagonal of D where no middle is asked for, from w (..., p)."""

MIDDLES: dict[str, Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]] = {
    "diagonal": _diagonal,
    "full": _full,
}
"""Middle -> C·D from X, Y, C and R."""
