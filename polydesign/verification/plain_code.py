"""A table applied in float64 as plainly as a reader would write it, so that a part of it can be put wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from polydesign.model import Table
from polydesign.verification.expected import NORMS

Rows = Sequence[Sequence[float]]


@dataclass(frozen=True, slots=True)
class Code:
    """The table as a loop over its rows, coefficients of q in increasing powers.

    p: of the norm that is divided by, (Σσᵖ)^(1/p). positive: it is P^(−1/r), and not U f(Σ) Vᵀ.
    """

    rows: Rows
    root: int
    p: float
    positive: bool

    @classmethod
    def of(cls, table: Table, operator: str) -> Code:
        """The code of a table."""
        p = NORMS[table.normalization]
        return cls(table.as_tuples(), table.schedule.root, p, operator == "inverse_root")

    def changed(self, **parts: Any) -> Code:
        """The same code with other parts."""
        return replace(self, **parts)

    def norm(self, M: np.ndarray) -> np.ndarray:
        """ν of M (..., m, n), as (..., 1, 1); 0 of a zero matrix."""
        largest = np.abs(M).max(axis=(-2, -1), keepdims=True)
        scaled = M / np.where(largest == 0, 1, largest)
        if self.p == 2:
            return largest * np.linalg.norm(scaled, axis=(-2, -1), keepdims=True)
        sigma = np.linalg.svd(scaled, compute_uv=False)
        return largest * ((sigma**self.p).sum(-1) ** (1 / self.p))[..., None, None]

    def guarded(self, M: np.ndarray) -> np.ndarray:
        """ν, and 1 for a zero matrix."""
        found = self.norm(M)
        return np.where(found == 0, 1, found)

    def __call__(
        self, M: np.ndarray, divisor: Callable[[np.ndarray], Any] | None = None, turn: bool = True
    ) -> np.ndarray:
        """What the table makes of M (..., m, n). divisor: what M is divided by, in place of its norm.

        turn: iterate on the transpose where that has fewer rows.
        """
        by = (divisor or self.guarded)(M)
        X = M / by
        if self.positive:
            return self._root(X) * np.asarray(by) ** (-1 / self.root)
        if turn and M.shape[-2] > M.shape[-1]:
            return self._sign(X.swapaxes(-1, -2)).swapaxes(-1, -2)
        return self._sign(X)

    def _sign(self, X: np.ndarray) -> np.ndarray:
        for row in self.rows:
            X = _polynomial(row, X @ X.swapaxes(-1, -2)) @ X
        return X

    def _root(self, A: np.ndarray) -> np.ndarray:
        """G ← G W, A ← A Wʳ with W = q(A), from G = I."""
        G = np.broadcast_to(np.eye(A.shape[-1]), A.shape)
        for row in self.rows:
            W = _polynomial(row, A)
            G = G @ W
            for _ in range(self.root):
                A = A @ W
        return G


def _polynomial(row: Sequence[float], A: np.ndarray) -> np.ndarray:
    """q(A) by Horner's rule."""
    identity = np.eye(A.shape[-1])
    found = row[-1] * identity
    for c in row[-2::-1]:
        found = found @ A + c * identity
    return found
