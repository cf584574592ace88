"""Proposals of the budget search on blocks of equal entries, where all roundings of the first step add up."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from polydesign.model import Plan, Problem, Provenance, Table
from polydesign.model.precision import UNIT_ROUNDOFF
from polydesign.rounding.running import MOST_EXPLAINED
from polydesign.runtime import msign
from polydesign.search.rounding_aware import Terms, propose
from polydesign.verification.metrics import deviation
from polydesign.verification.spectra import sample

pytestmark = pytest.mark.numerics


# Less caution loses values in later steps of bfloat16; more of it in float16 saves them without the room.
@pytest.mark.few(1)
@pytest.mark.parametrize(("dtype", "caution"), [("bfloat16", 0.6), ("float16", 0.4)])
def test_the_first_step_has_room_for_equal_entries(
    dtype: str, caution: float, device: str, seed: int
) -> None:
    """And with room for the rounding of X₀ alone, x = 1 is lost."""
    terms = Terms(2, 1e-3, 1.0, dtype, inner_degrees=(8,))
    found = propose(terms, 15, cautions=(caution,), turns=(0.5,))[-1]
    assert found.cost == 15
    degrees = tuple(step.degree for step in found.schedule.steps)
    chosen = found.strategy.headroom
    assert isinstance(chosen, tuple)
    headroom = (1 + UNIT_ROUNDOFF[dtype], *chosen[1:])
    narrow = replace(found.strategy, headroom=headroom).search(Problem(2, degrees, 1e-3, 1.0))
    lost = []
    for schedule in (found.schedule, narrow):
        table, worst = Table("candidate", schedule, Provenance("0", "budget", {})), []
        for shape in ((64, 64), (96, 200), (256, 300)):
            known = sample("flat", shape, seed=seed)
            X = msign(known.matrix.to(device), table, Plan(dtype=dtype, check=False)).to("cpu", torch.float64)
            off = [
                deviation(x[None], u[None], v[None], torch.ones((1, 1), dtype=torch.bool)).worst
                for x, u, v in zip(X.nan_to_num(9.0, 9.0, -9.0), known.U, known.V, strict=True)
            ]
            worst += [one for one in off if one is not None]
        assert len(worst) == 48
        lost.append(sum(not one < schedule.error + MOST_EXPLAINED for one in worst))
    assert lost[0] == 0 < lost[1]
