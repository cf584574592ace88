"""What a schedule costs in matrix products.

Counted from the same programs that run. Flops, shapes and symmetric products at half cost build on this.
"""

from __future__ import annotations

from collections.abc import Sequence

from polydesign.evaluation.program import program
from polydesign.model import Schedule


def power_products(*exponents: int) -> int:
    """Products that the powers Wᵉ take by repeated squaring, from W; the squarings are shared.

    For one exponent: ⌊log₂ e⌋ + (ones in e) − 1.
    """
    squarings = max(exponent.bit_length() for exponent in exponents) - 1
    return squarings + sum(exponent.bit_count() - 1 for exponent in set(exponents))


def matmuls(
    schedule: Schedule,
    *,
    form: str | None = None,
    power: int = 1,
    from_identity: bool = False,
    restarts: Sequence[int] = (),
) -> int:
    """Matrix products of a schedule.

    form None: direct for root 2, coupled for the others. Direct and gram: see products_by_shape. Coupled,
    with power s (kexue.fm 11175): those of q, one for G ← G Wˢ, one for P ← P Wʳ, and those of Wˢ and Wʳ
    together; the last step leaves out P and Wʳ. from_identity: G = I, so that the first step takes Wˢ as it
    is.
    """
    form = form or ("direct" if schedule.root == 2 else "coupled")
    if form != "coupled":
        return sum(products_by_shape(schedule, form=form, restarts=restarts))
    inner = sum(program(step).products for step in schedule.steps)
    update = power_products(power, schedule.root) + 2
    return inner + update * (len(schedule.steps) - 1) + power_products(power) + 1 - from_identity


def products_by_shape(
    schedule: Schedule, *, form: str = "direct", restarts: Sequence[int] = ()
) -> tuple[int, int]:
    """Products with X (m×n, m <= n; 2m²n flops each), and those of m×m matrices (2m³).

    Direct: with X two a step, A = X Xᵀ and Q·X; m×m those of q. Gram: with X two for each stretch between
    restarts; m×m those of q, and three a step but the last of a stretch: Z·Q, or Q·Z, and the two of
    R ← (Z + cI) R (Z + cI).
    """
    count = len(schedule.steps)
    stretches = count if form == "direct" else len(restarts) + 1
    inner = sum(program(step).products for step in schedule.steps)
    return 2 * stretches, inner + 3 * (count - stretches)
