"""The sign of square matrices, by the eigenvalues: `Sign` without a Gram matrix."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from polydesign.model import InputError, Plan, dtype_name
from polydesign.model.precision import UNIT_ROUNDOFF
from polydesign.runtime.base import made
from polydesign.runtime.block_advice import sign_advice
from polydesign.runtime.checks import check_scalar, check_undithered
from polydesign.runtime.evidence import beyond, cube_evidence, refuted
from polydesign.runtime.operators import Found, Sign
from polydesign.runtime.run import Run
from polydesign.table.given import Source

CUBE = 2.0
"""‖X³V − XV‖/‖XV‖ that refutes a sign: eigenvalues of X from 0 to 1 stay below 1, and 1.5 has 1.25."""


class MatrixSign(Sign):
    """M (M²)^(−1/2) for square M with real spectrum: the same eigenvectors, eigenvalues −1, 0 and 1.

    X ← X q(X²): every eigenvalue λ becomes f(λ/ν), f odd, so that eigenvalues with l·ν <= |λ| <= u·ν end
    within the table's error of ±1, in exact arithmetic; those nearer to 0 are not promised anything, and zero
    stays zero. Called with M: (..., n, n); table, plan, and what is raised are as of `Sign`. Refused too:
    sides that differ, the gram form, and aol, which would change the eigenvalues.

    For symmetric M this is Sign. Of non-normal M **nothing is promised in finite precision**: eigenvectors
    at small angles magnify every rounding. Nor is anything for complex eigenvalues. What diverges is raised
    with plan.check; what is merely off shows in the residual of `run`.
    """

    word = "mcsgn"
    general = True
    adapts = False
    cuts_rows = False

    def check(self) -> None:
        if self.plan.form != "direct":
            raise InputError(
                "plan.form", f"{self.plan.form} is of msign, and mcsgn has no Gram matrix: leave form out"
            )
        check_undithered(self.plan, self.word)
        check_scalar(self.normalization, self.word)

    def guard(self, result: Tensor, found: Found, *data: Tensor) -> None:
        """By X³ = X, which the sign of every matrix fulfils."""
        normalized, how = found
        if normalized is None:
            return
        dtype = dtype_name(how.state)
        worst = beyond(cube_evidence(result, 64 * UNIT_ROUNDOFF[dtype]), CUBE, "M", *data)
        if worst is not None:
            refuted(
                f"{worst[0]}: X³ differs from the result X by {worst[1]:.3g} of X, and does not for a sign: "
                f"it diverged, {sign_advice(data[0], how.table)}",
                self.plan,
            )


def mcsgn(M: Tensor, table: Source | None = None, plan: Plan | None = None) -> Tensor:
    """M (M²)^(−1/2) for square M with real spectrum, by `MatrixSign`.

    Args:
        M: (..., n, n), any floating dtype.
        table: Of root 2, None for the catalogue's.
        plan: How it runs.

    Returns:
        Tensor of M's shape in the state's dtype.
    """
    return made(MatrixSign, table, plan)(M)


def mcsgn_with_info(M: Tensor, *how: Any, **named: Any) -> tuple[Tensor, Run]:
    """The same result as `mcsgn`, bit for bit, with its Run; the arguments are the same."""
    return made(MatrixSign, *how, **named).run(M).with_result()
