"""What a schedule costs in matrix products.

Counted from the same programs that run. Flops, shapes and symmetric products at half cost build on this.
"""

from __future__ import annotations

from polydesign.evaluation.program import program
from polydesign.model import Schedule


def power_products(*exponents: int) -> int:
    """Products that the powers Wᵉ take by repeated squaring, from W; the squarings are shared.

    For one exponent: ⌊log₂ e⌋ + (ones in e) − 1.
    """
    squarings = max(exponent.bit_length() for exponent in exponents) - 1
    return squarings + sum(exponent.bit_count() - 1 for exponent in set(exponents))


def matmuls(
    schedule: Schedule, *, form: str | None = None, power: int = 1, from_identity: bool = False
) -> int:
    """Matrix products of a schedule.

    form None: direct for root 2, coupled for the others. Direct: one for A = X Xᵀ, those of q, one for Q·X.
    Coupled, with power s (kexue.fm 11175): those of q, one for G ← G Wˢ, one for P ← P Wʳ, and those of Wˢ
    and Wʳ together; the last step leaves out P and Wʳ. from_identity: G = I, so that the first step takes Wˢ
    as it is.
    """
    inner = sum(program(step).products for step in schedule.steps)
    count = len(schedule.steps)
    if (form or ("direct" if schedule.root == 2 else "coupled")) == "direct":
        return inner + 2 * count
    update = power_products(power, schedule.root) + 2
    return inner + update * (count - 1) + power_products(power) + 1 - from_identity
