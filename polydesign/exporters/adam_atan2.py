"""lucidrains adam-atan2-pytorch: PolarAdamAtan2."""

from __future__ import annotations

from polydesign.exporters.keywords import keywords
from polydesign.exporters.target import Target, check_normalization, quintic_rows
from polydesign.model import Table

FACTOR = 1.01
"""It divides by ‖M‖_F and then by this, whatever the coefficients."""


def write(table: Table) -> str:
    """Keyword arguments of PolarAdamAtan2. Raises InputError for what it cannot run."""
    rows = quintic_rows(table, "adam-atan2", FACTOR)
    check_normalization(table, "adam-atan2", "frobenius")
    return keywords(
        table,
        TARGET,
        "polar_arguments",
        {"polar_express_coefs": rows, "polar_steps": len(rows)},
        [
            "for adam_atan2_pytorch.polar_adam_atan2.PolarAdamAtan2(polar_params, params, **polar_arguments)",
            "polar_steps must be the number of rows: it leaves rows out, or repeats the last one",
            f"it divides by {FACTOR}·max(‖M‖_F, 1e-7): the first row is p({FACTOR}x), "
            "so that the map of M is the table's",
            "it iterates in the dtype of the updates; with polar_cast_bfloat16 in bfloat16, the norm too",
        ],
    )


TARGET = Target(
    "adam-atan2-pytorch, PolarAdamAtan2: polar_express_coefs, polar_steps",
    ".py",
    write,
    dtype="bfloat16",
    when="updates are bfloat16 or polar_cast_bfloat16 is on",
)
