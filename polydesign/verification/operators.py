"""The operators that can be measured, by name."""

from __future__ import annotations

from polydesign.model import InputError, Table
from polydesign.verification.cases import MeasuredOperator
from polydesign.verification.clipping import clip_case
from polydesign.verification.derivatives import derivative_case
from polydesign.verification.equations import lyapunov_case, riccati_case
from polydesign.verification.identities import principal_case
from polydesign.verification.lowrank import projector_case
from polydesign.verification.polar import mcsgn_case, msign_case
from polydesign.verification.powers import power_case, soft_clip_case
from polydesign.verification.roots import inverse_root_case, matmul_inverse_root_case, root_case

OPERATORS: dict[str, MeasuredOperator] = {
    "msign": MeasuredOperator(msign_case, positive=False, polar=True, root=2),
    "mcsgn": MeasuredOperator(mcsgn_case, singular=True, root=2),
    "spectral_clip": MeasuredOperator(clip_case, positive=False, root=2),
    "soft_clip": MeasuredOperator(soft_clip_case, positive=False, root=2),
    "range_projector": MeasuredOperator(projector_case, positive=False, root=2),
    "inverse_root": MeasuredOperator(inverse_root_case, takes_power=True),
    "root": MeasuredOperator(root_case, singular=True),
    "inverse": MeasuredOperator(inverse_root_case, root=1),
    "matmul_inverse_root": MeasuredOperator(matmul_inverse_root_case, takes_power=True),
    "spectral_power": MeasuredOperator(power_case, positive=False, takes_power=True, squared=True),
    "lyapunov": MeasuredOperator(lyapunov_case, root=2),
    "riccati": MeasuredOperator(riccati_case, root=2, stepwise=False),
    "msign_derivative": MeasuredOperator(derivative_case, root=2, stepwise=False),
    "principal_sqrt_and_inverse_sqrt": MeasuredOperator(principal_case, root=2, rooted=True),
}
"""Operator -> how it is measured. A further one is a function that makes its Case, and an entry here."""

DEFAULT_OPERATORS = {"sign": "msign", "root": "inverse_root", "inverse": "inverse", "clip": "spectral_clip"}
"""By the table's purpose."""


def choose(table: Table, name: str | None, power: int) -> tuple[str, MeasuredOperator]:
    """The named operator, or that of the table's purpose; refuses what does not go with its root or a power.

    Raises InputError.
    """
    r = table.schedule.root
    name = name or DEFAULT_OPERATORS[table.purpose]
    if name not in OPERATORS:
        raise InputError("operator", f"{name!r} is not one of {', '.join(OPERATORS)}")
    operator = OPERATORS[name]
    if operator.root not in (None, r) or (name == "root" and r == 1):
        fitting = [key for key, o in OPERATORS.items() if o.root in (None, r) and (key != "root" or r > 1)]
        raise InputError(
            "operator", f"{name} does not go with a table of root {r}: choose one of {', '.join(fitting)}"
        )
    if power != 1 and not operator.takes_power:
        taking = " or ".join(key for key, o in OPERATORS.items() if o.takes_power)
        raise InputError("power", f"{name} has none: leave it out, or choose {taking}")
    return name, operator
