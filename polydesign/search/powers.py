"""Tables for U Σᵖ Vᵀ, p = 1 − 2s/r, for every r, of which the package ships some alone."""

from __future__ import annotations

from functools import lru_cache

from polydesign import __version__
from polydesign.model import Problem, Provenance, Table, check_choice, check_integer
from polydesign.program.programs import preferred
from polydesign.search.minimax import Equioscillation

LOWER = {"float32": 1e-3, "float64": 1e-5}
"""σ over what M is divided by, down to which a table is made: rounding moves the least by u/σ relatively."""

ERROR = {"float32": 1e-3, "float64": 1e-9}
"""What (1 + E)ˢ − 1 is at most."""

SAFETY = {"float32": 1.0001, "float64": 1.000001}
"""Headroom, as `polydesign search` has it."""

FLOOR = 0.1
"""Least over largest eigenvalue of what is stored after a step; of tables for roots in every precision."""

TAILS, MOST = (2, 4, 8), 7


@lru_cache(maxsize=64)
def power_table(root: int, power: int, dtype: str = "float32") -> Table:
    """Steps of inner degree 8, and a last one of inner degree 2, 4 or 8, as few as reach ERROR.

    Each takes three products for q, and the powers of W up to r take more than that: high degrees pay.

    Args:
        root: r, from 2 to 30.
        power: s of P^(−s/r), which says how small E must be.
        dtype: float32 or float64.

    Returns:
        A table for roots with x = λ^(1/r) from LOWER^(2/r) on. Its bounds are those of the solver, and no
        certificate: `polydesign.certify` makes one.

    Raises:
        InputError: For another precision, and for r or s that is no whole number, or too small.
    """
    root = check_integer("root", root, 2)
    power = check_integer("power", power, 1)
    check_choice("dtype", dtype, tuple(ERROR))
    lower = LOWER[dtype] ** (2 / root)
    for count in range(2, MOST):
        for tail in TAILS:
            inner = (*(8,) * count, tail)
            how = Equioscillation(
                headroom=SAFETY[dtype],
                image_floor=FLOOR ** (1 / root),
                floor_free_tail=1,
                evaluation=tuple(map(preferred, inner)),
            )
            schedule = how.search(Problem(root, tuple(1 + root * n for n in inner), lower))
            if schedule.promise(power) <= ERROR[dtype]:
                parameters = {"root": root, "power": power, "dtype": dtype}
                made = Provenance(__version__, "equioscillation", parameters)
                name = f"power{root}-s{power}-{dtype}"
                return Table(name, schedule, made, purpose="root", dtype=dtype)
    raise AssertionError("steps of inner degree 8 converge quickly")
