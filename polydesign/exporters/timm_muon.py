"""timm.optim.Muon: a row a step."""

from __future__ import annotations

from polydesign.exporters.keywords import keywords
from polydesign.exporters.target import Target, check_normalization, quintic_rows
from polydesign.model import Table


def write(table: Table) -> str:
    """Keyword arguments of timm.optim.Muon. Raises InputError for what it cannot run."""
    rows = quintic_rows(table, "timm")
    check_normalization(table, "timm", "frobenius")
    return keywords(
        table,
        TARGET,
        "muon_arguments",
        {"ns_coefficients": rows, "ns_steps": len(rows), "safety_factor": 1.0},
        [
            "for timm.optim.Muon(params, lr, **muon_arguments), or timm.optim.create_optimizer_v2",
            "ns_steps must be the number of rows: timm leaves rows out, or repeats the last one",
            "the headroom is in the rows, so safety_factor stays 1; a larger one would change the map",
            "timm divides by max(‖M‖_F, eps) and iterates in bfloat16; the norm too is rounded to bfloat16",
        ],
    )


TARGET = Target("timm.optim.Muon: ns_coefficients, ns_steps, safety_factor", ".py", write, dtype="bfloat16")
