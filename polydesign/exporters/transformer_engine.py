"""NVIDIA TransformerEngine: the distributed newton_schulz of transformer_engine.pytorch."""

from __future__ import annotations

from polydesign.exporters.keywords import keywords
from polydesign.exporters.target import Target, check_normalization, quintic_rows
from polydesign.model import Table

_CALLER = {
    "frobenius": "‖x‖_F of the whole matrix, over all ranks",
    "schatten4": "(Σσ⁴)^(1/4) of the whole matrix, over all ranks",
    "schatten8": "(Σσ⁸)^(1/8) of the whole matrix, over all ranks",
    "none": "a bound of the spectral norm, if it may exceed 1",
}


def write(table: Table) -> str:
    """Keyword arguments of its newton_schulz. Raises InputError for what it cannot run."""
    rows = quintic_rows(table, "TransformerEngine")
    check_normalization(table, "TransformerEngine", *_CALLER)
    return keywords(
        table,
        TARGET,
        "newton_schulz_arguments",
        {"num_iterations": len(rows), "coefficients": rows},
        [
            "for transformer_engine.pytorch.newton_schulz(x, ctx, **newton_schulz_arguments); num_iterations "
            "must be the number of rows",
            f"it divides by nothing: divide x by {_CALLER[table.normalization]}, before you call it",
            "versions that want 3·num_iterations coefficients take one list: [c for r in rows for c in r]",
        ],
    )


TARGET = Target(
    "NVIDIA TransformerEngine, newton_schulz: coefficients, num_iterations; the caller normalizes",
    ".py",
    write,
    dtype="bfloat16",
    when="x is bfloat16",
)
