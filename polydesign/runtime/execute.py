"""Steps run on matrices: the pure core, without checks and without a branch on data.

It can be compiled and captured as it is: all decisions depend on the steps alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

from torch import Tensor

from polydesign.model import Schedule, Step
from polydesign.model.program import A as GRAM
from polydesign.model.program import Algebra, Program, Terms
from polydesign.runtime import ops


class _Products(Algebra):
    """A program on matrices; symmetric: whether A is.

    A product and the sum it goes into are one operation: c₁A + c₂A² never exists as a rounded A², and its
    small entries cannot underflow in float16.
    """

    def __init__(self, *, symmetric: bool = True) -> None:
        self.symmetric = symmetric

    def total(self, terms: Terms, shift: Any) -> Tensor:
        return ops.weighted_sum(terms, shift)

    def addend(self, terms: Terms) -> tuple[Tensor, Any] | None:
        return (ops.weighted_sum(terms), 1) if len(terms) > 1 else terms[0] if terms else None

    def product(self, left: Tensor, right: Tensor, weight: Any, addend: Any, shift: Any) -> Tensor:
        if addend is None and isinstance(weight, int) and weight == 1:
            value = (ops.sym_mm if self.symmetric else ops.mm)(left, right)
        else:
            c, beta = addend or (left, 0)
            fused = ops.sym_mm_add if self.symmetric else ops.mm_add
            value = fused(c, left, right, alpha=weight, beta=beta)
        return value if shift is None else ops.add_to_diagonal_(value, shift)


_SYMMETRIC, _GENERAL = _Products(), _Products(symmetric=False)


@dataclass(frozen=True, slots=True)
class Gathered:
    """Steps as their programs without constants, and all constants in one tensor, along its first dimension.

    numbers: (count,), or (count, ..., 1, 1) where each matrix has its own.
    """

    layout: tuple[Program, ...]
    numbers: Tensor

    def programs(self) -> list[Program]:
        """Of every step, with its constants as tensors."""
        codes, start = [], 0
        for code in self.layout:
            count = len(code.constants)
            codes.append(code.with_constants([self.numbers[start + k] for k in range(count)]))
            start += count
        return codes

    def __iter__(self) -> Iterator[Program]:
        return iter(self.programs())


Steps = Schedule | Iterable[Step | Program]
"""What the forms run: a schedule, steps of one, or the programs of steps."""


def _programs(steps: Steps) -> list[Program]:
    found = steps.steps if isinstance(steps, Schedule) else steps
    return [step.program if isinstance(step, Step) else step for step in found]


def direct(X: Tensor, steps: Steps, A: Tensor | None = None) -> Tensor:
    """X ← c₀·X + Q(X Xᵀ)·X, step after step, for root 2: every singular value x becomes f(x).

    X: (..., m, n) with m <= n (so that the Gram matrix is the small one), floating, already normalized; all
    arithmetic is in its dtype, products accumulate as the device does. A: X Xᵀ, where the normalization
    formed it already; one product fewer. c₀ multiplies X inside the last scaled addition of a step and is
    never stored in a matrix. Returns a new tensor of X's shape and dtype.
    """
    for codes in stretches(steps):
        X, A = factor(ops.sym_mm(X, X.mT) if A is None else A, codes).times(X), None
    return X


def gram(X: Tensor, steps: Steps, restarts: Sequence[int] = (), A: Tensor | None = None) -> Tensor:
    """The same map as `direct`, by m×m products between restarts (Dao-AILab, Gram Newton-Schulz, 2026).

    With R = X Xᵀ, Q = I and q(R) = Z + c·I, a step is Q ← c·Q + Z·Q, RZ ← c·R + Z·R, R ← c·RZ + Z·RZ; a
    stretch of steps ends with X ← Q·X. restarts: the indices, from 0 and increasing, of the steps before
    which a stretch ends and R = X Xᵀ begins again; which ones a precision needs, rounding/gram.py says. R
    is not updated where nobody reads it, and the first step of a stretch sets Q = Z + c·I. To keep that I
    apart as well, Q = Q' + k·I, was found to lose more: where all of Q is small, Q' and k·I cancel. A stretch
    of one step is run as `direct` runs it, bit for bit.

    X, A: as in `direct`. Returns a new tensor of X's shape and dtype.
    """
    for codes in stretches(steps, restarts):
        X, A = factor(ops.sym_mm(X, X.mT) if A is None else A, codes).times(X), None
    return X


class Factor(NamedTuple):
    """What a stretch multiplies X by: X ← beta·X + alpha·Q·X, and X ← Q·X where beta is None."""

    Q: Tensor
    alpha: Any = 1
    beta: Any = None

    def times(self, X: Tensor) -> Tensor:
        """The product with X (..., m, n)."""
        if self.beta is None:
            return ops.mm(self.Q, X)
        return ops.mm_add(X, self.Q, X, alpha=self.alpha, beta=self.beta)


def stretches(steps: Steps, restarts: Sequence[int] | None = None) -> list[list[Program]]:
    """The programs of the steps between restarts; None: each step alone, as `direct` runs it."""
    codes = _programs(steps)
    starts = range(1, len(codes)) if restarts is None else restarts
    return [codes[start:stop] for start, stop in pairwise((0, *starts, len(codes)))]


def factor(A: Tensor, codes: Sequence[Program]) -> Factor:
    """What these steps multiply X by, from A = X Xᵀ alone."""
    if len(codes) == 1:
        (code,) = codes
        index, weight = code.result
        return Factor(code.registers(A, _SYMMETRIC)[index], weight, code.constant)
    R, Q = A, None
    for remaining, code in zip(reversed(range(len(codes))), codes, strict=True):
        index, alpha = code.result
        beta = code.constant
        Z = code.registers(R, _SYMMETRIC)[index]
        if Q is None:
            Q = ops.weighted_sum([(Z, alpha)], beta)
        else:
            # Polynomials of the same R: the product is symmetric.
            Q = ops.sym_mm_add(Q, Z, Q, alpha=alpha, beta=beta)
        if remaining:
            RZ = ops.sym_mm_add(R, Z, R, alpha=alpha, beta=beta)
            R = ops.sym_mm_add(RZ, Z, RZ, alpha=alpha, beta=beta)
    assert Q is not None
    return Factor(Q)


def matrix_sign(X: Tensor, steps: Steps) -> Tensor:
    """X ← c₀·X + Q(X²)·X, step after step, for root 2: every eigenvalue x becomes f(x).

    X: (..., n, n), floating, already normalized. As `direct`, but nothing is known to be symmetric.
    """
    for code in _programs(steps):
        index, weight = code.result
        Q = code.registers(ops.mm(X, X), _GENERAL)[index]
        X = ops.mm_add(X, Q, X, alpha=weight, beta=code.constant)
    return X


class Coupled(NamedTuple):
    """What `coupled` ends with: G, and the W of all steps where they were kept."""

    G: Tensor
    kept: tuple[Tensor, ...] = ()


def coupled(
    P: Tensor,
    G: Tensor | None,
    steps: Steps,
    *,
    root: int | None = None,
    power: int = 1,
    keep: bool = False,
) -> Coupled:
    """W = q(P), G ← G Wˢ, P ← P Wʳ, step after step: P → I and G → G P^(−s/r) (kexue.fm 11175).

    P: (..., n, n), symmetric with eigenvalues in (0, 1], normalized; G: (..., m, n), same batch and dtype, or
    None for the identity, with which nothing is multiplied. power: s >= 1. root: r, None for the steps' own,
    which bare programs do not have. With x = λ^(1/r), a step maps x by p, so the eigenvalues of G come out as
    those of G P^(−s/r) times f(x)ˢ.

    W is rounded once and the same W goes into G and P: what rounding does to W, later steps take back. For
    the same reason nothing is made symmetric on the way: in bfloat16 the rounding that this costs was found
    to lose more than it gains (0.0022 against 0.0021 in the article's test), and doing it to W alone, which
    then no longer is the polynomial of P, doubled the error. All arithmetic is in P's dtype. The last step
    does not update P.

    keep: the W of all steps too, whose product is P^(−1/r).
    """
    if root is None:
        steps = list(steps.steps if isinstance(steps, Schedule) else steps)
        (root,) = {step.root for step in steps if isinstance(step, Step)}
    codes = _programs(steps)
    times = ops.sym_mm if G is None else ops.mm
    kept: tuple[Tensor, ...] = ()
    for index, code in enumerate(codes):
        W = inner(code, P)
        last = index == len(codes) - 1
        exponents = (power,) if last else (power, root)
        powers = _powers(W, exponents)
        G = powers[power] if G is None else times(G, powers[power])
        if keep:
            kept += (W.detach(),)
        if not last:
            P = ops.sym_mm(P, powers[root])
    assert G is not None
    return Coupled(G, kept)


def powered(
    X: Tensor,
    steps: Steps,
    *,
    power: int,
    root: int | None = None,
    A: Tensor | None = None,
    keep: bool = False,
) -> Coupled:
    """W = q(XᵀX), Y ← Y Wˢ, X ← X W^(r/2), step after step, Y beginning as X: X → U Vᵀ, Y → U Σ^(1−2s/r) Vᵀ.

    X: (..., m, n) with m >= n, normalized; r even. It is `coupled` for P = XᵀX and G = X but for what is
    stored: XᵀX is formed anew, so that it is positive whatever is rounded, and a singular value σ suffers
    u/σ and not u/σ². Products are as many: W^(r/2) is on the way to Wʳ. A: XᵀX where it is there already.
    The last step does not update X. root, keep: as of `coupled`.
    """
    if root is None:
        steps = list(steps.steps if isinstance(steps, Schedule) else steps)
        (root,) = {step.root for step in steps if isinstance(step, Step)}
    codes, half = _programs(steps), root // 2
    Y, kept = X, ()
    for index, code in enumerate(codes):
        last, both = index == len(codes) - 1, power == half
        W = inner(code, ops.sym_mm(X.mT, X) if A is None else A)
        powers, A = _powers(W, (power,) if last else (power, half)), None
        Y = ops.mm(Y, powers[power])
        if keep:
            kept += (W.detach(),)
        if not last:
            X = Y if both else ops.mm(X, powers[half])
    return Coupled(Y, kept)


def power_of(W: Tensor, exponent: int) -> Tensor:
    """Wᵉ of symmetric W, by repeated squaring."""
    return _powers(W, (exponent,))[exponent]


def inner(code: Program, A: Tensor, algebra: Algebra = _SYMMETRIC) -> Tensor:
    """q(A): the program's Q(A) with its constant on the diagonal. A new tensor, never A itself."""
    index, weight = code.result
    Q = code.registers(A, algebra)[index]
    fresh = index != GRAM and isinstance(weight, int) and weight == 1
    return ops.add_to_diagonal_(Q if fresh else weight * Q, code.constant)


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
