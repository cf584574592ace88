"""Meta's distributed_shampoo: NewtonSchulzOrthogonalizationConfig."""

from __future__ import annotations

from polydesign.exporters.keywords import keywords
from polydesign.exporters.target import Target, check_normalization, quintic_rows, shared_row
from polydesign.model import Table


def write(table: Table) -> str:
    """Keyword arguments of NewtonSchulzOrthogonalizationConfig. Raises InputError where the rows differ."""
    name = "distributed_shampoo"
    shared_row(table, name, "it has no place for a row a step; optax, timm and pytorch_optimizer have")
    rows = quintic_rows(table, name)
    check_normalization(table, name, "frobenius")
    return keywords(
        table,
        TARGET,
        "newton_schulz_arguments",
        {"num_iterations": len(rows), "coefficients": rows[0]},
        [
            "for distributed_shampoo.NewtonSchulzOrthogonalizationConfig(**newton_schulz_arguments)",
            "num_iterations must be the number above",
            "it divides by max(‖A‖_F, 1e-8) and iterates in the dtype of A",
        ],
    )


TARGET = Target(
    "Meta distributed_shampoo, NewtonSchulzOrthogonalizationConfig: coefficients; one row for all steps",
    ".py",
    write,
    dtype="bfloat16",
    when="gradients are bfloat16",
)
