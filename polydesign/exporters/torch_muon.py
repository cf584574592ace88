"""torch.optim.Muon: one row of three numbers, repeated."""

from __future__ import annotations

from polydesign.exporters.keywords import keywords
from polydesign.exporters.target import Target, check_normalization, quintic_rows, shared_row
from polydesign.model import InputError, Table

MOST_STEPS = 99
"""Beyond it torch raises ValueError at the first step."""


def write(table: Table) -> str:
    """Keyword arguments of torch.optim.Muon.

    Raises InputError where the rows differ, and for what no row of three numbers can hold.
    """
    name = "torch.optim.Muon"
    shared_row(
        table, name, "take --to torch-function, which writes a Muon and a function that run one row a step"
    )
    rows = quintic_rows(table, name)
    check_normalization(table, name, "frobenius")
    if len(rows) > MOST_STEPS:
        raise InputError("to", f"{name} runs at most {MOST_STEPS} steps, and {table.name} has {len(rows)}")
    return keywords(
        table,
        TARGET,
        "muon_arguments",
        {"ns_coefficients": rows[0], "ns_steps": len(rows)},
        [
            "for torch.optim.Muon(params, lr, **muon_arguments); ns_steps must be the number above",
            "torch divides by max(‖M‖_F, eps) and iterates in bfloat16; the norm too is rounded to bfloat16",
        ],
    )


TARGET = Target(
    "torch.optim.Muon: one row for all steps; tables of several rows: --to torch-function",
    ".py",
    write,
    dtype="bfloat16",
)
