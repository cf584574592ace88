"""modded-nanogpt and nanochat: a module constant to replace; they take no argument."""

from __future__ import annotations

from functools import partial

from polydesign.exporters.keywords import comments, constant
from polydesign.exporters.target import Target, check_normalization, quintic_rows
from polydesign.model import Table

FACTORS = {"modded-nanogpt": 1.02, "nanochat": 1.01}
"""Each divides by factor·‖M‖_F + 1e-6, whatever the coefficients."""

_PLACES = {
    "modded-nanogpt": [
        "in place of polar_express_coeffs beside polar_express: it runs every row",
        "in bfloat16, the norm too",
    ],
    "nanochat": [
        "in place of polar_express_coeffs in nanochat/optim.py; ns_steps of the Muon groups must not be less "
        "than the number of rows, or rows are left out",
        "in bfloat16, the norm too; M is what nanochat has after it has made the norms of the rows equal",
    ],
}


def _write(name: str, table: Table) -> str:
    factor = FACTORS[name]
    rows = quintic_rows(table, name, factor)
    check_normalization(table, name, "frobenius")
    notes = [
        *_PLACES[name],
        f"{name} divides by {factor}·‖M‖_F + 1e-6: the first row is p({factor}x), "
        "so that the map of M is the table's",
    ]
    return constant("polar_express_coeffs", rows, comments(table, TARGETS[name], notes))


# modded-nanogpt adds a·X to B X after rounding it, for large matrices, and nanochat's step is compiled.
TARGETS = {
    name: Target(
        f"{name}: its module constant polar_express_coeffs",
        ".py",
        partial(_write, name),
        "bfloat16",
        loop="compiled",
        factor=factor,
    )
    for name, factor in FACTORS.items()
}
