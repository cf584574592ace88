"""What a schedule costs in matrix products.

Counted from the same programs that run. Flops, shapes and symmetric products at half cost build on this.
"""

from __future__ import annotations

from polydesign.evaluation.program import program
from polydesign.model import Schedule


def power_products(exponent: int) -> int:
    """Products that Wᵉ takes by repeated squaring, from W: ⌊log₂ e⌋ + (ones in e) − 1."""
    return exponent.bit_length() + exponent.bit_count() - 2


def matmuls(schedule: Schedule) -> int:
    """Matrix products of a schedule.

    Root 2, direct form: one for A = X Xᵀ, those of q, one for Q·X. Other roots, coupled form with power
    s = 1 (design of the r-th root article, kexue.fm 11175): those of q, one for G ← G W, and for
    P ← P Wʳ those of Wʳ and one more, which the last step leaves out.
    """
    inner = [len(program(step).products) for step in schedule.steps]
    if schedule.root == 2:
        return sum(inner) + 2 * len(inner)
    update = power_products(schedule.root) + 1
    return sum(inner) + len(inner) + update * (len(inner) - 1)
