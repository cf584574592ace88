"""Linear and quadratic matrix equations through one mcsgn of a block matrix (Roberts, 1980).

What all of them share. A block H of side m + n has X in its sign W; mcsgn (runtime/operators.py) runs on it
with any table of root 2 and any Plan, in passes until W² = I (block_sign.py). That is polynomials of H by
products alone: **the eigenvalues have to be in the sector that the table serves**, on both sides of the
imaginary axis. Tables for an interval [l, u] serve real eigenvalues and no others: half a degree off the axis
is too much. Where no table is given and that of the state's precision fails, `sector_table(75)` runs, and
then `sector_table(80)`. What no table reaches is refused, with the residuals: eigenvalues on the imaginary
axis or more than 80 degrees off the real one, and H so far from normal that rounding moves its eigenvalues
that far.

plan.dtype: precision of the sign; None for the inputs'. The result is of the widest dtype among the inputs
and the state. refine: steps of iterative refinement. Each computes the residual of the equation in float64
and solves for the correction with the table that served; its error is multiplied by the relative error of one
solve, so a sign in float32 or bfloat16 gives float64 results where it gives any digits. With plan.check False
nothing is judged, one pass of the first table runs, and no data is looked at.

Raised everywhere: InputError for what is not floating, not square, or of shapes that do not fit, for NaN and
infinity, for a table of another root, and where mcsgn does not apply. Inputs are not changed, and results
share no memory with them.
"""

from __future__ import annotations

from torch import Tensor

from polydesign.model import InputError, Plan, Table
from polydesign.runtime.checks import check_finite, check_matrix, check_square, check_symmetric
from polydesign.runtime.refinement import EquationInfo, refined
from polydesign.runtime.solvers import Riccati, Sylvester

__all__ = [
    "EquationInfo",
    "lyapunov",
    "lyapunov_with_info",
    "riccati",
    "riccati_with_info",
    "sylvester",
    "sylvester_with_info",
]


def sylvester(
    A: Tensor, B: Tensor, C: Tensor, table: Table | None = None, plan: Plan | None = None, *, refine: int = 0
) -> Tensor:
    """X with AX + XB = C, where all eigenvalues of A and of B have positive real parts, or all negative.

    A: (..., m, m), B: (..., n, n), C: (..., m, n). mcsgn of H = [[A, −C], [0, −B]] is [[I, −2X], [0, −I]].
    Eigenvalues λ of both have to keep clear of the imaginary axis: |λ| down to l·ν after one pass, l² after
    two, ν = ‖(A, B)‖_F. Where the spectra of A and −B are apart but not by the imaginary axis, solve for
    A + σI and B − σI, which is the same equation.

    Cost: a table's products, of side m + n, a pass; as many passes for each refinement; one product of the
    residual each. See the module for the rest. Source: Roberts, Int. J. Control 32 (1980) 677; Higham,
    Functions of Matrices, section 2.4.
    """
    return sylvester_with_info(A, B, C, table, plan, refine=refine)[0]


def sylvester_with_info(
    A: Tensor, B: Tensor, C: Tensor, table: Table | None = None, plan: Plan | None = None, *, refine: int = 0
) -> tuple[Tensor, EquationInfo]:
    """The same result as `sylvester`, bit for bit, with what the run did."""
    plan = plan or Plan()
    for name, M in (("A", A), ("B", B)):
        check_square(name, M)
    _check_shape("C", C, (*A.shape[:-1], B.shape[-1]), "A and B")
    if A.shape[:-2] != B.shape[:-2]:
        raise InputError("B", f"has the batch {tuple(B.shape[:-2])}, and A {tuple(A.shape[:-2])}: expand one")
    return refined(Sylvester(A, B, C), {"A": A, "B": B, "C": C}, table, plan, refine)


def lyapunov(
    A: Tensor, Q: Tensor, table: Table | None = None, plan: Plan | None = None, *, refine: int = 0
) -> Tensor:
    """X with AX + XAᵀ = Q, where A is stable or −A is: `sylvester` with B = Aᵀ.

    A, Q: (..., n, n). The sign of Q is that of scipy.linalg.solve_continuous_lyapunov. Q need not be
    symmetric; where it is, X is up to rounding.
    """
    return lyapunov_with_info(A, Q, table, plan, refine=refine)[0]


def lyapunov_with_info(
    A: Tensor, Q: Tensor, table: Table | None = None, plan: Plan | None = None, *, refine: int = 0
) -> tuple[Tensor, EquationInfo]:
    """The same result as `lyapunov`, bit for bit, with what the run did."""
    check_square("A", A)
    _check_shape("Q", Q, tuple(A.shape), "A")
    return refined(Sylvester(A, A.mT, Q), {"A": A, "Q": Q}, table, plan or Plan(), refine)


def riccati(
    A: Tensor, G: Tensor, Q: Tensor, table: Table | None = None, plan: Plan | None = None, *, refine: int = 0
) -> Tensor:
    """The stabilizing X = Xᵀ with AᵀX + XA − XGX + Q = 0: all eigenvalues of A − GX have real parts below 0.

    A, G, Q: (..., n, n), G and Q symmetric; scipy.linalg.solve_continuous_are(A, B, Q, R) is G = B R⁻¹ Bᵀ.
    With W = mcsgn(H) of the Hamiltonian H = [[A, −G], [−Q, −Aᵀ]], (W + I)[I; X] = 0: X is the least-squares
    solution of [W₁₂; W₂₂ + I] X = −[W₁₁ + I; W₂₁]. G and Q are first brought to one norm, X scaling with it.

    Hamiltonians mostly have complex eigenvalues, so where no table is given expect `sector_table(75)` to be
    what runs: 120 products of side 2n a pass. A refinement is a step of Newton's method (Kleinman): with
    A₁ = A − GX and R what is left of the equation, A₁ᵀD + DA₁ = −R by the sign again and X ← X + D; it
    converges quadratically in exact arithmetic. That A − GX is stable is checked by its eigenvalues.

    Cost: a table's products, of side 2n, a pass; one least-squares problem 2n × n; n × n eigenvalues for the
    check. See the module for the rest. Source: Roberts, Int. J. Control 32 (1980) 677; Kleinman, IEEE Trans.
    Automat. Control 13 (1968) 114; Higham, Functions of Matrices, section 2.4.
    """
    return riccati_with_info(A, G, Q, table, plan, refine=refine)[0]


def riccati_with_info(
    A: Tensor, G: Tensor, Q: Tensor, table: Table | None = None, plan: Plan | None = None, *, refine: int = 0
) -> tuple[Tensor, EquationInfo]:
    """The same result as `riccati`, bit for bit, with what the run did."""
    plan = plan or Plan()
    check_square("A", A)
    for name, M in (("G", G), ("Q", Q)):
        _check_shape(name, M, tuple(A.shape), "A")
        if plan.check and M.numel():
            check_finite(name, M)
            check_symmetric(name, M)
    return refined(Riccati(A, G, Q), {"A": A, "G": G, "Q": Q}, table, plan, refine)


def _check_shape(name: str, M: Tensor, shape: tuple[int, ...], others: str) -> None:
    check_matrix(name, M)
    if tuple(M.shape) != shape:
        raise InputError(name, f"has shape {tuple(M.shape)}, and {shape} goes with {others}")
