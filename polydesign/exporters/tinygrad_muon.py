"""tinygrad.nn.optim.Muon: one row of any length, repeated."""

from __future__ import annotations

from polydesign.exporters.keywords import keywords
from polydesign.exporters.target import Target, check_normalization, shared_row
from polydesign.model import Table


def write(table: Table) -> str:
    """Keyword arguments of tinygrad's Muon. Raises InputError where the rows differ, and for other roots."""
    name = "tinygrad.nn.optim.Muon"
    row = shared_row(table, name, "it has no place for a row a step; optax, timm and pytorch_optimizer have")
    check_normalization(table, name, "frobenius")
    notes = [
        "for tinygrad.nn.optim.Muon(params, lr, **muon_arguments); ns_steps must be the number above",
        "tinygrad divides by ‖M‖_F + 1e-7, iterates in the dtype of M, and takes powers of A one by one",
    ]
    return keywords(
        table,
        TARGET,
        "muon_arguments",
        {"ns_coefficients": row, "ns_steps": len(table.schedule.steps)},
        notes,
    )


TARGET = Target(
    "tinygrad.nn.optim.Muon: ns_coefficients, ns_steps; one row of any degree for all steps",
    ".py",
    write,
    dtype="bfloat16",
    when="gradients are bfloat16",
)
