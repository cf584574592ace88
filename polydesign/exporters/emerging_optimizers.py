"""NVIDIA Emerging-Optimizers: muon_utils.newton_schulz with custom coefficients."""

from __future__ import annotations

from polydesign.exporters.keywords import keywords
from polydesign.exporters.target import Target, check_normalization, quintic_rows
from polydesign.model import Table


def write(table: Table) -> str:
    """Keyword arguments of its newton_schulz. Raises InputError for what it cannot run."""
    rows = quintic_rows(table, "Emerging-Optimizers")
    check_normalization(table, "Emerging-Optimizers", "frobenius")
    return keywords(
        table,
        TARGET,
        "newton_schulz_arguments",
        {"steps": len(rows), "coefficient_type": "custom", "custom_coefficient_sets": rows},
        [
            "for emerging_optimizers.orthogonalized_optimizers.muon_utils.newton_schulz"
            "(x, **newton_schulz_arguments)",
            "steps must be the number of rows: custom sets begin again after the last one, and that diverges",
            "its classes (Muon, Scion, …), newton_schulz_tp and Megatron-LM take names of presets, not rows",
            "x is float32, and divided by max(‖x‖_F, eps)",
        ],
    )


TARGET = Target(
    "NVIDIA Emerging-Optimizers, muon_utils.newton_schulz: custom_coefficient_sets",
    ".py",
    write,
    dtype="bfloat16",
    when="torch.get_float32_matmul_precision() is 'medium'",
)
