"""Linear and quadratic matrix equations through one mcsgn of a block matrix (Roberts, 1980).

What all of them share is said by refinement.EquationOperator.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from polydesign.model import InputError, Plan
from polydesign.runtime.base import made
from polydesign.runtime.checks import check_finite, check_matrix, check_square, check_symmetric
from polydesign.runtime.refinement import EquationOperator
from polydesign.runtime.run import Run
from polydesign.runtime.solvers import RiccatiEquation, SylvesterEquation
from polydesign.table.given import Source


class Sylvester(EquationOperator):
    """X with AX + XB = C, where all eigenvalues of A and of B have positive real parts, or all negative.

    Called with A: (..., m, m), B: (..., n, n), C: (..., m, n). mcsgn of H = [[A, −C], [0, −B]] is
    [[I, −2X], [0, −I]]. Eigenvalues λ of both have to keep clear of the imaginary axis: |λ| down to l·ν after
    one pass, l² after two, ν = ‖(A, B)‖_F. Where the spectra of A and −B are apart but not by the imaginary
    axis, solve for A + σI and B − σI, which is the same equation.

    Cost: a table's products, of side m + n, a pass; as many passes for each refinement; one product of the
    residual each. Arguments and what is raised: as of `EquationOperator`. Source: Roberts, Int. J. Control 32
    (1980) 677; Higham, Functions of Matrices, section 2.4.
    """

    word = "sylvester"

    def equation(self, A: Tensor, B: Tensor, C: Tensor) -> tuple[SylvesterEquation, dict[str, Tensor]]:
        for name, M in (("A", A), ("B", B)):
            check_square(name, M)
        _check_shape("C", C, (*A.shape[:-1], B.shape[-1]), "A and B")
        if A.shape[:-2] != B.shape[:-2]:
            raise InputError(
                "B", f"has the batch {tuple(B.shape[:-2])}, and A {tuple(A.shape[:-2])}: expand one"
            )
        return SylvesterEquation(A, B, C), {"A": A, "B": B, "C": C}


class Lyapunov(EquationOperator):
    """X with AX + XAᵀ = Q, where A is stable or −A is: `Sylvester` with B = Aᵀ.

    Called with A, Q: (..., n, n). The sign of Q is that of scipy.linalg.solve_continuous_lyapunov. Q need not
    be symmetric; where it is, X is up to rounding.
    """

    word = "lyapunov"

    def equation(self, A: Tensor, Q: Tensor) -> tuple[SylvesterEquation, dict[str, Tensor]]:
        check_square("A", A)
        _check_shape("Q", Q, tuple(A.shape), "A")
        return SylvesterEquation(A, A.mT, Q, self.word), {"A": A, "Q": Q}


class Riccati(EquationOperator):
    """The stabilizing X = Xᵀ with AᵀX + XA − XGX + Q = 0: all eigenvalues of A − GX have real parts below 0.

    Called with A, G, Q: (..., n, n), G and Q symmetric; scipy.linalg.solve_continuous_are(A, B, Q, R) is
    G = B R⁻¹ Bᵀ. With W = mcsgn(H) of the Hamiltonian H = [[A, −G], [−Q, −Aᵀ]], (W + I)[I; X] = 0: X is the
    least-squares solution of [W₁₂; W₂₂ + I] X = −[W₁₁ + I; W₂₁]. G and Q are first brought to one norm, X
    scaling with it.

    Hamiltonians mostly have complex eigenvalues, so where no table is given expect `sector_table(75)` to be
    what runs: 120 products of side 2n a pass. A refinement is a step of Newton's method (Kleinman): with
    A₁ = A − GX and R what is left of the equation, A₁ᵀD + DA₁ = −R by the sign again and X ← X + D; it
    converges quadratically in exact arithmetic. That A − GX is stable is checked by its eigenvalues.

    Cost: a table's products, of side 2n, a pass; one least-squares problem 2n × n; n × n eigenvalues for the
    check. Arguments and what is raised: as of `EquationOperator`. Source: Roberts, Int. J. Control 32 (1980)
    677; Kleinman, IEEE Trans. Automat. Control 13 (1968) 114; Higham, Functions of Matrices, section 2.4.
    """

    word = "riccati"

    def equation(self, A: Tensor, G: Tensor, Q: Tensor) -> tuple[RiccatiEquation, dict[str, Tensor]]:
        check_square("A", A)
        for name, M in (("G", G), ("Q", Q)):
            _check_shape(name, M, tuple(A.shape), "A")
            if self.plan.check and M.numel():
                check_finite(name, M)
                check_symmetric(name, M)
        return RiccatiEquation(A, G, Q), {"A": A, "G": G, "Q": Q}


def sylvester(
    A: Tensor, B: Tensor, C: Tensor, table: Source | None = None, plan: Plan | None = None, *, refine: int = 0
) -> Tensor:
    """X with AX + XB = C, by `Sylvester`.

    Args:
        A: (..., m, m).
        B: (..., n, n).
        C: (..., m, n).
        table: Of root 2, None for the catalogue's and those of the sectors.
        plan: Of the sign.
        refine: Steps of iterative refinement.

    Returns:
        Tensor of C's shape, in the widest dtype among the inputs and the state.
    """
    return made(Sylvester, table, plan, refine=refine)(A, B, C)


def sylvester_with_info(A: Tensor, B: Tensor, C: Tensor, *how: Any, **named: Any) -> tuple[Tensor, Run]:
    """The same result as `sylvester`, bit for bit, with its Run; the arguments are the same."""
    return made(Sylvester, *how, **named).run(A, B, C).with_result()


def lyapunov(
    A: Tensor, Q: Tensor, table: Source | None = None, plan: Plan | None = None, *, refine: int = 0
) -> Tensor:
    """X with AX + XAᵀ = Q, by `Lyapunov`; A, Q: (..., n, n), the rest as of `sylvester`."""
    return made(Lyapunov, table, plan, refine=refine)(A, Q)


def lyapunov_with_info(A: Tensor, Q: Tensor, *how: Any, **named: Any) -> tuple[Tensor, Run]:
    """The same result as `lyapunov`, bit for bit, with its Run; the arguments are the same."""
    return made(Lyapunov, *how, **named).run(A, Q).with_result()


def riccati(
    A: Tensor, G: Tensor, Q: Tensor, table: Source | None = None, plan: Plan | None = None, *, refine: int = 0
) -> Tensor:
    """The stabilizing X with AᵀX + XA − XGX + Q = 0, by `Riccati`.

    Args:
        A: (..., n, n).
        G, Q: (..., n, n), symmetric.
        table, plan, refine: As of `sylvester`.

    Returns:
        Tensor of A's shape, in the widest dtype among the inputs and the state.
    """
    return made(Riccati, table, plan, refine=refine)(A, G, Q)


def riccati_with_info(A: Tensor, G: Tensor, Q: Tensor, *how: Any, **named: Any) -> tuple[Tensor, Run]:
    """The same result as `riccati`, bit for bit, with its Run; the arguments are the same."""
    return made(Riccati, *how, **named).run(A, G, Q).with_result()


def _check_shape(name: str, M: Tensor, shape: tuple[int, ...], others: str) -> None:
    check_matrix(name, M)
    if tuple(M.shape) != shape:
        raise InputError(name, f"has shape {tuple(M.shape)}, and {shape} goes with {others}")
