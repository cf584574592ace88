"""What a table does not keep of its promise in another codebase: its evaluation, and room for rounding."""

from __future__ import annotations

from polydesign.evaluation.rounding import UNIT_ROUNDOFF
from polydesign.export.target import Target
from polydesign.model import Table


def cautions(table: Table, target: Target) -> list[str]:
    """The lines, none in most cases, that a text for this target must carry and a command should print."""
    return [*rounded_twin(table), *too_little_room(table, target)]


def rounded_twin(table: Table) -> list[str]:
    """That coefficients run in place of a program's constants, where a step has a program.

    The certificate is of the polynomial that those constants define exactly, and the coefficients are its
    own, rounded to float64.
    """
    steps = [str(index) for index, step in enumerate(table.schedule.steps, start=1) if step.program]
    if not steps:
        return []
    return [
        f"step {', '.join(steps)}: the certificate is of another evaluation than powers of A; what runs here "
        "are its coefficients, rounded to float64"
    ]


def too_little_room(table: Table, target: Target) -> list[str]:
    """That rounding can carry a singular value beyond the point up to which the table keeps its promise.

    x₀ = M/‖M‖_F is rounded twice in the precision's u, norm and quotient, and may so reach (1 + u)², as it
    does where M has rank 1 and equal entries. Steps are steep above their domain: a table of five quintics
    without headroom was seen to give singular values of 5e29 in bfloat16 there.
    """
    if target.dtype is None or table.schedule.root != 2:
        return []
    edge, reached = _edge(table), (1 + UNIT_ROUNDOFF[target.dtype]) ** 2
    if edge >= reached:
        return []
    condition = f"where {target.when}, " if target.when else ""
    return [
        f"{condition}rounding in {target.dtype} can lift a singular value to {reached:.8g}, and {table.name} "
        f"keeps its promise up to {edge:.8g} only: beyond, values can run away; take a table made with "
        f"polydesign search --dtype {target.dtype}"
    ]


def _edge(table: Table) -> float:
    """How far up the error is what the table says: proved, or else what its first step was designed for."""
    certificate = table.certificate
    if certificate is not None and certificate.safe_edge is not None:
        return float(certificate.safe_edge[0])
    return table.schedule.steps[0].domain[1]
