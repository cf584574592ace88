"""Certificate, Provenance and Table: a schedule with everything a reader needs in order to trust it."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NoReturn

import polydesign
from polydesign.model.checks import (
    MOST_HEADROOM,
    PURPOSES,
    InputError,
    check_integer,
    check_normalization,
    check_number,
    check_purpose,
    dtype_name,
)
from polydesign.model.digest import digest
from polydesign.model.family import check_family
from polydesign.model.measurement import Measurement
from polydesign.model.quoting import quoted
from polydesign.model.safety import Trial, standing, weakest
from polydesign.model.schedule import Schedule

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DECIMAL = r"[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,4})?"
_LONGEST = 100
"""Characters of a bound; a certificate's are of 20 digits."""


def _check_bracket(field: str, bracket: tuple[str, str]) -> None:
    ends = []
    for index, end in enumerate(bracket):
        if not isinstance(end, str) or not re.fullmatch(_DECIMAL, end[: _LONGEST + 1], re.ASCII):
            raise InputError(
                f"{field}[{index}]", f"must be a decimal number of at least 0, not {quoted(end)}"
            )
        if len(end) > _LONGEST:
            raise InputError(f"{field}[{index}]", f"has {len(end)} digits, and at most {_LONGEST} are read")
        ends.append(Decimal(end))
    if len(ends) != 2 or ends[0] > ends[1]:
        raise InputError(field, f"{quoted(list(bracket))} is not a bracket: low and high, low <= high")


@dataclass(frozen=True, slots=True)
class Certificate:
    """What is known of a schedule's error, and how.

    Args:
        kind: "proved": all brackets are rigorous (approximation/certificate.py, which alone makes them).
            "sampled": nothing is proved.
        error: Encloses max |f − 1| on the interval, as decimals rounded outward; sampled: the largest found
            on the samples, and the solver's value.
        digest: Of the schedule and its purpose.
        samples: On how many points, where it is sampled.
        optimum: Encloses the least error that any schedule of these degrees has there.
        safe_edge: Brackets the largest X up to which the promise holds; None where u is outside already.
        basin_edge: Brackets the largest X up to which every step stays inside (0, 2).

    Raises:
        InputError: A bracket is none; it names the field.
    """

    kind: str
    error: tuple[str, str]
    digest: str
    samples: int | None = None
    optimum: tuple[str, str] | None = None
    safe_edge: tuple[str, str] | None = None
    basin_edge: tuple[str, str] | None = None

    def __post_init__(self) -> None:
        if self.kind not in ("sampled", "proved"):
            raise InputError("kind", f"{quoted(self.kind)} is not one of sampled, proved")
        if (self.samples is None) != (self.kind == "proved"):
            raise InputError(
                "samples", "a sampled certificate says on how many points, a proved one does not"
            )
        if self.samples is not None:
            object.__setattr__(self, "samples", check_integer("samples", self.samples, 2))
        if (self.optimum is None) != (self.kind == "sampled"):
            raise InputError("optimum", "a proved certificate has it, a sampled one does not")
        for name in ("error", "optimum", "safe_edge", "basin_edge"):
            bracket = getattr(self, name)
            if bracket is not None:
                _check_bracket(name, bracket)

    def __repr__(self) -> str:
        return polydesign.sheet_of(self).text()

    def _repr_html_(self) -> str:
        return polydesign.sheet_of(self).html()


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a table comes from: a record for people, which no code reads to decide what runs.

    Args:
        polydesign: The version that wrote it.
        strategy: A name of designer.methods.METHODS, or another word: published, rows, folded, unfolded,
            sector.
        parameters: All that the strategy was told, and what it reports.
        seed: Of random numbers, if there were any.
        source: Of a schedule that others made; None for one of our own.
    """

    polydesign: str
    strategy: str
    parameters: dict[str, Any]
    seed: int | None = None
    source: str | None = None

    def __post_init__(self) -> None:
        # A file knows lists only: what is written must compare equal to what is read.
        plain = {key: list(v) if isinstance(v, tuple) else v for key, v in self.parameters.items()}
        object.__setattr__(self, "parameters", plain)


class _Named(type):
    """Says where what is looked for in Table is: its rows are certified in a higher room."""

    if not TYPE_CHECKING:

        def __getattr__(cls, name: str) -> NoReturn:
            where = "; polydesign.from_rows makes a table of rows" if name == "from_rows" else ""
            raise AttributeError(f"type object {cls.__name__!r} has no attribute {name!r}{where}")


@dataclass(frozen=True, slots=True)
class Table(metaclass=_Named):
    """A schedule with everything a reader needs in order to trust it: one JSON file.

    Args:
        name: Of the file too: letters, digits, and . _ + -.
        schedule: What runs.
        provenance: Where it comes from.
        normalization: What the input is divided by, one of NORMALIZATIONS.
        certificate: What is proved; it must be of this schedule.
        measured: Runs on matrices, of this schedule.
        purpose: One of PURPOSES: which operators may run it. Left out, inverse for root 1, sign for 2, root
            for others.
        dtype: The precision that it was made for; None for exact arithmetic.
        form: What it was made to run in, direct, gram or coupled. Left out, direct for sign and clip,
            coupled for root and inverse.
        observed: The largest error on the matrices on which a search measured it, in its dtype and form,
            before it took this schedule; no bound, and None where nothing was measured.
        tried: What matrices whose roundings agree became of, of this schedule.
        members: Of a family: tables of the same programs but for their constants, each from a higher lower
            end, which run where a matrix allows them (runtime/indexed.py).

    Raises:
        InputError: The parts do not go together; it names the field.
    """

    name: str
    schedule: Schedule
    provenance: Provenance
    normalization: str = "frobenius"
    certificate: Certificate | None = None
    measured: tuple[Measurement, ...] = ()
    purpose: str = ""
    dtype: str | None = None
    form: str = ""
    observed: float | None = None
    tried: tuple[Trial, ...] = ()
    members: tuple[Table, ...] = ()

    def __post_init__(self) -> None:
        self._check_purpose()
        named = isinstance(self.name, str) and re.fullmatch(r"[\w.+-]{1,200}", self.name)
        if not named or not self.name.strip("."):
            raise InputError(
                "name",
                f"{quoted(self.name)} cannot name a file: take letters, digits, and . _ + - (at most 200)",
            )
        check_normalization(self.normalization, self.schedule.root)
        if self.provenance.source is None:
            self.schedule.check_chain(self._headroom())
        self._stamp()
        check_family(self)

    def _stamp(self) -> None:
        """A proof and a run of this schedule stay with it where it is put to another purpose.

        Those of another schedule are refused: they would be stated, and saved, of this one.
        """
        certified = () if self.certificate is None else (self.certificate,)
        if {one.digest for one in (*certified, *self.measured, *self.tried)} <= {self.digest}:
            return
        of_it = {digest(self.schedule, purpose) for purpose in PURPOSES}

        def stamped(one: Any, name: str) -> Any:
            if one.digest not in of_it:
                raise InputError(f"{name}.digest", f"is of another schedule or interval: leave {name} out")
            return replace(one, digest=self.digest)

        object.__setattr__(
            self, "certificate", next((stamped(one, "certificate") for one in certified), None)
        )
        for name in ("measured", "tried"):
            object.__setattr__(self, name, tuple(stamped(one, name) for one in getattr(self, name)))

    def _check_purpose(self) -> None:
        purpose = check_purpose(self.purpose or None, self.schedule.root)
        allowed = {"sign": ("direct", "gram"), "clip": ("direct",)}.get(purpose, ("coupled",))
        form = self.form or allowed[0]
        if form not in allowed:
            raise InputError("form", f"{quoted(form)} is not of purpose {purpose}: {' or '.join(allowed)}")
        object.__setattr__(self, "purpose", purpose)
        object.__setattr__(self, "form", form)
        if self.dtype is not None:
            object.__setattr__(self, "dtype", dtype_name(self.dtype))
        if self.observed is not None:
            object.__setattr__(self, "observed", check_number("observed", self.observed))
            if self.observed < 0:
                raise InputError("observed", f"is the size of an error, and cannot be {self.observed!r}")

    def _headroom(self) -> Any:
        """What provenance says that domains reach beyond what a step receives, or a limit."""
        stated = self.provenance.parameters.get("headroom", MOST_HEADROOM)
        listed = stated if isinstance(stated, list) else [stated] * len(self.schedule.steps)
        for number in listed:
            check_number("provenance.parameters.headroom", number)
        if len(listed) != len(self.schedule.steps):
            raise InputError("provenance.parameters.headroom", "has not one number a step")
        return listed

    @property
    def digest(self) -> str:
        """Of its purpose and its schedule (model.digest)."""
        return digest(self.schedule, self.purpose)

    def standing(self, dtype: str | None = None) -> str:
        """What it may be called in a half precision after what was tried: one of STANDINGS.

        dtype: its own where nothing is said, bfloat16 where it has none. A family has the standing of its
        weakest member: each of them may run.
        """
        of = dtype or self.dtype or "bfloat16"
        return weakest(standing(one.tried, of) for one in (self, *self.members))

    def as_tuples(self) -> list[tuple[float, ...]]:
        """The coefficients as a list of tuples, one a step: the type that every consumer accepts.

        Raises InputError for long steps, which run by their programs alone (Step.long).
        """
        if any(step.long for step in self.schedule.steps):
            raise InputError(
                "table",
                f"{self.name} has a step of degree {max(self.schedule.degrees)}, whose coefficients lose all "
                "digits in powers of A: run its program, which export --to numpy or torch-function writes",
            )
        return list(self.schedule.rows)

    def plot(self, measured: str | os.PathLike[str] | Sequence[Measurement] | None = None) -> Figure:
        """The figure of `polydesign.plot`: its composed map, and the error of each step.

        Args:
            measured: Measurements with maps to draw on its own, or a file of them.

        Returns:
            A figure of matplotlib, which a notebook shows.

        Raises:
            InputError: For measurements of another table.
        """
        return polydesign.plot(self, measured=measured)

    def __repr__(self) -> str:
        return polydesign.sheet_of(self).text()

    def _repr_html_(self) -> str:
        return polydesign.sheet_of(self).html()

    def __getattr__(self, name: str) -> Any:
        # Code written before the file had a room of its own.
        hint = ": write polydesign.save(table, path)" if name == "save" else ""
        raise AttributeError(f"a Table has no {name!r}{hint}")
