"""Tables from JSON.

What is read is checked four times: how much it is, and against schema/schedule-v2.schema.json; by the
model's own checks; on a grid (approximation/sampling.py); and what a certificate calls proved is proved
again, but for its optimum (approximation/certificate.py). Files of v1 are read too (upgrade.py).
"""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import replace
from decimal import Decimal
from functools import lru_cache
from typing import Any

from polydesign.model import (
    MOST_STEPS,
    Certificate,
    ClaimError,
    InputError,
    Measurement,
    Provenance,
    Schedule,
    Step,
    Table,
    Trial,
    quoted,
)
from polydesign.model.program import Line, Program, check_program
from polydesign.program.cost import matmuls, matmuls_of
from polydesign.table import measurements, schema
from polydesign.table.upgrade import upgraded
from polydesign.text.incoming import check_values, parse

MOST_RUNS = 5000
"""Of measurements in a file, and of trials."""

MOST_MEMBERS = 100
"""Of a family."""


def loads(text: str, where: str = "$", *, proving: bool = True) -> Table:
    """The table in a JSON text.

    proving: What its certificate calls proved is proved again; off for who makes a new one.

    Raises InputError with the JSON path of the offending field.
    """
    table = _checked(text, where, proving)
    # Dictionaries can be changed, and whoever does changes no other reading of this text.
    return _copied(table)


def _copied(table: Table) -> Table:
    measured = tuple(replace(m, versions=dict(m.versions)) for m in table.measured)
    members = tuple(map(_copied, table.members))
    return replace(table, provenance=deepcopy(table.provenance), measured=measured, members=members)


@lru_cache(maxsize=256)
def _checked(text: str, where: str, proving: bool) -> Table:
    """Remembered: checking takes most of the time, and commands read the same files again and again."""
    try:
        body = parse(text, where)
    except json.JSONDecodeError as problem:
        if problem.pos == 0:
            raise InputError(
                where,
                "is no table, which is JSON: polydesign.import_table(path) makes one of a list in it",
            ) from problem
        raise InputError(
            where,
            f"is not JSON at line {problem.lineno}, column {problem.colno} ({problem.msg}); was it cut off? "
            "Write it again with polydesign search",
        ) from problem
    return _from_values(body, proving)


def from_json(body: Any) -> Table:
    """The table in a JSON object: schema, model, digest and claims checked, in this order.

    Raises InputError whose field is a JSON path such as $.steps[2].coefficients[0].
    """
    check_values(body, "$")
    return _from_values(body, True)


def _from_values(body: Any, proving: bool) -> Table:
    _check_counts(body)
    given, body = body, upgraded(body)
    schema.check(body)
    return _built(body, proving, of_v2=body is given)


def _built(body: Any, proving: bool, *, of_v2: bool = True) -> Table:
    steps = []
    for index, item in enumerate(body["steps"]):
        try:
            steps.append(_step(item))
        except InputError as problem:
            raise type(problem)(f"$.steps[{index}].{problem.field}", problem.problem) from problem
    try:
        schedule = Schedule(body["root"], _pair(body["interval"]), tuple(steps))
        provenance = Provenance(**body["provenance"])
        table = Table(
            name=body["name"],
            schedule=schedule,
            provenance=provenance,
            normalization=body["normalization"],
            purpose=body["purpose"],
            dtype=body["dtype"],
            form=body["form"],
            observed=body["error"]["observed"],
        )
        claims = {"certificate": _certificate(body, table, proving), "measured": _measured(body, table)}
        table = replace(table, **claims, tried=_tried(body, table))
        # v1 counted the products of the direct form for root 2, whatever the table was made for.
        products = matmuls_of(table) if of_v2 else matmuls(table.schedule)
        _check_statements(body, table, products, proving)
        table = replace(table, members=_members(body, proving))
    except InputError as problem:
        if problem.field.startswith("$"):
            raise
        raise type(problem)(f"$.{problem.field}", problem.problem) from problem
    return table


def _members(body: Any, proving: bool) -> tuple[Table, ...]:
    found = []
    for index, item in enumerate(body.get("members", ())):
        try:
            found.append(_built(item, proving))
        except InputError as problem:
            inside = problem.field.removeprefix("$")
            raise type(problem)(f"$.members[{index}]{inside}", problem.problem) from problem
    return tuple(found)


def _step(item: Any) -> Step:
    from polydesign.program.basis import defines  # numpy, and only reading needs it

    code = _program(item["program"])
    check_program(code)
    coefficients = tuple(map(float, item["coefficients"]))
    # Before what goes with the coefficients, so that what was edited is what is named.
    if code.degree == len(coefficients) - 1 and not defines(code, coefficients):
        raise ClaimError(
            "coefficients",
            "are not those that the program defines; design the table again with polydesign search",
        )
    return Step(
        degree=item["degree"],
        coefficients=coefficients,
        domain=_pair(item["domain"]),
        image=_pair(item["image"]),
        half_width=float(item["half_width"]),
        evaluation=item["evaluation"],
        program=code,
    )


def _program(item: Any) -> Program:
    def pairs(terms: Any) -> Any:
        return tuple((register, weight) for register, weight in terms)

    lines = tuple(
        Line(pairs(one["plus"]), pairs(one["left"]), pairs(one["right"]), one["weight"])
        for one in item["lines"]
    )
    return Program(lines, pairs((item["result"],))[0], item["constant"])


def _pair(ends: Any) -> tuple[float, float]:
    return float(ends[0]), float(ends[1])


def _check_counts(body: Any, where: str = "$") -> None:
    """Refuse what is no object, and more than a table may hold, before it is looked at any closer."""
    if not isinstance(body, dict):
        raise InputError(where, f"must be an object, not {quoted(body)}")
    error, members = body.get("error"), body.get("members")
    runs = error if isinstance(error, dict) else {}
    for path, items, most in (
        ("steps", body.get("steps"), MOST_STEPS),
        ("error.measured", runs.get("measured"), MOST_RUNS),
        ("error.tried", runs.get("tried"), MOST_RUNS),
        ("members", members, MOST_MEMBERS if where == "$" else 0),
    ):
        if isinstance(items, list) and len(items) > most:
            held = f"a table has at most {most:,}" if most else "a member of a family has none"
            raise InputError(f"{where}.{path}", f"has {len(items):,} entries, and {held}")
    for index, one in enumerate(members if isinstance(members, list) else ()):
        _check_counts(one, f"{where}.members[{index}]")


def _certificate(body: Any, table: Table, proving: bool) -> Certificate | None:
    schedule = table.schedule
    item = body.get("certificate")
    if item is None:
        return None
    _check_digest("$.certificate.digest", item["digest"], table.digest)
    try:
        fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in item.items()}
        certificate = Certificate(**fields)
    except InputError as problem:
        raise InputError(f"$.certificate.{problem.field}", problem.problem) from problem
    if certificate.kind == "proved" and not proving:
        return certificate
    low, high = map(Decimal, certificate.error)
    if certificate.kind == "sampled":
        follows = low <= high == Decimal(repr(schedule.error))
    else:  # what it encloses is proved by check_bounds; it is tight, or below all float64
        follows = high - low <= high * Decimal("1e-9") + Decimal("1e-300")
        if certificate.optimum is not None and Decimal(certificate.optimum[1]) > high:
            raise ClaimError("$.certificate.optimum", "reaches beyond the error of this very schedule")
    if not follows:
        raise ClaimError(
            "$.certificate.error",
            f"{list(certificate.error)} does not enclose error.exact {schedule.error!r} tightly",
        )
    return certificate


def _check_digest(path: str, stated: str, digest: str) -> None:
    if stated != digest:
        raise ClaimError(
            path,
            "does not belong to these programs, this interval and this purpose: the table was edited by "
            "hand; design it again with polydesign search",
        )


def _measured(body: Any, table: Table) -> tuple[Measurement, ...]:
    found, digest = [], table.digest
    for index, item in enumerate(body["error"]["measured"]):
        _check_digest(f"$.error.measured[{index}].digest", item["digest"], digest)
        try:
            found.append(measurements.from_entry({**item, "table": body["name"]}))
        except InputError as problem:
            raise InputError(f"$.error.measured[{index}].{problem.field}", problem.problem) from problem
    return tuple(found)


def _tried(body: Any, table: Table) -> tuple[Trial, ...]:
    found, digest = [], table.digest
    for index, item in enumerate(body["error"].get("tried", ())):
        _check_digest(f"$.error.tried[{index}].digest", item["digest"], digest)
        try:
            found.append(Trial(**item))
        except InputError as problem:
            raise InputError(f"$.error.tried[{index}].{problem.field}", problem.problem) from problem
    return tuple(found)


def _check_statements(body: Any, table: Table, products: int, proving: bool) -> None:
    """Refuse what the file says beside its steps, where the steps say otherwise."""
    # numpy and flint, and only reading needs them
    from polydesign.approximation.certificate import check_bounds
    from polydesign.approximation.sampling import SAMPLES, check_claims, sampled_error

    if body["error"]["exact"] != table.schedule.error:
        raise ClaimError(
            "$.error.exact",
            f"is {body['error']['exact']!r}, and the last half_width {table.schedule.error!r}",
        )
    if any(m.promised != table.schedule.promise(m.power) for m in table.measured):
        raise ClaimError("$.error.measured", "was taken for another promise than error.exact")
    if body["cost"]["matmuls"] != products:
        raise ClaimError(
            "$.cost.matmuls", f"is {quoted(body['cost']['matmuls'])}, and these steps take {products}"
        )
    check_claims(table.schedule)
    certificate = table.certificate
    if certificate is not None and certificate.kind == "proved":
        if proving:
            check_bounds(table.schedule, certificate)
        return
    # What float64 cannot tell from 0, and what a sampled certificate says, in as many digits as that needs.
    found = sampled_error(table.schedule)
    if Decimal(found) > Decimal(table.schedule.error) * Decimal("1.000000000001"):
        raise ClaimError("$.error.exact", f"is {table.schedule.error!r}, and |f - 1| reaches {found}")
    if certificate is not None:
        if certificate.samples != SAMPLES:
            raise ClaimError("$.certificate.samples", f"is {certificate.samples}, and {SAMPLES} are taken")
        if Decimal(certificate.error[0]) > Decimal(found) or float(certificate.error[0]) < 0.99 * float(
            found
        ):
            raise ClaimError("$.certificate.error", f"begins at {certificate.error[0]}, and {found} is found")
