"""optax.contrib.muon: a row a step, and a choice of normalizations."""

from __future__ import annotations

from polydesign.exporters.keywords import keywords
from polydesign.exporters.target import Target, check_normalization, quintic_rows
from polydesign.model import Table

PRECONDITIONING = {"frobenius": "frobenius", "schatten4": "schatten", "aol": "aol"}
"""Our normalizations -> optax's names of the same ones; its `schatten` is the norm (Σσ⁴)^(1/4)."""


def write(table: Table) -> str:
    """Keyword arguments of optax.contrib.muon and scale_by_muon. Raises InputError where it has no such."""
    rows = quintic_rows(table, "optax")
    check_normalization(table, "optax", *PRECONDITIONING)
    notes = [
        "for optax.contrib.muon(learning_rate, **muon_arguments), or optax.contrib.scale_by_muon",
        "ns_steps must be the number of rows: optax refuses less, and more changes nothing",
        "optax iterates in the dtype of the updates, and rounds the coefficients to it",
    ]
    if table.normalization == "aol":
        notes.append("aol rescales the rows of M: the result is the polar factor of the rescaled matrix")
    return keywords(
        table,
        TARGET,
        "muon_arguments",
        {
            "ns_coeffs": rows,
            "ns_steps": len(rows),
            "preconditioning": PRECONDITIONING[table.normalization],
        },
        notes,
    )


TARGET = Target(
    "optax.contrib.muon and scale_by_muon: ns_coeffs, ns_steps, preconditioning",
    ".py",
    write,
    dtype="bfloat16",
    when="updates are bfloat16",
)
