"""Other functions of the singular values, made of msign and products: step, relu, polynomials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from polydesign.evaluation.program import monomial
from polydesign.model import InputError, Plan, Table, check_number
from polydesign.runtime.clipping import FORMULAS, PAST, composed, prepared, spectral_clip
from polydesign.runtime.execute import inner
from polydesign.runtime.signs import Signs


def spectral_step(
    M: Tensor,
    threshold: float,
    *,
    table: Table | None = None,
    plan: Plan | None = None,
    formula: str = "composed",
) -> Tensor:
    """U 1[Σ > θ] Vᵀ for M = U Σ Vᵀ: singular values above θ = threshold > 0 become 1, those below it 0.

    M, table, plan, result: as in `spectral_clip`. nested: [ms + msign(M − θ·ms)]/2 with ms = msign(M), 2
    msign. Values with |σ − θ| below l·‖M − θ·ms‖ come out between 0 and 1. composed: the same of C = U min(Σ,
    2θ) Vᵀ, clipped first: that costs a third iteration, and what is not resolved is then l·2θ, however large
    M is, and what the clip table moves θ by, about 2 % of it. table: of the signs; clipping chooses its own.
    Nothing is multiplied by M, so an error of the sign is one of the result.

    Raises InputError as `spectral_clip` does.
    """
    signs = prepared(M, table, plan, formula, {"composed", "nested"}, "spectral_step")
    _check_threshold(threshold)
    with torch.autocast(M.device.type, enabled=False):
        X, theta, known = signs.outer(M), threshold, formula == "composed"
        if known and M.numel():
            clipping = Signs(M, None, replace(signs.plan, matmuls=None, error=None))
            X = signs.sum([(composed(clipping, X, 2 * threshold), 1 / (2 * PAST))])
            theta = 1 / (4 * PAST)
        ms = signs.msign(X, normalized=known)
        step = signs.msign(signs.sum([(X, 1.0), (ms, -theta)]), normalized=known)
        return signs.state_of(signs.sum([(ms, 0.5), (step, 0.5)]))


def spectral_relu(
    M: Tensor,
    threshold: float,
    *,
    table: Table | None = None,
    plan: Plan | None = None,
    formula: str = "composed",
) -> Tensor:
    """U max(Σ − θ, 0) Vᵀ for M = U Σ Vᵀ, θ = threshold > 0: soft thresholding, M − U min(Σ, θ) Vᵀ.

    M, table, plan, formula, products: as in `spectral_clip`, which this subtracts, in the wider of M's dtype
    and the state's; so are its errors, which do not grow with M. Raises InputError as `spectral_clip` does.
    """
    _check_threshold(threshold)
    clipped = spectral_clip(M, high=threshold, table=table, plan=plan, formula=formula)
    wide = torch.promote_types(M.dtype, clipped.dtype)
    return (M.to(wide) - clipped.to(wide)).to(clipped.dtype)


def spectral_polynomial(
    M: Tensor, c: Sequence[float], *, table: Table | None = None, plan: Plan | None = None
) -> Tensor:
    """U p(Σ) Vᵀ for M = U Σ Vᵀ and p(σ) = Σ c_k σᵏ, c in increasing powers, even or odd or neither.

    M·o(MᵀM) + ms·e(MᵀM) with p(σ) = σ·o(σ²) + e(σ²) and ms = msign(M), which runs only where p has an even
    term. M, table, plan: as in `msign`; result in the state's dtype. Products beside msign: one for MᵀM,
    those of o and e by Paterson and Stockmeyer (evaluation/program.monomial), and one for each of the two
    that is no constant. All of these are in the wider of M's dtype and the state's, and Mᵏ must fit in it.
    What msign does not resolve loses its even part: for σ near 0 the result is p(0)·f(σ).

    Raises InputError as `msign` does, and for an empty c or one that is not finite.
    """
    signs = prepared(M, table, plan, "composed", FORMULAS, "spectral_polynomial")
    numbers = list(c)
    if not numbers:
        raise InputError("c", "is empty: give the coefficients, in increasing powers")
    for index, number in enumerate(numbers):
        check_number(f"c[{index}]", number)
    even, odd = _trimmed(numbers[::2]), _trimmed(numbers[1::2])
    with torch.autocast(M.device.type, enabled=False):
        tall = signs.tall(signs.outer(M))
        gram = signs.mm(tall.mT, tall) if max(len(even), len(odd)) > 1 else None
        terms: list[tuple[Tensor, float]] = []
        for part, factor in ((odd, lambda: tall), (even, lambda: signs.msign(tall))):
            if part:
                terms.append(_times(signs, factor(), part, gram))
        if not terms:
            terms = [(tall, 0.0)]
        return signs.state_of(signs.like(M, signs.sum(terms)))


def _times(signs: Signs, X: Tensor, part: list[float], gram: Tensor | None) -> tuple[Tensor, Any]:
    """X·q(gram) as a matrix and its weight."""
    if gram is None or len(part) == 1:
        return X, part[0]
    code = monomial(part)
    signs.matmuls += code.products if gram.numel() else 0
    return signs.mm(X, inner(code, gram)), 1.0


def _trimmed(part: list[float]) -> list[float]:
    while part and part[-1] == 0:
        part = part[:-1]
    return [float(number) for number in part]


def _check_threshold(threshold: float) -> None:
    check_number("threshold", threshold)
    if threshold <= 0:
        raise InputError("threshold", f"must be positive, and is {threshold!r}")
