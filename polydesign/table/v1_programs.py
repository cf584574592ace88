"""The steps of a file of v1, which names constants, with their programs spelled out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from fractions import Fraction
from typing import Any

from polydesign.approximation.certificate import certify
from polydesign.approximation.sampling import sampled_certificate
from polydesign.approximation.scalar import Interval, received_step
from polydesign.model import ClaimError, InputError, Schedule, Step, check_number, digest
from polydesign.model.checks import located
from polydesign.model.program import monomial
from polydesign.program.basis import chebyshev_weights, defines
from polydesign.program.programs import build
from polydesign.table.writing import step_json

_KEYS = {"degree", "coefficients", "domain", "image", "half_width", "evaluation", "program"}
"""What a step of v1 has."""

NAMES: dict[str, dict[int, str]] = {
    "monomial": {},
    "chebyshev": {**{n: "scale " + " ".join(f"t{j}" for j in range(n + 1)) for n in range(1, 7)}}
    | {8: "scale rho alpha a1 a2 b1 b2 c2 c1 c0 cI"},
    "origin": {
        3: "w p1 k2 k1 c",
        4: "w p2 p1 k2 k1 c",
        5: "w r2 r1 p2 p1 k3 k2 k1 c",
        6: "w r2 r1 p3 p2 p1 k3 k2 k1 c",
        8: "w rho alpha beta gamma a1 a2 b1 b2 c2 c1 c0 c",
    },
    "balanced": {4: "s2 s1 s0 p2 p1 p0 k c", 8: "s2 s1 alpha beta rho a1 a2 a0 b1 b2 b0 k c"},
}
"""Evaluation -> inner degree -> the constants that v1 names, in the order of programs.build."""


def with_programs(body: dict[str, Any]) -> dict[str, Any]:
    """The object with the programs of its steps spelled out, and the digests that go with them."""
    stated = [holder for holder in (body.get("certificate"), *body["error"]["measured"]) if holder]
    before = _digest(body)
    for holder in stated:
        if holder["digest"] != before:
            raise ClaimError("$.certificate.digest", "does not belong to this file: it was edited by hand")
    root, interval = body["root"], (float(body["interval"][0]), float(body["interval"][1]))
    steps = [_step(item, f"$.steps[{index}]") for index, item in enumerate(body["steps"])]
    if body["error"]["exact"] != steps[-1].half_width:
        raise ClaimError("$.error.exact", f"is not the last half_width, {steps[-1].half_width!r}")
    moved = any(map(_moved, body["steps"]))
    if moved:
        received: Interval = interval
        for index, step in enumerate(steps):
            fresh, received = received_step(root, step.program, step.evaluation, received)
            top = max(step.domain[1], fresh.domain[1])  # headroom stays
            steps[index] = replace(fresh, domain=(fresh.domain[0], top))
    schedule = Schedule(root, interval, tuple(steps))
    now = digest(schedule, body["purpose"])
    certificate = body.get("certificate")
    if certificate and moved:
        proved = certificate["kind"] == "proved"
        fresh = certify(schedule) if proved else sampled_certificate(schedule, now)
        certificate = {k: v for k, v in asdict(fresh).items() if v is not None}
    # What was measured was held against the promise of before.
    measured = [run | {"digest": now} for run in body["error"]["measured"] if not moved]
    error = body["error"] | {"measured": measured, "exact": schedule.error}
    found = body | {"steps": [step_json(step) for step in steps], "error": error}
    found |= {"certificate": certificate | {"digest": now}} if certificate else {}
    return json.loads(json.dumps(found))  # tuples become lists


def _step(item: dict[str, Any], where: str) -> Step:
    for key in item.keys() - _KEYS:
        raise InputError(f"{where}.{key}", "is not a key of v1")
    n = len(item["coefficients"]) - 1
    coefficients = _floats(f"{where}.coefficients", item["coefficients"])
    ends: list[Any] = [_floats(f"{where}.{key}", item[key]) for key in ("domain", "image")]
    check_number(f"{where}.half_width", item["half_width"])
    evaluation, numbers = item["evaluation"], _floats(f"{where}.program", _program(item, where))
    if _by_chebyshev(item):
        exact = build(evaluation, n, [numbers[0], *chebyshev_weights(list(map(Fraction, numbers[1:])))])
        if not defines(exact, coefficients):
            raise ClaimError(f"{where}.coefficients", "are not those that the program defines")
        numbers = (numbers[0], *chebyshev_weights(numbers[1:]))
    code = monomial(coefficients) if evaluation == "monomial" else build(evaluation, n, numbers)
    with located(f"{where}."):
        return Step(
            item["degree"], coefficients, ends[0], ends[1], float(item["half_width"]), evaluation, code
        )


def _floats(where: str, numbers: Sequence[Any]) -> tuple[float, ...]:
    for index, number in enumerate(numbers):
        check_number(f"{where}[{index}]", number)
    return tuple(map(float, numbers))


def _program(item: dict[str, Any], where: str) -> list[Any]:
    """The constants that v1 names, in the order of programs.build; a file may have them in any."""
    evaluation, stated = item["evaluation"], item.get("program") or {}
    names = NAMES[evaluation].get(len(item["coefficients"]) - 1, "").split()
    for name in names:
        if name not in stated:
            raise InputError(f"{where}.program.{name}", "is missing")
    for name in stated:
        if name not in names:
            raise InputError(f"{where}.program.{name}", f"is not a constant of this evaluation, {evaluation}")
    return [stated[name] for name in names]


def _by_chebyshev(item: dict[str, Any]) -> bool:
    return item["evaluation"] == "chebyshev" and len(item["coefficients"]) < 9


def _moved(item: dict[str, Any]) -> bool:
    """Whether a constant that runs is not what the file's numbers are exactly."""
    if not _by_chebyshev(item):
        return False
    numbers = _program(item, "$")[1:]
    return chebyshev_weights(list(map(Fraction, numbers))) != chebyshev_weights(list(map(float, numbers)))


def _digest(body: dict[str, Any]) -> str:
    """As v1 made it: of root, interval, and the steps' constants and evaluations."""
    steps = [
        {"coefficients": _hex(step["coefficients"]), "evaluation": step["evaluation"]}
        | ({"program": _hex(_program(step, f"$.steps[{index}]"))} if step.get("program") else {})
        for index, step in enumerate(body["steps"])
    ]
    known = {"root": body["root"], "interval": _hex(body["interval"]), "steps": steps}
    canonical = json.dumps(known, sort_keys=True, separators=(",", ":"))
    return "sha256:" + hashlib.sha256(canonical.encode()).hexdigest()


def _hex(numbers: Iterable[float]) -> list[str]:
    return [float(number).hex() for number in numbers]
