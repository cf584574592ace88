"""From what a search found to a table: its proof, and what it says of itself."""

from __future__ import annotations

from polydesign import __version__
from polydesign.approximation.certificate import certify as prove
from polydesign.approximation.sampling import sampled_certificate
from polydesign.designer.strategy import Found
from polydesign.model import Provenance, Table
from polydesign.table import digest


def finished(
    found: Found,
    *,
    method: str,
    name: str,
    normalization: str = "frobenius",
    purpose: str | None = None,
    certify: bool = True,
    source: str | None = None,
) -> Table:
    """The table of what was found: every table that is designed is made here.

    Args:
        method: The strategy of its provenance.
        purpose: Where the search does not know of another.
        certify: Prove the error, or else only sample it.
        source: Where a schedule of the literature is from.

    Raises InputError where its purpose or form does not fit.
    """
    schedule, meant = found.schedule, found.purpose or purpose or ""
    return Table(
        name=name,
        schedule=schedule,
        provenance=Provenance(__version__, method, found.parameters, found.seed, source),
        normalization=normalization,
        certificate=prove(schedule, meant)
        if certify
        else sampled_certificate(schedule, digest(schedule, meant)),
        purpose=meant,
        dtype=found.dtype,
        form=found.form,
        observed=found.observed,
    )
