"""From keywords to a certified Table: the command line and Python callers share this.

It joins what must not know of each other: a strategy's schedule, its certificate, its name and provenance.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, replace
from inspect import signature
from typing import Any

import polydesign
from polydesign.approximation.certificate import certify as prove
from polydesign.approximation.scalar import schedule_from
from polydesign.designer.finishing import Found, finished
from polydesign.designer.naming import budget_name, short, table_name
from polydesign.model import (
    DTYPES,
    METHODS,
    InputError,
    Problem,
    Provenance,
    Table,
    check_degree,
    check_integer,
    check_normalization,
    check_purpose,
    dtype_name,
)
from polydesign.program.programs import preferred
from polydesign.search.band import smallest_lower
from polydesign.search.budget import form_of
from polydesign.search.greedy import Equioscillation
from polydesign.table.published import DEFAULT_INTERVAL, published
from polydesign.text.similar import closest

DEFAULT_SAFETY = {
    "bfloat16": Equioscillation(headroom=1.01, image_floor=0.1, floor_free_tail=2),
    "float16": Equioscillation(headroom=1.005, image_floor=0.1, floor_free_tail=2),
    "float32": Equioscillation(headroom=1.0001),
    "float64": Equioscillation(headroom=1.000001),
}
"""What a precision gets when headroom, cushion and image floor are not given.

These come from experiment, not from a bound: 1.01 and 0.1 are the published habit for bfloat16 (Polar
Express, arXiv 2505.16932), 1.005 is half of it for an eighth of the rounding; in float32 and float64 a
step's rounding moves a singular value by far less than the headroom.
"""


def design(
    *,
    root: int = 2,
    degree: int | Sequence[int] | None = None,
    steps: int | None = None,
    error: float | None = None,
    lower: float | str = 1e-3,
    upper: float = 1.0,
    dtype: Any = None,
    headroom: float | Sequence[float] | None = None,
    cushion: float | Sequence[float] | None = None,
    image_floor: float | Sequence[float] | None = None,
    evaluation: str | None = None,
    round: str | None = None,  # noqa: A002  (the word of the command line)
    normalization: str = "frobenius",
    purpose: str | None = None,
    name: str | None = None,
    certify: bool = True,
    method: str = "equioscillation",
    **settings: Any,
) -> Table:
    """The best schedule of steps of these degrees on [lower, upper], as a Table with a certificate.

    root r >= 1; degree: 1 + n·r, one for all steps (then `steps` or `error` is needed) or one a step, 5 where
    nothing is said.
    error: reach this with the fewest steps. lower="min", with error and steps both: the smallest lower end
    from which that many steps reach it. dtype: the precision it will run in, bfloat16 where nothing is said;
    it sets the headroom and the image floor where none of headroom, cushion and image_floor is given
    (DEFAULT_SAFETY); giving any of them replaces all three, and headroom=1, cushion=0 is the bare optimum.
    The table keeps dtype where it was given, or where the safety is that precision's. purpose: root where a
    schedule of root 2 is for P^(-1/2); else what the root and the method say (model.PURPOSES). round:
    "1/1024", "decimals:4", "bf16", "fp16" or "fp32": the numbers that run are of that grid, each step is
    designed for what the rounded ones before it leave, and provenance has the unrounded error (of adam: the
    objective's unrounded value, and the rows). normalization: what the runtime divides its input by
    (model.NORMALIZATIONS); the schedule does not depend on it. certify: prove the error (a few hundredths
    of a second), or else only sample it.

    method: equioscillation is best for the worst case; adam searches by gradients for an objective, from a
    start, and takes its settings as further keywords: the fields of search.adam.Adam, and timeout, resume,
    trajectory and watch of gradient.descend. It has no headroom, cushion or image floor, and needs
    evaluation="monomial" for round where a degree is 7 or more; degree and steps may be left out where the
    start or the resumed table has them. budget, which matmuls=N stands for too, finds the degrees, their
    evaluations, headroom and cushions for so many products, or the fewest for an error: it takes the fields
    of spending.Spending and watch; degree then says which ones it may use, headroom=1 asks for the optimum in
    exact arithmetic, and lower="min" for the smallest lower end for matmuls and error. clip makes schedules
    for runtime.spectral_clip, straight lines below l (search/clip.py); it takes headroom and image_floor as
    one number each.

    >>> table = design(degree=5, steps=6, lower=1e-3, headroom=1, cushion=0)
    >>> f"{table.schedule.error:.9g}"
    '0.000916472189'

    Raises InputError naming the keyword.
    """
    given_dtype = None if dtype is None else dtype_name(dtype)
    dtype = given_dtype or "bfloat16"
    smallest = lower == "min"
    if isinstance(lower, str) and not smallest:
        raise InputError("lower", f"must be a number, or min, not {lower!r}")
    if smallest and error is None:
        raise InputError("lower", "min is the smallest lower end for an error: give error too")
    check_normalization(normalization, root)
    check_integer("root", root, 1)
    check_purpose(purpose, root)
    if purpose == "clip" and method != "clip":
        raise InputError("purpose", f"clip needs method clip, and method is {method}")
    given = {"headroom": headroom, "cushion": cushion, "image_floor": image_floor}
    if method == "budget" or (method == "equioscillation" and settings.get("matmuls") is not None):
        if steps is not None or round is not None:
            raise InputError("steps" if round is None else "round", "is not for a budget: leave it out")
        allowed = None if degree is None else (degree,) if isinstance(degree, int) else tuple(degree)
        low = float(upper) / 2 if isinstance(lower, str) else float(lower)
        problem = Problem(root, allowed or (1 + root,), low, float(upper))
        problem = replace(problem, degrees=problem.degrees[:1], error=error)
        options = {"smallest": smallest, "exact": _bare(given), "evaluation": evaluation}
        options["inner_degrees"] = allowed and tuple((one - 1) // root for one in allowed)
        found = _by_budget(problem, settings, dtype, options, normalization, purpose)
        return finished(found, name=name, normalization=normalization, certify=certify)
    degree = 5 if degree is None else degree
    if smallest and steps is None and isinstance(degree, int):
        raise InputError("lower", "min is for so many steps: give steps too, or one degree a step")
    if method == "adam":
        for key, value in (given | {"lower": lower if smallest else None}).items():
            if value is not None:
                raise InputError(key, "is for method equioscillation; adam has an objective instead")
        from polydesign.designer.gradient import degrees_of  # torch, which nothing else here needs

        settings |= {} if round is None else {"round": round}
        left_out = steps is None and error is None and isinstance(degree, int)
        degrees = (degrees_of(settings) if left_out else None) or _degrees(root, degree, steps, error)
        problem = Problem(root, degrees, float(lower), float(upper), error)
        found = _by_gradient(problem, settings, evaluation, normalization, given_dtype, purpose)
        return finished(found, name=name, normalization=normalization, certify=certify)
    if method == "clip":
        from polydesign.designer.clip import clipping  # scipy, which the others do without

        degrees = _degrees(root, degree, steps, error)
        problem = Problem(root, degrees, float(lower), float(upper), error)
        if purpose not in (None, "clip"):
            raise InputError("purpose", f"is clip for method clip, not {purpose!r}: leave it out")
        for key in settings:
            raise InputError(key, f"is not a setting of method clip{_meant(key)}")
        found = clipping(problem, given_dtype, given, evaluation, round)
        return finished(found, name=name, normalization=normalization, certify=certify)
    if method != "equioscillation":
        raise InputError("method", f"{method!r} is not one of {', '.join(METHODS)}")
    for key in settings:
        raise InputError(key, f"is a setting of method adam only, or of a budget: give matmuls{_meant(key)}")
    degrees = _degrees(root, degree, steps, None if smallest else error)
    chosen: dict[str, Any] = {
        key: _one_or_more(key, value) for key, value in given.items() if value is not None
    }
    by_dtype = not chosen
    strategy = DEFAULT_SAFETY[dtype] if by_dtype else Equioscillation(**chosen)
    strategy = replace(strategy, evaluation=_evaluations(root, degrees, evaluation), round=round)
    parameters = {key: value for key, value in asdict(strategy).items() if value is not None}
    if by_dtype:
        parameters["dtype"] = dtype
    if smallest and error is not None:
        lower = smallest_lower(strategy, root, degrees, error, float(upper))
        problem = Problem(root, degrees, lower, float(upper))
        parameters |= {"lower": "min", "error": error}
    else:
        problem = Problem(root, degrees, float(lower), float(upper), error)
    schedule = strategy.search(problem)
    if round is not None:
        same = replace(problem, degrees=schedule.degrees, error=None)
        parameters["unrounded_error"] = replace(strategy, round=None).search(same).error
    low = f"min-e{short(error)}" if smallest and error is not None else None
    made_for = dtype if by_dtype else given_dtype
    own = table_name(schedule, strategy, made_for, normalization, low, own_safety=not by_dtype)
    own += _coupled(root, purpose)
    found = Found(schedule, method, parameters, own, purpose=purpose or "", dtype=made_for)
    return finished(found, name=name, normalization=normalization, certify=certify)


def _coupled(root: int, purpose: str | None) -> str:
    """What tells the name of a table of root 2 for P^(−1/2) from that of one for signs."""
    return "-coupled" if root == 2 and purpose == "root" else ""


def _meant(key: str) -> str:
    """A hint at the keyword of design that comes close, or nothing."""
    close = closest(key, signature(design).parameters, 1, cutoff=0.75)
    return f"; or did you mean {close[0]}?" if close else ""


def _by_gradient(
    problem: Problem,
    settings: dict[str, Any],
    evaluation: str | None,
    normalization: str,
    dtype: str | None,
    purpose: str | None,
) -> Found:
    from polydesign.designer.gradient import STRATEGY, descend

    around = {key: settings[key] for key in ("timeout", "resume", "trajectory", "watch") if key in settings}
    inside = {key: value for key, value in settings.items() if key not in around}
    evaluations = (evaluation,) * len(problem.degrees) if evaluation else None
    found = descend(problem, inside, evaluations=evaluations, normalization=normalization, **around)
    schedule, parameters = found.schedule, found.parameters
    rounding = Equioscillation(round=parameters.get("round"))
    name = f"{table_name(schedule, rounding, None, normalization)}-{STRATEGY}-"
    name += re.sub(r"[^\w.]+", "-", parameters["objective"].replace(":", "")).strip("-")[:80]
    name += "-shared" if parameters["shared"] else ""
    name += f"-{DTYPES[dtype]}" if dtype else ""
    name += _coupled(schedule.root, purpose)
    return Found(schedule, STRATEGY, parameters, name, found.seed, purpose or "", dtype)


def _bare(given: dict[str, Any]) -> bool:
    """Whether the bare optimum is asked for, headroom=1 without cushion; a budget takes nothing else."""
    for key, value in given.items():
        if value is not None and value != (1 if key == "headroom" else 0):
            raise InputError(
                key, "comes out of a budget search: leave it out, or take headroom=1 for exact arithmetic"
            )
    return given["headroom"] is not None


def _by_budget(
    problem: Problem,
    settings: dict[str, Any],
    dtype: str,
    options: dict[str, Any],
    normalization: str,
    purpose: str | None,
) -> Found:
    from polydesign.designer.spending import SETTINGS, SHAPE, STRATEGY, Spending, spend

    watch = settings.pop("watch", None)
    for key in settings:
        if key not in SETTINGS:
            raise InputError(key, f"is not a setting of {STRATEGY}: {', '.join(SETTINGS)}")
    if purpose == "root" and problem.root == 2:
        settings = {"form": "coupled", **settings}
    elif purpose == "sign" and settings.get("form") == "coupled":
        raise InputError("form", "coupled is of purpose root: leave out one of them")
    spending = Spending(**settings)
    schedule, parameters = spend(
        spending, problem, dtype, normalization=normalization, watch=watch, **options
    )
    form = parameters.get("form", "coupled" if spending.form == "coupled" else form_of(problem.root))
    exact = options["exact"]
    name = budget_name(
        schedule.root,
        spending.matmuls,
        problem.error,
        None if options["smallest"] else schedule.interval[0],
        schedule.interval[1],
        None if exact else dtype,
        None if exact or sorted(spending.shape) == sorted(SHAPE) else spending.shape,
        spending.form,
        normalization,
    )
    return Found(
        schedule,
        STRATEGY,
        parameters,
        name,
        spending.seed,
        purpose=purpose or ("root" if form == "coupled" and problem.root == 2 else ""),
        dtype=None if exact else dtype,
        form=form,
        observed=parameters.get("measured"),
    )


def published_table(name: str) -> Table:
    """A schedule of the literature as a Table with a proved certificate.

    Where the source names no interval, it is looked at on DEFAULT_INTERVAL, and provenance.parameters says
    so. Raises InputError for an unknown name, ArithmeticError where nothing can be proved.
    """
    entry = published(name)
    schedule = schedule_from(entry.root, entry.steps_run(), entry.interval or DEFAULT_INTERVAL)
    parameters = {
        "interval": "named by the source" if entry.interval else "not named by the source",
        "rows": len(entry.rows),
        "folded": entry.folded,
        "recommended_factor": entry.recommended_factor,
        "cushion": entry.cushion,
        "tail": entry.tail,
        "misprint": entry.misprint,
    }
    provenance = Provenance(polydesign.__version__, "published", parameters, source=entry.source)
    certificate = prove(schedule, entry.purpose)
    return Table(name, schedule, provenance, certificate=certificate, purpose=entry.purpose)


def _degrees(
    root: int, degree: int | Sequence[int], steps: int | None, error: float | None
) -> tuple[int, ...]:
    check_integer("root", root, 1)
    listed = (degree,) if isinstance(degree, int) else tuple(degree)
    if not listed:
        raise InputError("degree", "give at least one")
    for one in listed:
        check_degree("degree", one, root)
    if error is not None:
        if steps is not None:
            raise InputError(
                "steps", "the error decides the number of steps: give one of them, or lower min with both"
            )
        return listed
    if steps is not None:
        check_integer("steps", steps, 1)
        if len(listed) == 1:
            return listed * steps
        if len(listed) != steps:
            raise InputError("steps", f"is {steps}, and {len(listed)} degrees are given: leave steps out")
    elif isinstance(degree, int):
        raise InputError("steps", f"say how many steps of degree {listed[0]}, or give error")
    return listed


def _evaluations(root: int, degrees: tuple[int, ...], evaluation: str | None) -> str | tuple[str, ...]:
    """One word where all steps have the same, else one a step."""
    chosen = tuple(evaluation or preferred((degree - 1) // root) for degree in degrees)
    return chosen[0] if len(set(chosen)) == 1 else chosen


def _one_or_more(name: str, value: float | Sequence[float]) -> float | tuple[float, ...]:
    if isinstance(value, Sequence):
        if not value:
            raise InputError(name, "is an empty list: give one number, or one a step")
        return tuple(float(v) for v in value) if len(value) > 1 else float(value[0])
    return float(value)
