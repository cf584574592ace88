"""A run of the study: one model trained by one map, with what its momenta look like on the way."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

import polydesign
from polydesign.model import Plan, Table
from polydesign.optim import Muon
from polydesign.optim.maps import ClampedSign
from polydesign.optim.spectra import spectrum

MAPS: dict[str, str | dict[str, Any] | None] = {
    "jordan_5": "jordan_5",
    "polar_express_nanochat": "polar_express_nanochat",
    "cubic5": "cubic5",
    "ours, 0.3 at 10": {"degree": (17, 17), "error": 0.3, "lower": "min", "dtype": "float32"},
    "ours, 0.3 at 13": {"degree": (17, 9, 9), "error": 0.3, "lower": "min", "dtype": "float32"},
    "ours, least error at 18": "sign-m18-l1e-3-fp32",
    "exact": None,
}
"""Name -> a table of the catalogue, what is asked of `design`, or the decomposition. Degrees are those whose
interval reaches furthest down for so many products."""


def table_of(wish: str | dict[str, Any] | None) -> Table | None:
    if isinstance(wish, dict):
        return polydesign.design(**wish)
    return None if wish is None else polydesign.load(wish)


class ExactSign(ClampedSign):
    """U V^T by a decomposition in float64; what is zero but for rounding stays zero."""

    word: ClassVar[str] = "exact"

    def compute(self, M: Tensor) -> tuple[Tensor, Any]:
        U, sigma, V = torch.linalg.svd(M.double(), full_matrices=False)
        kept = sigma > max(M.shape[-2:]) * torch.finfo(M.dtype).eps * sigma.amax(dim=-1, keepdim=True)
        return ((U * kept[..., None, :]) @ V).to(M.dtype), None


def optimizer_of(name: str, table: Table | None, params: list[Any], rate: float) -> Muon:
    plan = Plan("float32", check=False)
    if table is not None:
        return Muon(params, lr=rate, weight_decay=0.0, table=table, plan=plan)
    found = Muon(params, lr=rate, weight_decay=0.0, plan=plan)
    found._maps = [replace(one, sign=ExactSign(None, plan)) for one in found._maps]
    return found


def trained(
    task: Any, name: str, table: Table | None, rate: float, seed: int, place: torch.device
) -> dict[str, Any]:
    """Train one model and say what came out. What the seed decides is the same for every map and rate."""
    size, start = task.size, time.perf_counter()
    torch.manual_seed(seed)
    model = task.model().to(place)
    matrices = model.matrices()
    chosen = {id(p) for _, p in matrices}
    muon = optimizer_of(name, table, matrices, rate)
    adam = torch.optim.AdamW(
        [p for p in model.parameters() if id(p) not in chosen], lr=2e-3, weight_decay=0.0
    )
    generator = torch.Generator().manual_seed(1_000 + seed)
    looks, seen = {round(size.steps * (k + 1) / size.looks) for k in range(size.looks)}, []
    loss = torch.tensor(math.nan)
    for step in range(1, size.steps + 1):
        part = min(1.0, (size.steps - step + 1) / (0.4 * size.steps))  # constant, then down to zero
        muon.param_groups[0]["lr"], adam.param_groups[0]["lr"] = rate * part, 2e-3 * part
        x, y = (one.to(place) for one in task.drawn(generator))
        loss = task.loss(model, x, y)
        loss.backward()
        muon.step()
        adam.step()
        muon.zero_grad()
        adam.zero_grad()
        if step in looks:
            seen.append({"step": step, **spectra_of(muon, matrices)})
    advice = advice_of(muon, matrices)
    fixed = torch.Generator().manual_seed(7)  # one set for every run
    with torch.no_grad():
        batches = [task.drawn(fixed, held_out=True) for _ in range(size.held_out)]
        losses = [task.loss(model, x.to(place), y.to(place)).item() for x, y in batches]
    found = sum(losses) / len(losses)
    return {
        "loss": found if math.isfinite(found) else None,
        "training": loss.item() if torch.isfinite(loss) else None,
        "momentum": seen,
        "advice": advice,
        "seconds": round(time.perf_counter() - start, 1),
    }


def spectra_of(muon: Muon, matrices: list[tuple[str, Any]]) -> dict[str, Any]:
    """What advise says of the momenta, as means over the layers."""
    found = []
    for name, p in matrices:
        M = muon.state[p]["momentum_buffer"].flatten(1)
        one = spectrum(M, name) if M.isfinite().all() else None
        found += [] if one is None else [one]
    if not found:
        return {}

    def mean(values: list[float]) -> float:
        return float(f"{sum(values) / len(found):.3g}")

    return {
        "rho": mean([one.rho for one in found]),
        "below_1e-3": mean([one.below[0] for one in found]),
        "below_1e-4": mean([one.below[1] for one in found]),
        "quantiles": [mean([one.quantiles[k] for one in found]) for k in range(7)],
    }


def advice_of(muon: Muon, matrices: list[tuple[str, Any]]) -> dict[str, Any] | None:
    """What advise says of the momenta after the last step, and how far that is from decompositions in float64
    by another library, the worst of all matrices. worst: how far what a table serves ends from 1."""
    if not all(muon.state[p]["momentum_buffer"].isfinite().all() for _, p in matrices):
        return None
    found, estimated = polydesign.advise(muon), polydesign.advise(muon, exact=False)
    momenta = {name: muon.state[p]["momentum_buffer"].flatten(1) for name, p in matrices}
    values = {name: np.linalg.svd(M.cpu().double().numpy(), compute_uv=False) for name, M in momenta.items()}
    values = {name: sigma / np.linalg.norm(sigma) for name, sigma in values.items() if sigma.any()}
    body: dict[str, Any] = {}
    for word, spectra in (("exact", found.spectra), ("estimated", estimated.spectra)):
        pairs = [(one, values[one.name]) for one in spectra]
        body[word] = {
            "rho": worst(abs(one.rho * float((sigma**4).sum()) ** 0.25 - 1) for one, sigma in pairs),
            "low": worst(abs(one.low / sigma[-1] - 1) for one, sigma in pairs),
            "high": worst(abs(one.high / sigma[0] - 1) for one, sigma in pairs),
            "below_1e-3": worst(abs(one.below[0] - (sigma < 1e-3).mean()) for one, sigma in pairs),
            "below_1e-4": worst(abs(one.below[1] - (sigma < 1e-4).mean()) for one, sigma in pairs),
        }
    body["serves"] = []
    for serves in found.serves:
        off = []
        for one, choice in zip(found.spectra, serves.each, strict=True):
            if choice is not None:
                sigma = values[one.name]
                served = sigma[sigma > found.lower] / one.divisors[choice.normalization]
                off += list(abs(polydesign.load(choice.table).schedule(served) - 1))
        each, whole, usual = serves.products
        table = None if serves.one is None else f"{serves.one.table}, {serves.one.normalization}"
        body["serves"].append(
            {
                "error": serves.error,
                "one": table,
                "products": {"each": each, "one": whole, "quintics": usual},
                "worst": worst(off),
            }
        )
    return body


def worst(values: Any) -> float:
    return float(f"{max(map(float, values), default=0.0):.3g}")
