"""Dao-AILab gram-newton-schulz: GramNewtonSchulz, StandardNewtonSchulz and its Muon."""

from __future__ import annotations

from polydesign.exporters.keywords import keywords
from polydesign.exporters.target import Target, check_normalization, quintic_rows
from polydesign.model import Table


def write(table: Table) -> str:
    """Keyword arguments of all three. Raises InputError for what they cannot run."""
    rows = quintic_rows(table, "gram-newton-schulz")
    check_normalization(table, "gram-newton-schulz", "frobenius")
    return keywords(
        table,
        TARGET,
        "newton_schulz_arguments",
        {"ns_coefficients": rows},
        [
            "for gram_newton_schulz.GramNewtonSchulz(**newton_schulz_arguments), StandardNewtonSchulz, Muon",
            "its Muon looks for the restarts itself; a single row is a ValueError there",
            "there is no number of steps: the rows are the steps; Muon's ns_coefficients_preset would win",
            "GramNewtonSchulz restarts before row 2, counted from 0, if not told otherwise"
            " (gram_newton_schulz_reset_iterations)",
            "x is divided by ‖x‖_F + 1e-7 in float32, then rounded to float16, in which it iterates",
        ],
    )


TARGET = Target(
    "Dao-AILab gram-newton-schulz, GramNewtonSchulz, StandardNewtonSchulz, Muon: ns_coefficients",
    ".py",
    write,
    dtype="float16",
)
