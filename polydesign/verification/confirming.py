"""The worst members of a family run by msign in torch, whose kernels sum in an order of their own.

Members are followed with exact sums (rounding/followed.py). Whether a kernel makes as much, or more, of those
that come nearest to being blown up is seen here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import torch

from polydesign.model import Plan, Table, Trial
from polydesign.model.precision import UNIT_ROUNDOFF
from polydesign.rounding.families import FAMILIES, Parameters, families
from polydesign.rounding.neighbours import Kept, taken, worst
from polydesign.rounding.trial import CHUNK, VISIBLE, Outcome, Tally, reached
from polydesign.runtime import msign

CONFIRMED = ("diagonal-and-rest", "products")
"""Families of which the worst are run."""

MOST_ENTRIES = 4096
"""Of their matrices."""

AMONG = 100
"""So many times as many are drawn."""

IN_TORCH = ", worst in torch"
"""After the name of a family: what was tried of it here."""


def confirmed(table: Table, dtype: str, family: str, count: int, *, seed: int = 0) -> Trial:
    """The worst of AMONG times as many random members, run in torch's fused loop.

    Args:
        table: Of signs.
        dtype: bfloat16 or float16.
        family: One of CONFIRMED.
        count: How many are run.
        seed: Of the random members.

    Returns:
        What became of them; of the family with IN_TORCH after its name.
    """
    schedule, tally = table.schedule, Tally()
    members = _worst(table, dtype, family, count, seed)
    plain = replace(table, normalization="none", members=())
    plan = Plan(dtype, normalization="none", check=False, float32_side=0)
    of = families(table.normalization)[family]
    for batch in _batches(of.matrix(taken(members, [i])) for i in range(len(members.norm))):
        M = torch.from_numpy(batch).to(getattr(torch, dtype))
        X = msign(M, plain, plan).double()
        finite = X.isfinite().all(dim=-1).all(dim=-1)
        U, sigma, Vt = torch.linalg.svd(M.double(), full_matrices=False)
        X = torch.where(finite[:, None, None], X, 0.0)
        counted = (sigma >= max(schedule.interval[0], VISIBLE * UNIT_ROUNDOFF[dtype])).double()
        off = (U.mT @ X @ Vt.mT).diagonal(dim1=-2, dim2=-1) - 1
        error = (off.abs() * counted).amax(dim=-1)
        size = torch.linalg.matrix_norm(X, 2)
        of_it = (torch.where(finite, one, torch.inf).numpy() for one in (error, size))
        tally.add(schedule, Outcome(*of_it))
    return tally.trial(table.digest, family + IN_TORCH, "fused", dtype, seed)


def _worst(table: Table, dtype: str, family: str, count: int, seed: int) -> Parameters:
    """Those that come nearest to being blown up, of those that are small."""
    kept: Kept | None = None
    of = families(table.normalization)[family]
    for index in range(-(-AMONG * count // CHUNK)):
        rng = np.random.default_rng([seed, list(FAMILIES).index(family), index])
        drawn = of.draw(rng, CHUNK, table.schedule.interval[0])
        *rows, repeats = drawn.sizes
        small = taken(drawn, np.prod(rows, axis=0) ** 2 * repeats <= MOST_ENTRIES)
        near = reached(table.schedule, of.members(small), dtype)[1]
        kept = worst(kept, small, np.nan_to_num(near, nan=np.inf), count)
    assert kept is not None
    return kept.members


def _batches(matrices: Iterable[np.ndarray]) -> Iterable[np.ndarray]:
    """Those of one shape together."""
    by_shape: dict[tuple[int, ...], list[np.ndarray]] = defaultdict(list)
    for matrix in matrices:
        by_shape[matrix.shape].append(matrix)
    return map(np.array, by_shape.values())
