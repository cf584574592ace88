"""Damped cubic steps for mcsgn of complex eigenvalues: what a table for a real interval cannot do.

A table that is best on [l, 1] has steps of slope 25 at their upper end, and sends an eigenvalue half a degree
off the real axis astray. The damped step p(z) = z + (h/2) z (1 − z²), 0 < h <= 1, is one Euler step along
ż = z (1 − z²)/2, whose solution z² = 1/(1 + K e^(−t)), K = 1/z₀² − 1, goes from every z₀ with Re z₀ > 0 to 1:
it has a pole for negative K alone, that is for imaginary z₀. So the basin of small enough steps is the whole
half plane, and h says how much of it. h = 1 is Newton-Schulz, whose convergence for |1 − z²| < 1 is Higham,
Functions of Matrices, section 5.6; the choice of h below is our own and rests on samples, not on a proof.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from polydesign import __version__
from polydesign.approximation.scalar import schedule_from
from polydesign.model import MOST_STEPS, InputError, Provenance, Table, check_number

WIDEST = 80.0
"""Degrees. The steps become very many: 93 from l = 1e-3, beside 60 for 75 degrees."""

RADII, ANGLES = 1000, 13
OVERSHOOT = 6.0
"""How far |1 − z²| may rise, in parts of what it does along the exact solution, 1 + 1/sin 2θ. Without a limit
the fewest steps for 80 degrees from 1e-5 rose to 15, and went astray between the samples."""
CONVERGED = 1e-8
"""|1 − z²| from which one more cubic step is exact in float64: it leaves 3/4 of the square."""


@lru_cache
def sector_table(angle: float, lower: float = 1e-3) -> Table:
    """Steps for mcsgn that take l <= |z| <= 1, |arg z| <= angle to 1, and their mirror images to −1.

    angle: degrees, 0 to 80. lower: l. The damping of a step is h = min(1, c/max|1 − z²|), the maximum over
    what the samples have become, and c is the one in (0, 4) with the fewest steps. The samples are 1000 radii
    times 13 angles; what the table states as its error is of the real interval [l, 1] alone. Two products a
    step: from 1e-3 on, 50 products for 45 degrees, 68 for 60, 120 for 75.

    Raises InputError for an angle or a lower end outside of that, and where MOST_STEPS do not suffice.
    """
    angle = check_number("angle", angle)
    lower = check_number("lower", lower)
    if not 0 <= angle <= WIDEST:
        raise InputError("angle", f"is in degrees, from 0 to {WIDEST:g}, and not {angle!r}")
    if not 1e-8 <= lower < 1:
        raise InputError("lower", f"must be from 1e-8 to below 1, not {lower!r}")
    arms = np.exp(1j * np.deg2rad(np.linspace(0, angle, ANGLES)))
    start = np.outer(np.geomspace(lower, 1, RADII), arms).ravel()
    most_far = OVERSHOOT * (1 + 1 / np.sin(np.deg2rad(max(2 * angle, 90))))
    best: list[float] | None = None
    for boldness in np.arange(0.1, 4, 0.05):
        found = _dampings(start, float(boldness), most_far, MOST_STEPS if best is None else len(best))
        best = found if found is not None and (best is None or len(found) < len(best)) else best
    if best is None:
        raise InputError("angle", f"{angle:g} from {lower:g} takes more than {MOST_STEPS} steps: narrow it")
    schedule = schedule_from(2, [(1 + h / 2, -h / 2) for h in best], (lower, 1.0))
    parameters = {"angle": angle, "lower": lower}
    name = f"sector{angle:g}-d3x{len(best)}-l{lower:g}"
    source = "damped Newton-Schulz steps along ż = z (1 − z²)/2"
    return Table(name, schedule, Provenance(__version__, "sector", parameters, source=source))


def _dampings(z: np.ndarray, boldness: float, most_far: float, most: int) -> list[float] | None:
    """h of each step until all of z is at 1; None where that takes more than `most` or goes too far."""
    dampings: list[float] = []
    while len(dampings) < most:
        w = 1 - z * z
        far = float(np.abs(w).max())
        if far > most_far:
            return None
        if far < CONVERGED:
            return [*dampings, 1.0] if (np.real(z) > 0).all() else None
        h = min(1.0, boldness / far)
        dampings.append(h)
        z = z + (h / 2) * z * w
    return None
