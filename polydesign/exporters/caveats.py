"""What a table does not keep of its promise in another codebase: evaluation, room for rounding, blow-ups."""

from __future__ import annotations

import numpy as np

from polydesign.exporters.half import blow_ups, runs_in
from polydesign.exporters.target import Target
from polydesign.model import Table
from polydesign.model.precision import UNIT_ROUNDOFF

_SAMPLES = 1001


def caveats(table: Table, target: Target) -> list[str]:
    """The lines, none in most cases, that a text for this target must carry and a command should print."""
    if target.dtype is None:
        found = undesigned(table, target.coarsest) if target.coarsest else []
    else:
        found = [*rounded_twin(table), *too_little_room(table, target.dtype, target.when)]
    return [*found, *blow_ups(table, target.loop, *runs_in(table, target))]


def undesigned(table: Table, coarsest: str) -> list[str]:
    """That a table may have no room for its own precision or, made for none, for the coarsest."""
    dtype = table.dtype or coarsest
    return too_little_room(table, dtype, f"the dtype is {dtype}")


def rounded_twin(table: Table) -> list[str]:
    """That coefficients run in place of a program's constants, where a step has a program.

    The certificate is of the polynomial that those constants define exactly, and the coefficients are its
    own, rounded to float64.
    """
    steps = [
        str(index)
        for index, step in enumerate(table.schedule.steps, start=1)
        if step.evaluation != "monomial"
    ]
    if not steps:
        return []
    return [
        f"step {', '.join(steps)}: the certificate is of another evaluation than powers of A; what runs here "
        "are its coefficients, rounded to float64, and no matrix whose roundings agree was tried so"
    ]


def too_little_room(table: Table, dtype: str, when: str = "") -> list[str]:
    """That rounding can carry a singular value beyond the point up to which the table keeps its promise.

    x₀ = M/‖M‖_F is rounded twice in the precision's u, norm and quotient, and may so reach (1 + u)². Steps
    are steep above their domain, and rounding goes on: of ones(24, 24), in bfloat16 1.002 after the division,
    five quintics without headroom make 1.8e22, with headroom 1.01 they make 0.87 (tests/test_export.py).
    """
    reached = (1 + UNIT_ROUNDOFF[dtype]) ** 2
    edge = _edge(table, reached)
    if edge >= reached:
        return []
    condition = f"where {when}, " if when else ""
    return [
        f"{condition}rounding in {dtype} can lift a singular value to {reached:.8g}, and {table.name} "
        f"keeps its promise up to {edge:.8g} only: beyond, values can run away; take a table made with "
        f"polydesign search --dtype {dtype}"
    ]


def _edge(table: Table, reached: float) -> float:
    """How far up the error is what the table says: proved, or else as far as samples up to `reached` go."""
    certificate, schedule = table.certificate, table.schedule
    if certificate is not None and certificate.safe_edge is not None:
        return float(certificate.safe_edge[0])
    high = schedule.interval[1]
    if high >= reached:
        return high
    x = np.linspace(high, reached, _SAMPLES)
    beyond = ~(np.abs(schedule(x) - 1) <= schedule.error * (1 + 1e-9))
    return float(x[max(np.argmax(beyond) - 1, 0)]) if beyond.any() else reached
