"""keras.optimizers.Muon: three numbers, repeated."""

from __future__ import annotations

from polydesign.exporters.keywords import keywords
from polydesign.exporters.target import Target, check_normalization, quintic_rows, shared_row
from polydesign.model import Table


def write(table: Table) -> str:
    """Keyword arguments of keras.optimizers.Muon. Raises InputError where the rows differ."""
    name = "keras.optimizers.Muon"
    shared_row(table, name, "override its method zeropower_via_newtonschulz5 with a loop over the rows")
    rows = quintic_rows(table, name)
    check_normalization(table, name, "frobenius")
    a, b, c = rows[0]
    return keywords(
        table,
        TARGET,
        "muon_arguments",
        {"muon_a": a, "muon_b": b, "muon_c": c, "ns_steps": len(rows)},
        [
            "for keras.optimizers.Muon(learning_rate, **muon_arguments); ns_steps must be the number above",
            "keras divides by ‖M‖_F + 1e-7 and iterates in the dtype of the variables",
        ],
    )


TARGET = Target(
    "keras.optimizers.Muon: muon_a, muon_b, muon_c, ns_steps; one row for all steps",
    ".py",
    write,
    dtype="bfloat16",
    when="variables are bfloat16",
)
