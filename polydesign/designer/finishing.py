"""From what a search found to a table: its proof, and what it says of itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from polydesign import __version__
from polydesign.approximation.certificate import certify as prove
from polydesign.approximation.sampling import sampled_certificate
from polydesign.model import Provenance, Schedule, Table
from polydesign.table import digest


@dataclass(frozen=True, slots=True)
class Found:
    """A schedule, and what its table is to say of it.

    method: the word of model.METHODS. parameters: all that the method was told, and what it reports. name:
    where the caller gives none. The rest is as in a Table.
    """

    schedule: Schedule
    method: str
    parameters: dict[str, Any]
    name: str
    seed: int | None = None
    purpose: str = ""
    dtype: str | None = None
    form: str = ""
    observed: float | None = None


def finished(found: Found, *, name: str | None, normalization: str, certify: bool) -> Table:
    """The table of what was found, under the caller's name if there is one.

    Raises InputError where its purpose or form does not fit.
    """
    schedule = found.schedule
    return Table(
        name=name or found.name,
        schedule=schedule,
        provenance=Provenance(__version__, found.method, found.parameters, found.seed),
        normalization=normalization,
        certificate=prove(schedule, found.purpose)
        if certify
        else sampled_certificate(schedule, digest(schedule, found.purpose)),
        purpose=found.purpose,
        dtype=found.dtype,
        form=found.form,
        observed=found.observed,
    )
