"""Steps run on matrices: the pure core, without checks and without a branch on data.

It can be compiled and captured as it is: all decisions depend on the steps alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from polydesign.evaluation.program import Combination, Program, program
from polydesign.model import Schedule, Step
from polydesign.runtime import ops


class _Registers:
    """The registers of one program, with products that are used once left to the sum that uses them.

    Such a product then never exists as a rounded matrix of its own: c₁A + c₂A² is one scaled addition, and
    its small entries cannot underflow in float16. symmetric: whether A is.
    """

    def __init__(self, code: Program, A: Tensor, *, symmetric: bool = True) -> None:
        self._mm = ops.sym_mm if symmetric else ops.mm
        self._mm_add = ops.sym_mm_add if symmetric else ops.mm_add
        sums = [side for product in code.products for side in product]
        uses = Counter(register for terms in (*sums, code.result) for register, _ in terms)
        self._stored = {0: A}
        self._deferred: dict[int, tuple[Tensor, Tensor]] = {}
        for register, (left, right) in enumerate(code.products, start=1):
            factors = self.combine(left), self.combine(right)
            if uses[register] == 1:
                self._deferred[register] = factors
            else:
                self._stored[register] = self._mm(*factors)

    def combine(self, terms: Combination) -> Tensor:
        """Σ weight·register."""
        matrix, weight = self.scaled(terms)
        return matrix if weight == 1 else weight * matrix

    def scaled(self, terms: Combination) -> tuple[Tensor, float]:
        """Σ weight·register as (matrix, factor): a lone register is not multiplied by its weight."""
        stored = [(self._stored[r], weight) for r, weight in terms if r in self._stored]
        deferred = [(*self._deferred[r], weight) for r, weight in terms if r in self._deferred]
        if len(stored) > 1:
            stored = [(ops.weighted_sum(stored), 1.0)]
        elif not stored:
            left, right, weight = deferred.pop()
            stored = [(self._mm(left, right), weight)]
        ((total, beta),) = stored
        for left, right, weight in deferred:
            total, beta = self._mm_add(total, left, right, alpha=weight, beta=beta), 1.0
        return total, beta


def direct(X: Tensor, steps: Schedule | Iterable[Step], gram: Tensor | None = None) -> Tensor:
    """X ← c₀·X + Q(X Xᵀ)·X, step after step, for root 2: every singular value x becomes f(x).

    X: (..., m, n) with m <= n (so that the Gram matrix is the small one), floating, already normalized; all
    arithmetic is in its dtype, products accumulate as the device does. gram: X Xᵀ, where the normalization
    formed it already; one product fewer. c₀ multiplies X inside the last scaled addition of a step and is
    never stored in a matrix. Returns a new tensor of X's shape and dtype.
    """
    for step in steps.steps if isinstance(steps, Schedule) else steps:
        code = program(step)
        registers = _Registers(code, ops.sym_mm(X, X.mT) if gram is None else gram)
        Q, alpha = registers.scaled(code.result)
        X, gram = ops.mm_add(X, Q, X, alpha=alpha, beta=code.constant), None
    return X


def matrix_sign(X: Tensor, steps: Schedule | Iterable[Step]) -> Tensor:
    """X ← c₀·X + Q(X²)·X, step after step, for root 2: every eigenvalue x becomes f(x).

    X: (..., n, n), floating, already normalized. As `direct`, but nothing is known to be symmetric.
    """
    for step in steps.steps if isinstance(steps, Schedule) else steps:
        code = program(step)
        Q, alpha = _Registers(code, ops.mm(X, X), symmetric=False).scaled(code.result)
        X = ops.mm_add(X, Q, X, alpha=alpha, beta=code.constant)
    return X


class Coupled(NamedTuple):
    """What `coupled` ends with: G, the P that the last step received, and its W = q(P).

    P Wʳ is the iterate that is not needed for G; where it is not I, the spectrum was not in [l, u].
    """

    G: Tensor
    P: Tensor
    W: Tensor


def coupled(P: Tensor, G: Tensor | None, steps: Schedule | Iterable[Step], *, power: int = 1) -> Coupled:
    """W = q(P), G ← G Wˢ, P ← P Wʳ, step after step: P → I and G → G P^(−s/r) (kexue.fm 11175).

    P: (..., n, n), symmetric with eigenvalues in (0, 1], normalized; G: (..., m, n), same batch and dtype, or
    None for the identity, with which nothing is multiplied. power: s >= 1; the root r is the steps'. With
    x = λ^(1/r), a step maps x by p, so the eigenvalues of G come out as those of G P^(−s/r) times f(x)ˢ.

    W is rounded once and the same W goes into G and P: what rounding does to W, later steps take back. For
    the same reason nothing is made symmetric on the way: in bfloat16 the rounding that this costs was found
    to lose more than it gains (0.0022 against 0.0021 in the article's test), and doing it to W alone, which
    then no longer is the polynomial of P, doubled the error. All arithmetic is in P's dtype. The last step
    does not update P.
    """
    steps = tuple(steps.steps if isinstance(steps, Schedule) else steps)
    times = ops.sym_mm if G is None else ops.mm
    W = P
    for index, step in enumerate(steps):
        W = _inner(step, P)
        last = index == len(steps) - 1
        exponents = (power,) if last else (power, step.root)
        powers = _powers(W, exponents)
        G = powers[power] if G is None else times(G, powers[power])
        if not last:
            P = ops.sym_mm(P, powers[step.root])
    assert G is not None
    return Coupled(G, P, W)


def _inner(step: Step, A: Tensor) -> Tensor:
    """q(A): the program's Q(A) with c₀ on the diagonal. A new tensor, never A itself."""
    code = program(step)
    Q = _Registers(code, A).combine(code.result)
    diagonal = Q.diagonal(dim1=-2, dim2=-1) + code.constant
    return torch.diagonal_scatter(Q, diagonal, dim1=-2, dim2=-1)


def _powers(W: Tensor, exponents: tuple[int, ...]) -> dict[int, Tensor]:
    """Wᵉ for each exponent by repeated squaring, with shared squares."""
    squares = [W]
    while 2 ** len(squares) <= max(exponents):
        squares.append(ops.sym_mm(squares[-1], squares[-1]))
    powers = {}
    for exponent in set(exponents):
        factors = [square for bit, square in enumerate(squares) if exponent >> bit & 1]
        powers[exponent] = factors[0]
        for factor in factors[1:]:
            powers[exponent] = ops.sym_mm(powers[exponent], factor)
    return powers
