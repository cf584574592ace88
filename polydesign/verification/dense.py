"""Small dense matrices run in batches: few values in all places, and Kronecker products of such."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from polydesign.model import Plan, Table
from polydesign.model.precision import UNIT_ROUNDOFF
from polydesign.rounding.families import EXPONENTS, Parameters
from polydesign.rounding.neighbours import near
from polydesign.rounding.trial import VISIBLE, Outcome
from polydesign.runtime import msign
from polydesign.verification.reference import FixedSums

SIDE = 8
"""Largest side of a factor."""

OTHER = 4
"""Largest side of the second factor of a Kronecker product."""

LEVELS = 3
"""Different entries in a factor, at most, when it is drawn."""

ENTRIES = 1 << 16
"""Of a batch, and at most BATCH matrices."""

BATCH = 1024


@dataclass(frozen=True, slots=True)
class Dense:
    """(A ⊗ B) with rows in another order, by msign in torch's kernels or in the reference arithmetic.

    Sizes are the sides of A, those of B, and a seed of the order, 0 for none: the same for all of a batch.
    Numbers are the entries of A and then of B.

    Args:
        table: That runs, in the direct form.
        dtype: Of the state.
        fixed: In FixedSums, where products are summed exactly.
    """

    table: Table
    dtype: str
    fixed: bool = False
    loop: str = field(default="fused", init=False)
    kept: int = field(default=32, init=False)
    children: int = field(default=32, init=False)

    @property
    def name(self) -> str:
        return "dense, fixed sums" if self.fixed else "dense"

    def draw(self, rng: np.random.Generator) -> Parameters:
        k, n = sorted(int(side) for side in rng.integers(2, SIDE + 1, 2))
        c, d = (int(side) for side in rng.integers(1, OTHER + 1, 2)) if rng.random() < 0.5 else (1, 1)
        order = int(rng.integers(1, 1000)) if rng.random() < 0.25 else 0
        count = min(BATCH, ENTRIES // (k * n * c * d))
        numbers = np.concatenate([_few_valued(rng, k * n, count), _few_valued(rng, c * d, count)])
        norm = np.where(rng.random(count) < 0.75, 1.0, np.exp2(-5 * rng.random(count)))
        return Parameters(np.tile([[k], [n], [c], [d], [order]], (1, count)), numbers, norm)

    def changed(self, rng: np.random.Generator, parents: Parameters) -> Parameters:
        """Close to them; half have whole steps in some entries too."""
        numbers = near(rng, parents).numbers
        steps = rng.integers(-1, 2, numbers.shape) * (rng.random(numbers.shape) < 0.2)
        numbers += steps * (rng.random(numbers.shape[1]) < 0.5)
        return parents._replace(numbers=_filled(numbers, int(np.prod(parents.sizes[:2, 0]))))

    def group(self, of: Parameters) -> str:
        return "-".join(str(int(size)) for size in of.sizes[:, 0])

    def matrices(self, of: Parameters) -> np.ndarray:
        k, n, c, d, order = (int(size) for size in of.sizes[:, 0])
        A, B = of.numbers[: k * n].T.reshape(-1, k, n), of.numbers[k * n :].T.reshape(-1, c, d)
        X = np.einsum("bij,bkl->bikjl", A, B).reshape(-1, k * c, n * d)
        if order:
            X = X[:, np.random.default_rng(order).permutation(k * c)]
        return X * (of.norm / self._norm(X))[:, None, None]

    @property
    def _exponent(self) -> int:
        return EXPONENTS.get(self.table.normalization, 2)

    def _norm(self, X: np.ndarray) -> np.ndarray:
        """What the table divides by."""
        if self._exponent == 2:
            return np.linalg.norm(X, axis=(1, 2))
        sigma = np.linalg.svd(X, compute_uv=False)
        return np.sum(sigma**self._exponent, axis=1) ** (1 / self._exponent)

    def outcome(self, of: Parameters) -> tuple[Outcome, np.ndarray]:
        """Judged by the polar factor of the rounded input; error is ‖X − UVᵀ‖₂ between values that count."""
        dtype = getattr(torch, self.dtype)
        M = torch.from_numpy(self.matrices(of)).to(dtype)
        plan = Plan(self.dtype, normalization="none", check=False, float32_side=0)
        with FixedSums(self.dtype) if self.fixed else nullcontext():
            X = msign(M, replace(self.table, normalization="none", members=()), plan).double()
        finite = X.isfinite().all(dim=-1).all(dim=-1)
        X = torch.where(finite[:, None, None], X, 0.0)
        U, sigma, Vt = torch.linalg.svd(M.double(), full_matrices=False)
        least = max(self.table.schedule.interval[0], VISIBLE * UNIT_ROUNDOFF[self.dtype])
        counts = (sigma >= least).double()
        off = (U.mT @ X @ Vt.mT - torch.eye(sigma.shape[-1], dtype=torch.float64)) * _outer(counts)
        error, size = (_largest(x, finite) for x in (off, X))
        return Outcome(error, size), size

    def words(self, of: Parameters) -> str:
        k, n, c, d, order = (int(size) for size in of.sizes[:, 0])
        text = f"{k} x {n}" + (f" times {c} x {d}" if (c, d) != (1, 1) else "")
        return text + (", rows in another order" if order else "")

    def matrix(self, of: Parameters) -> np.ndarray:
        """The first one."""
        X = self.matrices(of)[0]
        rest = 1 - of.norm[0] ** self._exponent
        if not rest:
            return X
        last = np.sqrt(rest) if self._exponent == 2 else rest ** (1 / self._exponent)
        return np.block([[X, np.zeros((len(X), 1))], [np.zeros((1, X.shape[1])), last]])


def _few_valued(rng: np.random.Generator, entries: int, count: int) -> np.ndarray:
    """Whole numbers from −4 to 4 in half of the matrices, any in the others; never all zero."""
    whole, any_ = rng.integers(-4, 5, (LEVELS, count)), rng.standard_normal((LEVELS, count))
    levels = np.where(rng.random(count) < 0.5, whole, any_)
    return _filled(np.take_along_axis(levels, rng.integers(0, LEVELS, (entries, count)), axis=0), entries)


def _filled(numbers: np.ndarray, first: int) -> np.ndarray:
    """With a one in a factor that is zero; `first` entries are of the first factor."""
    numbers = numbers.copy()
    for start, stop in ((0, first), (first, len(numbers))):
        if stop > start:
            numbers[start] += np.all(numbers[start:stop] == 0, axis=0)
    return numbers


def _outer(counts: Tensor) -> Tensor:
    return counts[:, :, None] * counts[:, None, :]


def _largest(X: Tensor, finite: Tensor) -> np.ndarray:
    found = torch.linalg.svdvals(X)[:, 0]
    return torch.where(finite, found, torch.inf).numpy()
