"""pytorch_optimizer: Muon, AdaMuon, AdaGO, MuonClip, DistributedMuon, NorMuon."""

from __future__ import annotations

from polydesign.exporters.keywords import keywords
from polydesign.exporters.target import Target, check_normalization, quintic_rows
from polydesign.model import Table


def write(table: Table) -> str:
    """Keyword arguments of these optimizers. Raises InputError for what they cannot run."""
    rows = quintic_rows(table, "pytorch_optimizer")
    check_normalization(table, "pytorch_optimizer", "frobenius")
    return keywords(
        table,
        TARGET,
        "muon_arguments",
        {"ns_coeffs": rows, "ns_steps": len(rows)},
        [
            "for pytorch_optimizer.Muon(params, **muon_arguments), and its AdaMuon, AdaGO, MuonClip, "
            "NorMuon, DistributedMuon",
            "ns_steps must be the number of rows: it leaves rows out, or repeats the last one",
            "rows must be tuples: it refuses lists",
            "it divides by max(‖M‖_F, 1e-7) and iterates in bfloat16; the norm too is rounded to bfloat16; "
            "with ns_method='gram_newton_schulz' it iterates in float16, the norm in float32",
        ],
    )


TARGET = Target(
    "pytorch_optimizer (4.1), Muon, AdaMuon, AdaGO, MuonClip, DistributedMuon, NorMuon: ns_coeffs, ns_steps",
    ".py",
    write,
    dtype="bfloat16",
)
