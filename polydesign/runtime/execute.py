"""Steps run on matrices: the pure core, without checks and without a branch on data.

It can be compiled and captured as it is: all decisions depend on the steps alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from torch import Tensor

from polydesign.evaluation.program import Combination, Program, program
from polydesign.model import Schedule, Step
from polydesign.runtime import ops


class _Registers:
    """The registers of one program, with products that are used once left to the sum that uses them.

    Such a product then never exists as a rounded matrix of its own: c₁A + c₂A² is one scaled addition, and
    its small entries cannot underflow in float16.
    """

    def __init__(self, code: Program, A: Tensor) -> None:
        sums = [side for product in code.products for side in product]
        uses = Counter(register for terms in (*sums, code.result) for register, _ in terms)
        self._stored = {0: A}
        self._deferred: dict[int, tuple[Tensor, Tensor]] = {}
        for register, (left, right) in enumerate(code.products, start=1):
            factors = self.combine(left), self.combine(right)
            if uses[register] == 1:
                self._deferred[register] = factors
            else:
                self._stored[register] = ops.sym_mm(*factors)

    def combine(self, terms: Combination) -> Tensor:
        """Σ weight·register."""
        matrix, weight = self.scaled(terms)
        return matrix if weight == 1 else weight * matrix

    def scaled(self, terms: Combination) -> tuple[Tensor, float]:
        """Σ weight·register as (matrix, factor): a lone register is not multiplied by its weight."""
        stored = [(self._stored[r], weight) for r, weight in terms if r in self._stored]
        deferred = [(*self._deferred[r], weight) for r, weight in terms if r in self._deferred]
        if len(stored) > 1:
            stored = [(ops.weighted_sum(stored), 1.0)]
        elif not stored:
            left, right, weight = deferred.pop()
            stored = [(ops.sym_mm(left, right), weight)]
        ((total, beta),) = stored
        for left, right, weight in deferred:
            total, beta = ops.sym_mm_add(total, left, right, alpha=weight, beta=beta), 1.0
        return total, beta


def direct(X: Tensor, steps: Schedule | Iterable[Step]) -> Tensor:
    """X ← c₀·X + Q(X Xᵀ)·X, step after step, for root 2: every singular value x becomes f(x).

    X: (..., m, n) with m <= n (so that the Gram matrix is the small one), floating, already normalized; all
    arithmetic is in its dtype, products accumulate as the device does. c₀ multiplies X inside the last
    scaled addition of a step and is never stored in a matrix. Returns a new tensor of X's shape and dtype.
    """
    for step in steps.steps if isinstance(steps, Schedule) else steps:
        code = program(step)
        registers = _Registers(code, ops.sym_mm(X, X.mT))
        Q, alpha = registers.scaled(code.result)
        X = ops.mm_add(X, Q, X, alpha=alpha, beta=code.constant)
    return X
